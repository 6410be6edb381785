"""The memory of people: nobody is upserted twice at about the same time, and who is known costs no call."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest
from sqlalchemy import func, select

from app.domain import Cause, LeadId, RegistrationState
from app.store.claims import Call, CallResult
from app.store.database import Database, open_database
from app.store.people import APART, IN_FLIGHT, RUNS_ON, Memory, People
from app.store.sending import Sending
from app.store.tables import keys
from app.store.tables import people as people_table
from app.store.takeover import take_over
from tests.conftest import MovableClock
from tests.store.given import DONE, FENCE, REFUSED, draft, fate, found, people, record, seen, sending, split

NEW, KNOWN, DEAD = RegistrationState.NEW, RegistrationState.KNOWN, RegistrationState.DEAD
MOMENT = timedelta(milliseconds=1)


@pytest.fixture
async def other(database_url: str, database: Database) -> AsyncIterator[Database]:
    """The same database as a second process has it open."""
    opened = open_database(database_url)
    yield opened
    await opened.close()


async def ada_in_a_call(database: Database, clock: MovableClock) -> Call:
    """Let Ada be in an upsert for one webinar, and wait for a second."""
    await record(database, clock(), draft(clock()))
    call = await people(database, clock())
    assert call is not None
    await record(database, clock(), draft(clock(), webinar="w-2"))
    return call


async def end(database: Database, clock: MovableClock, call: Call, outcome: Literal["done", "refused", "lost"]) -> None:
    """Let the call end without a person found."""
    waiting = [fate(r, NEW, due_at=clock()) for r in call.registrations]
    await Sending(database).settle(call, CallResult(outcome), waiting, fence=FENCE, now=clock())


async def test_nobody_is_in_two_upserts(database: Database, other: Database, clock: MovableClock) -> None:
    """They would become two people; others go on meanwhile, however long the first takes."""
    await ada_in_a_call(database, clock)
    await record(database, clock(), draft(clock(), "bob@example.com"))
    clock.move(timedelta(hours=1))
    call = await people(other, clock())
    assert call is not None
    assert [registration.person_key for registration in call.registrations] == ["bob@example.com"]
    assert await people(database, clock()) is None


async def test_a_lookup_keeps_nobody_from_an_upsert(database: Database, clock: MovableClock) -> None:
    """A search changes nothing in Marketo."""
    await record(database, clock(), draft(clock(), lookup=True), draft(clock(), webinar="w-2"))
    assert await people(database, clock(), lookup=True) is not None
    assert await people(database, clock()) is not None


@pytest.mark.parametrize(("outcome", "quiet"), [("done", APART), ("refused", timedelta(0)), ("lost", RUNS_ON + APART)])
async def test_a_person_is_left_alone_after_an_upsert(
    database: Database,
    other: Database,
    clock: MovableClock,
    outcome: Literal["done", "refused", "lost"],
    quiet: timedelta,
) -> None:
    """Marketo sees a new person some seconds late; an upsert without an answer may run until Marketo's time-out."""
    await end(database, clock, await ada_in_a_call(database, clock), outcome)
    if quiet:
        clock.move(quiet - MOMENT)
        assert await people(other, clock()) is None
        clock.move(MOMENT)
    call = await people(other, clock())
    assert call is not None
    assert len(call.registrations) == 2


async def test_a_killed_leaders_upsert_may_still_run(database: Database, other: Database, clock: MovableClock) -> None:
    """The next leader cannot know whether it was sent."""
    await ada_in_a_call(database, clock)
    clock.move(timedelta(seconds=15))
    await take_over(other, fence=FENCE + 1, on_ambiguous="retry", now=clock())
    clock.move(IN_FLIGHT - timedelta(seconds=15) - MOMENT)
    assert await people(other, clock(), fence=FENCE + 1) is None
    clock.move(MOMENT)
    assert await people(other, clock(), fence=FENCE + 1) is not None


async def test_a_frozen_leaders_late_answer_lets_nobody_go_early(
    database: Database, other: Database, clock: MovableClock
) -> None:
    """Its registrations are another's by now, and may be in that one's upsert."""
    call = await ada_in_a_call(database, clock)
    await take_over(other, fence=FENCE + 1, on_ambiguous="retry", now=clock())
    clock.move(IN_FLIGHT)
    assert await people(other, clock(), fence=FENCE + 1) is not None
    await end(database, clock, call, "refused")
    await take_over(other, fence=FENCE + 2, on_ambiguous="retry", now=clock())
    assert await people(other, clock(), fence=FENCE + 2) is None


async def test_a_part_of_a_refused_call_is_an_upsert_of_its_own(database: Database, clock: MovableClock) -> None:
    """A kill during it leaves it running, long after the whole was refused."""
    whole = await ada_in_a_call(database, clock)
    await Sending(database).settle(whole, REFUSED, [], fence=FENCE, now=clock())
    assert await people(database, clock()) is None
    clock.move(timedelta(minutes=5))
    await split(database, whole, whole.registrations, now=clock())
    await take_over(database, fence=FENCE + 1, on_ambiguous="retry", now=clock())
    clock.move(IN_FLIGHT - MOMENT)
    assert await people(database, clock(), fence=FENCE + 1) is None
    clock.move(MOMENT)
    assert await people(database, clock(), fence=FENCE + 1) is not None


async def test_two_processes_that_claim_at_once_share_nobody(
    database: Database, other: Database, clock: MovableClock
) -> None:
    """Each has locked another registration of the same person."""
    names = [f"p{n}@example.com" for n in range(6)]
    await record(database, clock(), *(draft(clock(), name, f"w-{n}") for n in range(4) for name in names))
    claims = [people((database, other)[n % 2], clock(), limit=5) for n in range(12)]
    calls = [call for call in await asyncio.gather(*claims) if call]
    taken = [{r.person_key for r in call.registrations} for call in calls]
    assert sum(map(len, taken)) == len(set().union(*taken)) > 0


# --- who is known -----------------------------------------------------------------------------------------------


async def know_ada(database: Database, clock: MovableClock, *, lookup: bool = False, lead: int = 7) -> None:
    await record(database, clock(), draft(clock(), webinar="w-0", lookup=lookup))
    call = await people(database, clock(), lookup=lookup)
    assert call is not None
    await Sending(database).settle(call, DONE, [found(call.registrations[0], lead)], fence=FENCE, now=clock())


@pytest.mark.parametrize("lookup", [False, True])
async def test_a_known_person_needs_no_call(database: Database, clock: MovableClock, lookup: bool) -> None:
    """The second webinar costs no look-up, at whatever source."""
    await know_ada(database, clock, lookup=lookup)
    clock.move(timedelta(days=30) - MOMENT)
    second = draft(clock(), webinar="w-2", source="pendo", lookup=lookup)
    (change,) = await record(database, clock(), second)
    assert change.state is KNOWN
    assert (await seen(database, second.id)).lead_id == 7


async def test_a_lead_id_is_not_believed_for_ever(database: Database, clock: MovableClock) -> None:
    """People are merged and deleted in Marketo; whoever is found again is remembered anew."""
    await know_ada(database, clock)
    clock.move(timedelta(days=30))
    again = draft(clock(), webinar="w-2")
    assert (await record(database, clock(), again))[0].state is NEW
    call = await people(database, clock())
    assert call is not None
    await Sending(database).settle(call, DONE, [found(call.registrations[0], 8)], fence=FENCE, now=clock())
    clock.move(timedelta(days=1))
    third = draft(clock(), webinar="w-3")
    await record(database, clock(), third)
    assert (await seen(database, third.id)).lead_id == 8


async def test_another_instance_has_other_people(database: Database, clock: MovableClock) -> None:
    """Who tried a sandbox instance first would mail strangers in the real one."""
    await know_ada(database, clock)
    (change,) = await record(database, clock(), draft(clock(), webinar="w-2"), memory=Memory("another instance"))
    assert change.state is NEW


async def test_a_lead_that_marketo_no_longer_knows_is_forgotten(database: Database, clock: MovableClock) -> None:
    """1004: deleted or merged. A newer lead of the same person is kept."""
    await know_ada(database, clock)
    for gone, state in ((6, KNOWN), (7, NEW)):
        call = await sending(database, clock(), webinar=f"w-{gone}")
        held = replace(call.registrations[0], lead_id=LeadId(gone))
        dead = fate(held, DEAD, cause=Cause.LEAD_NOT_FOUND, is_gone=True)
        await Sending(database).settle(call, REFUSED, [dead], fence=FENCE, now=clock())
        (change,) = await record(database, clock(), draft(clock(), webinar=f"after {gone}"))
        assert change.state is state


async def test_a_known_person_makes_no_unusable_registration_good(database: Database, clock: MovableClock) -> None:
    """Without a join link there is nothing to send, whoever it is for."""
    await know_ada(database, clock)
    bad = draft(clock(), webinar="w-2", state=DEAD, cause=Cause.JOIN_LINK_MISSING)
    assert (await record(database, clock(), bad))[0].state is DEAD


async def test_the_memory_holds_no_address(database: Database, clock: MovableClock) -> None:
    """Nor a hash that anybody could make of one: its key is the store's own, and made once."""
    await know_ada(database, clock)
    several = [People(database) for _ in range(5)]
    await asyncio.gather(*(one.prepare() for one in several))
    hashes = {one.hashed("ada@example.com") for one in several}
    async with database.read() as connection:
        (row,) = (await connection.execute(select(people_table))).all()
        assert await connection.scalar(select(func.length(keys.c.value))) == 32
    assert {row.key_hash} == hashes
    assert len(row.key_hash) == 64


async def test_the_oldest_people_are_forgotten_first(database: Database, clock: MovableClock) -> None:
    """The memory is bounded, by age and by number, and pruned in small steps."""
    store = People(database, Memory(most=1500))
    await store.prepare()
    ages = [timedelta(days=40) if n < 100 else timedelta(seconds=3000 - n) for n in range(3000)]
    rows = [
        {"key_hash": f"{n:064}", "lead_id": n, "known_at": clock() - age, "quiet_until": clock() - age}
        for n, age in enumerate(ages)
    ]
    async with database.write() as connection:
        await connection.execute(people_table.insert(), rows)
    assert [await store.prune(clock()) for _ in range(3)] == [1000, 500, 0]
    async with database.read() as connection:
        assert await connection.scalar(select(func.min(people_table.c.lead_id))) == 1500


async def test_who_is_in_an_upsert_is_not_forgotten(database: Database, clock: MovableClock) -> None:
    """That it was asked is what keeps duplicates away."""
    await ada_in_a_call(database, clock)
    store = People(database, Memory(most=0, ttl=timedelta(0)))
    assert await store.prune(clock()) == 0
    clock.move(IN_FLIGHT + MOMENT)
    assert await store.prune(clock()) == 1
