"""Leading: one process sends, another takes over, and what was half done is settled by policy."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.dispatch.leader import Dispatcher
from app.dispatch.lease import GONE_AFTER
from app.dispatch.term import Work
from app.dispatch.verdicts import Policy
from app.domain import RegistrationState
from app.errors import StoreUnavailable
from app.marketo.codes import Endpoint
from app.marketo.failures import failure
from app.metrics import Metrics
from app.store.database import Database
from app.store.leases import LEADER, Leases
from app.store.lookup import Lookup
from app.store.tables import calls
from tests.conftest import MovableClock
from tests.dispatch.simulated_marketo import SimulatedMarketo
from tests.dispatch.stage import (
    JUDGE,
    RETRY,
    ScriptedSource,
    Ticks,
    all_registrations,
    locked,
    new_event,
    registered,
    set_stage,
    store_events,
    until,
)

SENT = RegistrationState.SENT
NOBODY = {"leader": False, "in_flight": 0, "window_used": 0, "paused": {}}


class Process:
    """One relay process, as far as sending goes."""

    def __init__(
        self,
        database: Database,
        clock: MovableClock,
        *,
        holder: str = "a",
        marketo: SimulatedMarketo | None = None,
        policy: Policy = RETRY,
        calls_per_day: int = 50_000,
        look_every: float = 1.0,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.database = database
        self.clock = clock
        self.marketo = marketo or SimulatedMarketo(time.monotonic)
        self.metrics = Metrics()
        self.source = ScriptedSource(read=lambda event, _: [registered(event.body.decode())])
        began = ticks()
        work = Work(
            database=database,
            sources={"custom": self.source},
            marketo=self.marketo,
            judge=JUDGE,
            policy=policy,
            metrics=self.metrics,
            clock=lambda: clock() + timedelta(seconds=ticks() - began),
            calls_per_window=50,
            calls_per_day=calls_per_day,
            most_in_flight=5,
            look_every=look_every,
            ticks=ticks,
        )
        self.dispatcher = Dispatcher(work, holder=holder)

    @property
    def leads(self) -> bool:
        return self.dispatcher.status()["leader"] is True

    async def arrive(self, address: str) -> None:
        await store_events(self.database, [new_event(self.clock, address.encode())])
        self.dispatcher.wake()

    async def has_sent(self, count: int) -> bool:
        return (await Lookup(self.database).counts()).get(SENT, 0) == count

    @asynccontextmanager
    async def running(self) -> AsyncIterator["asyncio.Task[None]"]:
        task = asyncio.create_task(self.dispatcher.run())
        try:
            yield task
        finally:
            self.dispatcher.stop()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_registration_goes_from_the_inbox_to_marketo(database: Database, clock: MovableClock) -> None:
    """The whole outbound way, started and stopped."""
    process = Process(database, clock)
    async with process.running():
        await until(lambda: process.leads)
        await process.arrive("ada@example.com")
        await until(lambda: process.has_sent(1))
    assert process.marketo.sizes(Endpoint.TRIGGER) == [1]
    assert process.marketo.broken_rules == []
    assert process.dispatcher.status() == NOBODY


async def test_waking_makes_a_lone_event_leave_without_a_poll(sqlite: Database, clock: MovableClock) -> None:
    """Here nobody looks at the store by himself within a test's life; each bell on the way must be rung."""
    process = Process(sqlite, clock, look_every=3600)
    async with process.running():
        await until(lambda: process.leads)
        for number in range(1, 4):
            await process.arrive(f"p{number}@example.com")
            await until(lambda wanted=number: process.has_sent(wanted))


async def test_waking_nobody_is_harmless(sqlite: Database, clock: MovableClock) -> None:
    """Most processes of a fleet never lead."""
    process = Process(sqlite, clock)
    process.dispatcher.wake()
    process.dispatcher.stop()
    await process.dispatcher.run()
    assert process.dispatcher.status() == NOBODY


async def test_events_that_other_processes_accepted_are_found(sqlite: Database, clock: MovableClock) -> None:
    """They ring no bell here."""
    process = Process(sqlite, clock)
    async with process.running():
        await until(lambda: process.leads)
        await store_events(sqlite, [new_event(clock, b"ada@example.com")])
        await until(lambda: process.has_sent(1))


async def test_only_one_of_two_processes_sends(database: Database, clock: MovableClock) -> None:
    """Marketo's limits belong to the instance."""
    one, two = Process(database, clock, holder="a"), Process(database, clock, holder="b")
    async with one.running():
        await until(lambda: one.leads)
        async with two.running():
            for number in range(5):
                await two.arrive(f"p{number}@example.com")
            await until(lambda: one.has_sent(5))
            assert not two.leads
    assert two.marketo.requests == []
    assert set(one.marketo.sent.values()) == {1}


async def test_another_process_leads_at_once_when_the_leader_stops(database: Database, clock: MovableClock) -> None:
    """The clock stands still: the lease was given back, it did not run out."""
    one, two = Process(database, clock, holder="a"), Process(database, clock, holder="b")
    async with one.running():
        await until(lambda: one.leads)
        async with two.running():
            one.dispatcher.stop()
            await until(lambda: two.leads)
            await two.arrive("ada@example.com")
            await until(lambda: two.has_sent(1))
    assert one.marketo.requests == []


async def test_a_cancelled_leader_gives_its_lease_back_too(sqlite: Database, clock: MovableClock) -> None:
    """The last means of a stop that takes too long."""
    one, two = Process(sqlite, clock, holder="a"), Process(sqlite, clock, holder="b")
    task = asyncio.create_task(one.dispatcher.run())
    await until(lambda: one.leads)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    async with two.running():
        await until(lambda: two.leads)


async def test_another_process_takes_over_from_a_killed_one(database: Database, clock: MovableClock) -> None:
    """Nobody gives the lease back: it falls silent, and what the dead one held is done."""
    dead = await set_stage(database, clock)
    dead.source.read = lambda event, _: [registered(event.body.decode())]
    await store_events(database, [new_event(clock, b"ada@example.com"), new_event(clock, b"grace@example.com")])
    await dead.intake.claiming.events.claim(now=clock(), fence=dead.lease.fence, limit=1)
    ticks = Ticks()
    process = Process(database, clock, holder="b", ticks=ticks)
    async with process.running():
        await asyncio.sleep(0.3)
        ticks.move(GONE_AFTER.total_seconds() - 1)
        await asyncio.sleep(1.1)
        assert not process.leads
        ticks.move(2)
        await until(lambda: process.has_sent(2))
    assert set(process.marketo.sent.values()) == {1}


@pytest.mark.parametrize(
    ("policy", "state", "emails"),
    [(RETRY, SENT, 1), (Policy(on_ambiguous="hold"), RegistrationState.DEAD, 0)],
)
async def test_a_request_under_way_when_the_leader_died_is_settled_by_policy(
    database: Database, clock: MovableClock, policy: Policy, state: RegistrationState, emails: int
) -> None:
    """Whether the campaign ran nobody knows; the call was written down before it was made."""
    dead = await set_stage(database, clock)
    await dead.arrive(registered("ada@example.com"))
    await dead.work_until_known()
    waiting = await dead.sender.sending.waiting(clock())
    await dead.sender.sending.claim_batch(waiting.batches[0], now=clock(), fence=dead.lease.fence, limit=100)
    await dead.lease.give_back()
    process = Process(database, clock, holder="b", policy=policy)
    async with process.running():
        await until(lambda: process.leads)
        await until(lambda: is_in(database, state))
    [one] = await all_registrations(database)
    view = await Lookup(database).registration(one.id)
    assert view is not None
    assert "answer lost" in [entry.what for entry in view.timeline]
    assert sorted(call.outcome or "" for call in view.calls) == sorted(["done", "lost", *["done"] * emails])
    assert sum(process.marketo.sent.values()) == emails


@pytest.mark.parametrize("kind", ["upsert", "trigger"])
async def test_a_call_before_which_the_lease_ran_out_is_made_in_the_next_term(
    database: Database, clock: MovableClock, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The machine stood still after it was written down: as nothing was sent, nobody waits, decides, or is doubtful."""
    ticks = Ticks()
    process = Process(database, clock, policy=Policy(on_ambiguous="hold"), ticks=ticks)
    process.marketo.ticks = ticks
    stand_still_after_writing_down(database, kind, ticks, monkeypatch)
    async with process.running():
        await until(lambda: process.leads)
        await process.arrive("ada@example.com")
        await until(lambda: process.has_sent(1))
    assert process.marketo.broken_rules == []
    [one] = await all_registrations(database)
    view = await Lookup(database).registration(one.id)
    assert view is not None
    assert [entry.what for entry in view.timeline if entry.what in ("waiting", "answer lost")] == ["waiting"]
    assert [call.outcome for call in view.calls if call.kind == kind] == ["refused", "done"]


def stand_still_after_writing_down(
    database: Database, kind: str, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let the first call of this kind be written down so slowly that the lease runs out."""
    write, is_open = database.write, (calls.c.kind == kind) & calls.c.finished_at.is_(None)

    @asynccontextmanager
    async def slow() -> AsyncIterator[AsyncConnection]:
        async with write() as connection:
            yield connection
            found = await connection.scalar(select(calls.c.id).where(is_open))
        if found and ticks.now == 1000:
            ticks.move(GONE_AFTER.total_seconds())

    monkeypatch.setattr(database, "write", slow)


async def is_in(database: Database, state: RegistrationState) -> bool:
    return await Lookup(database).counts() == {state: 1}


async def test_a_leader_whose_lease_went_to_another_stops(sqlite: Database, clock: MovableClock) -> None:
    """The store says so at the next renewal: it applies again, as any other."""
    process = Process(sqlite, clock)
    async with process.running():
        await until(lambda: process.leads)
        leases = Leases(sqlite)
        while await leases.take(LEADER, holder="b", seen=await leases.look(LEADER)) is None:
            pass  # it gave a sign of life in between
        await until(lambda: not process.leads)
        await process.arrive("ada@example.com")
    assert process.marketo.requests == []


async def test_a_stop_waits_for_the_call_under_way(sqlite: Database, clock: MovableClock) -> None:
    """And settles it; nothing new is begun."""
    process = Process(sqlite, clock)
    process.marketo.gate = asyncio.Event()
    async with process.running() as task:
        await until(lambda: process.leads)
        await process.arrive("ada@example.com")
        await until(lambda: len(process.marketo.requests) == 1)
        process.dispatcher.stop()
        await until(lambda: not process.leads)
        assert not task.done()
        process.marketo.gate.set()
        await task
    assert len(process.marketo.requests) == 1
    assert await Lookup(sqlite).counts() == {RegistrationState.KNOWN: 1}


async def test_a_stop_while_a_term_is_prepared_leads_nothing(sqlite: Database, clock: MovableClock) -> None:
    """Told to stop in its first moments, it begins no loop and gives the lease back."""
    process = Process(sqlite, clock)
    task = asyncio.create_task(process.dispatcher.run())
    leases = Leases(sqlite)

    async def taken() -> bool:
        return not (await leases.look(LEADER)).is_free

    await until(taken, look_every=0)
    process.dispatcher.stop()
    await task
    assert (await leases.look(LEADER)).is_free


async def test_the_status_tells_what_an_operator_asks(sqlite: Database, clock: MovableClock) -> None:
    """Who leads, how much of the window is used, and why nothing goes out. JSON, and nobody's data."""
    process = Process(sqlite, clock, ticks=Ticks())
    process.marketo.faults = [failure(Endpoint.SYNC, "603", "access denied for ada@example.com")]
    async with process.running():
        await until(lambda: process.leads)
        await process.arrive("ada@example.com")
        await until(lambda: bool(process.dispatcher.status()["paused"]))
        await until(lambda: process.dispatcher.status()["in_flight"] == 0)
        status = process.dispatcher.status()
    paused = status["paused"]
    assert isinstance(paused, Mapping)
    made = len(process.marketo.requests) + process.marketo.usage_asked
    assert (status["leader"], status["in_flight"]) == (True, 0)
    assert (status["window_used"], status["day_used"], status["day_state"]) == (made, made, "open")
    assert paused["marketo"].startswith("603: access denied for <address>")
    assert "Until 2026-11-23 12:00:10 UTC" in paused["marketo"]
    assert "ada@" not in str(status)


async def test_the_status_tells_of_a_spent_day(sqlite: Database, clock: MovableClock) -> None:
    """The setting's budget is a reason to stand still, too."""
    process = Process(sqlite, clock, calls_per_day=1)
    async with process.running():
        await until(lambda: process.leads)
        await process.arrive("ada@example.com")
        await until(lambda: "day" in str(process.dispatcher.status()["paused"]))
        status = process.dispatcher.status()
    until_midnight = "Until 2026-11-24 06:00:00 UTC, midnight US Central, nothing is sent."
    assert status["paused"] == {"day": f"The day's 1 calls are used up, 0 by others. {until_midnight}"}


async def test_a_store_that_is_away_ends_no_loop(impatient: Database, clock: MovableClock) -> None:
    """It is waited out, and what came before is sent afterwards."""
    process = Process(impatient, clock)
    async with process.running() as task:
        await until(lambda: process.leads)
        await store_events(impatient, [new_event(clock, b"ada@example.com")])
        async with locked(impatient):
            process.dispatcher.wake()
            with pytest.raises(StoreUnavailable):
                await store_events(impatient, [new_event(clock, b"grace@example.com")])
        assert not task.done()
        await until(lambda: process.has_sent(1))


async def test_a_lease_that_cannot_be_given_back_falls_silent(impatient: Database, clock: MovableClock) -> None:
    """A stop does not fail for a locked impatient."""
    process = Process(impatient, clock)
    async with process.running() as task:
        await until(lambda: process.leads)
        async with locked(impatient):
            process.dispatcher.stop()
            await task
    assert (await Leases(impatient).look(LEADER)).holder == "a"


async def test_the_backlog_is_counted(sqlite: Database, clock: MovableClock) -> None:
    """What waits, and for how long, is what one alerts on."""
    process = Process(sqlite, clock)
    first = new_event(clock, b"ada@example.com")
    await store_events(sqlite, [first])
    clock.move(timedelta(seconds=90))
    process.source.fetch = lambda _: asyncio.Event().wait()
    async with process.running():
        await until(lambda: 'relay_waiting{kind="events"} 1.0' in process.metrics.render(clock()).decode())
    assert "relay_oldest_waiting_seconds 90.0" in process.metrics.render(clock()).decode()
