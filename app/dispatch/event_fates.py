"""Say what becomes of an event: from what its source found, or from its failure to answer. No I/O."""

from collections.abc import Sequence
from datetime import datetime

from app.dispatch.backoff import after_failure
from app.dispatch.judgement import storable
from app.domain import GIVE_UP_AFTER, Cancelled, Cause, Event, EventState, Finding, Ignored, Json, Registered, Unusable
from app.errors import ResolveFailed
from app.store.events import EventFate


def event_fate(event: Event, findings: Sequence[Finding], fetched: Json) -> EventFate:
    """Say how an event ends: mapped when it meant anything, else dead or ignored with the reason."""
    unusable = [found for found in findings if isinstance(found, Unusable)]
    cause, detail = (unusable[0].cause, storable(_told(unusable, of=len(findings)))) if unusable else (None, None)
    if any(isinstance(found, Registered | Cancelled) for found in findings):
        return EventFate(event, EventState.MAPPED, cause, detail, fetched)
    if unusable:
        return EventFate(event, EventState.DEAD, cause, detail, fetched)
    for found in findings:
        if isinstance(found, Ignored):
            return EventFate(event, EventState.IGNORED, found.cause, storable(found.detail), fetched)
    return EventFate(event, EventState.IGNORED, Cause.NOT_A_REGISTRATION, "Nobody registered.", fetched)


def _told(unusable: Sequence[Unusable], *, of: int) -> str:
    """Return the detail of the first, and how many there are when there are several people."""
    return unusable[0].detail if of == 1 else f"{unusable[0].detail} ({len(unusable)} of {of} could not be used)"


def after_resolve_failed(event: Event, failed: ResolveFailed, *, now: datetime) -> EventFate:
    """Say when to ask the source again, or that it is given up."""
    give_up_at = event.counts_from + (failed.give_up_after or GIVE_UP_AFTER)
    cause = Cause(failed.cause)
    if failed.permanent or now >= give_up_at:
        return dead(event, cause, failed.detail)
    due_at = now + after_failure(event.attempts, retry_after=failed.retry_after)
    return EventFate(event, EventState.WAITING, cause, storable(failed.detail), due_at=min(due_at, give_up_at))


def dead(event: Event, cause: Cause, detail: str) -> EventFate:
    """Return the end of an event that needs a person."""
    return EventFate(event, EventState.DEAD, cause, storable(detail))
