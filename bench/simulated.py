"""The relay's own inbox, store, dispatcher and Marketo client against the simulated Marketo, all in virtual time.

No copy of anything: clocks are handed in, and requests reach the simulation without a socket. What the processor does
takes no time here, so figures of this module say what Marketo's limits and the relay's choices cost.
"""

import asyncio
import logging
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import TypeVar, cast

import httpx
import structlog
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection

from app.dispatch.leader import Dispatcher
from app.dispatch.term import Work
from app.domain import Clock, EventId, NewEvent, new_id
from app.errors import StoreUnavailable
from app.making import CHECKS, allowed_campaigns, make_catalogue, make_judge, make_memory, make_policy
from app.marketo.address import base_urls
from app.marketo.auth import MarketoAuth
from app.marketo.client import MarketoClient
from app.marketo.transport import GuardedTransport
from app.metrics import Metrics
from app.sandbox import seed
from app.sandbox.config import SandboxConfig
from app.sandbox.faults import FaultBook
from app.sandbox.ledger import Call
from app.sandbox.marketo_answers import NOT_COUNTED
from app.sandbox.simulation import create_sandbox
from app.sandbox.world import Simulation, World
from app.settings import Settings, load_settings
from app.sources.base import Source
from app.sources.custom import CustomSource
from app.store.ahead import count_open
from app.store.database import Database
from app.store.events import EventQueue
from app.store.inbox import Inbox
from app.store.opening import prepare_store
from bench.afternoon import AfternoonRelay
from bench.arrivals import MORE_CAMPAIGNS, Registration
from bench.inprocess import InProcess
from bench.stage import relay_settings
from bench.virtual_time import clock_from, open_in_virtual_time, run_in_virtual_time

NOON = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)  # in US Central
MARKETO = "http://127.0.0.1:8090"
ACTIVITY_DELAY = timedelta(seconds=45)  # of the simulation; the relay's setting is 60 s
_TOGETHER = 0.1  # seconds; what arrives within is stored in one transaction, as under load
_LOOK_EVERY = 1.0  # seconds
_IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # the disk's time is none that counts here
_Result = TypeVar("_Result")
_WayIn = Callable[[], AbstractAsyncContextManager[AsyncConnection]]


class Life:
    """Whether a simulated process lives. To a killed one nothing happens any more: what it awaits never comes."""

    def __init__(self) -> None:
        self.is_killed = False
        self.is_buried = asyncio.Event()  # at the end of all, so that its tasks can be ended

    async def check(self) -> None:
        if self.is_killed:
            await self.is_buried.wait()
            raise StoreUnavailable("the process is dead")


class MachineClock:
    """The wall clock of a process's machine, which somebody may set."""

    def __init__(self, true: Clock) -> None:
        self._true = true
        self.wrong_by = timedelta(0)

    def __call__(self) -> datetime:
        return self._true() + self.wrong_by


class _Mortal(httpx.AsyncBaseTransport):
    """The network as a process sees it that may be killed."""

    def __init__(self, inner: httpx.AsyncBaseTransport, life: Life) -> None:
        self._inner, self._life = inner, life

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._life.check()
        response = await self._inner.handle_async_request(request)
        await self._life.check()
        return response


@dataclass(slots=True)
class Relay:
    """One process of the relay."""

    dispatcher: Dispatcher
    inbox: Inbox
    database: Database
    life: Life
    machine: MachineClock
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    def start(self) -> None:
        self.tasks = [asyncio.create_task(self.inbox.run()), asyncio.create_task(self.dispatcher.run())]

    def kill(self) -> None:
        """End it as `kill -9` does: nothing is finished, written or given back."""
        self.life.is_killed = True

    @property
    def leads(self) -> bool:
        return not self.life.is_killed and bool(self.dispatcher.status()["leader"])

    async def close(self) -> None:
        if not self.life.is_killed:
            self.dispatcher.stop()
            self.inbox.close()
            await asyncio.wait(self.tasks, timeout=60)
        self.life.is_buried.set()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.database.close()


@dataclass(frozen=True, slots=True)
class Stage:
    """What runs: the simulated Marketo's memory, the relay's processes, the clock they share."""

    world: World
    relays: Sequence[Relay]
    clock: Clock
    accepted: dict[tuple[str, str], float] = field(default_factory=dict)

    async def register(self, registrations: Iterable[Registration]) -> None:
        """Accept each so long after now as it says; what arrives at about the same moment shares a commit."""
        async for together in arriving(registrations):
            await asyncio.gather(*(self._accept(one) for one in together))

    async def _accept(self, one: Registration) -> None:
        relay = next(relay for relay in self.relays if not relay.life.is_killed)
        now = relay.machine()
        event = NewEvent(EventId(new_id("evt", now)), "custom", now, now, {}, one.body(), None)
        await relay.inbox.accept(event)
        self.accepted[one.key] = asyncio.get_running_loop().time()

    @property
    def leader(self) -> Relay | None:
        return next((relay for relay in self.relays if relay.leads), None)

    async def settled(self, *, within: timedelta = timedelta(days=1)) -> None:
        """Return when everything that was accepted is at its end.

        Raises:
            TimeoutError: it took longer than that, in virtual time.
        """
        database = next(relay.database for relay in self.relays if not relay.life.is_killed)
        async with asyncio.timeout(within.total_seconds()):
            while (await EventQueue(database).waiting())[0] or (await count_open(database))[0]:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_EVERY)

    def course(self) -> "Course":
        """Return what happened so far."""
        return course_of(self.world, self.accepted)


@dataclass(frozen=True, slots=True)
class Course:
    """What happened: when each registration was accepted and mailed, and every call. Times are seconds."""

    accepted: Mapping[tuple[str, str], float]
    sent: Mapping[tuple[str, str], Sequence[float]]
    calls: Sequence[Call]
    at: Sequence[float]
    world: World

    @property
    def latencies(self) -> list[float]:
        """Return how long each took from accepting to its campaign request."""
        return [times[0] - self.accepted[key] for key, times in self.sent.items()]

    @property
    def counted(self) -> list[float]:
        """Return when each call was made that Marketo counts."""
        return [at for at, call in zip(self.at, self.calls, strict=True) if call.code not in NOT_COUNTED]

    @property
    def lasted(self) -> float:
        """Return how long it took until the last campaign request."""
        return max((max(times) for times in self.sent.values()), default=0.0)

    @property
    def never(self) -> int:
        return len(self.accepted.keys() - self.sent.keys())

    @property
    def twice(self) -> int:
        return sum(len(times) > 1 for times in self.sent.values())

    @property
    def once(self) -> bool:
        """Tell whether everybody was mailed once for each webinar, and nobody became two people."""
        return not self.never and not self.twice and not self.world.people.duplicates

    def kinds(self, *kinds: str) -> int:
        return sum(call.kind in kinds for call in self.calls)


def course_of(world: World, accepted: Mapping[tuple[str, str], float]) -> Course:
    """Read what happened from the simulation's memory."""
    sent = defaultdict(list)
    for email in world.emails:
        title = email.passed.get(seed.TITLE_TOKEN, "")
        sent[str(email.lead.get("email")), title].append((email.at - world.began).total_seconds())
    calls = sorted((call for call in world.calls if call.service == "marketo"), key=lambda call: call.at)
    return Course(accepted, sent, calls, [(call.at - world.began).total_seconds() for call in calls], world)


@asynccontextmanager
async def simulated(
    folder: Path,
    settings: Mapping[str, str] | None = None,
    *,
    began: datetime = NOON,
    relays: int = 1,
    calls_per_day: int = 50_000,
    source: Source | None = None,
) -> AsyncIterator[Stage]:
    """Start a simulated Marketo and the relay in the running virtual time, and stop them at the end of the block.

    `source` takes the place of the custom one.
    """
    clock = clock_from(began)
    app, world = marketo_in(clock, calls_per_day=calls_per_day)
    chosen = settings_in(folder, settings)
    async with AsyncExitStack() as stack:
        running = []
        for number in range(relays):
            relay = _relay(chosen, MachineClock(clock), InProcess(app), f"relay-{number}", source)
            relay.start()
            stack.push_async_callback(relay.close)
            running.append(relay)
        yield Stage(world, running, clock)


def marketo_in(clock: Clock, *, calls_per_day: int = 50_000) -> tuple[FastAPI, World]:
    """Return a simulated Marketo with some more campaigns, and what it remembers."""
    app = create_sandbox(
        SandboxConfig(clock=clock, activity_delay=ACTIVITY_DELAY, calls_per_day=calls_per_day, keep_emails=100_000)
    )
    world = cast("Simulation", app.state.simulation).world
    pattern = world.assets.campaigns[seed.CAMPAIGN_ID]
    world.assets.campaigns |= {number: replace(pattern, id=number) for number in MORE_CAMPAIGNS}
    return app, world


def settings_in(folder: Path, changed: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of a relay whose database is in this folder."""
    allowed = ",".join(str(number) for number in (*MORE_CAMPAIGNS, seed.LINK_FIELD_CAMPAIGN_ID))
    environ = relay_settings(MARKETO, 8080, folder) | {"MARKETO_ALLOWED_CAMPAIGN_IDS": allowed} | dict(changed or {})
    return load_settings(environ=environ, folder=folder, checks=CHECKS)


def _relay(
    settings: Settings,
    clock: MachineClock,
    network: httpx.AsyncBaseTransport,
    holder: str,
    source: Source | None,
) -> Relay:
    life = Life()
    database = open_in_virtual_time(settings.database_url.get_secret_value())
    _make_mortal(database, life)
    catalogue = make_catalogue(settings)
    source = source or custom_source(settings)
    work = Work(
        database=database,
        sources={source.name: source},
        marketo=marketo_client(settings, clock, _Mortal(network, life)),
        judge=make_judge(settings, catalogue),
        policy=make_policy(settings),
        metrics=Metrics(),
        clock=clock,
        calls_per_window=settings.marketo_calls_per_window,
        calls_per_day=settings.marketo_calls_per_day,
        most_in_flight=settings.marketo_max_in_flight,
        ticks=asyncio.get_running_loop().time,
        memory=make_memory(settings),
        hold=timedelta(seconds=settings.marketo_link_field_hold_seconds),
    )
    dispatcher = Dispatcher(work, holder=holder)
    return Relay(dispatcher, Inbox(database, on_stored=dispatcher.wake), database, life, clock)


def custom_source(settings: Settings) -> CustomSource:
    return CustomSource(
        signing_secrets=[], api_keys=[seed.CUSTOM_API_KEY], allowed_campaigns=allowed_campaigns(settings)
    )


def marketo_client(settings: Settings, clock: Clock, network: httpx.AsyncBaseTransport) -> MarketoClient:
    """Return the relay's own client, with this network."""
    address = base_urls(settings.marketo_base_url)
    auth = MarketoAuth(
        address=address,
        client_id=settings.marketo_client_id,
        client_secret=settings.marketo_client_secret,
        clock=clock,
    )
    http = httpx.AsyncClient(transport=GuardedTransport(network, origin=address.origin), timeout=10.0)
    return MarketoClient(http=http, address=address, auth=auth, set_by=settings.setting_of_fields, clock=clock)


def _make_mortal(database: Database, life: Life) -> None:
    vars(database).update(read=_mortal(database.read, life), write=_mortal(database.write, life))


def _mortal(way_in: _WayIn, life: Life) -> _WayIn:
    @asynccontextmanager
    async def checked() -> AsyncIterator[AsyncConnection]:
        await life.check()
        async with way_in() as connection:
            yield connection

    return checked


async def afternoon(
    registrations: Iterable[Registration], faults: FaultBook | None = None, *, to_the_end: bool = True
) -> Course:
    """Let these register at the yardstick, in the running virtual time, against the same simulated Marketo."""
    app, world = marketo_in(clock_from(NOON))
    world.faults = faults or world.faults
    accepted = {}
    async with httpx.AsyncClient(transport=InProcess(app), base_url=MARKETO) as http:
        relay = AfternoonRelay(http, client_id=seed.CLIENT_ID, client_secret=seed.CLIENT_SECRET)
        running = asyncio.create_task(relay.run())
        async for together in arriving(registrations):
            for one in together:
                relay.accept(one.person, one.campaign, one.tokens)
                accepted[one.key] = asyncio.get_running_loop().time()
        if to_the_end:
            await relay.through()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return course_of(world, accepted)


async def simulate(play: Callable[[Path], Awaitable[_Result]], settings: Mapping[str, str] | None = None) -> _Result:
    """Run a play in virtual time, beside the caller's event loop, on a fresh database.

    It finds that in the folder, unless these settings, which are those of its relays, name another one.
    """

    def run() -> _Result:
        with tempfile.TemporaryDirectory(prefix="relay-bench-", dir=_IN_MEMORY) as folder, _silence():
            chosen = settings_in(Path(folder), settings)
            asyncio.run(prepare_store(chosen.database_url.get_secret_value()))
            return run_in_virtual_time(_played(play, Path(folder)))

    return await asyncio.to_thread(run)


async def _played(play: Callable[[Path], Awaitable[_Result]], folder: Path) -> _Result:
    return await play(folder)


@contextmanager
def _silence() -> Iterator[None]:
    """Let the relay's log pass nobody: a hundred thousand lines would be the figure."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


async def arriving(registrations: Iterable[Registration]) -> AsyncIterator[list[Registration]]:
    """Give those that arrive at about the same moment, when it has come."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for tick, together in groupby(registrations, key=lambda one: one.at // _TOGETHER):
        await asyncio.sleep(max(0.0, began + tick * _TOGETHER - loop.time()))
        yield list(together)
