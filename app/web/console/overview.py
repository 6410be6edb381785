"""Show how things stand, in one sentence and in figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.quota_day import next_quota_day, quota_day_began
from app.store.tallies import Backlog, Now, Webinars
from app.web.console.guard import page_router
from app.web.console.health import Health, health, span
from app.web.console.keeping import Kept
from app.web.console.live import Live
from app.web.console.pages import page
from app.web.console.parts import ConsoleParts
from app.web.console.plots import calls_plot, registrations_plot
from app.web.parts import WebParts
from app.web.setup import SetupReport, last_report

OVERS = {
    "24h": ("24 hours", timedelta(hours=24), 24),
    "7d": ("7 days", timedelta(days=7), 28),
    "30d": ("30 days", timedelta(days=30), 30),
}
_MOST_WEBINARS = 10


@dataclass(frozen=True, slots=True)
class _Found:
    at: datetime
    now: Now
    webinars: Webinars


def overview_router(parts: WebParts, console: ConsoleParts, live: Live) -> APIRouter:
    router = page_router()

    def asks(over: str) -> Kept[_Found]:
        _, length, buckets = OVERS[over]

        async def find() -> _Found:
            at = parts.clock()
            names, began = sorted(parts.sources), quota_day_began(next_quota_day(at))
            until = _rounded_up(at, length / buckets)
            since, stand = until - length, console.overview
            now = await stand.now(names, at, since=since, until=until, buckets=buckets, day_began=began)
            return _Found(at, now, await stand.webinars(since, most=_MOST_WEBINARS))

        return Kept(find)

    kept = {over: asks(over) for over in OVERS}

    @router.get("")
    @live.shared
    async def overview(request: Request) -> Response:
        over = request.query_params.get("over", "24h")
        over = over if over in OVERS else "24h"
        found = await kept[over].get()
        at, now = found.at, found.now
        status, report = parts.status(), await last_report(parts.setup)
        return page(
            request,
            "overview.html",
            over=over,
            overs={name: words for name, (words, _, _) in OVERS.items()},
            health=_health(found, over, report),
            now=now,
            webinars=found.webinars,
            names=console.tokens,
            at=at,
            oldest=span(at - now.backlog.oldest) if now.backlog.oldest else None,
            registrations=registrations_plot(now.buckets),
            calls=calls_plot(now.buckets),
            dispatcher=status,
            through_at=_through_at(status) if _goes_on(now.backlog) else None,
            budget=console.budget,
            day_ends=next_quota_day(at),
            span=span,
        )

    return router


def _health(found: _Found, over: str, report: SetupReport | None) -> Health:
    words = f"in the last {OVERS[over][0]}"
    if report is None:
        return health(found.now, found.at, over=words)
    wrong = report.counts.get("fail", 0)
    return health(found.now, found.at, over=words, wrong=wrong, campaigns=report.campaigns)


def _rounded_up(at: datetime, width: timedelta) -> datetime:
    """Return the end of the bar that a moment falls in, so that bars begin at full hours and days."""
    return at + (-(at - datetime(1970, 1, 1, tzinfo=UTC)) % width)


def _goes_on(backlog: Backlog) -> bool:
    """Tell whether anything waits that was not tried in vain: when the rest will be through nobody can say."""
    return not backlog.retried or backlog.registrations + backlog.webhooks > backlog.retried


def _through_at(status: Mapping[str, object]) -> datetime | None:
    """Return when all that waits will be through, if anything does and this process can tell."""
    ahead = status.get("forecast")
    if not isinstance(ahead, Mapping) or not ahead.get("calls"):
        return None
    return datetime.fromisoformat(str(ahead["through_at"]))
