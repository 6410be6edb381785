"""Turn stored events into registrations: claim, read, judge, record."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from app.dispatch.bell import Bell
from app.dispatch.claiming import Claiming
from app.dispatch.event_fates import dead
from app.dispatch.judgement import Judge, person_key, storable, storable_or_none
from app.dispatch.lease import Lease
from app.dispatch.reading import MOST_PEOPLE, EventReader, Outcome, Understood, defect
from app.domain import FINAL_STATES, Cancelled, Cause, Clock, Event, EventState, Registered
from app.errors import StoreUnavailable
from app.metrics import Metrics
from app.store.drafts import Draft
from app.store.events import EventFate
from app.store.registrations import Change, Meaning, Registrations
from app.tracing import Step, Tracing

_TOGETHER = 0.05  # seconds to wait for quick ones, so that they are recorded in one transaction
_REACHED_AN_END = frozenset({"registered", "reopened", "cancelled"})
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Intake:
    """The first half of the way: events in, registrations out. One a term of leadership."""

    claiming: Claiming
    reader: EventReader
    registrations: Registrations
    judge: Judge
    lease: Lease
    metrics: Metrics
    clock: Clock
    bell: Bell
    sender_bell: Bell
    tracing: Tracing | None = None
    _running: set["asyncio.Task[Outcome]"] = field(default_factory=set)

    async def step(self) -> float:
        """Take what is due and record what is ready; return how many seconds to wait for more."""
        self.lease.check()
        claimed = await self.claiming.claim()
        for event in claimed:
            self._begin(event)
        if self._running:
            await asyncio.wait(self._running, timeout=_TOGETHER)
        ready = {task for task in self._running if task.done()}
        if ready:
            await self._record([task.result() for task in ready])
        self.claiming.in_hand.let_go(task.result().event.id for task in ready)
        self._running -= ready  # only now: what the store did not take is recorded at the next step
        return 0.0 if claimed or ready else await self.claiming.wait()

    async def close(self) -> None:
        """Stop the events that are still being resolved, and free them for the next leader."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self.claiming.close()

    def _begin(self, event: Event) -> None:
        task = asyncio.create_task(self.reader.read(event))
        task.add_done_callback(lambda _: self.bell.ring())
        self._running.add(task)

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
            self._tell(await self._write([Meaning(defect(meaning.fate.event))], now))

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
        step = Step("relay intake", self.claiming.in_hand.since(event.id), now, facts, failed)
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
            return Meaning(defect(outcome.event))

    def _judged(self, outcome: Understood, now: datetime) -> Meaning:
        event, findings = outcome.event, outcome.findings
        if len(findings) > MOST_PEOPLE:
            detail = f"One webhook with more than {MOST_PEOPLE:,} registrations: send them in several."
            return Meaning(dead(event, Cause.BAD_PAYLOAD, detail))
        drafts = [
            replace(self._draft(found, event, now), traceparent=event.traceparent) for found in outcome.registered()
        ]
        gone = [_as_stored(found, self.judge) for found in findings if isinstance(found, Cancelled)]
        return Meaning(outcome.fate(now), drafts, gone, outcome.asked_at)

    def _draft(self, found: Registered, event: Event, now: datetime) -> Draft:
        return self.judge.draft(found, source=event.source, received_at=event.counts_from, now=now)


def _as_stored(gone: Cancelled, judge: Judge) -> Cancelled:
    webinar_id, subject = storable(judge.catalogue.own_id(gone.webinar_id)), storable_or_none(gone.subject)
    return Cancelled(person_key(gone.person_key), webinar_id, subject, gone.cause)


def _tell_of_event(fate: EventFate) -> None:
    """Log an event from which nothing comes, or not all that it meant."""
    if fate.state is EventState.WAITING or fate.cause is None:
        return
    tell = _log.info if fate.state is EventState.IGNORED else _log.warning
    tell("event settled", event_id=fate.event.id, source=fate.event.source, state=fate.state, cause=fate.cause)
