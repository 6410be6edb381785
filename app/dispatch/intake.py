"""Turn stored events into registrations: resolve at the source, map, judge, record."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

import structlog

from app.dispatch.backoff import after_failure
from app.dispatch.bell import Bell
from app.dispatch.judgement import Judge, person_key, storable, storable_or_none
from app.dispatch.lease import Lease
from app.domain import (
    FINAL_STATES,
    GIVE_UP_AFTER,
    Cancelled,
    Cause,
    Clock,
    Event,
    EventId,
    EventState,
    Finding,
    Ignored,
    Json,
    Registered,
    Unusable,
)
from app.errors import ResolveFailed, StoreUnavailable
from app.metrics import Metrics
from app.sources.base import Source, lacks_something
from app.store.events import EventFate, EventQueue
from app.store.registrations import Change, Draft, Meaning, Registrations
from app.tracing import Step, Tracing

_MOST_OF_A_SOURCE = 100  # events in hand, so that one whose API hangs holds up no other
_MOST_A_CLAIM = 100  # events
_PACE = 0.15  # seconds between two full claims: thrice what Marketo can take, and the rest of the time is accepting's
_MOST_PEOPLE = 10_000  # one event
_PATIENCE = timedelta(seconds=90)  # for one event's resolve
_TOGETHER = 0.05  # seconds to wait for quick ones, so that they are recorded in one transaction
_ALONE = timedelta(seconds=1)  # after that one that is read alone has shown that it does not block the process
_IDLE = 1.0  # seconds between two looks at the store, for events that other processes accepted
_REACHED_AN_END = frozenset({"registered", "reopened", "cancelled"})
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


Outcome = Understood | EventFate


class _InHand(NamedTuple):
    """Whose event is being read, and since when."""

    source: str
    since: datetime


@dataclass(slots=True)
class Intake:
    """The first half of the way: events in, registrations out. One a term of leadership."""

    events: EventQueue
    registrations: Registrations
    sources: Mapping[str, Source]
    judge: Judge
    lease: Lease
    metrics: Metrics
    clock: Clock
    bell: Bell
    sender_bell: Bell
    look_every: float = _IDLE
    pace: float = _PACE
    patience: timedelta = _PATIENCE
    ticks: Callable[[], float] = time.monotonic  # seconds of a clock that never jumps
    tracing: Tracing | None = None
    _running: set["asyncio.Task[Outcome]"] = field(default_factory=set)
    _in_hand: dict[EventId, _InHand] = field(default_factory=dict)
    _is_unclear: bool = False  # whether the last claim's answer was lost
    _next_claim: float = float("-inf")
    _is_behind: bool = False
    _may_find_suspects: bool = True  # they are found at the beginning of a term

    def is_behind(self) -> bool:
        """Tell whether more events are waiting than the last claim could take."""
        return self._is_behind

    async def step(self) -> float:
        """Take what is due and record what is ready; return how many seconds to wait for more."""
        self.lease.check()
        if self._is_unclear:
            await self._free()
        claimed = await (self._claim_suspect() if self._may_find_suspects else self._claim())
        for event in claimed:
            self._begin(event)
        if self._running:
            await asyncio.wait(self._running, timeout=_TOGETHER)
        ready = {task for task in self._running if task.done()}
        if ready:
            await self._record([task.result() for task in ready])
        for task in ready:
            self._in_hand.pop(task.result().event.id, None)
        self._running -= ready  # only now: what the store did not take is recorded at the next step
        if claimed or ready:
            return 0.0
        return max(0.0, self._next_claim - self.ticks()) or await self._idle()

    async def close(self) -> None:
        """Stop the events that are still being resolved, and free them for the next leader."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        with suppress(StoreUnavailable):
            await self.events.free(fence=self.lease.fence, but=())

    async def _claim_suspect(self) -> Sequence[Event]:
        """Take an event in whose reading several leaders ended: alone, so that no other comes under suspicion.

        One that waits for its source's API does not stop the process, and others go on beside it.
        """
        now = self.clock()
        if any(now - one.since < _ALONE for one in self._in_hand.values()):
            return []
        try:
            suspect = await self.events.claim_suspect(now=now, fence=self.lease.fence)
        except StoreUnavailable:
            self._is_unclear = True
            raise
        if suspect is None:
            self._may_find_suspects = False
            return await self._claim()
        _log.warning("reading alone what several leaders ended at", event_id=suspect.id, source=suspect.source)
        return [suspect]

    async def _claim(self) -> Sequence[Event]:
        if self.ticks() < self._next_claim:
            return []
        try:
            claimed = await self.events.claim(
                now=self.clock(),
                fence=self.lease.fence,
                limit=_MOST_A_CLAIM,
                held=self._held(),
                most=_MOST_OF_A_SOURCE,
            )
        except StoreUnavailable:
            self._is_unclear = True  # it may have been stored all the same
            raise
        self._is_behind = len(claimed) == _MOST_A_CLAIM
        if self._is_behind:
            self._next_claim = self.ticks() + self.pace
        return claimed

    async def _free(self) -> None:
        freed = await self.events.free(fence=self.lease.fence, but=self._in_hand)
        self._is_unclear = False
        if freed:
            _log.warning("freed what a lost answer of the store had claimed", events=freed)

    def _held(self) -> Mapping[str, int]:
        return Counter(one.source for one in self._in_hand.values())

    def _begin(self, event: Event) -> None:
        self._in_hand[event.id] = _InHand(event.source, self.clock())
        task = asyncio.create_task(self._understand(event))
        task.add_done_callback(lambda _: self.bell.ring())
        self._running.add(task)

    async def _idle(self) -> float:
        if self._may_find_suspects:
            return _ALONE.total_seconds() / 4
        if max(self._held().values(), default=0) >= _MOST_OF_A_SOURCE:
            return self.look_every  # what is due next may be of that source, and the bell tells of an end
        due = await self.events.next_due()
        return self.look_every if due is None else min(self.look_every, max(0.01, (due - self.clock()).total_seconds()))

    async def _understand(self, event: Event) -> Outcome:
        """Resolve and map one event. Nothing that a source does harms another event."""
        try:
            return await self._resolve_and_map(event)
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            return _defect(event)  # a source's own time-out that leaked would else end the dispatcher
        except Exception:  # noqa: BLE001  # one event's mapping: the trace is kept, its neighbours go on
            return _defect(event)

    async def _resolve_and_map(self, event: Event) -> Outcome:
        source = self.sources.get(event.source)
        if source is None:
            detail = f"The source {event.source} is not configured any more."
            return _dead(event, Cause.SOURCE_CREDENTIALS_MISSING, detail)
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

    async def _record(self, outcomes: Sequence[Outcome]) -> None:
        now = self.clock()
        meanings = [self._meaning(outcome, now) for outcome in outcomes]
        try:
            self._tell(await self._write(meanings, now))
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001  # what one event means cannot be stored: its neighbours must not suffer
            for meaning in meanings:
                await self._record_alone(meaning, now)
        self.sender_bell.ring()

    async def _record_alone(self, meaning: Meaning, now: datetime) -> None:
        try:
            self._tell(await self._write([meaning], now))
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001  # the trace is kept
            self._tell(await self._write([Meaning(_defect(meaning.fate.event))], now))

    async def _write(self, meanings: Sequence[Meaning], now: datetime) -> list[Change]:
        changes = await self.registrations.record(meanings, fence=self.lease.fence, now=now)
        for meaning in meanings:
            _tell_of_event(meaning.fate)
            self._trace(meaning)
        return changes

    def _trace(self, meaning: Meaning) -> None:
        if self.tracing is None:
            return
        fate, now = meaning.fate, self.clock()
        event = fate.event
        facts: dict[str, str | int] = {"relay.event_id": event.id, "relay.source": event.source}
        facts |= {"relay.state": fate.state.value, "relay.registrations": len(meaning.drafts)}
        failed = fate.cause.value if fate.cause and fate.state is not EventState.IGNORED else None
        step = Step("relay intake", self._in_hand[event.id].since, now, facts, failed)
        self.tracing.followed(step, event.traceparent)

    def _tell(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.state in FINAL_STATES and change.what in _REACHED_AN_END:
                self.metrics.registration_settled(change.source, change.state)
            ids = {"registration_id": change.registration_id, "event_id": change.event_id}
            _log.info("registration recorded", **ids, what=change.what, state=change.state)

    def _meaning(self, outcome: Outcome, now: datetime) -> Meaning:
        if isinstance(outcome, EventFate):
            return Meaning(outcome)
        try:
            return self._judged(outcome, now)
        except Exception:  # noqa: BLE001  # one event's mapping: the trace is kept, its neighbours go on
            return Meaning(_defect(outcome.event))

    def _judged(self, outcome: Understood, now: datetime) -> Meaning:
        event, findings = outcome.event, outcome.findings
        if len(findings) > _MOST_PEOPLE:
            detail = f"One webhook with more than {_MOST_PEOPLE:,} registrations: send them in several."
            return Meaning(_dead(event, Cause.BAD_PAYLOAD, detail))
        drafts = [
            replace(self._draft(found, event, now), traceparent=event.traceparent)
            for found in findings
            if isinstance(found, Registered) and _identity(found) not in outcome.known
        ]
        gone = [_as_stored(found, self.judge) for found in findings if isinstance(found, Cancelled)]
        return Meaning(_fate_of(outcome, now), drafts, gone, outcome.asked_at)

    def _draft(self, found: Registered, event: Event, now: datetime) -> Draft:
        return self.judge.draft(found, source=event.source, received_at=event.counts_from, now=now)


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
    return list(islice(source.map(event, fetched), _MOST_PEOPLE + 1))


def _as_stored(gone: Cancelled, judge: Judge) -> Cancelled:
    webinar_id, subject = storable(judge.webinar_id(gone.webinar_id)), storable_or_none(gone.subject)
    return Cancelled(person_key(gone.person_key), webinar_id, subject, gone.cause)


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


def _fate_of(outcome: Understood, now: datetime) -> EventFate:
    """Say how an event goes on: it waits while something is missing that can still be had."""
    event, failed = outcome.event, outcome.failed
    if failed is not None:
        fate = after_resolve_failed(event, failed, now=now)
        if fate.state is EventState.WAITING:
            return replace(fate, fetched=outcome.fetched)
    return event_fate(event, outcome.findings, outcome.fetched)


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
        return _dead(event, cause, failed.detail)
    due_at = now + after_failure(event.attempts, retry_after=failed.retry_after)
    return EventFate(event, EventState.WAITING, cause, storable(failed.detail), due_at=min(due_at, give_up_at))


def _tell_of_event(fate: EventFate) -> None:
    """Log an event from which nothing comes, or not all that it meant."""
    if fate.state is EventState.WAITING or fate.cause is None:
        return
    tell = _log.info if fate.state is EventState.IGNORED else _log.warning
    tell("event settled", event_id=fate.event.id, source=fate.event.source, state=fate.state, cause=fate.cause)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _defect(event: Event) -> EventFate:
    """Bury an event that makes the relay stumble; call it while the exception is handled."""
    _log.exception("an event could not be read", event_id=event.id, source=event.source)
    return _dead(event, Cause.ADAPTER_FAILED, "The relay could not read this event; its log says why.")


def _dead(event: Event, cause: Cause, detail: str) -> EventFate:
    return EventFate(event, EventState.DEAD, cause, storable(detail))
