"""Lead, or wait to: one process at a time does the outbound work, as Marketo's limits belong to the instance."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from app.dispatch.activity_log import ActivityLog, LogReader
from app.dispatch.alarm import Alarm
from app.dispatch.bell import Bell, repeat
from app.dispatch.caller import Caller, Marketo
from app.dispatch.claiming import Claiming
from app.dispatch.day import Day, DayState
from app.dispatch.errands import Errands, Make
from app.dispatch.forecast import Forecast, Means, forecast
from app.dispatch.heeding import Heeding
from app.dispatch.intake import Intake
from app.dispatch.judgement import Judge
from app.dispatch.lease import RENEWED_EVERY, Applicant, Lease
from app.dispatch.pausing import Pauses
from app.dispatch.reading import Reading
from app.dispatch.replaying import Replayer, Replaying
from app.dispatch.sender import Sender
from app.dispatch.settling import Settler
from app.dispatch.steady import SteadyClock, jump_between
from app.dispatch.troubles import SetupTroubles, Thresholds, setup_troubles, troubles
from app.dispatch.usage import Reconciler, UsageStatistics
from app.dispatch.verdicts import Policy
from app.dispatch.window import Window
from app.domain import Cause, Clock, steady_seconds
from app.errors import LeadershipLost, StoreUnavailable
from app.marketo.envelope import Reply
from app.metrics import Metrics
from app.quota_day import next_quota_day
from app.sources.base import Source
from app.store.ahead import count_open, look_ahead
from app.store.alarms import Alarms
from app.store.calls import CallLog
from app.store.census import Census, take_census
from app.store.database import Database, answered_within
from app.store.events import EventQueue
from app.store.jumps import follow_jump
from app.store.leases import Leases
from app.store.links import fall_back_from_other_fields
from app.store.people import RUNS_ON, Memory, People
from app.store.registrations import Registrations
from app.store.replays import Replays
from app.store.reports import SetupReports
from app.store.retention import Retention
from app.store.sending import Sending
from app.store.takeover import take_over
from app.store.unsettled import Unsettled
from app.tracing import Tracing

_APPLY_AGAIN = 1.0  # seconds
_COUNTED_EVERY = 5.0  # seconds
_PURGED_PACE = 0.25  # seconds between two steps of the purge: 800 of each kind a second, beside what comes in
_CENSUS_EVERY = 30.0  # seconds
_FORGOTTEN_EVERY = 60.0  # seconds between two looks for people whom nobody needs to remember
# For running calls, when told to stop: the next leader waits as long, but a request whose answer was not waited for is
# looked for in the activity log, which takes a minute, or is made again by MARKETO_ON_AMBIGUOUS=retry: a second e-mail.
_PATIENCE = timedelta(seconds=4)
_LAST_STEPS = 2.0  # seconds of that for steps under way, which end at once unless the store says nothing
_FREED_WITHIN = timedelta(seconds=1)  # or the next leader frees what this one held
_UNTIL_AT_REST = 0.2  # seconds between two looks whether running calls have ended
_log = structlog.get_logger(__name__)


class _Marketo(Marketo, ActivityLog, UsageStatistics, Protocol):
    """All that the dispatcher needs of Marketo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a leader works with."""

    database: Database
    sources: Mapping[str, Source]
    marketo: _Marketo
    judge: Judge
    policy: Policy
    metrics: Metrics
    clock: Clock
    calls_per_window: int
    calls_per_day: int
    most_in_flight: int
    ticks: Callable[[], float] = steady_seconds  # seconds of a clock that never jumps
    look_every: float = 1.0  # seconds between two looks at the store, for what no bell tells
    memory: Memory = field(default_factory=Memory)
    keep: timedelta = timedelta(days=30)  # how long what ended is kept with its people
    notify: Callable[[str], Awaitable[None]] | None = None  # tells people what needs them
    thresholds: Thresholds = field(default_factory=Thresholds)
    hold: timedelta = timedelta(minutes=10)  # how long after a campaign request the person's fields are still read
    tracing: Tracing | None = None
    runs_on: timedelta = RUNS_ON  # how long Marketo may go on with an upsert whose answer never came


@dataclass(slots=True)
class _Term:
    """One time of leading, from taking the lease to losing it or giving it back."""

    lease: Lease
    intake: Intake
    sender: Sender
    settler: Settler
    replayer: Replayer
    pauses: Pauses
    window: Window
    day: Day
    reconciler: Reconciler
    errands: Errands
    bells: tuple[Bell, ...]
    alarm: Alarm | None = None
    census: Census | None = None
    setup: SetupTroubles = field(default_factory=lambda: SetupTroubles({}))
    forecast: Forecast | None = None
    day_state: DayState = DayState.OPEN


class Dispatcher:
    """The outbound half of the relay. `run` leads whenever it can; `wake` tells that an event was stored."""

    def __init__(self, work: Work, *, holder: str) -> None:
        self._work = work
        self._clock = SteadyClock(work.clock, work.ticks)
        self._applicant = Applicant(Leases(work.database), holder, ticks=work.ticks)
        self._retention = Retention(work.database, keep=work.keep)
        self._bell = Bell()
        self._stopping = asyncio.Event()
        self._ends_at = math.inf
        self._term: _Term | None = None

    def wake(self) -> None:
        """Look at the inbox now."""
        if self._term:
            self._term.intake.bell.ring()

    def stop(self) -> None:
        """Begin nothing new; `run` returns when what runs has ended and the lease is given back."""
        self._ends_at = min(self._ends_at, self._work.ticks() + _PATIENCE.total_seconds())
        self._stopping.set()
        self._bell.stop()
        for bell in self._term.bells if self._term else ():
            bell.stop()

    async def errand(self, make: Make) -> Reply:
        """Make a call that is for no registration, when no registration needs its place.

        Raises:
            CallFailed: from `make`.
            LeadershipLost: this process does not lead; the call was not made.
            NotNow: Marketo is paused, or registrations needed every place; the call was not made.
        """
        if self._term is None:
            raise LeadershipLost("another process leads, or none does yet")
        return await self._term.errands.run(make)

    def status(self) -> Mapping[str, object]:
        """Return what an operator wants to know of the outbound work. Holds no secret and nobody's data."""
        term, now, ticks = self._term, self._clock(), self._work.ticks()
        if term is None:
            return {"leader": False, "in_flight": 0, "window_used": 0, "paused": {}}
        return {
            "leader": True,
            "in_flight": term.window.in_flight,
            "window_used": term.window.used(ticks),
            "allowed": {
                "calls_per_window": term.window.rate.at(ticks),
                "in_flight": term.window.concurrency.at(ticks),
                "is_shrunk": term.window.rate.is_shrunk(ticks) or term.window.concurrency.is_shrunk(ticks),
            },
            "day_used": term.day.used,
            "day_used_by_others": term.day.others,
            "day_left": term.day.left,
            "day_state": str(term.day.state(now)),
            "forecast": _told(term.forecast, now),
            "on_ambiguous": term.settler.described(),
            "paused": {**term.pauses.described(), **_of_day(term.day, now)},
        }

    async def run(self) -> None:
        """Lead, or apply for it, until `stop`."""
        await repeat(self._apply, bell=self._bell, name="leader")

    async def _apply(self) -> float:
        lease = await self._applicant.apply()
        if lease is None:
            return _APPLY_AGAIN
        _log.info("leading", fence=lease.fence)
        try:
            await self._lead(lease)
        except LeadershipLost as lost:
            _log.warning("not leading any more", fence=lease.fence, reason=str(lost))
        return 0.0

    async def _lead(self, lease: Lease) -> None:
        try:
            jumped = await self._set_clock(lease)
            await self._lead_for(self._make_term(lease, jumped))
        finally:
            await _give_back(lease)

    async def _lead_for(self, term: _Term) -> None:
        try:
            await self._prepare(term)
            self._term = term
            if self._bell.is_stopping:
                return
            await self._work_until_the_end(term)
        finally:
            self._term = None
            with suppress(StoreUnavailable):
                async with answered_within(_FREED_WITHIN):
                    await term.intake.close()
            await term.sender.close(self._patience())

    def _patience(self) -> timedelta:
        left = timedelta(seconds=min(self._ends_at - self._work.ticks(), _PATIENCE.total_seconds()))
        return max(left, timedelta(0))

    async def _set_clock(self, lease: Lease) -> timedelta:
        """Begin with the machine's time, and move what is stored along if the time has jumped since the last term."""
        seen, silence = lease.found
        self._clock.set()
        now = self._clock()
        jumped = jump_between(seen.at, now, silence) if seen.at else timedelta(0)
        if jumped:
            _log.warning("the time has jumped", seconds=jumped.total_seconds())
            with lease.telling():
                await follow_jump(
                    self._work.database, fence=lease.fence, by=jumped, now=now, quota_day_ends=next_quota_day(now)
                )
        return jumped

    async def _prepare(self, term: _Term) -> None:
        work = self._work
        found = await take_over(
            work.database,
            fence=term.lease.fence,
            on_ambiguous=work.policy.on_ambiguous,
            now=self._clock(),
            activity_delay=work.policy.activity_delay,
        )
        if found.events or found.people or found.requests:
            _log.warning("took over", events=found.events, people=found.people, requests=found.requests)
        for event_id in found.guilty:
            _log.error(
                "event dead",
                event_id=event_id,
                cause=Cause.ADAPTER_FAILED,
                detail="the relay ended each time it read it",
            )
        if others := await fall_back_from_other_fields(work.database, work.judge.fields):
            _log.warning("the mapping of tokens to fields has changed", registrations_with_own_tokens=others)
        await term.sender.prepare(CallLog(work.database, clock=self._clock))

    async def _work_until_the_end(self, term: _Term) -> None:
        intake, sender = term.intake, term.sender
        renewing, sweeping, counting, forgetting, settling, asking, replaying, purging = (Bell() for _ in range(8))
        censusing, alarming = Bell(), Bell()
        term.bells = (intake.bell, sender.bell, renewing, sweeping, counting, forgetting, settling, asking)
        term.bells += (replaying, purging, censusing, alarming, term.errands.bell)
        steps = [
            repeat(intake.step, bell=intake.bell, name="intake"),
            repeat(sender.step, bell=sender.bell, name="sender"),
            repeat(term.settler.step, bell=settling, name="settling"),
            repeat(term.reconciler.step, bell=asking, name="usage"),
            repeat(term.replayer.step, bell=replaying, name="replay"),
            repeat(sender.sweep, bell=sweeping, name="sweep"),
            repeat(self._count, bell=counting, name="count"),
            repeat(lambda: self._sound_alarm(term), bell=alarming, name="alarm"),
            repeat(self._take_census, bell=censusing, name="census"),
            repeat(self._forget, bell=forgetting, name="forget"),
            repeat(self._purge, bell=purging, name="purge"),
            repeat(lambda: self._renew(term), bell=renewing, name="lease"),
        ]
        loops = [asyncio.create_task(step) for step in steps]
        try:
            await self._until_ended(loops)
        finally:
            await _ended(loops)

    async def _until_ended(self, loops: Sequence["asyncio.Task[None]"]) -> None:
        """Return when all have ended, soon after they are told to stop; raise what one of them raises."""
        told: asyncio.Task[Any] = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([told, *loops], return_when=asyncio.FIRST_COMPLETED)
            ended, _ = await asyncio.wait(loops, timeout=_LAST_STEPS, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            told.cancel()
        for loop in ended:
            loop.result()

    async def _renew(self, term: _Term) -> float:
        term.lease.check()
        await term.lease.renew(self._clock())
        if not self._clock.has_been_left():
            return RENEWED_EVERY.total_seconds()
        if term.sender.rest():
            raise LeadershipLost("this machine's clock has jumped")
        return _UNTIL_AT_REST

    async def _count(self) -> float:
        work = self._work
        events, oldest = await EventQueue(work.database).waiting()
        registrations, due = await count_open(work.database)
        if term := self._term:
            await term.sender.caller.count_beside()
            ahead = await look_ahead(work.database, now := self._clock(), webhooks=events)
            term.forecast = forecast(ahead, _means(term, now, work.ticks()))
            self._tell_day(term, now)
        ages = [at for at in (oldest, due) if at]
        work.metrics.backlog_counted({"events": events, "registrations": registrations}, min(ages) if ages else None)
        return _COUNTED_EVERY

    async def _take_census(self) -> float:
        work = self._work
        found = await take_census(work.database, sorted(work.sources))
        if self._term:
            self._term.census = found
            self._term.setup = setup_troubles(await SetupReports(work.database).last())
        work.metrics.store_counted(found.dead, found.last_webhooks, found.size)
        return _CENSUS_EVERY

    async def _sound_alarm(self, term: _Term) -> float:
        work = self._work
        if term.alarm is None:
            return _APPLY_AGAIN * 3600
        term.lease.check()
        if term.census is None:
            return _APPLY_AGAIN
        now = self._clock()
        pauses = await CallLog(work.database, clock=self._clock).pauses()
        day, names = term.day.described(now), term.setup.campaigns
        found = troubles(pauses, day, term.census, now, work.thresholds, campaigns=names)
        return (await term.alarm.step({**found, **term.setup.wrong}, term.setup.unseen)).total_seconds()

    def _tell_day(self, term: _Term, now: datetime) -> None:
        """Log when the day's calls run short or begin anew, once each."""
        state = term.day.state(now)
        if state is not term.day_state:
            tell = _log.info if state is DayState.OPEN else _log.error
            tell("the day's calls", state=str(state), used=term.day.used, others=term.day.others, limit=term.day.limit)
            term.day_state = state

    async def _forget(self) -> float:
        gone = await People(self._work.database, self._work.memory).prune(self._clock())
        return 1.0 if gone else _FORGOTTEN_EVERY

    async def _purge(self) -> float:
        if gone := await self._retention.step(self._clock()):
            _log.info("purged", events=gone.events, registrations=gone.registrations, calls=gone.calls)
        return _PURGED_PACE if gone else _FORGOTTEN_EVERY

    def _make_term(self, lease: Lease, jumped: timedelta) -> _Term:
        work = self._work
        sender_bell = Bell()
        hold = work.hold + max(jumped, timedelta(0))  # what has ended keeps the time at which it did
        window = Window(limit=work.calls_per_window, most_in_flight=work.most_in_flight)
        heed = Heeding(window, self._clock, work.ticks)
        log = CallLog(work.database, clock=self._clock, heed=heed)
        pauses = Pauses(log, clock=self._clock)
        day = Day(work.calls_per_day, next_quota_day(self._clock()))
        sending = Sending(work.database, runs_on=work.runs_on, heed=heed)
        caller = Caller(
            marketo=work.marketo,
            sending=sending,
            log=log,
            lease=lease,
            window=window,
            pauses=pauses,
            policy=work.policy,
            metrics=work.metrics,
            clock=self._clock,
            bell=sender_bell,
            day=day,
            ticks=work.ticks,
            tracing=work.tracing,
        )
        intake = Intake(
            claiming=Claiming(
                events=EventQueue(work.database),
                lease=lease,
                clock=self._clock,
                look_every=work.look_every,
                ticks=work.ticks,
            ),
            reading=Reading(sources=work.sources, clock=self._clock),
            registrations=Registrations(work.database, people=People(work.database, work.memory), hold=hold),
            judge=work.judge,
            lease=lease,
            metrics=work.metrics,
            clock=self._clock,
            bell=Bell(),
            sender_bell=sender_bell,
            tracing=work.tracing,
        )
        sender = Sender(
            sending=sending,
            caller=caller,
            clock=self._clock,
            bell=sender_bell,
            look_every=work.look_every,
            is_more_coming=intake.claiming.is_behind,
        )
        settler = Settler(caller, LogReader(caller, work.marketo, log), Unsettled(work.database))
        replaying = Replaying(Replays(work.database), work.sources, work.judge, self._clock)
        replayer = Replayer(replaying, intake.registrations, work.database, lease)
        reconciler = Reconciler(caller, work.marketo, log)
        errands = Errands(caller, log, is_wanted=lambda: sender.is_wanting or intake.claiming.is_behind())
        bells = (intake.bell, sender_bell, errands.bell)
        alarm = Alarm(work.notify, Alarms(work.database), self._clock) if work.notify else None
        return _Term(lease, intake, sender, settler, replayer, pauses, window, day, reconciler, errands, bells, alarm)


def _of_day(day: Day, now: datetime) -> Mapping[str, str]:
    described = day.described(now)
    return {"day": described} if described else {}


def _means(term: _Term, now: datetime, ticks: float) -> Means:
    begins_at = now + timedelta(seconds=max(term.pauses.wait(), term.day.wait(now)))
    return Means(
        free=term.window.free(ticks),
        per_window=term.window.rate.at(ticks),
        left_today=term.day.left_for_all,
        per_day=term.day.open_to_all,
        day_ends_at=term.day.ends_at,
        begins_at=begins_at,
        held_until=term.pauses.latest(),
    )


def _told(told: Forecast | None, now: datetime) -> Mapping[str, object] | None:
    if told is None:
        return None
    return {
        "registrations": told.registrations,
        "webhooks": told.webhooks,
        "calls": told.calls,
        "seconds": round(told.seconds(now), 1),
        "through_at": max(now, told.through_at).isoformat(),
    }


async def _give_back(lease: Lease) -> None:
    try:
        await lease.give_back()
    except StoreUnavailable as problem:
        _log.warning("lease not given back", reason=str(problem))  # it runs out by itself


async def _ended(loops: Sequence["asyncio.Task[None]"]) -> None:
    """Cancel these until they have ended, whatever swallows it: while a term does not end, nobody else leads."""
    pending = set(loops)
    while pending:
        for loop in pending:
            loop.cancel()
        _, pending = await asyncio.wait(pending, timeout=_UNTIL_AT_REST)
    await asyncio.gather(*loops, return_exceptions=True)
