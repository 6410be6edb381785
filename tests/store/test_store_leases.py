"""Leases: one holder at a time, told apart by a fence that only grows."""

import asyncio
from datetime import timedelta

import pytest

from app.store.database import Database
from app.store.leases import Leases
from tests.conftest import MovableClock

LASTING = timedelta(seconds=10)


@pytest.fixture
def leases(database: Database, clock: MovableClock) -> Leases:
    return Leases(database, clock=clock)


async def test_a_free_lease_is_taken(leases: Leases) -> None:
    """A lone process leads at once."""
    assert await leases.holder("leader") is None
    assert await leases.take("leader", holder="a", lasting=LASTING) == 1
    assert await leases.holder("leader") == "a"


async def test_a_held_lease_is_not_taken(leases: Leases, clock: MovableClock) -> None:
    """Not even by its holder, who would not know which of its tasks holds it; and up to the last moment."""
    await leases.take("leader", holder="a", lasting=LASTING)
    clock.move(LASTING)
    assert await leases.take("leader", holder="b", lasting=LASTING) is None
    assert await leases.take("leader", holder="a", lasting=LASTING) is None
    assert await leases.holder("leader") == "a"


async def test_a_lease_that_ran_out_is_taken_with_a_greater_fence(leases: Leases, clock: MovableClock) -> None:
    """A crash of the leader costs its lease's length."""
    await leases.take("leader", holder="a", lasting=LASTING)
    clock.move(LASTING + timedelta(milliseconds=1))
    assert await leases.holder("leader") is None
    assert await leases.take("leader", holder="b", lasting=LASTING) == 2
    assert await leases.holder("leader") == "b"


async def test_a_renewed_lease_lasts_from_now(leases: Leases, clock: MovableClock) -> None:
    """The leader renews long before the end."""
    fence = await leases.take("leader", holder="a", lasting=LASTING)
    assert fence is not None
    clock.move(timedelta(seconds=9))
    assert await leases.renew("leader", fence=fence, lasting=LASTING)
    clock.move(timedelta(seconds=9))
    assert await leases.take("leader", holder="b", lasting=LASTING) is None


async def test_a_lost_lease_is_neither_renewed_nor_given_back(leases: Leases, clock: MovableClock) -> None:
    """The earlier holder wakes up late; the lease is another's."""
    await leases.take("leader", holder="a", lasting=LASTING)
    clock.move(LASTING * 2)
    await leases.take("leader", holder="b", lasting=LASTING)
    assert not await leases.renew("leader", fence=1, lasting=LASTING)
    await leases.give_back("leader", fence=1)
    assert await leases.holder("leader") == "b"


async def test_a_lease_given_back_is_free_at_once(leases: Leases) -> None:
    """A planned restart costs no time; the fence grows all the same."""
    await leases.take("leader", holder="a", lasting=LASTING)
    await leases.give_back("leader", fence=1)
    assert await leases.holder("leader") is None
    assert await leases.take("leader", holder="b", lasting=LASTING) == 2


@pytest.mark.parametrize("has_run_out", [False, True])
async def test_of_many_that_take_it_at_once_one_gets_it(leases: Leases, clock: MovableClock, has_run_out: bool) -> None:
    """For the first time ever, and after the leader is gone: two leaders would break Marketo's limits."""
    if has_run_out:
        await leases.take("leader", holder="gone", lasting=LASTING)
        clock.move(LASTING * 2)
    takers = [leases.take("leader", holder=name, lasting=LASTING) for name in "abcdefgh"]
    fences = [fence for fence in await asyncio.gather(*takers) if fence is not None]
    assert fences == [2 if has_run_out else 1]


async def test_leases_of_other_names_are_free(leases: Leases) -> None:
    """A lease is about one thing."""
    await leases.take("leader", holder="a", lasting=LASTING)
    assert await leases.take("sweeper", holder="b", lasting=LASTING) == 1
