"""Put every part of the relay together, start them, and close them: the one module that knows all."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import structlog

from app import __version__
from app.backroom import Backroom
from app.beside import Beside, Limits
from app.borrowing import Borrowed
from app.checkup import check_up
from app.dispatch.holder import name_of_this_process
from app.dispatch.leader import Dispatcher
from app.dispatch.replaying import Preview, Replaying
from app.dispatch.term import Work
from app.dispatch.trial import try_out
from app.dispatch.troubles import Thresholds
from app.domain import CampaignId, utc_now
from app.errors import StoreUnavailable
from app.mailing import read_letter
from app.making import (
    example_of,
    make_auth,
    make_catalogue,
    make_judge,
    make_memory,
    make_policy,
    make_senders,
    make_sources,
    open_store,
)
from app.marketo.address import base_urls
from app.marketo.auth import MarketoAuth
from app.marketo.client import MarketoClient
from app.marketo.transport import open_http
from app.metrics import Metrics
from app.notifying import Notifier
from app.settings import Settings
from app.setup_watch import InTheStore, SetupWatch
from app.sources.base import Source
from app.sources.fetching import open_client
from app.sources.trying import Tried
from app.store.database import Database, open_database
from app.store.dead import DeadLetters
from app.store.finding import Calls
from app.store.health import probe
from app.store.inbox import Inbox
from app.store.listing import Listing
from app.store.lookup import Lookup
from app.store.opening import prepare_store
from app.store.overview import Overview
from app.store.replays import Asked, Replay, Replays
from app.store.search import Search
from app.tracing import Tracing, make_tracing
from app.web.care_parts import CareParts
from app.web.console.parts import Budget, ConsoleParts, WebinarTokens
from app.web.masking import Masking
from app.web.parts import WebParts
from app.web.rate import Rate

_STOP_WITHIN = timedelta(seconds=6)
LAST_COMMIT = timedelta(seconds=2)
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
    database = open_store(settings)
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

    shared = InTheStore(settings.database_url.get_secret_value(), database, settings.secrets())
    beside = Beside(settings.database_url.get_secret_value(), Limits.of(settings), clock=utc_now)
    gate = Borrowed(backroom, workshop.dispatcher.errand, beside)
    setup = SetupWatch(lambda: check_up(settings, gate=gate), shared=shared, clock=utc_now)
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
        masking=Masking(settings.secrets()),
        clock=utc_now,
        version=__version__,
        console=ConsoleParts(
            care=care,
            try_out=try_out_in_backroom,
            read_letter=lambda campaign: read_letter(settings, CampaignId(campaign), gate=gate),
            senders=make_senders(settings),
            examples={name: example_of(name) for name in workshop.sources},
            search=Search(database),
            calls=Calls(database),
            overview=Overview(database),
            webhooks=Listing(database, clock=utc_now),
            budget=Budget(settings.marketo_calls_per_window, settings.marketo_calls_per_day),
            tokens=WebinarTokens(
                settings.marketo_token_title, settings.marketo_token_join_link, settings.marketo_token_image
            ),
            public_url=settings.public_url,
        ),
    )
    await backroom.open()
    every = timedelta(hours=settings.check_every_hours) or None
    looks = asyncio.create_task(setup.watch(lambda: workshop.is_leading, at_start=settings.check_at_start, every=every))
    try:
        yield Relay(web, begin_stop, care)
    finally:
        looks.cancel()
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
    async with open_database(url) as database, open_client() as http:  # for whoever fetches; a replay only maps here
        sources = make_sources(settings, make_catalogue(settings), http)
        yield make_replaying(settings, database, sources), database


def make_replaying(settings: Settings, database: Database, sources: Mapping[str, Source]) -> Replaying:
    """Return what foresees and asks for replays in this store, by the settings of now."""
    return Replaying(Replays(database), sources, make_judge(settings, make_catalogue(settings)), utc_now)


class _Workshop:
    """What works in the backroom: the inbox's writer and the dispatcher, with connections of their own."""

    def __init__(self, settings: Settings, metrics: Metrics, tracing: Tracing | None) -> None:
        self._metrics = metrics
        self._database = open_store(settings)
        self._marketo_http = _open_marketo(settings)
        self._auth = make_auth(settings)
        self._sources_http = open_client()
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
            runs_on=timedelta(seconds=settings.marketo_upsert_runs_on_seconds),
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
        """Commit a tiny write, where webhooks are stored too.

        Raises:
            StoreUnavailable: that cannot be done, or nobody does the latter any more.
        """
        if not self.inbox.is_open:
            raise StoreUnavailable("Nothing stores webhooks any more; restart the relay.")
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
            if writing.done():
                _log.error("storing webhooks ended by a defect", exc_info=writing.exception())
            await asyncio.wait({dispatching, ended})
            self.inbox.close()
            await asyncio.wait({writing}, timeout=LAST_COMMIT.total_seconds())
            writing.cancel()
            telling.cancel()
            await asyncio.gather(writing, dispatching, telling, return_exceptions=True)

    async def _tell(self) -> None:
        """Note what this process knows now and then: another worker may be asked for it."""
        while True:
            self._metrics.dispatcher_seen(self.status())
            self._metrics.inbox_seen(self.inbox.waiting[0])
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
