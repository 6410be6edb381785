"""One window for all processes: a leader, a doctor and a further replica together never make more calls than it has."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.beside import Limits
from app.dispatch.window import Pace
from app.domain import CallId
from app.errors import WindowTaken
from app.store.calls import CallLog
from app.store.claims import CallResult
from app.store.database import Database
from app.store.sharing import Begun, begin_beside
from app.store.tables import calls
from tests.conftest import MovableClock
from tests.dispatch.simulated_marketo import SimulatedMarketo
from tests.dispatch.stage import Stage, people, registered, set_stage

SPAN = timedelta(seconds=20)
_TICK = 1.0  # seconds


@dataclass
class Check:
    """A process beside the leader that makes so many calls one after the other, each a second long."""

    stage: Stage
    limits: Limits
    left: int
    waited: int = 0
    _running: CallId | None = None

    async def step(self) -> None:
        database, clock = self.stage.database, self.stage.clock
        if self._running is not None:
            await CallLog(database, clock=clock).end(self._running, CallResult("done"))
            self._running = None
        if self.left:
            begun = await begin_beside(database, "setup", clock(), self.limits.full)
            if isinstance(begun, Begun):
                self._running, self.left = begun.call_id, self.left - 1
            else:
                self.waited += 1


@dataclass
class Bustle:
    """A leader with more to send than it may, and checks beside it."""

    stage: Stage
    checks: list[Check] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        for _ in range(round(seconds / _TICK)):
            while await self.stage.sender.step() == 0:
                await asyncio.gather(*self.stage.sender._running)
            for check in self.checks:
                await check.step()
            self.stage.pass_time(_TICK)
            if self.checks and not any(check.left for check in self.checks):
                return

    async def stays(self) -> list[tuple[bool, float, float]]:
        """Return all calls: whether they are of a check, and when each began and ended."""
        c = calls.c
        async with self.stage.database.read() as connection:
            rows = (await connection.execute(select(c.kind, c.started_at, c.finished_at).order_by(c.started_at))).all()
        first = rows[0].started_at
        since = [(kind, (at - first).total_seconds(), ((to or at) - first).total_seconds()) for kind, at, to in rows]
        return [(kind == "setup", at, to) for kind, at, to in since]


async def bustle(database: Database, clock: MovableClock, limits: Limits, *checks: int, crowd: int = 60) -> Bustle:
    stage = await set_stage(database, clock, calls_per_window=limits.calls, most_in_flight=limits.in_flight)
    if crowd:
        await stage.arrive(*(registered(f"p{n}@example.com", f"w-{n}") for n in range(crowd)))
    return Bustle(stage, [Check(stage, limits, count) for count in checks])


def most_in_any_window(stays: list[tuple[bool, float, float]]) -> int:
    """Return how many calls Marketo may have counted in 20 s: each somewhere between its beginning and its end."""
    return max(sum(at <= began and to > began - SPAN.total_seconds() for _, at, to in stays) for _, began, _ in stays)


@pytest.mark.parametrize("limits", [Limits(10, 5), Limits(2, 2), Limits(1, 1)], ids=str)
async def test_no_window_holds_more_than_the_budget(database: Database, clock: MovableClock, limits: Limits) -> None:
    """Neither is starved: who checks gets its share of a busy relay's calls, and the relay keeps the most of them."""
    scene = await bustle(database, clock, limits)
    await scene.run(21)
    scene.checks += [Check(scene.stage, limits, 1), Check(scene.stage, limits, 1)]
    began = scene.stage.ticks()
    await scene.run(100)
    stays = await scene.stays()
    assert most_in_any_window(stays) == limits.calls
    assert [check.left for check in scene.checks] == [0, 0]
    of_leader = sum(not is_check for is_check, at, _ in stays if at > 21)
    in_all = (scene.stage.ticks() - began) / SPAN.total_seconds() * limits.calls
    assert of_leader >= in_all - 2 - limits.calls


async def test_what_a_check_took_while_nothing_was_sent_comes_back_to_the_leader(
    database: Database, clock: MovableClock
) -> None:
    """Until then it is left out of the leader's window."""
    limits = Limits(10, 5)
    scene = await bustle(database, clock, limits, 20, crowd=0)
    await scene.run(9)
    await scene.stage.arrive(*(registered(f"p{n}@example.com", f"w-{n}") for n in range(40)))
    await scene.run(50)
    stays = await scene.stays()
    assert most_in_any_window(stays) == limits.calls
    of_checks = [at for is_check, at, _ in stays if is_check]
    assert (sum(at < 20 for at in of_checks), sum(40 <= at < 60 for at in of_checks)) == (5, 1)


async def test_beside_an_idle_leader_a_check_does_not_wait(database: Database, clock: MovableClock) -> None:
    scene = await bustle(database, clock, Limits(50, 5), 25, crowd=0)
    await scene.run(26)
    assert (scene.checks[0].left, scene.checks[0].waited) == (0, 0)


async def test_a_lone_registration_finds_a_place_beside_a_check(database: Database, clock: MovableClock) -> None:
    """Half of the window is left to the leader, whatever a check would like to ask."""
    scene = await bustle(database, clock, Limits(10, 5), 30, crowd=0)
    await scene.run(10)
    assert scene.checks[0].waited > 0
    began = scene.stage.ticks()
    await scene.stage.arrive(*people(1))
    await scene.stage.work()
    assert scene.stage.ticks() - began < 5  # nothing leaves the window for ten
    assert sum(scene.stage.marketo.sent.values()) == 1


async def test_several_checks_have_one_share_together(database: Database, clock: MovableClock) -> None:
    scene = await bustle(database, clock, Limits(20, 5))
    await scene.run(21)
    scene.checks += [Check(scene.stage, Limits(20, 5), 9) for _ in range(3)]
    await scene.run(21)
    assert most_in_any_window([one for one in await scene.stays() if one[0]]) == 2


async def test_a_check_that_was_killed_holds_the_only_place_in_flight_for_three_minutes(
    database: Database, clock: MovableClock
) -> None:
    """Nobody writes its call's end down; the relay stands still for as long as an upsert of it may take, no longer."""
    limits = Limits(10, 1)
    scene = await bustle(database, clock, limits, crowd=0)
    assert isinstance(await begin_beside(database, "setup", clock(), limits.full), Begun)
    await scene.stage.arrive(*people(1))
    for _ in range(2):
        await scene.run(1)
        assert scene.stage.marketo.requests == []
        scene.stage.pass_time(89)
    await scene.run(1)
    assert scene.stage.marketo.requests


async def test_further_pages_and_parts_of_a_refused_call_wait_for_a_place_too(
    database: Database, clock: MovableClock
) -> None:
    """Each is a request of its own for Marketo."""
    limits = Limits(6, 5)
    marketo = SimulatedMarketo(lambda: 0.0, poisonous={"p3@example.com"})
    stage = await set_stage(database, clock, calls_per_window=limits.calls, most_in_flight=5, marketo=marketo)
    await stage.arrive(*people(8))
    for _ in range(2):
        assert isinstance(await begin_beside(database, "setup", clock(), limits.full), Begun)
    await stage.sender.step()
    await asyncio.sleep(0.5)
    assert len(marketo.requests) <= limits.calls - 2
    for task in stage.sender._running:
        task.cancel()


async def test_of_many_who_look_at_once_no_two_take_the_last_place(database: Database, clock: MovableClock) -> None:
    """Counting and writing down are one step, also where transactions run beside one another."""
    limits = Limits(4, 10)
    stage = await set_stage(database, clock, calls_per_window=4, most_in_flight=10)
    caller = stage.sender.caller

    async def by_the_leader() -> bool:
        if caller.window.wait(stage.ticks(), Pace.AT_ONCE) != 0:
            return False
        caller.window.begin(stage.ticks(), Pace.AT_ONCE)
        try:
            await caller.log.begin("usage", fence=caller.lease.fence)
        except WindowTaken:
            caller.window.give_back()
            return False
        return True

    async def by_another() -> bool:
        return isinstance(await begin_beside(database, "setup", clock(), limits.full), Begun)

    begun = await asyncio.gather(*(by_the_leader() if n % 2 else by_another() for n in range(8)))
    while any(again := [await by_the_leader(), await by_another()]):
        begun += again
    assert sum(begun) == limits.calls
    assert len(await Bustle(stage).stays()) == limits.calls
