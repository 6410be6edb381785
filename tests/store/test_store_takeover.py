"""Taking over: a crashed leader costs time, never events or reminders, none is doubled against the policy."""

from datetime import timedelta

import pytest

from app.domain import Cause, EventState, RegistrationState
from app.store.database import Database
from app.store.events import GUILTY, LONG, SUSPECT, EventFate, EventQueue
from app.store.lookup import Lookup
from app.store.people import IN_FLIGHT
from app.store.registrations import Meaning, Registrations
from app.store.sending import Sending
from app.store.takeover import Found, OnAmbiguous, take_over
from app.store.unsettled import Unsettled
from tests.conftest import MovableClock
from tests.store.given import (
    DONE,
    REFUSED,
    batch,
    claimed_event,
    draft,
    fate,
    found,
    history,
    mapped,
    people,
    record,
    seen,
    sending,
    split,
)


async def test_events_in_a_dead_leaders_hands_are_freed(database: Database, clock: MovableClock) -> None:
    """They are claimed again, with one attempt more."""
    event = await claimed_event(database, clock(), fence=1)
    assert await take_over(database, fence=2, on_ambiguous="hold", now=clock()) == Found(1, 0, 0)
    (again,) = await EventQueue(database).claim(now=clock(), fence=2, limit=10)
    assert (again.id, again.attempts) == (event.id, 2)


async def test_an_event_in_whose_reading_leaders_ended_is_read_alone_then_no_more(
    database: Database, clock: MovableClock
) -> None:
    """It would end every leader, and what happened to be read beside it must not share its fate."""
    queue = EventQueue(database)
    event = await claimed_event(database, clock(), fence=1)
    for fence in range(2, 2 + SUSPECT):
        assert not await queue.claim(now=clock(), fence=fence, limit=10)
        clock.move(LONG)
        await take_over(database, fence=fence, on_ambiguous="hold", now=clock())
        if fence < 1 + SUSPECT:
            assert await queue.claim(now=clock(), fence=fence, limit=10)
    assert not await queue.claim(now=clock(), fence=SUSPECT + 1, limit=10)
    for fence in range(SUSPECT + 1, 1 + GUILTY):
        suspect = await queue.claim_suspect(now=clock(), fence=fence)
        assert suspect is not None
        assert suspect.id == event.id
        clock.move(LONG)
        found = await take_over(database, fence=fence + 1, on_ambiguous="hold", now=clock())
    assert found.guilty == (event.id,)
    assert await queue.claim_suspect(now=clock(), fence=GUILTY + 1) is None
    view = await Lookup(database).event(event.id)
    assert view is not None
    assert (view.state, view.cause) == (EventState.DEAD, Cause.ADAPTER_FAILED)


async def test_an_event_that_was_in_hand_by_chance_is_no_suspect(database: Database, clock: MovableClock) -> None:
    """Leaders are killed one after the other, each a moment after it began with the oldest event."""
    queue = EventQueue(database)
    event = await claimed_event(database, clock(), fence=1)
    for fence in range(2, 3 + GUILTY):
        clock.move(LONG * 0.9)
        await take_over(database, fence=fence, on_ambiguous="hold", now=clock())
        [again] = await queue.claim(now=clock(), fence=fence, limit=10)
        assert again.id == event.id


async def test_an_event_that_is_read_at_last_is_no_suspect_any_more(database: Database, clock: MovableClock) -> None:
    """It waits for its source's API, say, and was in hand each time that somebody restarted the relay."""
    queue = EventQueue(database)
    await claimed_event(database, clock(), fence=1)
    for fence in range(2, 2 + SUSPECT):
        clock.move(LONG)
        await take_over(database, fence=fence, on_ambiguous="hold", now=clock())
        await queue.claim(now=clock(), fence=fence, limit=1)
    suspect = await queue.claim_suspect(now=clock(), fence=fence)
    assert suspect is not None
    later = Meaning(EventFate(suspect, EventState.WAITING, due_at=clock()))
    await Registrations(database).record([later], fence=fence, now=clock())
    assert await queue.claim_suspect(now=clock(), fence=fence) is None
    assert await queue.claim(now=clock(), fence=fence, limit=1)


async def test_people_in_a_dead_leaders_hands_are_freed(database: Database, clock: MovableClock) -> None:
    """To upsert them a second time is harmless, once the first upsert is surely over."""
    made = draft(clock())
    await record(database, clock(), made)
    call = await people(database, clock(), fence=1)
    assert call is not None
    assert await take_over(database, fence=2, on_ambiguous="hold", now=clock()) == Found(0, 1, 0)
    assert await people(database, clock(), fence=2) is None
    clock.move(IN_FLIGHT)
    again = await people(database, clock(), fence=2)
    assert again is not None
    assert [registration.id for registration in again.registrations] == [made.id]


async def test_people_in_a_dead_leaders_upsert_are_not_due_while_it_may_run(
    database: Database, clock: MovableClock
) -> None:
    """Those whom it was looking up are: that harms nobody."""
    await record(database, clock(), draft(clock()), draft(clock(), "b@example.com", lookup=True))
    for lookup in (False, True):
        assert await people(database, clock(), fence=1, lookup=lookup) is not None
    await take_over(database, fence=2, on_ambiguous="hold", now=clock())
    waiting = await Sending(database).waiting(clock())
    assert (waiting.upserts, waiting.lookups, waiting.next_due) == (0, 1, clock() + IN_FLIGHT)
    clock.move(IN_FLIGHT)
    assert (await Sending(database).waiting(clock())).upserts == 1


async def test_a_lost_request_is_repeated_when_that_is_the_policy(database: Database, clock: MovableClock) -> None:
    """A second e-mail rather than none."""
    call = await sending(database, clock())
    clock.move(timedelta(seconds=10))
    assert await take_over(database, fence=2, on_ambiguous="retry", now=clock()) == Found(0, 0, 1)
    view = await seen(database, call.registrations[0].id)
    assert (view.state, view.cause, view.due_at) == (RegistrationState.KNOWN, None, clock())
    entry = view.timeline[-1]
    assert (entry.what, entry.call_id) == ("answer lost", call.id)
    assert "It is requested again" in entry.detail
    assert await batch(database, clock(), fence=2) is not None


async def test_a_lost_request_is_held_when_that_is_the_policy(database: Database, clock: MovableClock) -> None:
    """No e-mail rather than a second one: a person decides."""
    call = await sending(database, clock())
    assert await take_over(database, fence=2, on_ambiguous="hold", now=clock()) == Found(0, 0, 1)
    view = await seen(database, call.registrations[0].id)
    assert (view.state, view.cause) == (RegistrationState.DEAD, "answer_lost")
    assert view.detail == view.timeline[-1].detail
    assert "A person decides" in view.timeline[-1].detail
    assert await batch(database, clock(), fence=2) is None


@pytest.mark.parametrize("policy", ["check", "retry", "hold"])
async def test_what_marketo_had_refused_is_no_lost_request(
    database: Database, clock: MovableClock, policy: OnAmbiguous
) -> None:
    """A batch that is being halved carries its refusal: nobody was mailed, and nobody has to wait or decide."""
    call = await sending(database, clock())
    await Sending(database).settle(call, REFUSED, [], fence=1, now=clock())
    assert await take_over(database, fence=2, on_ambiguous=policy, now=clock()) == Found(0, 0, 0)
    view = await seen(database, call.registrations[0].id)
    assert (view.state, view.cause, view.due_at) == (RegistrationState.KNOWN, None, clock())
    assert (view.timeline[-1].what, view.timeline[-1].detail) == ("waiting", view.detail)
    assert await Unsettled(database).next_look() is None
    assert await batch(database, clock(), fence=2) is not None


async def test_of_a_halved_request_only_the_part_that_was_asked_is_lost(
    database: Database, clock: MovableClock
) -> None:
    """The half whose call was written down may have been mailed."""
    call = await sending(database, clock())
    await Sending(database).settle(call, REFUSED, [], fence=1, now=clock())
    await split(database, call, call.registrations, now=clock())
    assert await take_over(database, fence=2, on_ambiguous="hold", now=clock()) == Found(0, 0, 1)
    assert (await seen(database, call.registrations[0].id)).cause == "answer_lost"


async def test_unfinished_calls_are_marked_as_lost(database: Database, clock: MovableClock) -> None:
    """An ended one keeps what is known of it."""
    done = await sending(database, clock())
    await Sending(database).settle(
        done, DONE, [fate(done.registrations[0], RegistrationState.SENT)], fence=1, now=clock()
    )
    lost = await sending(database, clock(), email="bob@example.com")
    clock.move(timedelta(seconds=10))
    await take_over(database, fence=2, on_ambiguous="hold", now=clock())
    (kept,) = (await seen(database, done.registrations[0].id)).calls
    (marked,) = (await seen(database, lost.registrations[0].id)).calls
    assert kept.outcome == "done"
    assert (marked.outcome, marked.finished_at) == ("lost", clock())
    assert marked.message == "The relay stopped before the answer came."


async def test_what_nobody_holds_is_left_as_it_is(database: Database, clock: MovableClock) -> None:
    """A registration that waited goes on waiting, without a line in its timeline."""
    made = draft(clock(), due_at=clock() + timedelta(hours=1))
    await record(database, clock(), made)
    before = await seen(database, made.id)
    assert await take_over(database, fence=2, on_ambiguous="hold", now=clock()) == Found(0, 0, 0)
    assert await seen(database, made.id) == before


async def test_a_leader_takes_nothing_from_itself(database: Database, clock: MovableClock) -> None:
    """Only what earlier fences hold is half done."""
    event = await claimed_event(database, clock(), fence=2)
    await record(database, clock(), draft(clock(), "ada@example.com"), fence=2)
    looked_for = await people(database, clock(), fence=2)
    under_way = await sending(database, clock(), fence=2, email="bob@example.com")
    assert await take_over(database, fence=2, on_ambiguous="hold", now=clock()) == Found(0, 0, 0)
    assert looked_for is not None
    store = Sending(database)
    assert len(await store.settle(looked_for, DONE, [found(looked_for.registrations[0])], fence=2, now=clock())) == 1
    sent = [fate(under_way.registrations[0], RegistrationState.SENT)]
    assert await store.settle(under_way, DONE, sent, fence=2, now=clock()) == sent
    assert await EventQueue(database).claim(now=clock(), fence=2, limit=10) == []
    assert mapped(event).event.attempts == 1


@pytest.mark.parametrize("policy", ["retry", "hold"])
async def test_a_frozen_leader_settles_nothing_afterwards(
    database: Database, clock: MovableClock, policy: OnAmbiguous
) -> None:
    """It wakes with an answer; what became of its registrations meanwhile stands, and the call shows the answer."""
    call = await sending(database, clock())
    await take_over(database, fence=2, on_ambiguous=policy, now=clock())
    before = await seen(database, call.registrations[0].id)
    late = [fate(call.registrations[0], RegistrationState.SENT)]
    assert await Sending(database).settle(call, DONE, late, fence=1, now=clock()) == []
    after = await seen(database, call.registrations[0].id)
    assert (after.state, after.sent_at) == (before.state, None)
    assert after.calls[0].request_id == "r#1"
    assert await history(database, after.id) == ["registered", "answer lost"]


async def test_a_take_over_twice_finds_nothing_more(database: Database, clock: MovableClock) -> None:
    """The new leader may crash in its turn."""
    await sending(database, clock())
    await take_over(database, fence=2, on_ambiguous="hold", now=clock())
    assert await take_over(database, fence=3, on_ambiguous="hold", now=clock()) == Found(0, 0, 0)
