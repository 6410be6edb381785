"""Lead, or wait to: one process at a time does the outbound work, as Marketo's limits belong to the instance."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from app.dispatch.bell import Bell, repeat
from app.dispatch.day import DayState
from app.dispatch.ending import Ending
from app.dispatch.errands import Make
from app.dispatch.forecast import forecast
from app.dispatch.lease import RENEWED_EVERY, Applicant, Lease
from app.dispatch.status import means_of, status_of
from app.dispatch.steady import SteadyClock, jump_between
from app.dispatch.term import Term, Work, make_term
from app.dispatch.troubles import setup_troubles, troubles
from app.domain import Cause
from app.errors import LeadershipLost, StoreUnavailable
from app.marketo.envelope import Reply
from app.quota_day import next_quota_day
from app.store.ahead import count_open, look_ahead
from app.store.calls import CallLog
from app.store.census import take_census
from app.store.events import EventQueue
from app.store.jumps import follow_jump
from app.store.leases import Leases
from app.store.links import fall_back_from_other_fields
from app.store.people import People
from app.store.reports import SetupReports
from app.store.retention import Retention
from app.store.takeover import take_over

_APPLY_AGAIN = 1.0  # seconds
_COUNTED_EVERY = 5.0  # seconds
_PURGED_PACE = 0.25  # seconds between two steps of the purge: some 230 of each kind a second, beside what comes in
_CENSUS_EVERY = 30.0  # seconds
_FORGOTTEN_EVERY = 60.0  # seconds between two looks for people whom nobody needs to remember
_UNTIL_AT_REST = 0.2  # seconds between two looks whether running calls have ended
_log = structlog.get_logger(__name__)


class Dispatcher:
    """The outbound half of the relay. `run` leads whenever it can; `wake` tells that an event was stored."""

    def __init__(self, work: Work, *, holder: str) -> None:
        self._work = work
        self._clock = SteadyClock(work.clock, work.ticks)
        self._applicant = Applicant(Leases(work.database), holder, ticks=work.ticks)
        self._retention = Retention(work.database, keep=work.keep)
        self._bell = Bell()
        self._ending = Ending(work.ticks)
        self._term: Term | None = None

    def wake(self) -> None:
        """Look at the inbox now."""
        if self._term:
            self._term.intake.bell.ring()

    def stop(self) -> None:
        """Begin nothing new; `run` returns when what runs has ended and the lease is given back."""
        self._ending.begin()
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
        return status_of(self._term, self._clock(), self._work.ticks())

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
            await self._lead_for(make_term(self._work, self._clock, lease, jumped))
        finally:
            await _give_back(lease)

    async def _lead_for(self, term: Term) -> None:
        try:
            await self._prepare(term)
            self._term = term
            if self._bell.is_stopping:
                return
            await self._work_until_the_end(term)
        finally:
            self._term = None
            await self._ending.close(term.intake, term.sender)

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

    async def _prepare(self, term: Term) -> None:
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

    async def _work_until_the_end(self, term: Term) -> None:
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
        await self._ending.run(steps)

    async def _renew(self, term: Term) -> float:
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
            term.forecast = forecast(ahead, means_of(term, now, work.ticks()))
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

    async def _sound_alarm(self, term: Term) -> float:
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

    def _tell_day(self, term: Term, now: datetime) -> None:
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


async def _give_back(lease: Lease) -> None:
    try:
        await lease.give_back()
    except StoreUnavailable as problem:
        _log.warning("lease not given back", reason=str(problem))  # it runs out by itself
