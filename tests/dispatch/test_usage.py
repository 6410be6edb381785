"""What all integrations use of the day: asked now and then, in the window, and never a reason to stop."""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import pytest

from app.dispatch.day import Day, DayState
from app.dispatch.pausing import Pauses
from app.dispatch.usage import Reconciler
from app.domain import CallId
from app.marketo.answers import DayUsage
from app.marketo.codes import Endpoint
from app.marketo.failures import CallFailed, failure
from app.quota_day import next_quota_day, quota_date
from app.store.calls import CallLog
from app.store.claims import Call
from app.store.database import Database
from app.store.sharing import begin_beside
from tests.conftest import MovableClock
from tests.dispatch.stage import Stage, registered, set_stage


@dataclass
class Statistics:
    """Tells a total, or raises what it is told to, once each."""

    total: int = 0
    day: date | None = None
    faults: list[CallFailed] = field(default_factory=list)
    asked: int = 0

    async def usage(self) -> DayUsage:
        self.asked += 1
        if self.faults:
            raise self.faults.pop(0)
        return DayUsage(self.total, self.day)


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


async def test_a_check_beside_the_leader_counts_once(database: Database, clock: MovableClock) -> None:
    """Before a term and within it: what the leader knows of is what the store has, and others' calls."""
    log = CallLog(database, clock=clock)

    async def check(calls: int) -> None:
        for _ in range(calls):
            await begin_beside(database, "setup", clock(), lambda _: None)

    await check(2)
    stage, statistics = await set_stage(database, clock), Statistics(total=2 + 13 + 1 + 5)
    day = stage.sender.caller.day
    assert (day.own, day.used) == (0, 2)
    await check(13)
    await reconciler(stage, statistics).step()
    assert (day.used, day.others) == (21, 5)
    assert await log.count_since(day.began_at) + day.others == day.used
    await check(1)
    await stage.sender.caller.count_beside()
    assert (day.used, day.others) == (22, 5)


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


async def refused(stage: Stage) -> None:
    """Marketo says in the middle of a day that its calls are used up."""
    call = Call(CallId("call_1"), "trigger", None, ())
    await stage.sender.caller.take_refusal(failure(Endpoint.TRIGGER, "607", "Daily quota reached"), call, stage.clock())


async def test_a_refused_day_is_asked_about_every_hour_and_goes_on_when_calls_were_bought(
    sqlite: Database, clock: MovableClock
) -> None:
    """A quota can be enlarged, and a 607 can be a mistake: neither costs the rest of the day."""
    stage, statistics = await set_stage(sqlite, clock), Statistics(total=60)
    asking, caller = reconciler(stage, statistics), stage.sender.caller
    await asking.step()
    await refused(stage)
    assert (caller.day.left, caller.day.state(clock())) == (0, DayState.SPENT)
    assert "though only 60 of 50000 are known of" in (caller.day.described(clock()) or "")
    statistics.faults = [failure(Endpoint.USAGE, "607", "Daily quota reached")]
    for seconds, asked in ((0, 1), (3599, 1), (1, 2), (3599, 2)):
        stage.pass_time(seconds)
        await asking.step()
        assert statistics.asked == asked
    assert caller.pauses.wait() > 0
    stage.pass_time(1)
    await asking.step()
    assert (caller.pauses.wait(), caller.day.state(clock())) == (0, DayState.OPEN)
    assert await CallLog(sqlite, clock=clock).pauses() == []


async def test_who_restarts_the_relay_need_not_wait_for_that_hour(sqlite: Database, clock: MovableClock) -> None:
    """Somebody has bought calls, and restarts it with the new number."""
    stage = await set_stage(sqlite, clock)
    await refused(stage)
    log, statistics = CallLog(sqlite, clock=clock), Statistics(total=60)
    day = Day(50_000, next_quota_day(clock()))
    caller = replace(stage.sender.caller, pauses=Pauses(log, clock=clock), day=day)
    stage.sender.caller = caller
    await stage.sender.prepare(log)
    assert caller.day.state(clock()) is DayState.SPENT
    await reconciler(stage, statistics).step()
    assert (statistics.asked, caller.pauses.wait()) == (1, 0)


async def test_a_full_day_stays_refused(sqlite: Database, clock: MovableClock) -> None:
    """The statistics may still answer when nothing else does."""
    stage, statistics = await set_stage(sqlite, clock), Statistics(total=50_000)
    await refused(stage)
    await reconciler(stage, statistics).step()
    assert (statistics.asked, stage.sender.caller.pauses.wait() > 0) == (1, True)


async def test_a_refusal_soon_after_midnight_may_mean_the_day_before(sqlite: Database, clock: MovableClock) -> None:
    """No two clocks run the same: a second too early must not cost the whole new day."""
    clock.now = next_quota_day(clock()) + timedelta(seconds=1)
    stage = await set_stage(sqlite, clock)
    waits = []
    for _ in range(8):
        await refused(stage)
        waits.append(stage.sender.caller.pauses.wait())
        assert stage.sender.caller.day.state(clock()) is DayState.OPEN
        stage.pass_time(waits[-1])
    assert waits[0] <= 15
    assert max(waits) <= 900
    stage.pass_time(3600)
    await refused(stage)
    assert stage.sender.caller.pauses.wait() > 20 * 3600


async def test_yesterdays_number_says_nothing_about_today(sqlite: Database, clock: MovableClock) -> None:
    """Right after midnight Marketo may still tell of the day before, which was full."""
    midnight = next_quota_day(clock())
    clock.now = midnight + timedelta(seconds=1)
    stage, statistics = await set_stage(sqlite, clock), Statistics(total=50_000, day=quota_date(midnight))
    asking, caller = reconciler(stage, statistics), stage.sender.caller
    await asking.step()
    assert (caller.day.others, caller.day.state(clock())) == (0, DayState.OPEN)
    stage.pass_time(60)
    caller.day.begin_call(clock())
    statistics.total, statistics.day = 700, caller.day.date
    await asking.step()
    assert (statistics.asked, caller.day.used) == (2, 700)


async def test_it_is_asked_each_minute_when_little_is_left(sqlite: Database, clock: MovableClock) -> None:
    """Others may use three hundred calls a minute: what is saved for tonight's webinars must be there."""
    stage, statistics = await set_stage(sqlite, clock), Statistics(total=41_000)
    asking, caller = reconciler(stage, statistics), stage.sender.caller
    for asked in range(1, 6):
        caller.day.begin_call(clock())
        await asking.step()
        assert statistics.asked == asked
        stage.pass_time(60)
