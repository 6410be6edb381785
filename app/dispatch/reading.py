"""Read an event: ask its source for what is missing, and learn what it means."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

import structlog

from app.dispatch.event_fates import after_resolve_failed, dead, event_fate
from app.domain import Cause, Clock, Event, EventState, Finding, Json, Registered
from app.errors import ResolveFailed
from app.sources.base import Source, lacks_something
from app.store.events import EventFate

MOST_PEOPLE = 10_000  # one event
_PATIENCE = timedelta(seconds=90)  # for one event's resolve
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Understood:
    """What a source made of one event; `fetched` is kept with it.

    `failed` says why some of it is missing (None: all is there), `known` whose registrations an earlier attempt made,
    `asked_at` when the source was asked (None: it need not be).
    """

    event: Event
    fetched: Json
    findings: Sequence[Finding]
    failed: ResolveFailed | None = None
    known: frozenset[tuple[str, str]] = frozenset()
    asked_at: datetime | None = None

    def registered(self) -> list[Registered]:
        """Return who registered, but for those whom an earlier attempt recorded."""
        found = (one for one in self.findings if isinstance(one, Registered))
        return [one for one in found if _identity(one) not in self.known]

    def fate(self, now: datetime) -> EventFate:
        """Say how the event goes on: it waits while something is missing that can still be had."""
        if self.failed is not None:
            fate = after_resolve_failed(self.event, self.failed, now=now)
            if fate.state is EventState.WAITING:
                return replace(fate, fetched=self.fetched)
        return event_fate(self.event, self.findings, self.fetched)


Outcome = Understood | EventFate


@dataclass(slots=True, kw_only=True)
class EventReader:
    """Asks the sources that are configured, each event's own."""

    sources: Mapping[str, Source]
    clock: Clock
    patience: timedelta = _PATIENCE

    async def read(self, event: Event) -> Outcome:
        """Resolve and map one event. Nothing that its source does harms another event."""
        try:
            return await self._resolve_and_map(event)
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            return defect(event)  # a source's own time-out that leaked would else end the dispatcher
        except Exception:  # noqa: BLE001  # one event's mapping: the trace is kept, its neighbours go on
            return defect(event)

    async def _resolve_and_map(self, event: Event) -> Outcome:
        source = self.sources.get(event.source)
        if source is None:
            detail = f"The source {event.source} is not configured any more."
            return dead(event, Cause.SOURCE_CREDENTIALS_MISSING, detail)
        is_whole = event.fetched is not None and not lacks_something(event.fetched)
        asked_at = event.received_at if is_whole else self.clock()
        try:
            fetched = event.fetched if is_whole else await _resolved(source, event, self.patience)
            findings, known = _mapped(source, event, fetched), _known(event, source)
            return Understood(event, fetched, findings, known=known, asked_at=None if fetched is None else asked_at)
        except ResolveFailed as failed:
            fate = after_resolve_failed(event, failed, now=self.clock())
            log = _log.bind(event_id=event.id, source=event.source)
            log.warning(
                "not resolved", cause=failed.cause, detail=failed.detail, again=fate.state is EventState.WAITING
            )
            if failed.fetched is None:
                return fate
            findings = _mapped(source, event, failed.fetched)
            return Understood(event, failed.fetched, findings, failed, _known(event, source), asked_at)
        except TimeoutError:
            slow = ResolveFailed(Cause.SOURCE_UNAVAILABLE, "The source took too long.")
            return after_resolve_failed(event, slow, now=self.clock())


def defect(event: Event) -> EventFate:
    """Bury an event that makes the relay stumble; call it while the exception is handled."""
    _log.exception("an event could not be read", event_id=event.id, source=event.source)
    return dead(event, Cause.ADAPTER_FAILED, "The relay could not read this event; its log says why.")


async def _resolved(source: Source, event: Event, patience: timedelta) -> Json:
    """Ask the source, and go on without it when that takes too long: it may not even heed that it is stopped.

    Raises:
        TimeoutError: it took too long.
    """
    asking = asyncio.create_task(source.resolve(event))
    asking.add_done_callback(_forget)
    try:
        await asyncio.wait({asking}, timeout=patience.total_seconds())
        if not asking.done():
            raise TimeoutError
        return asking.result()
    finally:
        asking.cancel()


def _forget(asking: "asyncio.Task[Json]") -> None:
    if not asking.cancelled():
        asking.exception()  # else it is complained of, should nobody wait for it any more


def _mapped(source: Source, event: Event, fetched: Json) -> list[Finding]:
    """Return what the event means; of a source that finds people without end, one more than are taken."""
    return list(islice(source.map(event, fetched), MOST_PEOPLE + 1))


def _known(event: Event, source: Source) -> frozenset[tuple[str, str]]:
    """Return whose registrations an earlier attempt made, from the part that could be resolved then.

    They were recorded with that part; recording them at each attempt would fill their timelines.
    """
    if event.attempts < 2 or not lacks_something(event.fetched):
        return frozenset()
    found = _mapped(source, event, event.fetched)
    return frozenset(_identity(one) for one in found if isinstance(one, Registered))


def _identity(found: Registered) -> tuple[str, str]:
    return found.person.key, found.webinar.id


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
