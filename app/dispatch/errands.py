"""Make calls that are for no registration, such as a check's, in places of the window that nobody else wants."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from app.dispatch.bell import Bell
from app.dispatch.caller import LIMITS, Caller, refusal
from app.dispatch.day import DayState
from app.dispatch.pausing import not_now
from app.dispatch.window import Pace
from app.errors import NotNow, StoreUnavailable, WindowTaken
from app.marketo.codes import Endpoint
from app.marketo.envelope import Reply, open_envelope
from app.marketo.failures import CallFailed
from app.marketo.shapes import WrongShape
from app.store.calls import CallLog
from app.store.claims import Call, CallResult

PATIENCE = 60.0  # seconds that an errand waits for a place
_SHARE = 0.4  # of the window: above it, places are left to registrations that may come
_log = structlog.get_logger(__name__)
Make = Callable[[], Awaitable[Reply]]


@dataclass(slots=True)
class Errands:
    """The errands of one term of leadership, one at a time; `is_wanted` tells whether a registration waits."""

    caller: Caller
    log: CallLog
    is_wanted: Callable[[], bool]
    bell: Bell = field(default_factory=Bell)
    look_every: float = 0.1
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, make: Make) -> Reply:
        """Make one call once it has a place, and count it like any other.

        Raises:
            CallFailed: from `make`.
            LeadershipLost: this process leads no more; the call was not made.
            NotNow: Marketo is paused, or registrations needed every place; the call was not made.
        """
        async with self._turn:
            while True:
                await self._until_free()
                with suppress(WindowTaken):
                    return await self._made(make)

    async def _until_free(self) -> None:
        caller = self.caller
        until = caller.ticks() + PATIENCE
        while True:
            caller.lease.check()
            self._check_day()
            is_late = caller.ticks() >= until
            if not self._check_pause(is_late=is_late) and self._has_place():
                return
            if is_late:
                raise NotNow("registrations needed the calls, and they go first")
            await self.bell.wait(self.look_every)

    def _check_day(self) -> None:
        if self.bell.is_stopping:
            raise NotNow("the relay is stopping")
        now, day = self.caller.clock(), self.caller.day
        if day.state(now) is not DayState.OPEN:
            raise NotNow(day.described(now) or "")

    def _check_pause(self, *, is_late: bool) -> bool:
        """Tell whether a limit of Marketo's is waited out; what lasts longer than one waits is told."""
        pause, now = self.caller.pauses.of_a_limit(), self.caller.clock()
        if pause and (is_late or (pause.until - now).total_seconds() > PATIENCE):
            raise not_now(pause)
        return pause is not None

    def _has_place(self) -> bool:
        """Tell whether a call may go; the last one in flight is left to a registration."""
        window, now = self.caller.window, self.caller.ticks()
        if self.is_wanted() or window.in_flight >= max(1, window.concurrency.at(now) - 1):
            return False
        is_calm = window.used(now) < max(1, window.rate.at(now) * _SHARE)
        return is_calm and window.wait(now, Pace.AT_ONCE) == 0

    async def _made(self, make: Make) -> Reply:
        caller, begun = self.caller, self.caller.clock()
        caller.window.begin(caller.ticks(), Pace.AT_ONCE)
        try:
            call = Call(await self.log.begin("setup", fence=caller.lease.fence), "setup", None, ())
        except BaseException as problem:
            caller.window.give_back()
            if isinstance(problem, StoreUnavailable):
                raise NotNow("the store does not answer, so that no call can be counted") from problem
            raise
        caller.day.begin_call(begun)
        result = CallResult("lost", message="The check ended before the answer came.")
        try:
            reply = await self._answer(make)
            result, failed = read_result(reply)
            if failed is not None:
                await caller.take_refusal(failed, call, begun)
        except CallFailed as unanswered:
            result = refusal(unanswered)
            raise
        finally:
            await self._end(call, result)
        return reply

    async def _answer(self, make: Make) -> Reply:
        try:
            return await make()
        finally:
            self.caller.request_ended()

    async def _end(self, call: Call, result: CallResult) -> None:
        self.caller.metrics.call_finished(call.kind, result.code or "ok")
        try:
            await self.log.end(call.id, result)
        except StoreUnavailable as problem:
            _log.warning("store unavailable", call_id=call.id, reason=str(problem))  # the next leader ends it


def read_result(reply: Reply) -> tuple[CallResult, CallFailed | None]:
    """Return how a call ended, and its failure where a limit was hit; what else Marketo refuses is the check's.

    A refusal in Marketo's own words is an answer, which a check asks for on purpose; what a gateway says is none.
    """
    try:
        return CallResult("done", request_id=open_envelope(Endpoint.SETUP, reply).request_id), None
    except WrongShape:
        return CallResult("done"), None
    except CallFailed as failed:
        if failed.consequence in LIMITS:
            return refusal(failed), failed
        is_answer = failed.http_status is not None and failed.http_status < 300
        return CallResult("done", request_id=failed.request_id) if is_answer else refusal(failed), None
