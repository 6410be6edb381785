"""Say what became of the look-ups of one event when not all of them succeeded. Pure."""

from collections.abc import Iterable
from datetime import timedelta

from app.domain import Cause, Json, Unusable
from app.errors import ResolveFailed
from app.sources.payload import JsonObject, text_at

_SOON = timedelta(seconds=1)


def without_time() -> ResolveFailed:
    detail = "Pendo answers too slowly to ask for everybody of this event at once"
    return ResolveFailed(Cause.SOURCE_UNAVAILABLE, detail, retry_after=_SOON)


def unresolved_of(failure: ResolveFailed) -> JsonObject:
    """Return what is stored of a look-up that failed."""
    return {"cause": str(failure.cause), "detail": failure.detail}


def as_finding(unresolved: Json) -> Unusable:
    """Return the finding of a stored failure."""
    cause = text_at(unresolved, ["cause"]) or ""
    known = Cause(cause) if cause in {one.value for one in Cause} else Cause.SOURCE_NOT_FOUND
    return Unusable(known, text_at(unresolved, ["detail"]) or "Pendo was asked in vain")


def combined(failures: Iterable[ResolveFailed], *, age: timedelta, fetched: Json) -> ResolveFailed | None:
    """Return one failure for those that are worth another attempt at this age of the event; None when none is.

    It speaks for the one that can be tried again first, and lasts as long as the one with the longest patience.
    """
    open_ones = [one for one in failures if one.give_up_after is None or age < one.give_up_after]
    if not open_ones:
        return None
    first = min(open_ones, key=lambda one: one.retry_after or timedelta(0))
    limits = [one.give_up_after for one in open_ones if one.give_up_after is not None]
    return ResolveFailed(
        first.cause,
        first.detail,
        retry_after=first.retry_after,
        give_up_after=max(limits) if len(limits) == len(open_ones) else None,
        fetched=fetched,
    )
