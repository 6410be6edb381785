"""The set-up is checked beside the relay's work: one check at a time, and none of its troubles is the relay's."""

import asyncio
import threading

from app.checkup import Examined
from app.doctor.report import Finding, Report, Verdict
from app.setup_watch import SetupWatch
from tests.conftest import MovableClock


def examined(*verdicts: Verdict) -> Examined:
    findings = (Finding("Marketo", "clock", "Clock", "", verdict, "found", "advice") for verdict in verdicts)
    return Examined(Report(tuple(findings)))


async def until_done(watch: SetupWatch) -> None:
    async with asyncio.timeout(10):
        while watch.is_running:  # noqa: ASYNC110  # it runs in a thread
            await asyncio.sleep(0.01)


async def test_before_the_first_check_there_is_nothing_to_tell(clock: MovableClock) -> None:
    async def examine() -> Examined:
        return examined(Verdict.OK)

    watch = SetupWatch(examine, clock=clock)
    assert (watch.last(), watch.summary()) == (None, None)
    assert watch.begin()
    await until_done(watch)
    report = watch.last()
    assert report is not None
    assert report["checkedAt"] == clock().isoformat()
    assert watch.summary() == (False, "All 1 checks are fine.")


async def test_one_check_runs_at_a_time(clock: MovableClock) -> None:
    """However often somebody presses the button, Marketo is asked once."""
    gate, looks = threading.Event(), []

    async def examine() -> Examined:
        looks.append(1)
        await asyncio.to_thread(gate.wait, 10)
        return examined(Verdict.FAIL)

    watch = SetupWatch(examine, clock=clock)
    assert [watch.begin() for _ in range(5)] == [True, False, False, False, False]
    gate.set()
    await until_done(watch)
    assert len(looks) == 1
    assert watch.summary() == (True, "1 checks: 1 error.")
    assert watch.begin()
    await until_done(watch)


async def test_a_check_that_fails_leaves_the_last_report(clock: MovableClock) -> None:
    outcomes = [examined(Verdict.OK)]

    async def examine() -> Examined:
        return outcomes.pop()  # the second time there is none

    watch = SetupWatch(examine, clock=clock)
    for _ in range(2):
        watch.begin()
        await until_done(watch)
    assert watch.summary() == (False, "All 1 checks are fine.")


async def test_the_first_check_waits_until_it_is_time(clock: MovableClock) -> None:
    """Of many processes, the one that leads looks."""
    leads = False

    async def examine() -> Examined:
        return examined(Verdict.OK)

    watch = SetupWatch(examine, clock=clock)
    waiting = asyncio.create_task(watch.begin_when(lambda: leads))
    await asyncio.sleep(0.01)
    assert (watch.is_running, watch.last()) == (False, None)
    leads = True
    async with asyncio.timeout(10):
        await waiting
    await until_done(watch)
    assert watch.last()
