"""The lease: one holder, believed for no longer than the store counts, lost at once when another has it."""

from datetime import timedelta

import pytest

from app.dispatch.lease import LASTING, RENEWED_EVERY, Lease
from app.errors import LeadershipLost
from app.store.database import Database
from app.store.leases import Leases
from tests.conftest import MovableClock
from tests.dispatch.stage import Ticks


@pytest.fixture
def leases(database: Database, clock: MovableClock) -> Leases:
    return Leases(database, clock=clock)


async def test_only_one_holds_it(leases: Leases) -> None:
    """Marketo's limits belong to the instance: two senders would be twice over them."""
    first = await Lease.take(leases, holder="a")
    assert first is not None
    first.check()
    assert await Lease.take(leases, holder="b") is None


async def test_a_holder_that_was_frozen_knows_it_at_once(leases: Leases) -> None:
    """A process that was suspended wakes in the middle of its work, when another already leads."""
    ticks = Ticks()
    lease = await Lease.take(leases, holder="a", ticks=ticks)
    assert lease is not None
    ticks.move(LASTING.total_seconds() - 0.001)
    lease.check()
    ticks.move(0.001)
    with pytest.raises(LeadershipLost, match="ran out"):
        lease.check()


async def test_renewing_prolongs_it(leases: Leases, clock: MovableClock) -> None:
    """Both here and in the store."""
    ticks = Ticks()
    lease = await Lease.take(leases, holder="a", ticks=ticks)
    assert lease is not None
    for _ in range(5):
        ticks.move(RENEWED_EVERY.total_seconds())
        clock.move(RENEWED_EVERY)
        await lease.renew()
        lease.check()
    assert await Lease.take(leases, holder="b") is None


async def test_another_takes_over_when_it_ran_out(leases: Leases, clock: MovableClock) -> None:
    """A crashed leader costs ten seconds, and its fence is lower from then on."""
    dead = await Lease.take(leases, holder="a")
    clock.move(LASTING + timedelta(seconds=1))
    alive = await Lease.take(leases, holder="b")
    assert dead is not None
    assert alive is not None
    assert alive.fence > dead.fence
    with pytest.raises(LeadershipLost, match="another"):
        await dead.renew()


async def test_given_back_it_is_free_at_once(leases: Leases) -> None:
    """A deployment costs no pause."""
    lease = await Lease.take(leases, holder="a")
    assert lease is not None
    await lease.give_back()
    assert await Lease.take(leases, holder="b") is not None
