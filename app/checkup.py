"""Build what `relay doctor` needs from the settings, look, and judge."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import httpx
from pydantic import SecretStr

from app.beside import apart, gate_of_a_command
from app.doctor import eventbrite, pendo
from app.doctor.eventbrite import WantedWebhook, look_at_eventbrite
from app.doctor.looking import look
from app.doctor.marketo import Part, findings_of
from app.doctor.mending import Fix, TokenFix, token_fixes, webhook_fixes
from app.doctor.own import CHECKS, SECTION, WEBINAR_CHECKS, House, WebinarSeen, settings_findings
from app.doctor.pacing import Gate, Gated, Slow, not_told
from app.doctor.pendo import look_at_pendo
from app.doctor.picture import MarketoPicture
from app.doctor.report import Finding, Report, Verdict, judged, report_of, unknown
from app.doctor.trial import Reminder, Tell, Trial
from app.doctor.wanted import Wanted, WantedToken
from app.domain import CampaignId, Clock, utc_now
from app.errors import FieldProblem, NotNow, SettingsInvalid
from app.making import make_auth
from app.marketo.address import base_urls, campaign_id
from app.marketo.answers import SyncAnswer
from app.marketo.client import MarketoClient
from app.marketo.envelope import Reply
from app.marketo.requests import Outgoing, PersonRecord
from app.marketo.setup import MarketoSetup
from app.marketo.transport import open_http, proxy_for, shown
from app.settings import Settings, doubts_of
from app.sources.eventbrite.account import EventbriteAccount
from app.sources.fetching import open_client
from app.sources.pendo import PendoApi
from app.store.links import field_values, passed_tokens
from app.store.looking import look_at_store

# What is needed to ask Marketo at all; with these, a check goes on although other settings are wrong.
NEEDED = ("marketo_base_url", "marketo_client_id", "marketo_client_secret", "marketo_campaign_id")
_CONNECTIONS = 2
_TEST = "A test of the webinar relay"
_Found = Callable[[Iterable[Finding]], None]


@dataclass(frozen=True, slots=True)
class Examined:
    """What the checks came to, what could be mended for them, and what the campaigns are called, by their numbers."""

    report: Report
    fixes: tuple[Fix, ...] = ()
    campaigns: Mapping[str, str] = field(default_factory=dict)


def tell_nobody(_finding: Finding) -> None:
    """Tell nobody before the report is whole."""


async def check_up(
    settings: Settings,
    problems: tuple[FieldProblem, ...] = (),
    *,
    gate: Gate | None = None,
    clock: Clock = utc_now,
    tell: Callable[[Finding], None] = tell_nobody,
    slow: Slow = not_told,
) -> Examined:
    """Look at everything around the relay. `problems` are those of settings that are not needed to ask Marketo.

    `gate` is what the calls to Marketo pass; without one, a process that only checks is taken for granted, and `slow`
    is told why one of its calls waits. `tell` is told each finding as it is made.
    """
    findings: list[Finding] = []

    def found(some: Iterable[Finding]) -> None:
        for one in some:
            findings.append(one)
            tell(one)

    found(settings_findings(problems, doubts_of(settings), secrets=len(settings.secrets())))
    found(await _own(settings, clock))
    marketo_fixes, campaigns = await _marketo(
        settings, clock, gate or await gate_of_a_command(settings, clock=clock, slow=slow), found
    )
    eventbrite_fixes = await _eventbrite(settings, clock, found)
    await _pendo(settings, clock, found)
    return Examined(report_of(findings), (*marketo_fixes, *eventbrite_fixes), campaigns)


async def mend(settings: Settings, fix: Fix, *, clock: Clock = utc_now, slow: Slow = not_told) -> None:
    """Do what a fix says.

    Raises:
        CallFailed, ResolveFailed: it was refused; nothing or, where the answer was lost, perhaps it was done.
    """
    if isinstance(fix, TokenFix):
        async with _setup(settings, clock, await gate_of_a_command(settings, clock=clock, slow=slow)) as marketo:
            await marketo.create_token(fix.place, fix.token)
        return
    async with _account(settings, clock) as account:
        await account.subscribe(fix.organization_id, fix.address + fix.secret, fix.actions)


def without_asking(invalid: SettingsInvalid) -> Examined:
    """Return the report where the settings do not even let one ask Marketo."""
    return Examined(report_of(settings_findings(invalid.problems, secrets=0)))


async def _own(settings: Settings, clock: Clock) -> list[Finding]:
    house = House(
        store=await look_at_store(settings.database_url.get_secret_value(), clock=clock),
        migrates_at_start=settings.migrate_on_start,
        has_admin_token=bool(settings.admin_token),
        public_url=settings.public_url,
        sources=tuple(_sources(settings)),
    )
    return [*judged(SECTION, CHECKS, house), *_webinars(settings, clock())]


def _sources(settings: Settings) -> Iterator[str]:
    if settings.eventbrite_webhook_token:
        yield "Eventbrite"
    if settings.pendo_webhook_secret:
        yield "Pendo"
    if settings.custom_webhook_secrets or settings.custom_api_keys:
        yield "your own apps"


def _webinars(settings: Settings, now: datetime) -> Iterator[Finding]:
    over_after = timedelta(hours=settings.webinar_over_after_hours)
    for key, webinar in settings.webinars.items():
        seen = WebinarSeen(
            id=key,
            title=webinar.title or settings.default_webinar_title,
            starts_at=webinar.starts_at,
            over_at=webinar.starts_at + over_after if webinar.starts_at else None,
            join_link=webinar.join_link or settings.default_join_link,
            image=webinar.image,
            is_completed_by_source=any(name.isdigit() for name in (key, *webinar.aliases)),  # Eventbrite's own event id
            now=now,
        )
        for finding in judged("Webinars of relay.toml", WEBINAR_CHECKS, seen, key):
            yield replace(finding, title=f"{finding.title} {key}")


async def _marketo(
    settings: Settings, clock: Clock, gate: Gate, found: _Found
) -> tuple[Sequence[Fix], Mapping[str, str]]:
    """Tell what is found; return what could be mended, and the campaigns' names by their numbers."""
    wanted = wanted_of(settings)

    def done(part: Part, seen: MarketoPicture) -> None:
        found(findings_of(part, wanted, seen))

    async with _setup(settings, clock, gate) as marketo:
        seen = await look(marketo, wanted, clock=clock, done=done)
    return list(token_fixes(wanted, seen)), {str(one.id): one.called for one in seen.campaigns if one.called}


async def _eventbrite(settings: Settings, clock: Clock, found: _Found) -> Sequence[Fix]:
    if not (settings.eventbrite_webhook_token and settings.eventbrite_api_token):
        return ()
    wanted = WantedWebhook(
        secrets=tuple(one.get_secret_value() for one in settings.eventbrite_webhook_token),
        actions=settings.eventbrite_actions,
        public_url=settings.public_url,
    )
    async with _account(settings, clock) as account:
        seen = await look_at_eventbrite(account, wanted)
    found(judged("Eventbrite", eventbrite.CHECKS, seen))
    return list(webhook_fixes(seen))


async def _pendo(settings: Settings, clock: Clock, found: _Found) -> None:
    if not settings.pendo_webhook_secret:
        return
    key = settings.pendo_integration_key
    async with open_client() as http:
        api = PendoApi(client=http, integration_key=key, base_url=settings.pendo_api_url) if key else None
        found(judged("Pendo", pendo.CHECKS, await look_at_pendo(api)))


@asynccontextmanager
async def _account(settings: Settings, clock: Clock) -> AsyncIterator[EventbriteAccount]:
    token, base_url = settings.eventbrite_api_token or SecretStr(""), settings.eventbrite_api_url
    async with open_client() as http:
        yield EventbriteAccount(client=http, token=token, base_url=base_url)


def reminder_of(settings: Settings, address: str, *, patience: timedelta) -> Reminder:
    """Return one real reminder: the usual campaign, with the settings' defaults or a test's own words.

    What is mapped to a person field travels there, as with a registration.
    """
    fields = settings.fields_of_tokens
    given = dict.fromkeys(fields, _TEST) | {
        settings.marketo_token_title: settings.default_webinar_title or _TEST,
        settings.marketo_token_join_link: settings.default_join_link or "https://www.example.com/",
        settings.marketo_token_image: settings.default_webinar_image,
    }
    tokens = {name: value for name, value in given.items() if value}
    return Reminder(
        address=address,
        campaign=campaign_id(settings.marketo_campaign_id),
        tokens=passed_tokens(tokens, fields, by_field=True),
        fields=field_values(tokens, fields),
        may_create=settings.marketo_lead_mode != "lookup",
        patience=patience,
    )


async def send_one(
    settings: Settings, reminder: Reminder, *, tell: Tell, clock: Clock = utc_now, slow: Slow = not_told
) -> Verdict:
    """Send a reminder, tell each step, and return how the last one came out."""
    gate = await gate_of_a_command(settings, clock=clock, slow=slow)
    async with _http(settings) as http:
        client = _BesideTheRelay(settings, http, clock, gate)
        try:
            return await Trial(client, reminder, tell=tell, clock=clock).run()
        except NotNow as not_now:
            tell("Marketo", unknown(f"not asked: {not_now}", "Try again later."))
            return Verdict.UNKNOWN


@asynccontextmanager
async def _setup(settings: Settings, clock: Clock, gate: Gate) -> AsyncIterator[MarketoSetup]:
    async with _http(settings) as http:
        client = _Client(settings, http, clock)
        yield MarketoSetup(Gated(client.send, gate))


def _http(settings: Settings) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    return open_http(base_urls(settings.marketo_base_url), most_connections=_CONNECTIONS)


class _Client(MarketoClient):
    """A client by the settings, with a token of its own."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient, clock: Clock) -> None:
        super().__init__(
            http=http,
            address=base_urls(settings.marketo_base_url),
            auth=make_auth(settings, clock),
            lookup_field=settings.marketo_lookup_field,
            partition=settings.marketo_partition,
            set_by=settings.setting_of_fields,
            clock=clock,
        )


class _BesideTheRelay(_Client):
    """A client whose calls pass a gate, and whose upsert keeps apart from the relay's of the same person."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient, clock: Clock, gate: Gate) -> None:
        super().__init__(settings, http, clock)
        self._gate = gate
        self._settings = settings

    async def sync_people(self, records: Sequence[PersonRecord]) -> SyncAnswer:
        [record] = records
        async with apart(self._settings, record.key, record.fields, clock=self._clock):
            return await super().sync_people(records)

    async def send(self, call: Outgoing) -> Reply:
        send = super().send
        return await self._gate(lambda: send(call))


def wanted_of(settings: Settings) -> Wanted:
    """Return what these settings ask of Marketo."""
    address = base_urls(settings.marketo_base_url)
    proxy = proxy_for(address)
    links = [settings.default_join_link, *(webinar.join_link for webinar in settings.webinars.values())]
    return Wanted(
        host=address.host,
        is_marketo=address.is_marketo,
        proxy=shown(proxy) if proxy else None,
        campaigns=_campaigns(settings),
        title=_token(settings, "title", settings.default_webinar_title, "Our next webinar"),
        join_link=_token(settings, "join_link", settings.default_join_link, "https://www.example.com/webinar"),
        image=_token(settings, "image", settings.default_webinar_image, "https://www.example.com/webinar.png"),
        further=tuple(_further_tokens(settings)),
        calls_per_day=settings.marketo_calls_per_day,
        lookup_field=settings.marketo_lookup_field,
        link_fields={field: settings.setting_of_fields[field] for field in settings.fields_of_tokens.values()},
        partition=settings.marketo_partition,
        look_up_only=settings.marketo_lead_mode == "lookup",
        checks_signatures=bool(settings.custom_webhook_secrets),
        longest_link=max((len(link) for link in links if link), default=0),
    )


def _token(settings: Settings, which: str, default: str | None, otherwise: str) -> WantedToken:
    setting = f"marketo_token_{which}"
    name: str = getattr(settings, setting)
    return WantedToken(name, setting.upper(), default or otherwise, settings.fields_of_tokens.get(name))


def _further_tokens(settings: Settings) -> Iterator[WantedToken]:
    known = (settings.marketo_token_title, settings.marketo_token_join_link, settings.marketo_token_image)
    for name, carrier in settings.fields_of_tokens.items():
        if name not in known:
            yield WantedToken(name, "MARKETO_TOKEN_FIELDS", name, carrier)


def _campaigns(settings: Settings) -> Mapping[CampaignId, str]:
    """Return every campaign that the settings name, each with the first setting that does; malformed ones are told."""
    found: dict[CampaignId, str] = {}
    for setting, text in _named_campaigns(settings):
        with suppress(ValueError):
            found.setdefault(campaign_id(text), setting)
    return found


def _named_campaigns(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "MARKETO_CAMPAIGN_ID", settings.marketo_campaign_id
    for name in ("eventbrite_campaign_id", "pendo_campaign_id", "custom_campaign_id"):
        if text := getattr(settings, name):
            yield name.upper(), text
    for key, webinar in settings.webinars.items():
        if webinar.campaign_id:
            yield f"campaign_id in [webinars.{key}]", webinar.campaign_id
    for text in settings.marketo_allowed_campaign_ids:
        yield "MARKETO_ALLOWED_CAMPAIGN_IDS", text
