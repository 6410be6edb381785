"""Put together what leads: the parts of one time of leading, and what all of them work with."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from app.dispatch.activity_log import ActivityLog, LogReader
from app.dispatch.alarm import Alarm
from app.dispatch.bell import Bell
from app.dispatch.caller import Caller, Marketo
from app.dispatch.claiming import Claiming
from app.dispatch.day import Day, DayState
from app.dispatch.errands import Errands
from app.dispatch.forecast import Forecast
from app.dispatch.heeding import Heeding
from app.dispatch.intake import Intake
from app.dispatch.judgement import Judge
from app.dispatch.lease import Lease
from app.dispatch.pausing import Pauses
from app.dispatch.reading import EventReader
from app.dispatch.replaying import Replayer, Replaying
from app.dispatch.sender import Sender
from app.dispatch.settling import Settler
from app.dispatch.steady import SteadyClock
from app.dispatch.troubles import SetupTroubles, Thresholds
from app.dispatch.usage import Reconciler, UsageStatistics
from app.dispatch.verdicts import Policy
from app.dispatch.window import Window
from app.domain import Clock, Ticks, steady_seconds
from app.metrics import Metrics
from app.quota_day import next_quota_day
from app.sources.base import Source
from app.store.alarms import Alarms
from app.store.calls import CallLog
from app.store.census import Census
from app.store.database import Database
from app.store.events import EventQueue
from app.store.people import RUNS_ON, Memory, People
from app.store.registrations import Registrations
from app.store.replays import Replays
from app.store.sending import Sending
from app.store.unsettled import Unsettled
from app.tracing import Tracing


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
    ticks: Ticks = steady_seconds
    look_every: float = 1.0  # seconds between two looks at the store, for what no bell tells
    memory: Memory = field(default_factory=Memory)
    keep: timedelta = timedelta(days=30)  # how long what ended is kept with its people
    notify: Callable[[str], Awaitable[None]] | None = None  # tells people what needs them
    thresholds: Thresholds = field(default_factory=Thresholds)
    hold: timedelta = timedelta(minutes=10)  # how long after a campaign request the person's fields are still read
    tracing: Tracing | None = None
    runs_on: timedelta = RUNS_ON  # how long Marketo may go on with an upsert whose answer never came


@dataclass(slots=True)
class Term:
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


def make_term(work: Work, clock: SteadyClock, lease: Lease, jumped: timedelta) -> Term:
    """Build the parts of one time of leading; `jumped` is how far the time has jumped since the last."""
    sender_bell = Bell()
    hold = work.hold + max(jumped, timedelta(0))  # what has ended keeps the time at which it did
    window = Window(limit=work.calls_per_window, most_in_flight=work.most_in_flight)
    heed = Heeding(window, clock, work.ticks)
    log = CallLog(work.database, clock=clock, heed=heed)
    pauses = Pauses(log, clock=clock)
    day = Day(work.calls_per_day, next_quota_day(clock()))
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
        clock=clock,
        bell=sender_bell,
        day=day,
        ticks=work.ticks,
        tracing=work.tracing,
    )
    intake = Intake(
        claiming=Claiming(
            events=EventQueue(work.database),
            lease=lease,
            clock=clock,
            look_every=work.look_every,
            ticks=work.ticks,
        ),
        reader=EventReader(sources=work.sources, clock=clock),
        registrations=Registrations(work.database, people=People(work.database, work.memory), hold=hold),
        judge=work.judge,
        lease=lease,
        metrics=work.metrics,
        clock=clock,
        bell=Bell(),
        sender_bell=sender_bell,
        tracing=work.tracing,
    )
    sender = Sender(
        sending=sending,
        caller=caller,
        clock=clock,
        bell=sender_bell,
        look_every=work.look_every,
        is_more_coming=intake.claiming.is_behind,
    )
    settler = Settler(caller, LogReader(caller, work.marketo, log), Unsettled(work.database))
    replaying = Replaying(Replays(work.database), work.sources, work.judge, clock)
    replayer = Replayer(replaying, intake.registrations, work.database, lease)
    reconciler = Reconciler(caller, work.marketo, log)
    errands = Errands(caller, log, is_wanted=lambda: sender.is_wanting or intake.claiming.is_behind())
    bells = (intake.bell, sender_bell, errands.bell)
    alarm = Alarm(work.notify, Alarms(work.database), clock) if work.notify else None
    return Term(lease, intake, sender, settler, replayer, pauses, window, day, reconciler, errands, bells, alarm)
