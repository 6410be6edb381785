"""Tell how the outbound work stands, and what is needed to foresee when the backlog is through."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from app.dispatch.day import Day
from app.dispatch.forecast import Forecast, Means
from app.dispatch.term import Term


def status_of(term: Term | None, now: datetime, ticks: float) -> Mapping[str, object]:
    """Return what an operator wants to know; of no term, that another process leads."""
    if term is None:
        return {"leader": False, "in_flight": 0, "window_used": 0, "paused": {}}
    return {
        "leader": True,
        "in_flight": term.window.in_flight,
        "window_used": term.window.used(ticks),
        "allowed": {
            "calls_per_window": term.window.rate.at(ticks),
            "in_flight": term.window.concurrency.at(ticks),
            "is_shrunk": term.window.rate.is_shrunk(ticks) or term.window.concurrency.is_shrunk(ticks),
        },
        "day_used": term.day.used,
        "day_used_by_others": term.day.others,
        "day_left": term.day.left,
        "day_state": str(term.day.state(now)),
        "forecast": _told(term.forecast, now),
        "on_ambiguous": term.settler.described(),
        "paused": {**term.pauses.described(), **_of_day(term.day, now)},
    }


def means_of(term: Term, now: datetime, ticks: float) -> Means:
    """Return with what the backlog is worked off."""
    begins_at = now + timedelta(seconds=max(term.pauses.wait(), term.day.wait(now)))
    return Means(
        free=term.window.free(ticks),
        per_window=term.window.rate.at(ticks),
        left_today=term.day.left_for_all,
        per_day=term.day.open_to_all,
        day_ends_at=term.day.ends_at,
        begins_at=begins_at,
        held_until=term.pauses.latest(),
    )


def _of_day(day: Day, now: datetime) -> Mapping[str, str]:
    described = day.described(now)
    return {"day": described} if described else {}


def _told(told: Forecast | None, now: datetime) -> Mapping[str, object] | None:
    if told is None:
        return None
    return {
        "registrations": told.registrations,
        "webhooks": told.webhooks,
        "calls": told.calls,
        "seconds": round(told.seconds(now), 1),
        "through_at": max(now, told.through_at).isoformat(),
    }
