"""The set-up is checked beside the relay's work: one check at a time, and none of its troubles is the relay's."""

import asyncio
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from app.checkup import Examined
from app.doctor.report import Finding, Report, Verdict
from app.domain import Json
from app.errors import StoreUnavailable
from app.setup_watch import InTheStore, SetupWatch
from app.store.database import open_database
from tests.conftest import MovableClock
from tests.tables import make_tables


def examined(*verdicts: Verdict) -> Examined:
    findings = (Finding("Marketo", "clock", "Clock", "", verdict, "found", "advice") for verdict in verdicts)
    return Examined(Report(tuple(findings)))


class Shelf:
    """Keeps a report as the store does, for several watches; it is away while `is_broken`."""

    def __init__(self) -> None:
        self.kept: Mapping[str, Json] | None = None
        self.is_broken = False

    async def keep(self, report: Mapping[str, Json], *, at: datetime) -> Mapping[str, Json]:
        self.kept = await self._unless_broken(report)
        return report

    async def last(self) -> Mapping[str, Json] | None:
        return await self._unless_broken(self.kept)

    async def _unless_broken(self, report: Mapping[str, Json] | None) -> Mapping[str, Json] | None:
        if self.is_broken:
            raise StoreUnavailable("the disk is full")
        return report


async def summary(watch: SetupWatch) -> object:
    report = await watch.last()
    return report["summary"] if report else None


async def until_done(watch: SetupWatch) -> None:
    async with asyncio.timeout(10):
        while watch.is_running:  # noqa: ASYNC110  # it runs in a thread
            await asyncio.sleep(0.01)


async def test_before_the_first_check_there_is_nothing_to_tell(clock: MovableClock) -> None:
    async def examine() -> Examined:
        return examined(Verdict.OK)

    watch = SetupWatch(examine, shared=Shelf(), clock=clock)
    assert await watch.last() is None
    assert watch.begin()
    await until_done(watch)
    report = await watch.last()
    assert report is not None
    assert report["checkedAt"] == clock().isoformat()
    assert report["summary"] == "All 1 checks are fine."


async def test_one_check_runs_at_a_time(clock: MovableClock) -> None:
    """However often somebody presses the button, Marketo is asked once."""
    gate, looks = threading.Event(), []

    async def examine() -> Examined:
        looks.append(1)
        await asyncio.to_thread(gate.wait, 10)
        return examined(Verdict.FAIL)

    watch = SetupWatch(examine, shared=Shelf(), clock=clock)
    assert [watch.begin() for _ in range(5)] == [True, False, False, False, False]
    gate.set()
    await until_done(watch)
    assert len(looks) == 1
    assert await summary(watch) == "1 checks: 1 error."
    assert watch.begin()
    await until_done(watch)


async def test_a_check_that_fails_leaves_the_last_report(clock: MovableClock) -> None:
    outcomes = [examined(Verdict.OK)]

    async def examine() -> Examined:
        return outcomes.pop()  # the second time there is none

    watch = SetupWatch(examine, shared=Shelf(), clock=clock)
    for _ in range(2):
        watch.begin()
        await until_done(watch)
    assert await summary(watch) == "All 1 checks are fine."


async def test_the_first_check_waits_until_the_process_leads(clock: MovableClock) -> None:
    """Of many processes, the one that leads looks."""
    leads = False

    async def examine() -> Examined:
        return examined(Verdict.OK)

    watch = SetupWatch(examine, shared=Shelf(), clock=clock)
    waiting = asyncio.create_task(watch.watch(lambda: leads, at_start=True, every=None))
    await asyncio.sleep(0.01)
    assert (watch.is_running, await watch.last()) == (False, None)
    leads = True
    async with asyncio.timeout(10):
        await waiting
    await until_done(watch)
    assert await watch.last()


async def test_it_is_checked_again_and_again(clock: MovableClock) -> None:
    """Somebody deactivates the campaign in a month."""
    looks: list[int] = []
    often = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def examine() -> Examined:
        looks.append(1)
        if len(looks) == 3:
            loop.call_soon_threadsafe(often.set)
        return examined(Verdict.OK)

    watch = SetupWatch(examine, shared=Shelf(), clock=clock)
    watching = asyncio.create_task(watch.watch(lambda: True, at_start=False, every=timedelta(milliseconds=5)))
    async with asyncio.timeout(30):
        await often.wait()
    watching.cancel()
    await until_done(watch)


async def test_what_another_process_found_is_told_here_too(clock: MovableClock) -> None:
    """Of several workers one looks, and a request reaches any. The newest report counts."""
    shelf = Shelf()
    verdicts = [Verdict.WARN, Verdict.OK]

    async def examine() -> Examined:
        return examined(verdicts.pop())

    here, there = (SetupWatch(examine, shared=shelf, clock=clock, fresh=timedelta(0)) for _ in range(2))
    there.begin()
    await until_done(there)
    assert await summary(here) == "All 1 checks are fine."
    clock.move(timedelta(minutes=1))
    here.begin()
    await until_done(here)
    assert {await summary(here), await summary(there)} == {"1 checks: 1 warning."}


async def test_the_store_is_asked_seldom(clock: MovableClock) -> None:
    """Balancers ask /readyz every second, each of them."""
    shelf = Shelf()

    async def examine() -> Examined:
        return examined(Verdict.OK)

    watch = SetupWatch(examine, shared=shelf, clock=clock, fresh=timedelta(hours=1))
    assert await watch.last() is None
    shelf.kept = {"checkedAt": clock().isoformat()}
    assert await watch.last() is None


async def test_without_the_store_each_tells_what_it_knows(clock: MovableClock) -> None:
    shelf = Shelf()

    async def examine() -> Examined:
        return examined(Verdict.OK)

    here, there = (SetupWatch(examine, shared=shelf, clock=clock, fresh=timedelta(0)) for _ in range(2))
    shelf.is_broken = True
    here.begin()
    await until_done(here)
    assert (await summary(here), await summary(there)) == ("All 1 checks are fine.", None)


async def test_a_secret_that_a_vendor_quotes_does_not_reach_the_store(clock: MovableClock, tmp_path: Path) -> None:
    """Whoever gets a backup must not get the keys."""
    database = open_database(url := f"sqlite:///{tmp_path / 'relay.db'}")
    await make_tables(database)
    shared = InTheStore(url, database, ['s3cret"key'])
    await shared.keep({"checkedAt": clock().isoformat(), "found": 'the key s3cret"key is "refused"'}, at=clock())
    kept = await shared.last()
    await database.close()
    assert kept is not None
    assert kept["found"] == 'the key *** is "refused"'


async def test_a_campaign_keeps_its_name_while_it_cannot_be_looked_at(clock: MovableClock, tmp_path: Path) -> None:
    """When the day's calls are used up nobody should have to know campaigns by their numbers."""
    database = open_database(url := f"sqlite:///{tmp_path / 'relay.db'}")
    await make_tables(database)
    shared = InTheStore(url, database, ())
    for seen in ({"7": "Reminder", "8": "Old"}, {}, {"8": "New"}):
        kept = await shared.keep({"checkedAt": clock().isoformat(), "campaigns": dict(seen)}, at=clock())
    last = await shared.last()
    await database.close()
    assert last == kept
    assert kept["campaigns"] == {"7": "Reminder", "8": "New"}
