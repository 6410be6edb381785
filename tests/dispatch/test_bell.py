"""Waiting for work: no ring is lost, and nothing but the end of a term ends a loop."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.dispatch.bell import Bell, repeat
from app.errors import LeadershipLost, StoreUnavailable

FOR_EVER = 3600.0  # a test that needs it would end by its own time-out


async def test_a_ring_before_the_wait_is_not_lost() -> None:
    """Work that came while the loop was busy is done at once."""
    bell = Bell()
    bell.ring()
    await bell.wait(FOR_EVER)


async def test_a_ring_ends_a_wait() -> None:
    """A lone registration does not wait for a poll."""
    bell = Bell()
    waiting = asyncio.create_task(bell.wait(FOR_EVER))
    await asyncio.sleep(0)
    bell.ring()
    await waiting


async def test_several_rings_are_one() -> None:
    """The loop looks once, and then sleeps again."""
    bell = Bell()
    for _ in range(5):
        bell.ring()
    await bell.wait(FOR_EVER)
    waiting = asyncio.create_task(bell.wait(FOR_EVER))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


async def test_a_ring_at_the_end_of_a_wait_is_not_lost() -> None:
    """The time has passed and the loop is about to look: what came after that look began is for the next one."""
    bell = Bell()
    waiting = asyncio.create_task(bell.wait(0))
    await asyncio.sleep(0)  # it waits
    await asyncio.sleep(0)  # its time is over, and it has not heard of it yet
    bell.ring()
    await waiting
    await bell.wait(FOR_EVER)


async def test_a_wait_ends_by_itself() -> None:
    """What other processes accepted rings no bell here."""
    await Bell().wait(0.001)


def steps(*does: float | Exception, bell: Bell) -> tuple[Callable[[], Awaitable[float]], list[int]]:
    """Return a step that does each of these in turn, and then stops the bell."""
    left, done = list(does), [0]

    async def step() -> float:
        done[0] += 1
        if not left:
            bell.stop()
            return FOR_EVER
        next_one = left.pop(0)
        if isinstance(next_one, Exception):
            bell.ring()  # so that the wait after trouble ends at once
            raise next_one
        return next_one

    return step, done


async def test_a_stop_ends_the_loop_and_its_wait() -> None:
    """Nobody has to wait for a sleeping loop at the end."""
    bell = Bell()
    step, done = steps(0.0, 0.001, 0.0, bell=bell)
    await repeat(step, bell=bell, name="test")
    assert done == [4]


async def test_a_loop_that_was_stopped_before_does_nothing() -> None:
    """A stop may come while the term is still being prepared."""
    bell = Bell()
    bell.stop()
    step, done = steps(bell=bell)
    await repeat(step, bell=bell, name="test")
    assert done == [0]


@pytest.mark.parametrize("trouble", [StoreUnavailable("locked"), ValueError("a defect"), TimeoutError()])
async def test_trouble_is_waited_out(trouble: Exception) -> None:
    """A locked database or a defect in one step must not end the sending for ever."""
    bell = Bell()
    step, done = steps(trouble, trouble, 0.0, bell=bell)
    await repeat(step, bell=bell, name="test")
    assert done == [4]


async def test_a_lost_lease_ends_the_loop() -> None:
    """Another process leads: every further step would be a second pair of hands."""
    bell = Bell()
    step, done = steps(LeadershipLost("gone"), bell=bell)
    with pytest.raises(LeadershipLost):
        await repeat(step, bell=bell, name="test")
    assert done == [1]


async def test_a_loop_that_never_waits_lets_others_run() -> None:
    """A backlog of days must not stop webhooks from being accepted in the same process."""
    bell = Bell()

    async def busy() -> float:
        return 0.0

    running = asyncio.create_task(repeat(busy, bell=bell, name="test"))
    for _ in range(10):
        await asyncio.sleep(0)
    bell.stop()
    await running
