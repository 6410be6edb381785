"""The lease: one holder, believed for less long than others wait, lost at once when another has it."""

from datetime import UTC, datetime, timedelta

import pytest

from app.dispatch.lease import GONE_AFTER, LASTING, RENEWED_EVERY, Applicant, Lease
from app.dispatch.steady import Silence, jump_between
from app.errors import LeadershipLost, StoreUnavailable
from app.store.database import Database
from app.store.leases import Leases
from tests.dispatch.stage import Ticks
from tests.patience import PATIENT

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def leases(database: Database) -> Leases:
    return Leases(database, within=PATIENT)


async def taken(applicant: Applicant) -> Lease:
    lease = await applicant.apply()
    assert lease is not None
    return lease


async def test_only_one_holds_it(leases: Leases) -> None:
    """Marketo's limits belong to the instance: two senders would be twice over them."""
    first = await taken(Applicant(leases, "a"))
    first.check()
    assert await Applicant(leases, "b").apply() is None


async def test_a_holder_that_was_frozen_knows_it_at_once(leases: Leases) -> None:
    """A process that was suspended wakes in the middle of its work, when another already leads."""
    ticks = Ticks()
    lease = await taken(Applicant(leases, "a", ticks))
    ticks.move(LASTING.total_seconds() - 0.001)
    lease.check()
    ticks.move(0.001)
    with pytest.raises(LeadershipLost, match="ran out"):
        lease.check()


async def test_signs_of_life_prolong_it(leases: Leases) -> None:
    """Both for its holder and for those who watch."""
    ticks = Ticks()
    lease, other = await taken(Applicant(leases, "a", ticks)), Applicant(leases, "b", ticks)
    for _ in range(10):
        ticks.move(RENEWED_EVERY.total_seconds())
        await lease.renew(NOON)
        lease.check()
        assert await other.apply() is None


async def test_another_takes_over_after_a_silence(leases: Leases) -> None:
    """Counted by the clock of the one who watches, from when it first looked; the dead one's fence is lower."""
    ticks = Ticks()
    dead, other = await taken(Applicant(leases, "a")), Applicant(leases, "b", ticks)
    assert await other.apply() is None
    ticks.move(GONE_AFTER.total_seconds() - 0.001)
    assert await other.apply() is None
    ticks.move(0.001)
    alive = await taken(other)
    assert alive.fence > dead.fence
    with pytest.raises(LeadershipLost, match="another"):
        await dead.renew(NOON)


async def test_who_was_frozen_while_it_watched_takes_nothing_from_the_living(leases: Leases) -> None:
    """Its own clock says that much time has passed; the lease says that its holder lives."""
    ticks = Ticks()
    alive, other = await taken(Applicant(leases, "a")), Applicant(leases, "b", ticks)
    assert await other.apply() is None
    await alive.renew(NOON)
    ticks.move(3600)
    assert await other.apply() is None


async def test_others_wait_for_longer_than_the_holder_believes() -> None:
    """By more than two quartz clocks differ."""
    assert GONE_AFTER > LASTING > 3 * RENEWED_EVERY


async def test_a_holder_that_surely_died_is_replaced_at_once(leases: Leases) -> None:
    """Its process was one of this machine's, and is no more."""
    await taken(Applicant(leases, "a"))
    assert await Applicant(leases, "b", is_dead=lambda holder: holder == "z").apply() is None
    assert await Applicant(leases, "b", is_dead=lambda holder: holder == "a").apply() is not None


async def test_given_back_it_is_free_at_once(leases: Leases) -> None:
    """A deployment costs no pause."""
    lease = await taken(Applicant(leases, "a"))
    await lease.give_back()
    assert await Applicant(leases, "b").apply() is not None


def seconds(silence: Silence) -> tuple[float, float]:
    return silence.at_least, silence.at_most


async def test_who_first_looks_knows_no_upper_bound_of_the_silence(leases: Leases) -> None:
    """The machine may have been switched off for days."""
    await (await taken(Applicant(leases, "a"))).renew(NOON)
    ticks = Ticks()
    late = await taken(Applicant(leases, "b", ticks, is_dead=lambda _: True))
    assert late.found[0].at == NOON
    assert seconds(late.found[1]) == (0, float("inf"))


async def test_who_watched_knows_the_silence_to_a_look(leases: Leases) -> None:
    """So it can compare its own time with the one that the dead leader told."""
    ticks = Ticks()
    alive, other = await taken(Applicant(leases, "a")), Applicant(leases, "b", ticks)
    assert await other.apply() is None
    ticks.move(1)
    await alive.renew(NOON)
    assert await other.apply() is None
    ticks.move(9)
    assert seconds((await taken(other)).found[1]) == (9, 10)


async def test_a_stop_that_takes_its_time_is_part_of_the_silence(leases: Leases) -> None:
    """Its leader tells no time any more, and gives the lease back when its calls have ended: no clock jumped."""
    ticks = Ticks()
    stopping, other = await taken(Applicant(leases, "a")), Applicant(leases, "b", ticks)
    assert await other.apply() is None
    await stopping.renew(NOON)
    assert await other.apply() is None
    ticks.move(4)
    assert await other.apply() is None
    await stopping.give_back()
    ticks.move(1)
    seen, silence = (await taken(other)).found
    assert seen.at == NOON
    assert jump_between(NOON, NOON + timedelta(seconds=5), silence) == timedelta(0)


async def test_a_term_that_told_no_time_is_part_of_the_silence(leases: Leases) -> None:
    """It was over before its first sign of life."""
    ticks = Ticks()
    first, other = await taken(Applicant(leases, "a")), Applicant(leases, "b", ticks)
    await first.renew(NOON)
    assert await other.apply() is None
    ticks.move(5)
    await first.give_back()
    short = await taken(Applicant(leases, "c"))
    assert await other.apply() is None
    await short.give_back()
    ticks.move(1)
    assert (await taken(other)).found[1].at_least == 6


async def test_who_led_itself_knows_the_silence_exactly(leases: Leases) -> None:
    """A term ends when the machine's clock jumps; the same process begins the next one."""
    ticks = Ticks()
    applicant = Applicant(leases, "a", ticks)
    lease = await taken(applicant)
    ticks.move(100)
    await lease.renew(NOON)
    ticks.move(3)
    await lease.give_back()
    again = await taken(applicant)
    assert again.found[0].at == NOON
    assert seconds(again.found[1]) == (3, 3)


async def test_a_time_that_may_not_have_been_told_leaves_the_silence_open(leases: Leases) -> None:
    """The store's answer was lost: it may have taken the new time, or still have the one before."""
    ticks = Ticks()
    applicant = Applicant(leases, "a", ticks)
    lease = await taken(applicant)
    await lease.renew(NOON)
    ticks.move(4)
    with pytest.raises(StoreUnavailable), lease.telling():
        raise StoreUnavailable("no answer")
    ticks.move(2)
    await lease.give_back()
    assert seconds((await taken(applicant)).found[1]) == (2, 6)


async def test_a_term_that_told_no_time_leaves_the_silence_before_it(leases: Leases) -> None:
    """What stands in the store was told by an earlier leader."""
    ticks = Ticks()
    await (await taken(Applicant(leases, "a"))).renew(NOON)
    applicant = Applicant(leases, "b", ticks, is_dead=lambda _: True)
    await (await taken(applicant)).give_back()
    ticks.move(2)
    assert seconds((await taken(applicant)).found[1]) == (2, float("inf"))
