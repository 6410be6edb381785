"""Choose the next call, wait until the window has room for it, claim what it takes along, make it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from app.dispatch.bell import Bell
from app.dispatch.caller import Caller
from app.dispatch.day import DayState
from app.dispatch.plan import URGENT, Job, PeopleJob, TriggerJob, Turns, choose, sources_with_few
from app.dispatch.window import Pace
from app.domain import MARKETO_WINDOW, Clock, RegistrationState
from app.errors import StoreUnavailable, WindowTaken
from app.store.calls import QUOTA_USED_UP, CallLog
from app.store.claims import Call
from app.store.heads import MOST_LEADS, MOST_PEOPLE, Horizon, Waiting
from app.store.sending import Sending
from app.store.sharing import MAY_RUN

_IDLE = 1.0  # seconds between two looks at the store
_TAKEN = timedelta(seconds=0.2)  # until what somebody else had in hand just now is looked for again
_SWEEP_EVERY = 15.0  # seconds
_FILLING = 0.1  # seconds between two looks while a call fills
_FILLS_WITHIN = timedelta(seconds=2)
_FILLING_UP = (Pace.SPACED, Pace.LONE)  # the paces of a call that others may still join
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Held:
    """Nobody may be claimed until then: all are in another upsert, or were so lately; unless the bell tells of more."""

    until: datetime
    rings: int


@dataclass(slots=True)
class Sender:
    """The second half of the way: registrations in, campaign requests out. One a term of leadership."""

    sending: Sending
    caller: Caller
    clock: Clock
    bell: Bell
    look_every: float = _IDLE
    is_more_coming: Callable[[], bool] = lambda: False  # whether the intake is behind with its events
    is_wanting: bool = False  # whether something could be sent but for a place, at the last look
    _turns: Turns = field(default_factory=Turns)
    _few: frozenset[str] = frozenset()  # the sources with few waiting, at the last look
    _running: set["asyncio.Task[None]"] = field(default_factory=set)
    _is_unclear: bool = False  # whether the last claim's answer was lost
    _rests: bool = False
    _trial: "asyncio.Task[None] | None" = None  # the call that shows whether a limit's pause was long enough
    _held: dict[bool, _Held] = field(default_factory=dict)  # of look-ups, and of upserts

    async def prepare(self, log: CallLog) -> None:
        """Take over the window and the pauses of an earlier leader."""
        now, ticks = self.clock(), self.caller.ticks()
        ended = await log.ended_since(now - MARKETO_WINDOW)
        self.caller.window.remember(ticks - max(now - at, -MAY_RUN).total_seconds() for at in ended)
        await self.caller.count_day()
        await self.caller.pauses.load()
        if self.caller.pauses.is_by(QUOTA_USED_UP):
            self.caller.day.refuse(now)

    async def step(self) -> float:
        """Begin at most one call; return how many seconds to wait before the next look."""
        self.caller.lease.check()
        if self._rests:
            return _IDLE
        if self._is_unclear:
            await self._free()
        if paused := self._paused():
            self.is_wanting = False
            return paused
        if self._is_tried():
            return _IDLE  # the call's end rings
        jobs, idle = await self._jobs()
        if paused := self._paused():  # a call may have ended while we looked
            return paused
        jobs = self._without_paused(jobs)
        self.is_wanting = bool(jobs)
        waits = self._waits(jobs)
        if 0 not in waits:
            return min(waits, default=idle)
        return await self._begin(jobs[waits.index(0)])

    async def _free(self) -> None:
        caller = self.caller
        freed = await self.sending.free(fence=caller.lease.fence, but=caller.under_way, now=self.clock())
        self._is_unclear = False
        if freed:
            _log.warning("freed what a lost answer of the store had claimed", registrations=freed)

    def _without_paused(self, jobs: Sequence[Job]) -> list[Job]:
        paused = self.caller.pauses.paused_campaigns()
        return [job for job in jobs if isinstance(job, PeopleJob) or job.backlog.campaign_id not in paused]

    def _paused(self) -> float:
        return min(_IDLE, self.caller.pauses.wait() or self.caller.day.wait(self.clock()))

    def _is_tried(self) -> bool:
        """Tell whether one call goes first after a limit's pause: with all that wait, the limit would be hit anew."""
        is_running = self._trial is not None and not self._trial.done()
        return is_running and self.caller.pauses.is_to_be_tried()

    async def sweep(self) -> float:
        """Bury what could not be sent in time."""
        for source, registration_id in await self.sending.expire(self.clock()):
            self.caller.metrics.registration_settled(source, RegistrationState.DEAD)
            _log.error("registration dead", registration_id=registration_id, cause="expired")
        return _SWEEP_EVERY

    def rest(self) -> bool:
        """Begin no further call; tell whether the last has ended."""
        self._rests = True
        return not self._running

    async def close(self, patience: timedelta) -> None:
        """Let running calls end; what does not is settled by the next leader."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=patience.total_seconds())
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _jobs(self) -> tuple[list[Job], float]:
        """Return the calls that could be made, the best first; else how long to sleep."""
        now, paused = self.clock(), self.caller.pauses.paused_campaigns()
        horizon = self._horizon()
        waiting = self._without_held(await self.sending.waiting(now, horizon, paused))
        self._few = sources_with_few(waiting, paused)
        jobs = choose(waiting, now=now, paused=paused, ago=self._turns.ago(), soonest_first=horizon.only)
        if self._fills(waiting, now):
            return [job for job in jobs if isinstance(job, TriggerJob) or job.pace not in _FILLING_UP], _FILLING
        return jobs, self._idle(waiting)

    def _fills(self, waiting: Waiting, now: datetime) -> bool:
        """Tell whether people wait a moment to share their call with others of a crowd that is being read."""
        oldest = min((some.oldest for some in waiting.people), default=now)
        return bool(waiting.people) and self.is_more_coming() and now - oldest <= _FILLS_WITHIN

    def _horizon(self) -> Horizon:
        """Look out for urgent webinars; when the day's calls end, for nothing but those before the next day."""
        now, day = self.clock(), self.caller.day
        is_saving = day.state(now) is not DayState.OPEN
        return Horizon(day.ends_at, only=True) if is_saving else Horizon(now + URGENT)

    def _waits(self, jobs: Sequence[Job]) -> list[float]:
        """Return how long each call has to wait for its pace, an idle look at most."""
        ticks, window = self.caller.ticks(), self.caller.window
        waits = {pace: window.wait(ticks, pace) for pace in {job.pace for job in jobs}}
        return [_IDLE if (wait := waits[job.pace]) is None else min(wait, _IDLE) for job in jobs]

    def _without_held(self, waiting: Waiting) -> Waiting:
        """Leave out people who could not be claimed just now, so that nobody waits for them."""
        now, rings = self.clock(), self.bell.rings
        self._held = {lookup: held for lookup, held in self._held.items() if held.until > now and held.rings == rings}
        return replace(waiting, people=[some for some in waiting.people if some.lookup not in self._held])

    def _idle(self, waiting: Waiting) -> float:
        now = self.clock()
        moments = [held.until for held in self._held.values()]
        moments += [waiting.next_due] if waiting.next_due else []
        return min([self.look_every, *(max(0.01, (moment - now).total_seconds()) for moment in moments)])

    async def _begin(self, job: Job) -> float:
        # Before the claim, which takes along all that has arrived.
        self.caller.window.begin(self.caller.ticks(), job.pace)
        rings = self.bell.rings
        try:
            call = await self._claim(job)
        except WindowTaken:
            self.caller.window.give_back()
            return 0.0
        except BaseException as problem:
            self.caller.window.give_back()
            self._is_unclear |= isinstance(problem, StoreUnavailable)  # it may have been stored all the same
            raise
        if call is None:
            self.caller.window.give_back()
            return await self._nobody(job, rings)
        self._turns.take(job, self._few)
        self.caller.day.begin_call(self.clock())
        task = asyncio.create_task(self.caller.carry_out(call))
        self._running.add(task)
        if self.caller.pauses.is_to_be_tried():
            self._trial = task
        task.add_done_callback(self._ended)
        return 0.0

    async def _nobody(self, job: Job, rings: int) -> float:
        """Let others go first, after a claim that found all of its people held or its batch gone."""
        if not isinstance(job, PeopleJob):
            return _TAKEN.total_seconds()
        now, until = self.clock(), None
        if not job.lookup:
            until = await self.sending.may_go_at(now, self._horizon().until, limit=MOST_PEOPLE)
        self._held[job.lookup] = _Held(min(until or now + _TAKEN, now + timedelta(seconds=self.look_every)), rings)
        return 0.0

    async def _claim(self, job: Job) -> Call | None:
        now, fence = self.clock(), self.caller.lease.fence
        if isinstance(job, PeopleJob):
            until = self._horizon().until
            return await self.sending.claim_people(
                lookup=job.lookup, now=now, fence=fence, limit=MOST_PEOPLE, urgent_until=until
            )
        return await self.sending.claim_batch(job.backlog, now=now, fence=fence, limit=MOST_LEADS)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (problem := task.exception()):
            _log.error("a call's task failed", exc_info=problem)
        self.bell.ring()
