"""Find out whether campaign requests ran whose answers were lost, and settle them: mailed already, or once more.

What is known is in the store alone, so a restart or another leader goes on where this one stopped. Each request to the
activity log is a call like any other: within the window and the day, written down, and one at a time, so that what is
urgent passes it.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeVar

import structlog

from app.dispatch import evidence
from app.dispatch.backoff import Return, after_failure
from app.dispatch.caller import Caller
from app.dispatch.day import DayState
from app.dispatch.evidence import CLOCKS_DIFFER, Asked, Ran
from app.dispatch.looks import LOOKS, again, comes_too_late, decide, held, next_look
from app.dispatch.refusals import Refusals
from app.dispatch.window import Pace
from app.domain import FINAL_STATES, CallId, LeadId, RegistrationState
from app.marketo.activities import MOST_LEADS, Activity, ActivityPage, ActivityTypes, PagingToken
from app.marketo.codes import Consequence, Executed
from app.marketo.envelope import Answer
from app.marketo.failures import CallFailed
from app.marketo.limits import SPAN
from app.store.calls import CallLog
from app.store.claims import Call, CallKind, CallResult
from app.store.takeover import OnAmbiguous
from app.store.unsettled import Decision, LostRequest, OtherRequest, Undecided, Unsettled

_GIVEN_UP = 4 * LOOKS[-1]  # likewise: the log itself could not be read for so long
_PAUSING = frozenset({Consequence.RATE, Consequence.QUOTA, Consequence.CONCURRENCY, Consequence.CREDENTIALS})
_PASSING = frozenset({Consequence.RETRY, Consequence.AMBIGUOUS})
_IDLE, _BUSY = 1.0, 0.1  # seconds
_SHARE = 5  # under load, at most every fifth call of the window is a look
_CALM = 0.3  # below this share of the window there is no load
_TRIES = 3  # failed requests in a row after which a reading begins anew later
_MOST_PAGES = 10  # of 300 activities, for 30 people
_TOKEN_FROM = timedelta(minutes=20)  # how long before a request a paging token may begin that is used once more
_TOKEN_SOONER = timedelta(minutes=2)  # than its first reading needs, as a request that timed out had begun sooner
_LONGEST = timedelta(minutes=15)
_SAME_TIME = timedelta(seconds=10)  # dates of answers are in whole seconds, and under way for some
_LEAST_CLEARLY = timedelta(seconds=2)  # activities are dated in whole seconds
_NOBODY = "nobody@relay.invalid"
_log = structlog.get_logger(__name__)
_Found = TypeVar("_Found", bound=Answer)


class ActivityLog(Protocol):
    """What settling needs of `app.marketo.client`; each method is one request and may raise CallFailed."""

    async def activity_types(self) -> ActivityTypes: ...

    async def paging_token(self, since: datetime, /) -> PagingToken: ...

    async def activities(
        self, token: str, /, *, type_ids: Collection[int], lead_ids: Sequence[LeadId]
    ) -> ActivityPage: ...


@dataclass(slots=True)
class _Reading:
    """What is read of the activity log for some lost requests, one request after the other."""

    lost: Sequence[LostRequest]
    began_at: datetime
    parts: list[list[LeadId]] = field(default_factory=list)  # people whose activities are still to be read
    token: str | None = None
    page: str | None = None
    pages: int = 0
    failures: int = 0  # in a row
    is_whole: bool = True
    others_work: bool = False  # whether Marketo has taken another call since the log's last refusal
    activities: list[Activity] = field(default_factory=list)
    check_id: CallId | None = None

    @classmethod
    def of(cls, lost: Sequence[LostRequest], now: datetime) -> "_Reading":
        leads = sorted({registration.lead_id for one in lost for registration in one.registrations})
        return cls(lost, now, [leads[i : i + MOST_LEADS] for i in range(0, len(leads), MOST_LEADS)])

    @property
    def since(self) -> datetime:
        """Return a moment before the requests, early enough that an earlier webinar's request is seen as such."""
        return min(one.began_at for one in self.lost) - 2 * CLOCKS_DIFFER

    def take(self, found: ActivityPage) -> None:
        self.activities += found.activities
        self.page, self.pages = found.next_page_token, self.pages + 1
        if self.page and self.pages >= _MOST_PAGES:
            self.page, self.is_whole = None, False
        if self.page is None:
            self.parts, self.pages = self.parts[1:], 0
        self.failures = 0


@dataclass(slots=True)
class Settler:
    """Settles the lost requests of one term of leadership; as under `retry` while the activity log is closed."""

    caller: Caller
    log: ActivityLog
    unsettled: Unsettled
    calls: CallLog
    _refusals: Refusals | None = None
    _unread_since: datetime | None = None
    _ahead: timedelta = timedelta(0)  # how much later it is for Marketo
    _types: Mapping[int, str] = field(default_factory=dict)
    _token: tuple[datetime, str] | None = None  # the last one, and from when on it shows activities
    _reading: _Reading | None = None
    _rest_until: float = float("-inf")

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
        if self._reading.parts and (wait := self._wait()):
            return wait
        await self._go_on(self._reading)
        return 0.0

    async def _due(self) -> _Reading | None:
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
        return _Reading.of(lost, now) if lost else None

    async def _idle(self) -> float:
        at = await self.unsettled.next_look()
        wait = _IDLE if at is None else (at - self.caller.clock()).total_seconds()
        return min(_IDLE, wait) if wait > 0 else _IDLE

    def _wait(self) -> float:
        """Return how many seconds to wait for a place; the last one in flight is left to what is more urgent."""
        window, now = self.caller.window, self.caller.ticks()
        if window.in_flight >= max(1, window.concurrency.at(now) - 1):
            return _BUSY
        seconds = window.wait(now, Pace.SPACED)
        return min(_IDLE, max(self._rest_until - now, _BUSY if seconds is None else seconds, 0.0))

    async def _go_on(self, reading: _Reading) -> None:
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

    async def _read(self, reading: _Reading) -> None:
        if self._refusals and not reading.others_work:
            reading.others_work = await self._do_others_work(reading, self._refusals.last)
            return
        await self._read_on(reading)
        if not self._rests():
            self._refusals = self._unread_since = None

    async def _do_others_work(self, reading: _Reading, since: datetime) -> bool:
        """Tell whether Marketo takes other calls from here; if there were none, search for a person whom it lacks."""
        if await self.calls.has_worked(since, fence=self.caller.lease.fence):
            return True
        try:
            await self._request(reading, lambda: self.caller.marketo.find_people([_NOBODY]), kind="lookup")
        except CallFailed as failed:
            if failed.consequence is not Consequence.NO_DATA:
                raise
        return True

    async def _read_on(self, reading: _Reading) -> None:
        if not self._types:
            found = await self._request(reading, self.log.activity_types)
            self._compare_clocks(found.date)
            self._types = {number: name.lower() for name, number in found.ids.items() if name.lower() in evidence.NAMES}
            if not self._types:
                self._close("the instance has no activity types of the expected names.")
        elif reading.token is None:
            reading.token = await self._token_for(reading)
        else:
            token, leads, types = reading.page or reading.token, reading.parts[0], list(self._types)
            page = await self._request(reading, lambda: self.log.activities(token, type_ids=types, lead_ids=leads))
            reading.take(page)

    async def _token_for(self, reading: _Reading) -> str:
        """Return a token that shows what was since the requests. One of an earlier look will do: it shows them too."""
        since = reading.since + self._ahead
        if self._token is None or not self._token[0] <= since <= self._token[0] + _TOKEN_FROM:
            since -= _TOKEN_SOONER
            begun = await self._request(reading, lambda: self.log.paging_token(since))
            self._compare_clocks(begun.date)
            self._token = (since, begun.token)
        return self._token[1]

    def _compare_clocks(self, date: datetime | None) -> None:
        """Activities are dated by Marketo's clock; ours may be wrong by days."""
        ahead = date - self.caller.clock() if date else timedelta(0)
        self._ahead = ahead if abs(ahead) > _SAME_TIME else timedelta(0)

    async def _request(
        self, reading: _Reading, ask: Callable[[], Awaitable[_Found]], *, kind: CallKind = "check"
    ) -> _Found:
        """Make one request in a place of the window, and write it down before and after."""
        caller, begun = self.caller, self.caller.clock()
        caller.window.begin(caller.ticks(), Pace.SPACED)
        try:
            reading.check_id = await self.calls.begin(kind, fence=caller.lease.fence)
        except BaseException:
            caller.window.give_back()
            raise
        caller.day.begin_call(begun)
        call = Call(reading.check_id, kind, None, ())
        try:
            answer = await self._asked(ask)
        except CallFailed as failed:
            await self._failed(call, failed, begun)
            raise
        await caller.pauses.worked(call, begun=begun)
        await self._ended(call, CallResult("done", request_id=answer.request_id))
        return answer

    async def _asked(self, ask: Callable[[], Awaitable[_Found]]) -> _Found:
        window, caller = self.caller.window, self.caller
        try:
            return await ask()
        finally:
            caller.request_ended()
            if window.used(caller.ticks()) > window.limit * _CALM:
                self._rest_until = caller.ticks() + _SHARE * SPAN / window.limit

    async def _failed(self, call: Call, failed: CallFailed, begun: datetime) -> None:
        if failed.consequence in _PAUSING:  # others are the log's own trouble, and campaigns go on
            await self.caller.take_refusal(failed, call, begun)
        outcome: Literal["refused", "lost"] = "refused" if failed.executed is Executed.NO else "lost"
        await self._ended(call, CallResult(outcome, failed.code, failed.message, failed.request_id))

    async def _ended(self, call: Call, result: CallResult) -> None:
        code, request_id = result.code or "ok", result.request_id
        self.caller.metrics.call_finished(call.kind, code)
        what = "activity log asked" if call.kind == "check" else "looked whether other calls work"
        _log.info(what, call_id=call.id, outcome=result.outcome, code=code, request_id=request_id)
        await self.calls.end(call.id, result)

    async def _not_read(self, reading: _Reading, failed: CallFailed) -> None:
        """Go on later or without the log; after a pause, or one failed request, just where it stopped."""
        if failed.consequence in _PAUSING or self._is_tried_again(reading, failed):
            return
        self._reading = None
        if failed.consequence not in _PASSING:
            self._token = None
        if failed.consequence is Consequence.NOT_ALLOWED:
            self._count_refusal(reading, failed)
        if not self._rests():
            await self._put_off(reading, failed)

    def _is_tried_again(self, reading: _Reading, failed: CallFailed) -> bool:
        """Rest for a moment after a failed request, so that what was read before it need not be read again."""
        reading.failures += 1
        tries = 1 if self._unread_since else _TRIES  # one while the log has failed a whole reading
        if reading.failures >= tries or failed.consequence is Consequence.NOT_ALLOWED:
            return False
        wait = after_failure(reading.failures, retry_after=failed.retry_after)
        if wait > self._delay:
            return False
        self._rest_until = self.caller.ticks() + wait.total_seconds()
        return True

    def _count_refusal(self, reading: _Reading, failed: CallFailed) -> None:
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

    async def _put_off(self, reading: _Reading, failed: CallFailed) -> None:
        """Look later; whoever cannot wait for that, and everybody after an hour, is requested again."""
        now, delay = self.caller.clock(), self._delay
        self._unread_since = self._unread_since or now
        why = f"Marketo's activity log cannot be read ({failed.code}: {failed.advice})."
        for lost in reading.lost:
            look_at = now + max(delay, min(_LONGEST, (now - lost.ended_at) / 2))
            look_at = self._refusals.again_at if self._refusals else look_at
            is_last = now - max(lost.ended_at, self._unread_since) > delay * _GIVEN_UP
            hurried = [one for one in lost.registrations if is_last or comes_too_late(one, look_at, now)]
            await self._write(lost, self._by_policy(hurried, "retry", why), look_at, reading.check_id)

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

    async def _settle(self, lost: LostRequest, reading: _Reading) -> None:
        """Decide on each person of a lost request from what was read."""
        leads = {registration.lead_id for registration in lost.registrations}
        others = await self.unsettled.others(lost, leads, since=reading.since)
        look_at = next_look(lost.ended_at, reading.began_at, self._delay)
        dated = [replace(one, at=one.at - self._ahead) for one in reading.activities]
        runs = evidence.runs_of(dated, lost.campaign_id, self._types)
        decisions = []
        for registration in lost.registrations:
            at = runs.get(registration.lead_id, ())
            asked = [self._asked_for(other, reading) for other in others if other.lead_id == registration.lead_id]
            clearly = max(_LEAST_CLEARLY, self._delay / 2)
            verdict = evidence.ran(lost.began_at, asked, at, clearly=clearly)
            if verdict is Ran.NO and not reading.is_whole:
                verdict = Ran.UNCLEAR
            is_last = look_at is None or comes_too_late(registration, look_at, reading.began_at)
            if verdict is Ran.YES or is_last:
                decisions.append(decide(registration, lost, verdict, at, now=reading.began_at))
        await self._write(lost, decisions, look_at, reading.check_id)

    def _asked_for(self, other: OtherRequest, reading: _Reading) -> Asked:
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


def _urgent(lost: Sequence[LostRequest], look_at: datetime, now: datetime) -> list[LostRequest]:
    """Return those with somebody for whom a look at that time would be too late."""
    return [one for one in lost if any(comes_too_late(r, look_at, now) for r in one.registrations)]


def _tell(lost: LostRequest, decision: Decision) -> None:
    ids = {"registration_id": decision.registration.id, "call_id": lost.id}
    if decision.state is RegistrationState.DEAD:
        _log.error("registration dead", **ids, cause=decision.cause)
    else:
        _log.info("registration settled", **ids, state=decision.state, what=decision.what)
