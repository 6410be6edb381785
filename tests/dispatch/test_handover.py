"""How soon another process leads when the leader is told to stop, in virtual time: two processes, one Marketo."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from app.sandbox.faults import Fault
from bench.arrivals import Registration
from bench.simulated import Course, simulate, simulated

WITHIN = 2.0  # seconds from the moment on which nothing is waited for any more


async def until(fact: Callable[[], bool], *, within: float) -> None:
    async with asyncio.timeout(within):
        while not fact():  # noqa: ASYNC110  # virtual time costs nothing
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("takes", "waits"),
    [
        (0, 0),  # nothing is under way
        (1, 1),
        (3, 3),
        (29, 4),  # then its answer is given up, and the next leader finds out what became of it
    ],
)
async def test_another_leads_soon_after_the_last_call_of_one_that_stops(takes: int, waits: int) -> None:
    """Its answer is worth some seconds: a request without one is looked for, which takes a minute and more."""

    async def play(folder: Path) -> Course:
        async with simulated(folder, relays=2) as stage:
            one, two = stage.relays
            await until(lambda: one.leads, within=5)
            if takes:
                slow = Fault("trigger", f"slow:{takes}")
                stage.world.faults.faults.append(slow)
                await stage.register([Registration(0, "ada@example.com")])
                await until(lambda: slow.hits == 1, within=10)
            one.dispatcher.stop()
            await until(lambda: two.leads, within=waits + WITHIN)
            await stage.settled()
            return stage.course()

    course = await simulate(play)
    assert course.once
    assert bool(course.kinds("activities")) == (takes > waits)
    assert course.world.violations.by_kind == {}
