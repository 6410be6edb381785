"""Stored times follow a jump of the time: what waited waits as long, and what is over stays over."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, insert, select, update

from app.errors import LeadershipLost
from app.store.calls import CallLog, Pause
from app.store.database import Database
from app.store.jumps import follow_jump
from app.store.leases import LEADER, Leases, Seen
from app.store.tables import calls, events, people, registrations, unsettled
from tests.conftest import MovableClock
from tests.patience import PATIENT
from tests.store.given import FENCE, accept, draft, new_event, record

JUMPS = [timedelta(hours=1), timedelta(days=3), timedelta(hours=-1), timedelta(days=-3)]
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
every_jump = pytest.mark.parametrize("by", JUMPS, ids=str)


@pytest.fixture
async def led(database: Database) -> Database:
    """A store with a leader."""
    assert await Leases(database, within=PATIENT).take(LEADER, holder="a", seen=Seen()) == FENCE
    return database


async def jump(database: Database, clock: MovableClock, by: timedelta) -> None:
    clock.move(by)
    await follow_jump(database, fence=FENCE, by=by, now=clock(), quota_day_ends=clock() + 5 * HOUR)


async def change(database: Database, table: Table, **values: Any) -> None:
    async with database.write() as connection:
        await connection.execute(update(table).values(values))


async def row(database: Database, table: Table) -> Mapping[Any, Any]:
    async with database.read() as connection:
        return (await connection.execute(select(table))).mappings().one()


def near(one: datetime, other: datetime) -> bool:
    """SQLite reckons to the millisecond."""
    return abs(one - other) < timedelta(milliseconds=2)


@every_jump
@pytest.mark.parametrize("state", ["new", "known", "sending"])
async def test_who_waits_to_be_tried_again_waits_as_long(
    led: Database, clock: MovableClock, by: timedelta, state: str
) -> None:
    """Not until the clock comes by again in three days, and not all at once."""
    await record(led, clock(), draft(clock()))
    await change(led, registrations, state=state, due_at=clock() + MINUTE, created_at=clock() - MINUTE)
    await jump(led, clock, by)
    found = await row(led, registrations)
    assert near(found["due_at"], clock() + MINUTE)
    assert near(found["created_at"], clock() - MINUTE)


@every_jump
async def test_who_was_due_stays_due(led: Database, clock: MovableClock, by: timedelta) -> None:
    """Also after a jump to long before."""
    await record(led, clock(), draft(clock()))
    await change(led, registrations, due_at=clock() - MINUTE)
    await jump(led, clock, by)
    assert (await row(led, registrations))["due_at"] <= clock()


@every_jump
async def test_the_start_of_a_webinar_is_no_duration(led: Database, clock: MovableClock, by: timedelta) -> None:
    """It starts when it starts; how long somebody is tried from the registration on is one."""
    starts_at = clock() + timedelta(days=2)
    await record(led, clock(), draft(clock(), starts_at=starts_at, expires_at=starts_at))
    await jump(led, clock, by)
    assert (await row(led, registrations))["expires_at"] == starts_at
    await change(led, registrations, expires_at=clock() + MINUTE)
    await jump(led, clock, by)
    assert near((await row(led, registrations))["expires_at"], clock() + MINUTE)


@every_jump
async def test_what_has_ended_is_history(led: Database, clock: MovableClock, by: timedelta) -> None:
    """It is shown as it was told."""
    await record(led, clock(), draft(clock()))
    await change(led, registrations, state="sent", due_at=clock() + MINUTE)
    before = await row(led, registrations)
    await jump(led, clock, by)
    assert await row(led, registrations) == before


@every_jump
async def test_a_webhook_whose_source_is_asked_again_keeps_its_age(
    led: Database, clock: MovableClock, by: timedelta
) -> None:
    """Its source gives up by age."""
    await accept(led, new_event(clock()))
    await change(led, events, attempts=2, due_at=clock() + MINUTE, received_at=clock() - MINUTE)
    await jump(led, clock, by)
    found = await row(led, events)
    assert near(found["due_at"], clock() + MINUTE)
    assert near(found["received_at"], clock() - MINUTE)
    assert found["replayed_at"] is None


@every_jump
async def test_a_webhook_that_came_after_the_jump_is_in_the_new_time(
    led: Database, clock: MovableClock, by: timedelta
) -> None:
    """Whoever accepts has the machine's time at once."""
    received_at = clock() + by + timedelta(seconds=1 if by > timedelta(0) else -1)
    await accept(led, new_event(received_at))
    await jump(led, clock, by)
    found = await row(led, events)
    assert found["received_at"] == found["due_at"] == received_at


@every_jump
async def test_a_person_is_left_alone_for_as_long(led: Database, clock: MovableClock, by: timedelta) -> None:
    """Two upserts close together make two people."""
    async with led.write() as connection:
        await connection.execute(insert(people).values(key_hash="a", quiet_until=clock() + MINUTE))
    await jump(led, clock, by)
    assert near((await row(led, people))["quiet_until"], clock() + MINUTE)


@every_jump
async def test_a_lost_request_is_looked_at_as_late(led: Database, clock: MovableClock, by: timedelta) -> None:
    """Too early, its activity is not there yet, and somebody is mailed twice."""
    times = {"began_at": clock() - MINUTE, "ended_at": clock(), "look_at": clock() + MINUTE}
    async with led.write() as connection:
        await connection.execute(insert(unsettled).values(call_id="c", campaign_id=7, **times))
    await jump(led, clock, by)
    found = await row(led, unsettled)
    assert all(near(found[name], at + by) for name, at in times.items())


@every_jump
async def test_the_window_is_as_full_as_before(led: Database, clock: MovableClock, by: timedelta) -> None:
    """A leader takes it over from the stored calls."""
    ended_at = clock() - timedelta(seconds=5)
    call = {"id": "c", "kind": "trigger", "size": 1, "fence": FENCE, "started_at": ended_at}
    async with led.write() as connection:
        await connection.execute(insert(calls).values(**call, finished_at=ended_at))
    await jump(led, clock, by)
    [at] = await CallLog(led, clock=clock).ended_since(clock() - timedelta(seconds=20))
    assert near(at, clock() - timedelta(seconds=5))


@every_jump
async def test_a_pause_lasts_as_long(led: Database, clock: MovableClock, by: timedelta) -> None:
    """Not until the clock comes by again."""
    log = CallLog(led, clock=clock)
    await log.pause(Pause("marketo", clock() + MINUTE, clock() - MINUTE, "606", "because", 1))
    await jump(led, clock, by)
    [found] = await log.pauses()
    assert near(found.until, clock() + MINUTE)
    assert near(found.since, clock() - MINUTE)


@pytest.mark.parametrize(("by", "left"), [(1, 4), (3 * 24, None), (-1, 5), (-3 * 24, 5)])
async def test_the_quota_s_day_ends_at_midnight(led: Database, clock: MovableClock, by: int, left: int | None) -> None:
    """That is no duration, and never later than the next midnight, here in five hours."""
    log = CallLog(led, clock=clock)
    await log.pause(Pause("marketo", clock() + 5 * HOUR, clock(), "607", "because", 1))
    await jump(led, clock, by * HOUR)
    assert [pause.until - clock() for pause in await log.pauses()] == ([left * HOUR] if left else [])


async def test_the_lease_notes_the_new_time_with_it(led: Database, clock: MovableClock) -> None:
    """In the same transaction: a kill in between must not move everything twice."""
    await jump(led, clock, timedelta(hours=1))
    assert (await Leases(led, within=PATIENT).look(LEADER)).at == clock()


async def test_a_leader_that_is_none_any_more_moves_nothing(led: Database, clock: MovableClock) -> None:
    """The next one has done so."""
    await Leases(led, within=PATIENT).take(LEADER, holder="b", seen=await Leases(led, within=PATIENT).look(LEADER))
    await accept(led, new_event(clock()))
    before = await row(led, events)
    with pytest.raises(LeadershipLost):
        await jump(led, clock, timedelta(hours=1))
    assert await row(led, events) == before
