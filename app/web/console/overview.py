"""Show how things stand, in one sentence and in figures."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.store.tallies import Now
from app.web.console.guard import page_router
from app.web.console.health import health, span
from app.web.console.keeping import Kept
from app.web.console.live import Live
from app.web.console.pages import page
from app.web.console.parts import ConsoleParts
from app.web.console.plots import calls_plot, registrations_plot
from app.web.parts import Setup, WebParts
from app.web.setup import last_report

OVERS = {
    "24h": ("24 hours", timedelta(hours=24), 24),
    "7d": ("7 days", timedelta(days=7), 28),
    "30d": ("30 days", timedelta(days=30), 30),
}


def overview_router(parts: WebParts, console: ConsoleParts, live: Live) -> APIRouter:
    router = page_router()

    def asks(over: str) -> Kept[tuple[datetime, Now]]:
        _, length, buckets = OVERS[over]

        async def find() -> tuple[datetime, Now]:
            at = parts.clock()
            began = console.day_ends(at) - timedelta(hours=24)
            names = sorted(parts.sources)
            until = _rounded_up(at, length / buckets)
            now = console.overview.now(names, at, since=until - length, until=until, buckets=buckets, day_began=began)
            return at, await now

        return Kept(find)

    kept = {over: asks(over) for over in OVERS}

    @router.get("")
    @live.shared
    async def overview(request: Request) -> Response:
        over = request.query_params.get("over", "24h")
        over = over if over in OVERS else "24h"
        at, now = await kept[over].get()
        status = parts.status()
        return page(
            request,
            "overview.html",
            over=over,
            overs={name: words for name, (words, _, _) in OVERS.items()},
            health=health(now, at, over=f"in the last {OVERS[over][0]}", wrong=await _wrong(parts.setup)),
            now=now,
            at=at,
            oldest=span(at - now.backlog.oldest) if now.backlog.oldest else None,
            registrations=registrations_plot(now.buckets),
            calls=calls_plot(now.buckets),
            dispatcher=status,
            through_at=_through_at(status),
            budget=console.budget,
            day_ends=console.day_ends(at),
            span=span,
        )

    return router


async def _wrong(setup: Setup | None) -> int:
    report = await last_report(setup)
    return report.counts.get("fail", 0) if report else 0


def _rounded_up(at: datetime, width: timedelta) -> datetime:
    """Return the end of the bar that a moment falls in, so that bars begin at full hours and days."""
    return at + (-(at - datetime(1970, 1, 1, tzinfo=UTC)) % width)


def _through_at(status: Mapping[str, object]) -> datetime | None:
    """Return when all that waits will be through, if anything does and this process can tell."""
    ahead = status.get("forecast")
    if not isinstance(ahead, Mapping) or not ahead.get("calls"):
        return None
    return datetime.fromisoformat(str(ahead["through_at"]))
