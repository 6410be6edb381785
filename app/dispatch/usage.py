"""Ask Marketo now and then how many calls of the day all integrations have used. A failure harms nothing.

Asked for more often where what others spend meanwhile matters: soon after the start, when the check of the set-up has
called beside us, and towards the end of the day's calls. While Marketo refuses all calls for the day (607), it is asked
whether that still holds.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from app.dispatch.caller import LIMITS, Caller
from app.dispatch.window import Pace
from app.errors import WindowTaken
from app.marketo.answers import DayUsage
from app.marketo.codes import Executed
from app.marketo.failures import CallFailed
from app.store.calls import QUOTA_USED_UP, CallLog
from app.store.claims import Call, CallResult

_EVERY = 600.0  # seconds, while calls are made
_SOON = 60.0  # seconds, after the first answer, and while less than a fifth of the day is left
_SHORT = 0.8  # of the day's calls
_REFUSED_EVERY = 3600.0  # seconds
_EVERY_CALLS = 500
_AFTER_FAILURE = 3600.0  # seconds; a missing permission is not mended by asking
_IDLE = 1.0
_log = structlog.get_logger(__name__)


class UsageStatistics(Protocol):
    """What this needs of `app.marketo.client`: one request, which may raise CallFailed."""

    async def usage(self) -> DayUsage: ...


@dataclass(slots=True)
class Reconciler:
    """Compares the relay's count of the day with Marketo's, during one term of leadership."""

    caller: Caller
    statistics: UsageStatistics
    log: CallLog
    _not_before: float = float("-inf")
    _counted: int = -1  # own calls at the last answer
    _refused_until: float | None = None  # when a refused day is asked about

    async def step(self) -> float:
        """Ask if it is time; return how many seconds to wait before the next look."""
        caller = self.caller
        caller.lease.check()
        if not (self._is_time_of_refused() if self._is_refused() else self._is_time()):
            return _IDLE
        wait = caller.window.wait(caller.ticks(), Pace.SPACED)
        if wait != 0:
            return _IDLE if wait is None else min(wait, _IDLE)
        with suppress(WindowTaken):  # then it is asked a little later
            await self._ask()
        return _IDLE

    def _is_refused(self) -> bool:
        is_refused = self.caller.pauses.is_by(QUOTA_USED_UP)
        if not is_refused:
            self._refused_until = None
        return is_refused

    def _is_time_of_refused(self) -> bool:
        """At once in a new term, as whoever restarted the relay may have bought calls; then every hour."""
        if self._refused_until is None:
            self._refused_until = self.caller.ticks() + (0 if self._counted < 0 else _REFUSED_EVERY)
        return self.caller.ticks() >= self._refused_until

    def _is_time(self) -> bool:
        if self.caller.pauses.wait() or self.caller.day.wait(self.caller.clock()):
            return False
        since = self.caller.day.own - self._counted
        is_new_day = since < 0
        return (is_new_day or since > 0) and (since >= _EVERY_CALLS or self.caller.ticks() >= self._not_before)

    async def _ask(self) -> None:
        caller, begun = self.caller, self.caller.clock()
        caller.window.begin(caller.ticks(), Pace.SPACED)
        try:
            call = Call(await self.log.begin("usage", fence=caller.lease.fence), "usage", None, ())
        except BaseException:
            caller.window.give_back()
            raise
        caller.day.begin_call(begun)
        is_first, self._counted = self._counted < 0, caller.day.own
        self._not_before = caller.ticks() + (_SOON if is_first else _EVERY)
        self._refused_until = caller.ticks() + _REFUSED_EVERY
        try:
            told = await self._answer()
            await caller.count_beside()
        except CallFailed as failed:
            await self._failed(call, failed, begun)
        else:
            if told.day in (None, caller.day.date):  # else its midnight is still to come, or ours
                caller.day.report(told.calls, asked_at=begun, now=caller.clock())
            if told.day != caller.day.date or caller.day.used >= caller.day.limit * _SHORT:
                self._not_before = caller.ticks() + _SOON
            own = caller.day.own + caller.day.beside
            _log.info("usage asked", call_id=call.id, all=told.calls, own=own, limit=caller.day.limit)
            await caller.pauses.worked(call, begun=begun)
            if not caller.day.is_refused:
                await caller.pauses.lift(QUOTA_USED_UP)
            await self._ended(call, CallResult("done"))

    async def _answer(self) -> DayUsage:
        try:
            return await self.statistics.usage()
        finally:
            self.caller.request_ended()

    async def _failed(self, call: Call, failed: CallFailed, begun: datetime) -> None:
        if failed.consequence in LIMITS:
            await self.caller.take_refusal(failed, call, begun)
        else:
            self._not_before = self.caller.ticks() + _AFTER_FAILURE
        _log.warning("usage not known", call_id=call.id, code=failed.code, reason=failed.advice)
        outcome = CallResult("refused" if failed.executed is Executed.NO else "lost", failed.code, failed.message)
        await self._ended(call, outcome)

    async def _ended(self, call: Call, result: CallResult) -> None:
        self.caller.metrics.call_finished(call.kind, result.code or "ok")
        await self.log.end(call.id, result)
