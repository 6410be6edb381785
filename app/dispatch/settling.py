"""Find out whether campaign requests ran whose answers were lost, and settle them: mailed already, or once more.

What is known is in the store alone, so a restart or another leader goes on where this one stopped.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from app.dispatch import evidence
from app.dispatch.activity_log import PAUSING, LogReader, NoActivityTypes, Reading
from app.dispatch.backoff import Return, after_failure
from app.dispatch.caller import Caller
from app.dispatch.day import DayState
from app.dispatch.evidence import CLOCKS_DIFFER, Asked, Ran
from app.dispatch.looks import LOOKS, again, comes_too_late, decide, held, next_look, taken_with_others
from app.dispatch.refusals import Refusals
from app.domain import FINAL_STATES, CallId, RegistrationState
from app.marketo.codes import Consequence
from app.marketo.failures import CallFailed
from app.store.takeover import OnAmbiguous
from app.store.unsettled import Decision, LostRequest, OtherRequest, Undecided, Unsettled

_GIVEN_UP = 4 * LOOKS[-1]  # times the same delay: the log itself could not be read for so long
_PASSING = frozenset({Consequence.RETRY, Consequence.AMBIGUOUS})
_IDLE = 1.0  # seconds
_TRIES = 3  # failed requests in a row after which a reading begins anew later
_LONGEST = timedelta(minutes=15)
_LEAST_CLEARLY = timedelta(seconds=2)  # activities are dated in whole seconds
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Settler:
    """Settles the lost requests of one term of leadership; as under `retry` while the activity log is closed."""

    caller: Caller
    reader: LogReader
    unsettled: Unsettled
    _refusals: Refusals | None = None
    _unread_since: datetime | None = None
    _reading: Reading | None = None

    @property
    def way(self) -> OnAmbiguous:
        """Return how lost requests are settled now."""
        return "retry" if self._rests() else self.caller.policy.on_ambiguous

    def described(self) -> str:
        """Return the same in words."""
        return self._refusals.described() if self._refusals else self.way

    def _rests(self) -> bool:
        """Tell whether the log is closed and left alone for now."""
        refusals = self._refusals
        return refusals is not None and refusals.is_closed and self.caller.clock() < refusals.again_at

    async def step(self) -> float:
        """Make at most one request; return how many seconds to wait before the next one."""
        self.caller.lease.check()
        if self.way != "check":
            return await self._release()
        if paused := self.caller.pauses.wait() or self.caller.day.wait(self.caller.clock()):
            return min(paused, _IDLE)
        if self._reading is None:
            self._reading = await self._due()
        if self._reading is None:
            return await self._idle()
        if self._reading.parts and (wait := self.reader.wait()):
            return wait
        await self._go_on(self._reading)
        return 0.0

    async def _due(self) -> Reading | None:
        """Begin to read for what is due; when the day's calls end, only for what would come too late tomorrow.

        While the log refuses, likewise only for what would come too late when it is asked again.
        """
        now, day, refusals = self.caller.clock(), self.caller.day, self._refusals
        lost = await self.unsettled.due(now)
        if day.state(now) is not DayState.OPEN:
            lost = _urgent(lost, day.ends_at, now)
        if refusals and now < refusals.again_at:
            urgent = _urgent(lost, refusals.again_at, now)
            await self.unsettled.postpone([one for one in lost if one not in urgent], look_at=refusals.again_at)
            lost = urgent
        return Reading.of(lost, now, in_part=[one.id for one in lost if not self._is_last(one, now)]) if lost else None

    def _is_last(self, lost: LostRequest, now: datetime) -> bool:
        """Tell whether somebody's fate is decided by this look, whatever it shows."""
        look_at = next_look(lost.ended_at, now, self._delay)
        return any(_is_last_for(registration, look_at, now) for registration in lost.registrations)

    async def _idle(self) -> float:
        at = await self.unsettled.next_look()
        wait = _IDLE if at is None else (at - self.caller.clock()).total_seconds()
        return min(_IDLE, wait) if wait > 0 else _IDLE

    async def _go_on(self, reading: Reading) -> None:
        """Make the reading's next request; after the last, settle what it was for."""
        try:
            if reading.parts:
                await self._read(reading)
        except CallFailed as failed:
            await self._not_read(reading, failed)
            return
        except Exception:  # a defect of ours must not ask every second
            self._reading = None
            await self.unsettled.postpone(reading.lost, look_at=self.caller.clock() + _LONGEST)
            raise
        if not reading.parts or self._rests():
            self._reading = None
        if not reading.parts:
            for lost in reading.lost:
                await self._settle(lost, reading)

    async def _read(self, reading: Reading) -> None:
        since = self._refusals.last if self._refusals else self._given_up_since(reading)
        if since and not reading.others_work:
            reading.others_work = await self.reader.do_others_work(reading, since)
            return
        try:
            await self.reader.read_on(reading)
        except NoActivityTypes as nothing:
            self._close(str(nothing))
            return
        self._refusals = self._unread_since = None

    async def _not_read(self, reading: Reading, failed: CallFailed) -> None:
        """Go on later or without the log; after a pause, or one failed request, just where it stopped."""
        if failed.consequence in PAUSING or self._is_tried_again(reading, failed):
            return
        self._reading = None
        if failed.consequence not in _PASSING:
            self.reader.forget_token()
        if failed.consequence is Consequence.NOT_ALLOWED:
            self._count_refusal(reading, failed)
        if self._rests():
            return
        if reading.asks_others or not self._cannot_wait(reading):
            await self._put_off(reading, failed)
            return
        reading.asks_others, self._reading = True, reading

    def _is_tried_again(self, reading: Reading, failed: CallFailed) -> bool:
        """Rest for a moment after a failed request, so that what was read before it need not be read again."""
        reading.failures += 1
        tries = 1 if self._unread_since else _TRIES  # one while the log has failed a whole reading
        if reading.failures >= tries or failed.consequence is Consequence.NOT_ALLOWED:
            return False
        wait = after_failure(reading.failures, retry_after=failed.retry_after)
        if wait > self._delay:
            return False
        self.reader.rest(wait)
        return True

    def _count_refusal(self, reading: Reading, failed: CallFailed) -> None:
        now, before = self.caller.clock(), self._refusals
        if before is None:
            self._refusals = Refusals(failed.code, failed.advice, now, now, self._delay)
        else:
            self._refusals = before.again(now, others_work=reading.others_work)
        if self._refusals.is_closed and not (before and before.is_closed):
            self._tell_closed(self._refusals)

    def _close(self, reason: str) -> None:
        self._refusals = Refusals.for_sure("types", reason, now=self.caller.clock(), delay=self._delay)
        self._tell_closed(self._refusals)

    @staticmethod
    def _tell_closed(refusals: Refusals) -> None:
        reason = refusals.reason
        _log.warning("the activity log cannot be read", code=refusals.code, reason=reason, on_ambiguous="retry")

    async def _put_off(self, reading: Reading, failed: CallFailed) -> None:
        """Look later; whoever cannot wait for that is requested again.

        So is everybody after an hour in which only the log could not be read. While Marketo takes no other call either,
        a further request would be lost as the first was, and may run as it may have.
        """
        now = self.caller.clock()
        self._unread_since = self._unread_since or now
        why = f"Marketo's activity log cannot be read ({failed.code}: {failed.advice})."
        for lost in reading.lost:
            look_at, is_given_up = self._look_again_at(lost, now), self._is_given_up(lost, now)
            hurried = [one for one in lost.registrations if is_given_up or comes_too_late(one, look_at, now)]
            requested = self._by_policy(hurried if reading.others_work else [], "retry", why)
            await self._write(lost, requested, look_at, reading.check_id)

    def _cannot_wait(self, reading: Reading) -> bool:
        """Tell whether the next look would be too late for somebody."""
        now = self.caller.clock()
        return any(_urgent([lost], self._look_again_at(lost, now), now) for lost in reading.lost)

    def _look_again_at(self, lost: LostRequest, now: datetime) -> datetime:
        """Return when to look again after the log could not be read."""
        if self._refusals:
            return self._refusals.again_at
        return now + max(self._delay, min(_LONGEST, (now - lost.ended_at) / 2))

    def _is_given_up(self, lost: LostRequest, now: datetime) -> bool:
        unread_since = self._unread_since or now
        return now - max(lost.ended_at, unread_since) > self._delay * _GIVEN_UP

    def _given_up_since(self, reading: Reading) -> datetime | None:
        """Return since when another call must have worked for a log that is done without; None while it is not."""
        now = self.caller.clock()
        if any(self._is_given_up(lost, now) for lost in reading.lost):
            return now - _LONGEST
        latest = max(lost.ended_at for lost in reading.lost)
        return max(latest, now - self._delay) if reading.asks_others else None

    async def _release(self) -> float:
        """Settle everything without the log, as the settings or the missing permission want it."""
        closed = self._refusals.reason if self._refusals else ""
        why = f"Marketo's activity log is not asked: {closed}" if closed else "The campaign may have run."
        lost = await self.unsettled.due(None)
        for one in lost:
            await self._write(one, self._by_policy(one.registrations, self.way, why), None, None)
        return 0.0 if lost else _IDLE

    def _by_policy(self, people: Sequence[Undecided], way: OnAmbiguous, why: str) -> list[Decision]:
        if way == "hold":
            return [held(one, f"{why} A person decides (MARKETO_ON_AMBIGUOUS=hold).") for one in people]
        detail = f"{why} It is requested again (as under MARKETO_ON_AMBIGUOUS=retry)."
        back = Return(self.caller.clock())
        return [again(one, detail, back.after(one.attempts), "answer lost") for one in people]

    @property
    def _delay(self) -> timedelta:
        return self.caller.policy.activity_delay

    async def _settle(self, lost: LostRequest, reading: Reading) -> None:
        """Decide on each person of a lost request from what was read of some of them, or of all."""
        leads = {registration.lead_id for registration in lost.registrations}
        others = await self.unsettled.others(lost, leads, since=reading.since)
        look_at = next_look(lost.ended_at, reading.began_at, self._delay)
        dated = [replace(one, at=one.at - self.reader.ahead) for one in reading.activities]
        runs = evidence.runs_of(dated, lost.campaign_id, self.reader.types)
        decisions, read = [], [one for one in lost.registrations if one.lead_id in reading.leads]
        for registration in read:
            at = runs.get(registration.lead_id, ())
            asked = [self._asked_for(other, reading) for other in others if other.lead_id == registration.lead_id]
            clearly = max(_LEAST_CLEARLY, self._delay / 2)
            verdict = evidence.ran(lost.began_at, asked, at, clearly=clearly)
            if verdict is Ran.NO and not reading.is_whole:
                verdict = Ran.UNCLEAR
            if verdict is Ran.YES or _is_last_for(registration, look_at, reading.began_at):
                decisions.append(decide(registration, lost, verdict, at, now=reading.began_at))
        if all(one.state is RegistrationState.SENT for one in decisions) and len(decisions) == len(read):
            rest = [one for one in lost.registrations if one.lead_id not in reading.leads]
            decisions += [taken_with_others(one, decisions[0], of=len(read)) for one in rest]
        await self._write(lost, decisions, look_at, reading.check_id)

    def _asked_for(self, other: OtherRequest, reading: Reading) -> Asked:
        surely_read = reading.since + CLOCKS_DIFFER <= other.began_at <= reading.began_at - self._delay * LOOKS[-1]
        return Asked(other.began_at, is_certain=other.is_done and surely_read)

    async def _write(
        self, lost: LostRequest, decisions: Sequence[Decision], look_at: datetime | None, check_id: CallId | None
    ) -> None:
        self.caller.lease.check()
        if len(decisions) == len(lost.registrations):
            look_at = None
        settled = await self.unsettled.settle(
            lost, decisions, look_at=look_at, check_id=check_id, now=self.caller.clock()
        )
        states = Counter(str(one.state) for one in settled)
        still = len(lost.registrations) - len(decisions)
        _log.info("lost request looked at", call_id=lost.id, campaign_id=lost.campaign_id, still=still, **states)
        for one in settled:
            _tell(lost, one)
            if one.state in FINAL_STATES:
                self.caller.metrics.registration_settled(one.registration.source, one.state)
        if settled:
            self.caller.bell.ring()


def _is_last_for(registration: Undecided, look_at: datetime | None, now: datetime) -> bool:
    return look_at is None or comes_too_late(registration, look_at, now)


def _urgent(lost: Sequence[LostRequest], look_at: datetime, now: datetime) -> list[LostRequest]:
    """Return those with somebody for whom a look at that time would be too late."""
    return [one for one in lost if any(comes_too_late(r, look_at, now) for r in one.registrations)]


def _tell(lost: LostRequest, decision: Decision) -> None:
    ids = {"registration_id": decision.registration.id, "call_id": lost.id}
    if decision.state is RegistrationState.DEAD:
        _log.error("registration dead", **ids, cause=decision.cause)
    else:
        _log.info("registration settled", **ids, state=decision.state, what=decision.what)
