"""The dispatcher's parts against the simulated services for days, in a time that passes only when all of them rest.

The relay's own intake, sender, settler, store and clients; the loops look at the store less often than a leader's do,
as nothing changes there without a ring or a moment that is known. What a leader does besides, leases and counts, is
left out: that alone would be a hundred thousand writes a day.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from app.dispatch.activity_log import LogReader
from app.dispatch.bell import Bell, repeat
from app.dispatch.caller import Caller
from app.dispatch.intake import Intake
from app.dispatch.lease import Applicant
from app.dispatch.pausing import Pauses
from app.dispatch.sender import Sender
from app.dispatch.settling import Settler
from app.dispatch.usage import Reconciler
from app.dispatch.window import Window
from app.domain import Clock, EventId, NewEvent, RegistrationState, new_id
from app.making import make_catalogue, make_judge, make_policy
from app.marketo.client import MarketoClient
from app.sandbox.faults import Fault
from app.sandbox.world import World
from app.settings import Settings
from app.sources.base import Accepted, Inbound, Source
from app.store.ahead import count_open
from app.store.calls import CallLog
from app.store.database import Database
from app.store.events import EventQueue
from app.store.inbox import Inbox
from app.store.leases import Leases
from app.store.sending import Sending
from app.store.unsettled import Unsettled
from app.store.views import RegistrationView
from bench.arrivals import Registration
from bench.inprocess import InProcess
from bench.simulated import Course, course_of, custom_source, marketo_client, marketo_in, settings_in
from bench.virtual_time import clock_from, open_in_virtual_time
from tests.dispatch.stage import all_registrations, caller_of, halves
from tests.patience import PATIENT
from tests.soundness import damage, held

MakeSources = Callable[[httpx.AsyncBaseTransport, Clock], Mapping[str, Source]]
_A_MINUTE = 60.0
_SELDOM = 900.0  # seconds between two looks of a half for what nothing tells of


class Network(httpx.AsyncBaseTransport):
    """The way to the services, which may be cut; `tried` is how many requests were to take it."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.tried = 0
        self.mend()
        self._inner = inner

    def cut(self, error: httpx.TransportError) -> None:
        self._error: httpx.TransportError | None = error

    def mend(self) -> None:
        self._error = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.tried += 1
        if self._error:
            raise self._error
        return await self._inner.handle_async_request(request)


@dataclass
class Relay:
    """One term of leadership that lasts, and the services that it calls."""

    world: World
    network: "Network"
    clock: Clock
    database: Database
    inbox: Inbox
    intake: Intake
    sender: Sender
    settler: Settler
    reconciler: Reconciler
    sources: Mapping[str, Source]
    accepted: dict[tuple[str, str], float] = field(default_factory=dict)

    @property
    def pauses(self) -> Pauses:
        return self.sender.caller.pauses

    async def sleep(self, time: timedelta) -> None:
        await asyncio.sleep(time.total_seconds())

    async def register(self, *registrations: Registration, starts_at: datetime | None = None) -> None:
        """Let these register at the custom source, now, for webinars that start then."""
        for one in registrations:
            now, body = self.clock(), json.loads(one.body())
            body["webinar"] |= {"startsAt": starts_at.isoformat()} if starts_at else {}
            event_id, raw = EventId(new_id("evt", now)), json.dumps(body).encode()
            await self._store(NewEvent(event_id, "custom", now, now, {}, raw, None))
            self.accepted[one.key] = asyncio.get_running_loop().time()

    async def deliver(self, source: str, inbound: Inbound) -> None:
        """Let one webhook come, as the web half takes it."""
        verdict, now = self.sources[source].receive(inbound), self.clock()
        assert isinstance(verdict, Accepted)
        due_at, kept = now + verdict.settle, verdict.keep_headers
        event_id = EventId(new_id("evt", now))
        await self._store(NewEvent(event_id, source, now, due_at, kept, inbound.body, verdict.dedupe))

    async def _store(self, event: NewEvent) -> None:
        await self.inbox.accept(event)
        self.intake.bell.ring()

    def order(self, match: str, kind: str) -> None:
        """Let each request to this service or endpoint go wrong from now on."""
        self.world.faults.faults.append(Fault(match, kind, times=None))

    async def settled(self, *, within: timedelta) -> None:
        """Return when all that was accepted is at its end.

        Raises:
            TimeoutError: it took longer than that.
        """
        async with asyncio.timeout(within.total_seconds()):
            while (await EventQueue(self.database).waiting())[0] or (await count_open(self.database))[0]:  # noqa: ASYNC110
                await asyncio.sleep(_A_MINUTE / 4)

    def course(self) -> Course:
        return course_of(self.world, self.accepted)

    async def registrations(self) -> list[RegistrationView]:
        return await all_registrations(self.database)

    async def assert_well(self) -> None:
        """Everybody was mailed once, no limit was broken, nothing is held by anybody, and the store is whole."""
        course = self.course()
        assert (course.never, course.twice, self.world.people.duplicates) == (0, 0, 0)
        assert self.world.violations.by_kind == {}
        async with self.database.read() as connection:
            assert await connection.run_sync(damage) == ""
            assert await connection.run_sync(held) == 0
        assert {one.state for one in await self.registrations()} == {RegistrationState.SENT}


@asynccontextmanager
async def afloat(
    folder: Path, store: Mapping[str, str], began: datetime, *, sources: MakeSources = lambda _, __: {}
) -> AsyncIterator[Relay]:
    """Start the simulated services and the relay's parts in the running virtual time, and stop them at the end."""
    clock = clock_from(began)
    app, world = marketo_in(clock)
    network, settings = Network(InProcess(app)), settings_in(folder, store)
    database = open_in_virtual_time(settings.database_url.get_secret_value())
    client = marketo_client(settings, clock, network)
    custom = custom_source(settings)
    known: dict[str, Source] = {custom.name: custom, **sources(network, clock)}
    caller = await _caller(database, settings, client, clock)
    judge = make_judge(settings, make_catalogue(settings))
    intake, sender = halves(database, caller, judge=judge, sources=known, look_every=_SELDOM)
    await sender.prepare(caller.log)
    settler = Settler(caller, LogReader(caller, client, caller.log), Unsettled(database))
    inbox = Inbox(database, writes=PATIENT)
    reconciler = Reconciler(caller, client, caller.log)
    relay = Relay(world, network, clock, database, inbox, intake, sender, settler, reconciler, known)
    bells = (intake.bell, sender.bell, Bell(), Bell(), Bell())
    loops = [asyncio.ensure_future(loop) for loop in (*_loops(relay, bells), inbox.run())]
    try:
        yield relay
    finally:
        inbox.close()
        for bell in bells:
            bell.stop()
        await asyncio.gather(*loops)
        await intake.close()
        await sender.close(timedelta(seconds=120))
        await database.close()


async def _caller(database: Database, settings: Settings, client: MarketoClient, clock: Clock) -> Caller:
    ticks = asyncio.get_running_loop().time
    lease = await Applicant(Leases(database, within=PATIENT), "relay", ticks).apply()
    assert lease is not None
    return caller_of(
        Sending(database),
        CallLog(database, clock=clock),
        client,
        lease,
        policy=make_policy(settings),
        window=Window(settings.marketo_calls_per_window, settings.marketo_max_in_flight),
        calls_per_day=settings.marketo_calls_per_day,
        clock=clock,
        ticks=ticks,
    )


def _loops(relay: Relay, bells: tuple[Bell, ...]) -> list[Awaitable[None]]:
    intake, sender, settling, asking, sweeping = bells
    return [
        repeat(relay.intake.step, bell=intake, name="intake"),
        repeat(_resting(relay.sender.step, lambda: min(_A_MINUTE, relay.pauses.wait())), bell=sender, name="sender"),
        repeat(_resting(relay.settler.step, lambda: 5 * _A_MINUTE), bell=settling, name="settling"),
        repeat(_resting(relay.reconciler.step, lambda: _A_MINUTE), bell=asking, name="usage"),
        repeat(_resting(relay.sender.sweep, lambda: _SELDOM), bell=sweeping, name="sweep"),
    ]


def _resting(step: Callable[[], Awaitable[float]], rest: Callable[[], float]) -> Callable[[], Awaitable[float]]:
    """Let a loop that would look again after a moment rest for longer."""

    async def rested() -> float:
        wait = await step()
        return max(wait, rest()) if wait else 0.0

    return rested
