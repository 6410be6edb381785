"""Accept, claim, record, settle and take over in any order: never lost, never in two hands, never sent twice.

Under 'hold' a registration that may have been sent once is not sent again, whoever crashes when.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from app.domain import FINAL_STATES, Cancelled, Cause, Event, EventState, RegistrationState
from app.store.claims import Call
from app.store.database import open_database
from app.store.drafts import Draft
from app.store.events import GUILTY, LONG, SUSPECT, EventFate, EventQueue
from app.store.fates import Fate
from app.store.registrations import Meaning, Registrations
from app.store.sending import Sending
from app.store.tables import events, registrations
from app.store.takeover import take_over
from tests.store.given import DONE, REFUSED, accept, batch, draft, fate, found, mapped, new_event, people
from tests.tables import make_tables

pytestmark = pytest.mark.no_cover  # under a tracer it takes three times as long, and each part has tests of its own

T = TypeVar("T")
_PEOPLE = st.sampled_from(["ada@example.com", "bob@example.com", "eve@example.com"])
_WEBINARS = st.sampled_from(["w-1", "w-2"])
_MEANINGS = st.sampled_from(["new", "new", "known", "dead", "cancelled", "later"])


@dataclass
class Hands:
    """What one leader holds, as it believes itself."""

    fence: int
    events: list[Event] = field(default_factory=list)
    people: list[Call] = field(default_factory=list)
    requests: list[Call] = field(default_factory=list)


class Relay(RuleBasedStateMachine):
    """One leader at a time, those that were replaced while frozen, and a store that must keep them apart."""

    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.database = open_database(f"sqlite:///{self.folder.name}/relay.db")
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)
        self.accepted: set[str] = set()
        self.may_have_run: Counter[str] = Counter()
        self.interrupted: Counter[str] = Counter()
        self.since: dict[str, datetime] = {}
        self.leader = Hands(fence=1)
        self.frozen: list[Hands] = []
        self.run(make_tables(self.database))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @rule(time=st.sampled_from([timedelta(seconds=1), LONG]))
    def time_passes(self, time: timedelta) -> None:
        self.now += time

    @rule(number=st.integers(1, 4))
    def webhooks_arrive(self, number: int) -> None:
        self.accepted |= set(self.run(accept(self.database, *(new_event(self.now) for _ in range(number)))))

    @rule(limit=st.integers(1, 3))
    def events_are_claimed(self, limit: int) -> None:
        queue = EventQueue(self.database)
        claimed = self.run(queue.claim(now=self.now, fence=self.leader.fence, limit=limit))
        assert {event.id for event in claimed}.isdisjoint(event.id for event in self.leader.events)
        self.leader.events += claimed
        self.since.update({event.id: self.now for event in claimed})

    @rule()
    def a_suspect_is_claimed(self) -> None:
        suspect = self.run(EventQueue(self.database).claim_suspect(now=self.now, fence=self.leader.fence))
        if suspect is not None:
            assert self.interrupted[suspect.id] >= SUSPECT
            self.leader.events.append(suspect)
            self.since[suspect.id] = self.now

    @precondition(lambda self: self.leader.events)
    @rule(email=_PEOPLE, webinar=_WEBINARS, meant=_MEANINGS)
    def an_event_is_recorded(self, email: str, webinar: str, meant: str) -> None:
        event = self.leader.events.pop(0)
        self.interrupted[event.id] = 0
        meaning = self.meaning(event, email, webinar, meant)
        changes = self.record(meaning, self.leader.fence)
        assert len(changes) == len(meaning.drafts) or meant == "cancelled"

    def meaning(self, event: Event, email: str, webinar: str, meant: str) -> Meaning:
        if meant == "later":
            return Meaning(EventFate(event, EventState.WAITING, due_at=self.now + timedelta(seconds=2)))
        if meant == "cancelled":
            return Meaning(mapped(event), [], [Cancelled(email, webinar, None)])
        return Meaning(mapped(event), [self.draft(email, webinar, RegistrationState(meant))])

    def draft(self, email: str, webinar: str, state: RegistrationState) -> Draft:
        lead_id = 7 if state is RegistrationState.KNOWN else None
        return draft(self.now, email, webinar, state=state, lead_id=lead_id)

    def record(self, meaning: Meaning, fence: int) -> list[Any]:
        store = Registrations(self.database)
        return self.run(store.record([meaning], fence=fence, now=self.now))

    @rule(limit=st.integers(1, 4))
    def people_are_claimed(self, limit: int) -> None:
        busy = {r.person_key for call in self.leader.people for r in call.registrations}
        call = self.run(people(self.database, self.now, fence=self.leader.fence, limit=limit))
        if call is not None:
            assert {r.person_key for r in call.registrations}.isdisjoint(busy)
            assert {r.id for r in call.registrations}.isdisjoint(self.in_hands())
            self.leader.people.append(call)

    @precondition(lambda self: self.leader.people)
    @rule(ends=st.lists(st.sampled_from(["found", "again", "dead"]), min_size=4, max_size=4))
    def people_are_settled(self, ends: list[str]) -> None:
        call = self.leader.people.pop(0)
        self.settle(call, [self.end_of(r, end) for r, end in zip(call.registrations, ends, strict=False)])

    def end_of(self, registration: Any, end: str) -> Fate:
        if end == "found":
            return found(registration)
        if end == "again":
            return fate(registration, RegistrationState.NEW, due_at=self.now + timedelta(seconds=1))
        return fate(registration, RegistrationState.DEAD, cause=Cause.PERSON_REFUSED)

    @rule(webinar=_WEBINARS, limit=st.integers(1, 3))
    def a_request_is_begun(self, webinar: str, limit: int) -> None:
        call = self.run(batch(self.database, self.now, webinar, fence=self.leader.fence, limit=limit))
        if call is not None:
            assert {r.id for r in call.registrations}.isdisjoint(self.in_hands())
            self.leader.requests.append(call)

    @precondition(lambda self: self.leader.requests)
    @rule(end=st.sampled_from(["sent", "refused", "lost"]))
    def a_request_is_answered(self, end: str) -> None:
        call = self.leader.requests.pop(0)
        if end == "refused":  # and so not executed
            fates = [fate(r, RegistrationState.KNOWN) for r in call.registrations]
            assert len(self.settle(call, fates)) == len(fates)
            return
        self.may_have_run.update(r.id for r in call.registrations)
        state, cause = (RegistrationState.SENT, None) if end == "sent" else (RegistrationState.DEAD, Cause.ANSWER_LOST)
        fates = [fate(r, state, cause=cause) for r in call.registrations]
        assert len(self.settle(call, fates)) == len(fates)

    def settle(self, call: Call, fates: list[Fate], *, fence: int | None = None) -> list[Fate]:
        result = DONE if fates and fates[0].state is not RegistrationState.KNOWN else REFUSED
        fence = fence or self.leader.fence
        return self.run(Sending(self.database).settle(call, result, fates, fence=fence, now=self.now))

    @rule()
    def another_takes_over(self) -> None:
        """The leader freezes with what it holds; its requests may have run or not."""
        self.frozen.append(self.leader)
        self.may_have_run.update(r.id for call in self.leader.requests for r in call.registrations)
        self.interrupted.update(event.id for event in self.leader.events if self.now - self.since[event.id] >= LONG)
        self.leader = Hands(fence=self.leader.fence + 1)
        self.run(take_over(self.database, fence=self.leader.fence, on_ambiguous="hold", now=self.now))

    @precondition(lambda self: any(hands.events or hands.people or hands.requests for hands in self.frozen))
    @rule(email=_PEOPLE, webinar=_WEBINARS)
    def a_frozen_one_wakes(self, email: str, webinar: str) -> None:
        """All that it still wants to write is left alone."""
        for hands in self.frozen:
            for event in hands.events:
                assert self.record(self.meaning(event, email, webinar, "new"), hands.fence) == []
            for call in hands.people + hands.requests:
                sent = [fate(r, RegistrationState.SENT) for r in call.registrations]
                assert self.settle(call, sent, fence=hands.fence) == []
        self.frozen = []

    def in_hands(self) -> set[str]:
        return {r.id for call in self.leader.people + self.leader.requests for r in call.registrations}

    def rows(self, table: Any) -> list[Any]:
        async def read() -> list[Any]:
            async with self.database.read() as connection:
                return list((await connection.execute(select(table))).all())

        return self.run(read())

    @invariant()
    def nobody_is_reminded_twice(self) -> None:
        assert max(self.may_have_run.values(), default=0) <= 1

    @invariant()
    def what_may_have_run_is_never_due_again(self) -> None:
        for row in self.rows(registrations):
            if self.may_have_run[row.id]:
                assert row.state == "sent" or row.cause == "answer_lost"

    @invariant()
    def every_event_is_somewhere(self) -> None:
        rows = self.rows(events)
        held = {event.id for event in self.leader.events}
        assert {row.id for row in rows} == self.accepted
        assert {row.id for row in rows if row.claimed_by is not None} == held
        assert all(row.state == "waiting" for row in rows if row.id in held)

    @invariant()
    def whoever_ended_enough_leaders_is_read_no_more(self) -> None:
        dead = {row.id for row in self.rows(events) if row.state == "dead"}
        assert dead == {event_id for event_id, times in self.interrupted.items() if times >= GUILTY}

    @invariant()
    def every_held_registration_is_in_the_leaders_hands(self) -> None:
        held = {row.id for row in self.rows(registrations) if row.claimed_by is not None}
        assert held <= self.in_hands()

    def teardown(self) -> None:
        """Let a last leader finish everything: nothing may be left over."""
        if not hasattr(self, "runner"):
            return
        try:
            self.another_takes_over()
            self.finish()
            assert {row.state for row in self.rows(events)} <= {"mapped", "dead"}
            self.whoever_ended_enough_leaders_is_read_no_more()
            assert {row.state for row in self.rows(registrations)} <= {str(state) for state in FINAL_STATES}
            self.nobody_is_reminded_twice()
        finally:
            self.run(self.database.close())
            self.runner.close()
            self.folder.cleanup()

    def finish(self) -> None:
        self.now += timedelta(hours=1)
        self.events_are_claimed(limit=1000)
        for _ in self.accepted:
            self.a_suspect_is_claimed()
        while self.leader.events:
            self.an_event_is_recorded("ada@example.com", "w-1", "new")
        self.people_are_claimed(limit=1000)
        while self.leader.people:
            self.settle(call := self.leader.people.pop(), [found(r) for r in call.registrations])
        for webinar in ("w-1", "w-2"):
            self.a_request_is_begun(webinar, limit=1000)
            while self.leader.requests:
                self.a_request_is_answered("sent")


TestRelay = Relay.TestCase
TestRelay.settings = settings(
    max_examples=12, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
