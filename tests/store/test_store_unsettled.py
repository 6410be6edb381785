"""Lost requests: nobody's hands, planned looks, what else was asked, and endings that take effect once."""

from datetime import timedelta

import pytest

from app.domain import CampaignId, Cancelled, LeadId, RegistrationState
from app.store.calls import CallLog
from app.store.claims import Call, CallResult
from app.store.database import Database
from app.store.sending import Sending
from app.store.takeover import Found, take_over
from app.store.unsettled import Decision, LostRequest, OtherRequest, Unsettled
from tests.conftest import MovableClock
from tests.store.given import DONE, FENCE, batch, fate, record, seen, sending

LOST = CallResult("lost", code="502")
DELAY = timedelta(minutes=1)
SENDING, SENT, KNOWN = RegistrationState.SENDING, RegistrationState.SENT, RegistrationState.KNOWN


async def lose(database: Database, clock: MovableClock, **changes: object) -> Call:
    """Make a campaign request whose answer is lost; it is looked at a minute later."""
    call = await sending(database, clock(), **changes)  # type: ignore[arg-type]  # changes of the draft
    look_at = clock() + DELAY
    fates = [fate(one, SENDING, due_at=look_at, what="answer lost") for one in call.registrations]
    await Sending(database).settle(call, LOST, fates, fence=FENCE, now=clock())
    return call


async def due(database: Database, clock: MovableClock) -> LostRequest:
    (found,) = await Unsettled(database).due(clock())
    return found


def decided(lost: LostRequest, state: RegistrationState = KNOWN) -> list[Decision]:
    what = "sent" if state is SENT else "checked"
    return [Decision(one, state, what, f"It became {state}.") for one in lost.registrations]


async def test_a_lost_request_is_nobodys_until_its_look(database: Database, clock: MovableClock) -> None:
    """No claim takes its registrations, no sweep buries them, and another leader finds them as they are."""
    began = clock()
    call = await lose(database, clock, expires_at=clock() + timedelta(seconds=5))
    store = Unsettled(database)
    assert await store.next_look() == began + DELAY
    clock.move(timedelta(seconds=59))
    assert await store.due(clock()) == []
    assert await batch(database, clock()) is None
    assert await Sending(database).expire(clock()) == []
    assert await take_over(database, fence=2, on_ambiguous="hold", now=clock()) == Found(0, 0, 0)
    clock.move(timedelta(seconds=1))
    lost = await due(database, clock)
    assert (lost.id, lost.began_at, lost.ended_at) == (call.id, began, began)
    assert [(one.id, one.lead_id) for one in lost.registrations] == [(call.registrations[0].id, 7)]


async def test_a_crash_during_the_request_is_looked_at_too(database: Database, clock: MovableClock) -> None:
    """Under `check` the next leader leaves them in the state `sending` and plans the look."""
    call = await sending(database, clock())
    clock.move(timedelta(seconds=10))
    found = await take_over(database, fence=2, on_ambiguous="check", now=clock(), activity_delay=DELAY)
    assert found == Found(0, 0, 1)
    lost = (await Unsettled(database).due(None))[0]
    assert (lost.id, lost.ended_at, lost.look_at) == (call.id, clock(), clock() + DELAY)
    view = await seen(database, call.registrations[0].id)
    assert (view.state, view.timeline[-1].what) == (SENDING, "answer lost")
    assert await take_over(database, fence=3, on_ambiguous="check", now=clock()) == Found(0, 0, 0)


@pytest.mark.parametrize(("state", "points_to"), [(SENT, "the request"), (KNOWN, "the check")])
async def test_a_decision_stands_in_the_timeline(
    database: Database, clock: MovableClock, state: RegistrationState, points_to: str
) -> None:
    """With the call that it rests on; the lost request is gone from the list."""
    call = await lose(database, clock)
    clock.move(DELAY)
    store, lost = Unsettled(database), await due(database, clock)
    check = await CallLog(database, clock=clock).begin("check", fence=FENCE)
    decisions = decided(lost, state)
    assert await store.settle(lost, decisions, look_at=None, check_id=check, now=clock()) == decisions
    view = await seen(database, call.registrations[0].id)
    assert (view.state, view.detail) == (state, f"It became {state}.")
    assert view.timeline[-1].call_id == (call.id if points_to == "the request" else check)
    assert await store.next_look() is None
    assert (await batch(database, clock()) is not None) == (state is KNOWN)


async def test_a_second_look_at_the_same_moment_changes_nothing(database: Database, clock: MovableClock) -> None:
    """A leader that was frozen in its look wakes after another has looked."""
    await lose(database, clock)
    clock.move(DELAY)
    store, lost = Unsettled(database), await due(database, clock)
    later = clock() + DELAY
    assert await store.settle(lost, [], look_at=later, check_id=None, now=clock()) == []
    assert await store.next_look() == later
    assert await store.settle(lost, decided(lost), look_at=None, check_id=None, now=clock()) == []
    assert (await seen(database, lost.registrations[0].id)).state is SENDING
    assert await store.next_look() == later


async def test_a_look_can_be_put_off(database: Database, clock: MovableClock) -> None:
    """The activity log did not answer."""
    await lose(database, clock)
    clock.move(DELAY)
    store = Unsettled(database)
    await store.postpone([await due(database, clock)], look_at=clock() + DELAY)
    assert await store.due(clock()) == []
    assert await store.next_look() == clock() + DELAY


async def test_requests_that_began_close_together_are_looked_at_together(
    database: Database, clock: MovableClock
) -> None:
    """One reading of the log serves them; one that began long before has its own."""
    first = await lose(database, clock, email="a@example.com")
    clock.move(timedelta(minutes=31))
    later = [await lose(database, clock, email=f"{name}@example.com") for name in "bc"]
    clock.move(DELAY)
    store = Unsettled(database)
    assert [one.id for one in await store.due(clock())] == [first.id]
    await store.postpone([(await store.due(clock()))[0]], look_at=clock() + DELAY)
    assert {one.id for one in await store.due(clock())} == {call.id for call in later}


async def test_what_else_was_asked_for_a_person_is_known(database: Database, clock: MovableClock) -> None:
    """Taken, under way, or lost as well; of this campaign and this person only, and not before `since`."""
    old = await sending(database, clock(), webinar="w-old")
    store = Sending(database)
    await store.settle(old, DONE, [fate(old.registrations[0], SENT, what="sent")], fence=FENCE, now=clock())
    clock.move(timedelta(hours=1))
    since = clock()
    taken = await sending(database, clock(), webinar="w-2")
    await store.settle(taken, DONE, [fate(taken.registrations[0], SENT, what="sent")], fence=FENCE, now=clock())
    lost = await lose(database, clock, webinar="w-3")
    running = await sending(database, clock(), webinar="w-4")
    await lose(database, clock, webinar="w-5", campaign_id=CampaignId(99))
    await lose(database, clock, webinar="w-3", email="bob@example.com", person_key="bob@example.com")
    clock.move(DELAY)
    found = next(one for one in await Unsettled(database).due(clock()) if one.id == lost.id)
    others = await Unsettled(database).others(found, [LeadId(7)], since=since)
    assert {(one.call_id, one.is_done) for one in others if one.call_id in (old.id, taken.id, running.id)} == {
        (taken.id, True),
        (running.id, False),
    }
    assert all(isinstance(one, OtherRequest) and one.began_at >= since for one in others)
    assert await Unsettled(database).others(found, [LeadId(8)], since=since) == []


@pytest.mark.parametrize("state", [SENT, KNOWN])
async def test_who_cancels_meanwhile_is_not_mailed_after_all(
    database: Database, clock: MovableClock, state: RegistrationState
) -> None:
    """While nobody knows, a cancellation comes late; once it is known that nothing ran, it came in time."""
    call = await lose(database, clock)
    await record(database, clock(), gone=[Cancelled("ada@example.com", "w-1", None)])
    clock.move(DELAY)
    lost = await due(database, clock)
    await Unsettled(database).settle(lost, decided(lost, state), look_at=None, check_id=None, now=clock())
    view = await seen(database, call.registrations[0].id)
    assert view.state is (SENT if state is SENT else RegistrationState.CANCELLED)
    assert view.cause == (None if state is SENT else "refunded")
