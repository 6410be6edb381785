"""Build every part of the relay from its settings, start them, and close them: the one module that knows all."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import httpx
import structlog
from pydantic import SecretStr

from app import __version__
from app.backroom import Backroom
from app.checkup import check_up
from app.dispatch.backoff import next_quota_day
from app.dispatch.holder import name_of_this_process
from app.dispatch.judgement import Judge, TokenNames
from app.dispatch.leader import Dispatcher, Work
from app.dispatch.replaying import Preview, Replaying
from app.dispatch.trial import try_out
from app.dispatch.troubles import Thresholds
from app.dispatch.verdicts import Policy
from app.domain import CampaignId, utc_now
from app.errors import StoreUnavailable
from app.mailing import read_letter
from app.marketo.address import base_urls, campaign_id
from app.marketo.auth import MarketoAuth
from app.marketo.client import MarketoClient
from app.marketo.transport import open_http
from app.metrics import Metrics
from app.notifying import Notifier
from app.settings import Checks, Settings
from app.setup_watch import SetupWatch
from app.sources.base import Source
from app.sources.custom import CustomSource
from app.sources.eventbrite import EventbriteApi, EventbriteSource
from app.sources.pendo import PendoApi, PendoPaths, PendoSource
from app.sources.trying import Sender, Tried, signs_by_digest, signs_by_key, signs_by_standard_webhooks
from app.sources.webinars import Catalogue, ConfiguredWebinar
from app.store.database import Database, open_database
from app.store.dead import DeadLetters
from app.store.finding import Calls
from app.store.health import probe
from app.store.inbox import Inbox
from app.store.listing import Listing
from app.store.lookup import Lookup
from app.store.opening import prepare_store
from app.store.overview import Overview
from app.store.people import Memory
from app.store.replays import Asked, Replay, Replays
from app.store.search import Search
from app.tracing import Tracing, make_tracing
from app.web.care_parts import CareParts
from app.web.console.parts import Budget, ConsoleParts, WebinarTokens
from app.web.parts import WebParts
from app.web.rate import Rate

CHECKS = Checks(base_url=base_urls, campaign=campaign_id)
_SOURCES = ("eventbrite", "pendo", "custom")
_EXAMPLES = frozenset(
    {"order_placed__captured.json", "track_event_received__inferred.json", "registration__smallest.json"}
)
_STOP_WITHIN = timedelta(seconds=6)
_TOLD_EVERY = timedelta(seconds=2)
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Draining:
    """Whether the process has been told to stop."""

    is_draining: bool = False


@dataclass(frozen=True, slots=True)
class Relay:
    """A running relay: what the web layer needs, and how to begin the stop."""

    web: WebParts
    begin_stop: Callable[[], None]  # unready, and no new calls; what comes in is still accepted
    care: CareParts | None = None


@asynccontextmanager
async def running_relay(settings: Settings, *, figures: Path | None = None) -> AsyncIterator[Relay]:
    """Open the store, start accepting and dispatching; at the end stop both and close everything.

    `figures` is the folder that several workers keep theirs in. Requests are answered in the caller's event loop;
    storing and dispatching have one of their own (`app.backroom`).

    Raises:
        StoreTooNew, StoreUnavailable: the store cannot be used.
    """
    url = settings.database_url.get_secret_value()
    await prepare_store(url, may_migrate=settings.migrate_on_start)
    database = open_database(url)
    try:
        async with opened_tracing() as tracing, _at_work(settings, database, Metrics(figures), tracing) as relay:
            yield relay
    finally:
        await database.close()
        _log.info("stopped")


@asynccontextmanager
async def opened_tracing() -> AsyncIterator[Tracing | None]:
    """Let spans be sent where OpenTelemetry's own variables say, if they do; they are the standard's, not settings."""
    tracing = make_tracing(os.environ)
    try:
        yield tracing
    finally:
        if tracing is not None:
            await asyncio.to_thread(tracing.close)


@asynccontextmanager
async def _at_work(
    settings: Settings, database: Database, metrics: Metrics, tracing: Tracing | None
) -> AsyncIterator[Relay]:
    workshop = _Workshop(settings, metrics, tracing)
    backroom = Backroom(workshop.work)
    draining = Draining()

    def begin_stop() -> None:
        draining.is_draining = True
        backroom.call(workshop.stop_dispatching)

    async def check_store() -> None:
        if not backroom.is_working:
            raise StoreUnavailable("The thread that stores webhooks has ended; restart the relay.")
        await backroom.ask(workshop.probe)

    async def try_out_in_backroom(name: str, body: bytes) -> Tried:
        return await backroom.ask(lambda: workshop.try_out(name, body))

    setup = SetupWatch(lambda: check_up(settings), clock=utc_now)
    foreseeing = make_replaying(settings, database, workshop.sources)
    replaying = _ReplayingInBackroom(backroom, foreseeing, workshop.replaying)
    care = CareParts(DeadLetters(database), replaying, Replays(database))
    web = WebParts(
        setup=setup,
        tracing=tracing,
        sources=workshop.sources,
        inbox=workshop.inbox,
        lookup=Lookup(database),
        lists=Listing(database, clock=utc_now),
        probe=check_store,
        drain=draining,
        status=workshop.status,
        metrics=metrics,
        admin_tokens=settings.admin_token,
        admin_read_tokens=settings.admin_read_token,
        docs_need_token=settings.docs_need_token,
        metrics_need_token=settings.metrics_need_token,
        max_body=settings.max_body_bytes,
        rates={name: Rate(most) for name in workshop.sources} if (most := settings.source_webhooks_per_second) else {},
        clock=utc_now,
        version=__version__,
        console=ConsoleParts(
            care=care,
            try_out=try_out_in_backroom,
            read_letter=lambda campaign: read_letter(settings, CampaignId(campaign)),
            senders=make_senders(settings),
            examples={name: example_of(name) for name in workshop.sources},
            search=Search(database),
            calls=Calls(database),
            overview=Overview(database),
            day_ends=next_quota_day,
            budget=Budget(settings.marketo_calls_per_window, settings.marketo_calls_per_day),
            tokens=WebinarTokens(
                settings.marketo_token_title, settings.marketo_token_join_link, settings.marketo_token_image
            ),
            secrets=tuple(SecretStr(secret) for secret in settings.secrets()),
        ),
    )
    await backroom.open()
    first_look = asyncio.create_task(setup.begin_when(lambda: workshop.is_leading))
    if not settings.check_at_start:
        first_look.cancel()
    try:
        yield Relay(web, begin_stop, care)
    finally:
        first_look.cancel()
        begin_stop()
        await backroom.close()


@dataclass(frozen=True, slots=True)
class _ReplayingInBackroom:
    """Foresees replays where requests are answered, and writes them down where the store is written to."""

    backroom: Backroom
    foreseeing: Replaying
    replaying: Replaying  # with the backroom's own connections

    async def preview(self, asked: Asked) -> Preview:
        return await self.foreseeing.preview(asked)

    async def ask(self, asked: Asked) -> Replay:
        return await self.backroom.ask(lambda: self.replaying.ask(asked))

    async def stop(self, replay_id: str) -> Replay | None:
        return await self.backroom.ask(lambda: self.replaying.stop(replay_id))


@asynccontextmanager
async def opened_replaying(settings: Settings) -> AsyncIterator[tuple[Replaying, Database]]:
    """Open the store for a command, with what foresees and asks for replays there.

    Raises:
        StoreTooNew, StoreUnavailable: the store cannot be used.
    """
    url = settings.database_url.get_secret_value()
    await prepare_store(url, may_migrate=False)
    database = open_database(url)
    try:
        async with httpx.AsyncClient(follow_redirects=False) as http:  # for whoever fetches; a replay only maps here
            sources = make_sources(settings, make_catalogue(settings), http)
            yield make_replaying(settings, database, sources), database
    finally:
        await database.close()


def make_replaying(settings: Settings, database: Database, sources: Mapping[str, Source]) -> Replaying:
    """Return what foresees and asks for replays in this store, by the settings of now."""
    return Replaying(Replays(database), sources, make_judge(settings, make_catalogue(settings)), utc_now)


class _Workshop:
    """What works in the backroom: the inbox's writer and the dispatcher, with connections of their own."""

    def __init__(self, settings: Settings, metrics: Metrics, tracing: Tracing | None) -> None:
        self._metrics = metrics
        self._database = open_database(settings.database_url.get_secret_value())
        self._marketo_http = _open_marketo(settings)
        self._auth = _auth(settings)
        self._sources_http = httpx.AsyncClient(
            follow_redirects=False,
            timeout=10.0,
            headers={"User-Agent": f"marketo-webhook-relay/{__version__}"},
        )
        catalogue = make_catalogue(settings)
        self.sources = make_sources(settings, catalogue, self._sources_http)
        self.replaying = make_replaying(settings, self._database, self.sources)
        self._senders = make_senders(settings)
        self._judge = make_judge(settings, catalogue)
        work = Work(
            database=self._database,
            sources=self.sources,
            marketo=_marketo(settings, self._marketo_http, self._auth),
            judge=self._judge,
            policy=make_policy(settings),
            metrics=metrics,
            tracing=tracing,
            clock=utc_now,
            calls_per_window=settings.marketo_calls_per_window,
            calls_per_day=settings.marketo_calls_per_day,
            most_in_flight=settings.marketo_max_in_flight,
            memory=make_memory(settings),
            keep=timedelta(days=settings.retention_days),
            hold=timedelta(seconds=settings.marketo_link_field_hold_seconds),
            notify=Notifier(self._sources_http, url).send if (url := settings.alert_webhook_url) else None,
            thresholds=Thresholds(timedelta(hours=settings.alert_silent_hours), settings.alert_dead_letters),
        )
        self.dispatcher = Dispatcher(work, holder=name_of_this_process())
        self.inbox = Inbox(self._database, on_stored=self.dispatcher.wake)
        self._stopping = asyncio.Event()

    @property
    def is_leading(self) -> bool:
        """Whether this process is the one that sends."""
        return bool(self.dispatcher.status().get("leader"))

    def status(self) -> Mapping[str, object]:
        """Return the dispatcher's status, and the age of Marketo's token in seconds, if there is one."""
        age = self._auth.token_age
        return {**self.dispatcher.status(), "token_age": age.total_seconds() if age else None}

    async def probe(self) -> None:
        """Commit a tiny write."""
        await probe(self._database, clock=utc_now)

    async def try_out(self, name: str, body: bytes) -> Tried:
        """Tell what would become of a body that this source sends; its client belongs to this thread's loop."""
        request = self._senders[name].request(body, utc_now())
        return await try_out(self.sources[name], self._judge, request)

    def stop_dispatching(self) -> None:
        """Begin no new call; those that run have `_STOP_WITHIN` from now on. Storing goes on."""
        self.dispatcher.stop()
        self._stopping.set()

    async def work(self, end: asyncio.Event) -> None:
        """Store and dispatch until told to end; then end what runs and close everything."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._database.close)
            stack.push_async_callback(self._marketo_http.aclose)
            stack.push_async_callback(self._sources_http.aclose)
            writing = asyncio.create_task(self.inbox.run())
            dispatching = asyncio.create_task(self._dispatch())
            telling = asyncio.create_task(self._tell())
            ended = asyncio.create_task(end.wait())
            await asyncio.wait({writing, dispatching, ended}, return_when=asyncio.FIRST_COMPLETED)
            self.stop_dispatching()
            await asyncio.wait({dispatching, ended})
            self.inbox.close()
            telling.cancel()
            await asyncio.gather(writing, dispatching, telling, return_exceptions=True)

    async def _tell(self) -> None:
        """Note the dispatcher's figures now and then: another worker may be asked for them."""
        while True:
            self._metrics.dispatcher_seen(self.status())
            self._metrics.aged(utc_now())
            await asyncio.sleep(_TOLD_EVERY.total_seconds())

    async def _dispatch(self) -> None:
        running = asyncio.create_task(self.dispatcher.run())
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        await asyncio.wait({running}, timeout=_STOP_WITHIN.total_seconds())
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _open_marketo(settings: Settings) -> httpx.AsyncClient:
    address = base_urls(settings.marketo_base_url)
    if not address.is_marketo:
        _log.warning("not Marketo's own host", host=address.host)
    return open_http(address, most_connections=settings.marketo_max_in_flight + 1)


def _auth(settings: Settings) -> MarketoAuth:
    return MarketoAuth(
        address=base_urls(settings.marketo_base_url),
        client_id=settings.marketo_client_id,
        client_secret=settings.marketo_client_secret,
    )


def _marketo(settings: Settings, http: httpx.AsyncClient, auth: MarketoAuth) -> MarketoClient:
    address = base_urls(settings.marketo_base_url)
    return MarketoClient(
        http=http,
        address=address,
        auth=auth,
        lookup_field=settings.marketo_lookup_field,
        partition=settings.marketo_partition,
        set_by=settings.setting_of_fields,
    )


def make_catalogue(settings: Settings) -> Catalogue:
    """Return the webinars of relay.toml and the defaults for those that it does not name."""
    webinars = [
        ConfiguredWebinar(
            id=name,
            title=webinar.title,
            join_link=webinar.join_link,
            image=webinar.image,
            starts_at=webinar.starts_at,
            campaign_id=campaign_id(webinar.campaign_id) if webinar.campaign_id else None,
            aliases=webinar.aliases,
        )
        for name, webinar in settings.webinars.items()
    ]
    return Catalogue(
        webinars,
        default_title=settings.default_webinar_title,
        default_join_link=settings.default_join_link,
        default_image=settings.default_webinar_image,
    )


def make_judge(settings: Settings, catalogue: Catalogue) -> Judge:
    """Return what decides on registrations by the settings."""
    return Judge(
        catalogue=catalogue,
        campaigns=_campaigns(settings),
        allowed=allowed_campaigns(settings),
        names=_token_names(settings),
        look_up_only=settings.marketo_lead_mode == "lookup",
        over_after=timedelta(hours=settings.webinar_over_after_hours),
        fields=settings.fields_of_tokens,
    )


def make_policy(settings: Settings) -> Policy:
    """Return what the settings decide about lost answers and unknown people."""
    return Policy(
        settings.marketo_on_ambiguous,
        look_up_only=settings.marketo_lead_mode == "lookup",
        activity_delay=timedelta(seconds=settings.marketo_activity_delay_seconds),
    )


def make_memory(settings: Settings) -> Memory:
    """Return how people are remembered. Another instance, field or partition has other people at the same addresses."""
    where = (base_urls(settings.marketo_base_url).rest, settings.marketo_lookup_field, settings.marketo_partition or "")
    return Memory("\x00".join(where), timedelta(days=settings.marketo_people_ttl_days), settings.marketo_people_max)


def _token_names(settings: Settings) -> TokenNames:
    return TokenNames(settings.marketo_token_title, settings.marketo_token_join_link, settings.marketo_token_image)


def _campaigns(settings: Settings) -> Mapping[str, CampaignId]:
    named = {source: getattr(settings, f"{source}_campaign_id") for source in _SOURCES}
    return {source: campaign_id(text or settings.marketo_campaign_id) for source, text in named.items()}


def allowed_campaigns(settings: Settings) -> frozenset[CampaignId]:
    """Return every campaign that the configuration names; a payload may ask for no other."""
    listed = (campaign_id(text) for text in settings.marketo_allowed_campaign_ids)
    webinars = (campaign_id(w.campaign_id) for w in settings.webinars.values() if w.campaign_id)
    return frozenset({campaign_id(settings.marketo_campaign_id), *_campaigns(settings).values(), *listed, *webinars})


def make_sources(settings: Settings, catalogue: Catalogue, client: httpx.AsyncClient) -> Mapping[str, Source]:
    """Return the sources that the settings turn on, by name."""
    sources: list[Source] = []
    if settings.eventbrite_webhook_token:
        sources.append(_eventbrite(settings, catalogue, client))
    if settings.pendo_webhook_secret:
        sources.append(_pendo(settings, catalogue, client))
    if settings.custom_webhook_secrets or settings.custom_api_keys:
        sources.append(_custom(settings))
    return {source.name: source for source in sources}


def make_senders(settings: Settings) -> Mapping[str, Sender]:
    """Return how each source that is on reaches the relay, with the first of its secrets."""
    senders = []
    if tokens := _revealed(settings.eventbrite_webhook_token):
        senders.append(Sender("eventbrite", tokens[0]))
    if secrets := _revealed(settings.pendo_webhook_secret):
        senders.append(Sender("pendo", sign=signs_by_digest("x-pendo-signature", secrets[0])))
    if secrets := _revealed(settings.custom_webhook_secrets):
        senders.append(Sender("custom", sign=signs_by_standard_webhooks(secrets[0])))
    elif keys := _revealed(settings.custom_api_keys):
        senders.append(Sender("custom", sign=signs_by_key(keys[0])))
    return {sender.source: sender for sender in senders}


def example_of(source: str) -> str:
    """Return a body that this source may send, from the samples that are shipped with it; empty when there is none."""
    samples = files("app.sources").joinpath(source, "samples")
    names = sorted(one.name for one in samples.iterdir() if one.name in _EXAMPLES) if samples.is_dir() else []
    body = json.loads(samples.joinpath(names[0]).read_text("utf-8"))["body"] if names else None
    return json.dumps(body, indent=2) if body else ""


def _eventbrite(settings: Settings, catalogue: Catalogue, client: httpx.AsyncClient) -> EventbriteSource:
    token, base_url = settings.eventbrite_api_token, settings.eventbrite_api_url
    api = EventbriteApi(client=client, token=token, clock=utc_now, base_url=base_url) if token else None
    return EventbriteSource(
        path_secrets=_revealed(settings.eventbrite_webhook_token),
        actions=settings.eventbrite_actions,
        api=api,
        catalogue=catalogue,
        clock=utc_now,
        settle=timedelta(seconds=settings.eventbrite_settle_seconds),
    )


def _pendo(settings: Settings, catalogue: Catalogue, client: httpx.AsyncClient) -> PendoSource:
    key = settings.pendo_integration_key
    return PendoSource(
        secrets=_revealed(settings.pendo_webhook_secret),
        track_event=settings.pendo_track_event,
        api=PendoApi(client=client, integration_key=key, clock=utc_now, base_url=settings.pendo_api_url)
        if key
        else None,
        catalogue=catalogue,
        clock=utc_now,
        paths=_pendo_paths(settings),
        polls=settings.pendo_polls,
    )


def _pendo_paths(settings: Settings) -> PendoPaths:
    given = {field.name: getattr(settings, f"pendo_path_{field.name}") for field in fields(PendoPaths)}
    return PendoPaths(**{name: paths for name, paths in given.items() if paths})


def _custom(settings: Settings) -> CustomSource:
    names = _token_names(settings)
    return CustomSource(
        signing_secrets=_revealed(settings.custom_webhook_secrets),
        api_keys=_revealed(settings.custom_api_keys),
        allowed_campaigns=allowed_campaigns(settings),
        reserved_tokens=(names.title, names.join_link, names.image),
    )


def _revealed(secrets: tuple[SecretStr, ...]) -> list[str]:
    return [secret.get_secret_value() for secret in secrets]
