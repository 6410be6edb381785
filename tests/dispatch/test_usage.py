"""What all integrations use of the day: asked now and then, in the window, and never a reason to stop."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from app.dispatch.usage import Reconciler
from app.marketo.codes import Endpoint
from app.marketo.failures import CallFailed, failure
from app.store.calls import CallLog
from app.store.database import Database
from tests.conftest import MovableClock
from tests.dispatch.stage import Stage, registered, set_stage


@dataclass
class Statistics:
    """Tells a total, or raises what it is told to, once each."""

    total: int = 0
    faults: list[CallFailed] = field(default_factory=list)
    asked: int = 0

    async def usage(self) -> int:
        self.asked += 1
        if self.faults:
            raise self.faults.pop(0)
        return self.total


def reconciler(stage: Stage, statistics: Statistics) -> Reconciler:
    return Reconciler(stage.sender.caller, statistics, CallLog(stage.database, clock=stage.clock))


async def test_a_new_leader_asks_at_once(sqlite: Database, clock: MovableClock) -> None:
    """It cannot know what others have used; the call itself counts, in the window, the day and the store."""
    stage, statistics = await set_stage(sqlite, clock), Statistics(total=1234)
    await reconciler(stage, statistics).step()
    caller = stage.sender.caller
    assert (caller.day.used, caller.day.own, caller.day.others) == (1234, 1, 1233)
    assert caller.window.used(stage.ticks()) == 1
    assert await CallLog(sqlite, clock=clock).count_since(clock() - timedelta(seconds=1)) == 1


async def test_it_asks_again_after_ten_minutes_of_calls_or_after_500(sqlite: Database, clock: MovableClock) -> None:
    """Not while nothing is sent: an idle relay costs nothing."""
    stage, statistics = await set_stage(sqlite, clock), Statistics()
    asking = reconciler(stage, statistics)
    for seconds in (0, 300, 600, 3600):
        stage.pass_time(seconds)
        await asking.step()
    assert statistics.asked == 1
    stage.sender.caller.day.begin_call(clock())
    await asking.step()
    assert statistics.asked == 2
    for _ in range(500):
        await asking.step()
        assert statistics.asked == 2
        stage.sender.caller.day.begin_call(clock())
    await asking.step()
    assert statistics.asked == 3


async def test_a_new_day_is_asked_for(sqlite: Database, clock: MovableClock) -> None:
    """What others used yesterday says nothing about today."""
    stage, statistics = await set_stage(sqlite, clock), Statistics(total=700)
    stage.sender.caller.day.own = 100
    asking = reconciler(stage, statistics)
    await asking.step()
    stage.pass_time(24 * 3600)
    statistics.total = 5
    await asking.step()
    assert (statistics.asked, stage.sender.caller.day.used) == (2, 5)


@pytest.mark.parametrize("code", ["603", "608", "500", "610"])
async def test_a_failure_harms_nothing(sqlite: Database, clock: MovableClock, code: str) -> None:
    """The permission may be missing; the relay's own count serves, and the next try is an hour away."""
    stage = await set_stage(sqlite, clock)
    statistics = Statistics(faults=[failure(Endpoint.USAGE, code, "no")])
    asking = reconciler(stage, statistics)
    await asking.step()
    caller = stage.sender.caller
    assert (caller.pauses.wait(), caller.day.used, caller.window.in_flight) == (0, 1, 0)
    await stage.arrive(registered("ada@example.com"))
    await stage.work()
    assert await stage.states() == {"sent": 1}
    stage.pass_time(3599)
    await asking.step()
    assert statistics.asked == 1
    stage.pass_time(1)
    await asking.step()
    assert statistics.asked == 2


async def test_limits_that_it_meets_count(sqlite: Database, clock: MovableClock) -> None:
    """606, 615 and 607 are of the instance: this call tells of them as well as any."""
    stage = await set_stage(sqlite, clock)
    statistics = Statistics(faults=[failure(Endpoint.USAGE, "606", "too many")])
    asking = reconciler(stage, statistics)
    await asking.step()
    caller = stage.sender.caller
    assert caller.window.rate.at(stage.ticks()) == 35
    assert caller.pauses.wait() == 5
    stage.pass_time(0)
    await asking.step()
    assert statistics.asked == 1, "it waits like every other call"


async def test_it_waits_for_its_place(sqlite: Database, clock: MovableClock) -> None:
    """A window that is full is full for it, too; and a spent day has no call for it."""
    stage, statistics = await set_stage(sqlite, clock, calls_per_window=2, calls_per_day=2), Statistics()
    asking = reconciler(stage, statistics)
    stage.sender.caller.window.remember([stage.ticks(), stage.ticks()])
    assert await asking.step() == 1.0
    assert statistics.asked == 0
    stage.pass_time(20)
    stage.sender.caller.day.own = 2
    await asking.step()
    assert statistics.asked == 0
