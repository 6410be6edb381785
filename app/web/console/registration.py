"""Show one registration: what became of it and why, its timeline, its e-mail, and the webhooks behind it."""

from collections.abc import Mapping, Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain import FINAL_STATES
from app.store.views import EventView, RegistrationView
from app.web.console import email, shown, words
from app.web.console.guard import NO_SUCH_THING, known_id, page_router
from app.web.console.keeping import Kept
from app.web.console.pages import email_page, page
from app.web.console.parts import ConsoleParts, Letter, NoLetter, ReadLetter
from app.web.parts import WebParts
from app.web.problems import Refused
from app.web.setup import SetupFinding, SetupReport, last_report, made_at

_MOST_EVENTS = 10
_MOST_CAMPAIGNS = 100
_LETTER_KEPT = 600.0  # seconds
_TOO_MANY = NoLetter(
    "So many campaigns were looked at that this one's e-mail is not read; restart the relay to see it."
)


class _Letters:
    """Each campaign's e-mail, kept for a while: reading it costs some calls to Marketo."""

    def __init__(self, read: ReadLetter) -> None:
        self._read = read
        self._kept: dict[int, Kept[Letter | NoLetter]] = {}

    async def of(self, campaign: int) -> Letter | NoLetter:
        if campaign not in self._kept and len(self._kept) < _MOST_CAMPAIGNS:
            self._kept[campaign] = Kept(lambda: self._read(campaign), at_least=_LETTER_KEPT)
        kept = self._kept.get(campaign)
        found = await kept.get() if kept else _TOO_MANY
        if isinstance(found, NoLetter) and found.passes and self._kept.get(campaign) is kept:
            del self._kept[campaign]
        return found


def registration_router(parts: WebParts, console: ConsoleParts) -> APIRouter:
    router = page_router()
    letters = _Letters(console.read_letter)
    masking = parts.masking

    async def found(registration_id: str) -> RegistrationView:
        if (view := await parts.lookup.registration(known_id(registration_id))) is None:
            raise Refused(NO_SUCH_THING)
        return view

    async def events_of(view: RegistrationView) -> Sequence[EventView]:
        ids = list(dict.fromkeys(entry.event_id for entry in view.timeline if entry.event_id))[:_MOST_EVENTS]
        events = [await parts.lookup.event(event_id) for event_id in ids]
        return [event for event in events if event is not None]

    async def verdict_on(view: RegistrationView, report: SetupReport | None) -> words.Verdict:
        pauses = [] if view.state in FINAL_STATES else await console.overview.pauses(parts.clock())
        return words.verdict(view, pauses, day=_said_of_day(parts.status()), doubts=_doubts(report, view.campaign_id))

    @router.get("/registrations/{registration_id}")
    async def registration(request: Request, registration_id: str) -> Response:
        view = await found(registration_id)
        events = await events_of(view)
        report = await last_report(parts.setup)
        campaigns = report.campaigns if report else {}
        return page(
            request,
            "registration.html",
            view=view,
            name=words.name_of(view),
            title=view.tokens.get(console.tokens.title) or view.webinar_id,
            verdict=await verdict_on(view, report),
            checked_at=made_at(report) if report else None,
            steps=words.steps(view, events, campaigns),
            campaigns=campaigns,
            calls=view.calls,
            webhooks=[(one, masking.headers(one.headers), shown.payload(masking.body(one.body))) for one in events],
            has_email=bool(view.tokens),
            is_purged=words.is_purged(view),
            replay_label=words.replay_label(view),
        )

    @router.get("/registrations/{registration_id}/email")
    async def as_email(registration_id: str) -> Response:
        view = await found(registration_id)
        return email_page(email.reminder(view, console.tokens, await letters.of(view.campaign_id)))

    return router


def _doubts(report: SetupReport | None, campaign: int) -> Sequence[SetupFinding]:
    """Return what the last check of the set-up found wrong or doubtful with a campaign."""
    found = report.findings if report else []
    return [one for one in found if one.subject == str(campaign) and one.verdict in ("fail", "warn")]


def _said_of_day(status: Mapping[str, object]) -> str | None:
    """Return why not everything is sent today; the process that sends knows."""
    paused = status.get("paused")
    return paused.get("day") if isinstance(paused, Mapping) else None
