"""A leader's parts on a real store, with a time that only moves when nothing can be done."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import update

from app.dispatch.bell import Bell
from app.dispatch.caller import Caller, Marketo
from app.dispatch.claiming import Claiming
from app.dispatch.day import Day
from app.dispatch.heeding import Heeding
from app.dispatch.intake import Intake
from app.dispatch.judgement import Judge
from app.dispatch.lease import Applicant, Lease
from app.dispatch.pausing import Pauses
from app.dispatch.reading import EventReader
from app.dispatch.sender import Sender
from app.dispatch.verdicts import Policy
from app.dispatch.window import Window
from app.domain import (
    CampaignId,
    Cause,
    Clock,
    Event,
    EventId,
    EventState,
    Finding,
    Ignored,
    Json,
    NewEvent,
    Person,
    Registered,
    RegistrationState,
    Webinar,
    new_id,
)
from app.errors import LeadershipLost
from app.metrics import Metrics
from app.quota_day import next_quota_day
from app.sources.base import Accepted, Inbound, Source
from app.sources.webinars import Catalogue
from app.store.ahead import count_open
from app.store.calls import CallLog
from app.store.database import Database
from app.store.events import EventQueue
from app.store.inbox import Inbox
from app.store.leases import Leases
from app.store.lookup import Lookup
from app.store.registrations import Registrations
from app.store.sending import Sending
from app.store.tables import events
from app.store.views import EventView, RegistrationFilter, RegistrationView
from tests.conftest import MovableClock
from tests.dispatch.simulated_marketo import RUNS_ON, SimulatedMarketo
from tests.patience import PATIENT

NOT_YET = Ignored(Cause.NOT_A_REGISTRATION, "not yet")
CAMPAIGN, OTHER_CAMPAIGN = CampaignId(7), CampaignId(8)
JUDGE = Judge(catalogue=Catalogue(), campaigns={"custom": CAMPAIGN}, allowed=frozenset({CAMPAIGN, OTHER_CAMPAIGN}))
RETRY = Policy()


class Ticks:
    """A monotonic clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], *, look_every: float = 0.005) -> None:
    """Return when the condition holds; a test whose condition never does ends by this limit."""
    async with asyncio.timeout(30):
        while True:
            held = condition()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(look_every)


@asynccontextmanager
async def locked(database: Database) -> AsyncIterator[None]:
    """Hold SQLite's write lock, as a backup or another process may."""
    holder = sqlite3.connect(str(database.engine.url.database), isolation_level=None, timeout=0)

    def is_taken() -> bool:
        try:
            holder.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        return True

    try:
        await until(is_taken)
        yield
    finally:
        holder.close()


@dataclass
class ScriptedSource:
    """A source whose events mean what the test says. `fetch` and `read` stand for resolve and map."""

    name: str = "custom"
    meanings: dict[bytes, Sequence[Finding]] = field(default_factory=dict)
    fetch: Callable[[Event], Awaitable[Json]] | None = None
    read: Callable[[Event, Json], Sequence[Finding]] | None = None
    fetched: list[EventId] = field(default_factory=list)

    def receive(self, request: Inbound) -> Accepted | Ignored:
        raise NotImplementedError

    async def resolve(self, event: Event) -> Json:
        self.fetched.append(event.id)
        return await self.fetch(event) if self.fetch else None

    def map(self, event: Event, fetched: Json) -> Sequence[Finding]:
        return self.read(event, fetched) if self.read else self.meanings[event.body]


def registered(address: str, webinar: str = "w-1", campaign: CampaignId | None = None) -> Registered:
    link = f"https://example.com/{webinar}"
    return Registered(Person(address), Webinar(webinar, f"Talk {webinar}", link), campaign_id=campaign)


def people(count: int, webinar: str = "w-1", *, first: int = 0) -> list[Registered]:
    return [registered(f"p{number}@example.com", webinar) for number in range(first, first + count)]


async def store_events(database: Database, new: Iterable[NewEvent]) -> list[str]:
    """Accept events as the web half does, and return their ids."""
    inbox = Inbox(database, writes=PATIENT)
    running = asyncio.create_task(inbox.run())
    try:
        receipts = await asyncio.gather(*(inbox.accept(event) for event in new))
    finally:
        inbox.close()
        await running
    return [receipt.event_id for receipt in receipts]


def new_event(clock: Clock, body: bytes, *, source: str = "custom") -> NewEvent:
    now = clock()
    return NewEvent(EventId(new_id("evt", now)), source, now, now, {}, body, None)


async def all_registrations(database: Database) -> list[RegistrationView]:
    """Return every registration, oldest first."""
    page = await Lookup(database).registrations(RegistrationFilter(), limit=100_000)
    return list(reversed(page.items))


@dataclass
class Stage:
    """One term of leadership, driven by hand."""

    database: Database
    clock: MovableClock
    ticks: Ticks
    marketo: SimulatedMarketo
    source: ScriptedSource
    lease: Lease
    intake: Intake
    sender: Sender
    _stored: int = 0

    async def arrive(self, *findings: Finding) -> None:
        """Let one event with these findings come, and be recorded."""
        self._stored += 1
        body = b"%d" % self._stored
        self.source.meanings[body] = findings
        [event_id] = await store_events(self.database, [new_event(self.clock, body)])
        while (await self.event(event_id)).state == "waiting":
            await self.intake.step()

    async def event(self, event_id: str) -> EventView:
        found = await Lookup(self.database).event(event_id)
        assert found is not None
        return found

    async def make_due_again(self, event_id: str) -> None:
        """Let an event be mapped once more, as a replay does."""
        again = update(events).where(events.c.id == event_id).values(state="waiting", due_at=self.clock())
        async with self.database.write() as connection:
            await connection.execute(again)

    def lose_the_lease(self) -> None:
        lease = self.sender.caller.lease
        assert isinstance(lease, Unending)
        lease.is_lost = True

    def pass_time(self, seconds: float) -> None:
        self.ticks.move(seconds)
        self.clock.move(timedelta(seconds=seconds))

    async def work(self, *, at_most: timedelta = timedelta(minutes=5)) -> None:
        """Send until nothing is open, or until this much time has passed."""
        end = self.clock() + at_most
        while self.clock() < end:
            before = list(self.sender._running)
            wait = await self.sender.step()
            if wait == 0 or any(call.done() for call in before):  # what has ended since it looked may be due
                await asyncio.sleep(0)
            elif running := list(self.sender._running):
                done, _ = await asyncio.wait(running, timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    self.pass_time(wait)
            elif (await count_open(self.database))[0]:
                self.pass_time(wait)
            else:
                return

    async def work_until_known(self) -> None:
        """Find the people, and stop before their campaigns are requested."""
        await self.sender.step()
        await asyncio.gather(*self.sender._running)

    async def registrations(self) -> list[RegistrationView]:
        return await all_registrations(self.database)

    async def states(self) -> Mapping[RegistrationState, int]:
        return Counter(one.state for one in await self.registrations())

    async def the_only_one(self) -> RegistrationView:
        """Return the only registration, with its timeline and calls."""
        [one] = await self.registrations()
        found = await Lookup(self.database).registration(one.id)
        assert found is not None
        return found


async def set_stage(
    database: Database,
    clock: MovableClock,
    *,
    judge: Judge = JUDGE,
    policy: Policy = RETRY,
    calls_per_window: int = 50,
    calls_per_day: int = 50_000,
    most_in_flight: int = 5,
    marketo: SimulatedMarketo | None = None,
    sources: Mapping[str, Source] | None = None,
    ticks: Ticks | None = None,
    runs_on: timedelta = RUNS_ON,
) -> Stage:
    """Return a leader of this database that has just begun its term."""
    ticks = ticks or Ticks()
    marketo = marketo or SimulatedMarketo(ticks)
    source = ScriptedSource()
    lease = await Applicant(Leases(database, within=PATIENT), "stage", ticks).apply()
    assert lease is not None
    window = Window(calls_per_window, most_in_flight)
    heed = Heeding(window, clock, ticks)
    caller = caller_of(
        Sending(database, runs_on=runs_on, heed=heed),
        CallLog(database, clock=clock, heed=heed),
        marketo,
        lease,
        policy=policy,
        window=window,
        calls_per_day=calls_per_day,
        clock=clock,
        ticks=ticks,
    )
    intake, sender = halves(database, caller, judge=judge, sources=sources or {"custom": source})
    await sender.prepare(caller.log)
    return Stage(database, clock, ticks, marketo, source, lease, intake, sender)


def caller_of(
    sending: Sending,
    log: CallLog,
    marketo: Marketo,
    lease: Lease,
    *,
    policy: Policy,
    window: Window,
    calls_per_day: int,
    clock: Clock,
    ticks: Callable[[], float],
) -> Caller:
    """Return what makes the calls of a term, whose lease somebody else renews."""
    return Caller(
        marketo=marketo,
        sending=sending,
        log=log,
        lease=Unending(lease),
        window=window,
        pauses=Pauses(log, clock=clock),
        policy=policy,
        metrics=Metrics(),
        clock=clock,
        bell=Bell(),
        day=Day(calls_per_day, next_quota_day(clock())),
        ticks=ticks,
    )


def halves(
    database: Database, caller: Caller, *, judge: Judge, sources: Mapping[str, Source], look_every: float = 1.0
) -> tuple[Intake, Sender]:
    """Return the two halves of the way, whose calls this one makes."""
    intake = Intake(
        claiming=Claiming(events=EventQueue(database), lease=caller.lease, clock=caller.clock, look_every=look_every),
        reader=EventReader(sources=sources, clock=caller.clock),
        registrations=Registrations(database),
        judge=judge,
        lease=caller.lease,
        metrics=caller.metrics,
        clock=caller.clock,
        bell=Bell(),
        sender_bell=caller.bell,
    )
    sender = Sender(sending=caller.sending, caller=caller, clock=caller.clock, bell=caller.bell, look_every=look_every)
    return intake, sender


class Unending(Lease):
    """A lease whose renewals are left to somebody else: the time on a stage passes in leaps."""

    def __init__(self, lease: Lease) -> None:
        self.fence = lease.fence
        self.is_lost = False

    def check(self) -> None:
        if self.is_lost:
            raise LeadershipLost("the lease ran out")


async def events_of(stage: Stage, *bodies: bytes, source: str = "custom") -> list[str]:
    """Store an event with each of these bodies, and return their ids."""
    return await store_events(stage.database, [new_event(stage.clock, body, source=source) for body in bodies])


async def settled(stage: Stage, *ids: str) -> list[EventView]:
    """Step until these events are at their ends."""
    for _ in range(50):
        views = [await stage.event(event_id) for event_id in ids]
        if all(view.state != EventState.WAITING for view in views):
            return views
        await stage.intake.step()
    raise AssertionError("they do not settle")
