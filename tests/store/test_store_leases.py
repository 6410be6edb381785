"""Leases: one holder at a time, told apart by a fence that only grows; no clock has a say in it."""

import asyncio
from datetime import UTC, datetime

import pytest

from app.errors import LeadershipLost
from app.store.database import Database
from app.store.events import EventQueue
from app.store.leases import LEADER, Leases, Seen, hold_on
from app.store.sending import Sending
from tests.conftest import MovableClock
from tests.patience import PATIENT
from tests.store.given import accept, new_event

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def leases(database: Database) -> Leases:
    return Leases(database, within=PATIENT)


async def take(leases: Leases, holder: str, name: str = LEADER) -> int | None:
    return await leases.take(name, holder=holder, seen=await leases.look(name))


async def test_a_lease_that_nobody_ever_held_is_free(leases: Leases) -> None:
    """A lone process leads at once."""
    assert await leases.look(LEADER) == Seen()
    assert await take(leases, "a") == 1
    assert await leases.look(LEADER) == Seen("a", 1, 0, is_free=False)


async def test_a_sign_of_life_keeps_others_from_taking_it(leases: Leases) -> None:
    """Who has waited long enough takes the lease only as it was all that time."""
    await take(leases, "a")
    seen = await leases.look(LEADER)
    assert await leases.renew(LEADER, fence=1, at=NOON)
    assert await leases.take(LEADER, holder="b", seen=seen) is None
    assert (await leases.look(LEADER)).holder == "a"


async def test_a_silent_lease_is_taken_with_a_greater_fence(leases: Leases) -> None:
    """Who took it can be told from who had it."""
    await take(leases, "a")
    assert await take(leases, "b") == 2
    assert await leases.look(LEADER) == Seen("b", 2, 0, is_free=False)


async def test_a_lost_lease_is_neither_renewed_nor_given_back(leases: Leases) -> None:
    """The earlier holder wakes up late; the lease is another's."""
    await take(leases, "a")
    await take(leases, "b")
    assert not await leases.renew(LEADER, fence=1, at=NOON)
    await leases.give_back(LEADER, fence=1)
    assert await leases.look(LEADER) == Seen("b", 2, 0, is_free=False)


async def test_a_lease_given_back_is_free(leases: Leases) -> None:
    """A planned restart costs no time; the fence grows all the same."""
    await take(leases, "a")
    await leases.give_back(LEADER, fence=1)
    assert (await leases.look(LEADER)).is_free
    assert await take(leases, "b") == 2


@pytest.mark.parametrize("was_held", [False, True])
async def test_of_many_that_take_it_at_once_one_gets_it(leases: Leases, was_held: bool) -> None:
    """For the first time ever, and after the leader is gone: two leaders would break Marketo's limits."""
    if was_held:
        await take(leases, "gone")
    seen = await leases.look(LEADER)
    takers = [leases.take(LEADER, holder=name, seen=seen) for name in "abcdefgh"]
    fences = [fence for fence in await asyncio.gather(*takers) if fence is not None]
    assert fences == [2 if was_held else 1]


async def test_leases_of_other_names_are_free(leases: Leases) -> None:
    """A lease is about one thing."""
    await take(leases, "a")
    assert await take(leases, "b", "sweeper") == 1


async def test_an_earlier_leader_claims_no_event(database: Database, leases: Leases, clock: MovableClock) -> None:
    """It was frozen after its last check; what it took now, nobody would free before the next change of leader."""
    await accept(database, new_event(clock()))
    await take(leases, "a")
    await take(leases, "b")
    with pytest.raises(LeadershipLost):
        await EventQueue(database).claim(now=clock(), fence=1, limit=10)
    assert len(await EventQueue(database).claim(now=clock(), fence=2, limit=10)) == 1


async def test_an_earlier_leader_claims_nobody(database: Database, leases: Leases, clock: MovableClock) -> None:
    """The same for people."""
    await take(leases, "a")
    await take(leases, "b")
    with pytest.raises(LeadershipLost):
        await Sending(database).claim_people(lookup=False, now=clock(), fence=1, limit=10)
    assert await Sending(database).claim_people(lookup=False, now=clock(), fence=2, limit=10) is None


async def test_nobody_becomes_leader_in_the_middle_of_a_claim(database: Database, leases: Leases) -> None:
    """The new leader frees what earlier ones hold: a claim must be there to see, or not happen."""
    await take(leases, "a")
    seen = await leases.look(LEADER)
    async with database.write() as connection:
        await hold_on(connection, 1)
        taking = asyncio.create_task(leases.take(LEADER, holder="b", seen=seen))
        await asyncio.sleep(0.2)
        assert not taking.done()
    assert await taking == 2
