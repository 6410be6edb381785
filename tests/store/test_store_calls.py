"""Past calls and pauses: what a new leader must know so as not to break Marketo's limits."""

from datetime import datetime, timedelta

import pytest

from app.domain import RegistrationState
from app.store.calls import CallLog, Pause
from app.store.claims import Call
from app.store.database import Database
from app.store.sending import Sending
from app.store.sharing import begin_beside
from app.store.takeover import take_over
from tests.conftest import MovableClock
from tests.store.given import DONE, fate, sending

SPAN = timedelta(seconds=20)


@pytest.fixture
def log(database: Database, clock: MovableClock) -> CallLog:
    return CallLog(database, clock=clock)


async def begin(database: Database, clock: MovableClock, name: str) -> Call:
    return await sending(database, clock(), email=f"{name}@example.com")


async def end(database: Database, clock: MovableClock, call: Call) -> datetime:
    sent = [fate(call.registrations[0], RegistrationState.SENT)]
    await Sending(database).settle(call, DONE, sent, fence=1, now=clock())
    return clock()


async def test_the_window_is_told_by_when_calls_ended(database: Database, clock: MovableClock, log: CallLog) -> None:
    """Marketo counts a call somewhere between its beginning and its end; the later time is the safe one."""
    slow = await begin(database, clock, "slow")
    await end(database, clock, await begin(database, clock, "old"))
    clock.move(timedelta(seconds=15))
    second = await end(database, clock, await begin(database, clock, "young"))
    clock.move(timedelta(seconds=10))
    third = await end(database, clock, slow)
    assert await log.ended_since(clock() - SPAN) == [second, third]


async def test_a_call_without_an_answer_counts_as_ending_now(
    database: Database, clock: MovableClock, log: CallLog
) -> None:
    """Its leader died; Marketo may be counting it this very moment."""
    await begin(database, clock, "lost")
    clock.move(timedelta(minutes=2))
    assert await log.ended_since(clock() - SPAN) == [clock()]


async def test_a_call_whose_relay_stopped_may_run_until_marketos_time_out(
    database: Database, clock: MovableClock, log: CallLog
) -> None:
    """It was marked when another took over; nobody knows when Marketo is through with it."""
    began = clock()
    await begin(database, clock, "lost")
    await end(database, clock, await begin(database, clock, "answered"))
    clock.move(timedelta(seconds=9))
    await take_over(database, fence=2, on_ambiguous="check", now=clock())
    assert await log.ended_since(clock() - SPAN) == [began, began + timedelta(seconds=30)]
    clock.move(timedelta(seconds=40))
    assert await log.ended_since(clock() - SPAN) == [began + timedelta(seconds=30)]
    clock.move(timedelta(seconds=2))
    assert await log.ended_since(clock() - SPAN) == []


async def test_a_call_that_never_ended_is_forgotten_after_minutes(
    database: Database, clock: MovableClock, log: CallLog
) -> None:
    """No request lives that long; it must not fill the window for ever."""
    await begin(database, clock, "lost")
    clock.move(timedelta(minutes=4))
    assert await log.ended_since(clock() - SPAN) == []


async def test_calls_are_counted_from_a_time_on(database: Database, clock: MovableClock, log: CallLog) -> None:
    """The day's budget counts what was begun, answered or not."""
    await begin(database, clock, "a")
    clock.move(timedelta(hours=1))
    midnight = clock()
    assert await log.count_since(midnight) == 0
    await begin(database, clock, "b")
    await end(database, clock, await begin(database, clock, "c"))
    assert await log.count_since(midnight) == 2
    assert await log.count_beside_since(midnight) == 0
    await begin_beside(database, "setup", clock(), lambda _: None)
    assert (await log.count_since(midnight), await log.count_beside_since(midnight)) == (3, 1)
    clock.move(timedelta(seconds=1))
    assert await log.count_beside_since(clock()) == 0


def pause(clock: MovableClock, scope: str = "marketo", **changes: object) -> Pause:
    values: dict[str, object] = {"until": clock() + timedelta(minutes=1), "since": clock(), "times": 1}
    return Pause(**{"scope": scope, "code": "607", "reason": "Daily quota reached", **values, **changes})  # type: ignore[arg-type]


async def test_pauses_outlive_a_leader(clock: MovableClock, log: CallLog) -> None:
    """A restart must not ask again what Marketo has just refused."""
    both = [pause(clock), pause(clock, "campaign:1234", code="1" * 20, times=3)]
    for one in both:
        await log.pause(one)
    assert sorted(await log.pauses(), key=lambda one: one.times) == both


async def test_a_new_pause_takes_the_place_of_the_old(clock: MovableClock, log: CallLog) -> None:
    """A scope waits for one thing at a time."""
    await log.pause(pause(clock))
    longer = pause(clock, until=clock() + timedelta(hours=1), times=2)
    await log.pause(longer)
    assert await log.pauses() == [longer]


async def test_a_pause_ends_by_itself(clock: MovableClock, log: CallLog) -> None:
    """At its time, to the moment."""
    await log.pause(pause(clock))
    clock.move(timedelta(minutes=1))
    assert await log.pauses() == []


async def test_a_pause_ends_when_calls_work_again(clock: MovableClock, log: CallLog) -> None:
    """Other scopes go on waiting."""
    await log.pause(pause(clock))
    await log.pause(pause(clock, "campaign:1"))
    await log.resume("marketo")
    assert [one.scope for one in await log.pauses()] == ["campaign:1"]
