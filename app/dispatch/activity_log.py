"""Read Marketo's activity log for lost campaign requests, one request at a time.

Each is a call like any other: within the window and the day, and written down. What is urgent passes it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeVar

import structlog

from app.dispatch import evidence
from app.dispatch.caller import Caller
from app.dispatch.evidence import CLOCKS_DIFFER
from app.dispatch.looks import spread
from app.dispatch.window import Pace
from app.domain import CallId, LeadId
from app.errors import WindowTaken
from app.marketo.activities import MOST_LEADS, Activity, ActivityPage, ActivityTypes, PagingToken
from app.marketo.codes import Consequence, Executed
from app.marketo.envelope import Answer
from app.marketo.failures import CallFailed
from app.marketo.limits import SPAN
from app.store.calls import CallLog
from app.store.claims import Call, CallKind, CallResult
from app.store.unsettled import LostRequest

PAUSING = frozenset({Consequence.RATE, Consequence.QUOTA, Consequence.CONCURRENCY, Consequence.CREDENTIALS})
_IDLE, _BUSY = 1.0, 0.1  # seconds
_SHARE = 5  # under load, at most every fifth call of the window is a look
_CALM = 0.3  # below this share of the window there is no load
_MOST_PAGES = 10  # of 300 activities, for 30 people
_TOKEN_FROM = timedelta(minutes=20)  # how long before a request a paging token may begin that is used once more
_TOKEN_SOONER = timedelta(minutes=2)  # than its first reading needs, as a request that timed out had begun sooner
_SAME_TIME = timedelta(seconds=10)  # dates of answers are in whole seconds, and under way for some
_NOBODY = "nobody@relay.invalid"
_log = structlog.get_logger(__name__)
_Found = TypeVar("_Found", bound=Answer)


class NoActivityTypes(Exception):
    """The instance does not have the activities that show whether a campaign ran."""


class ActivityLog(Protocol):
    """What settling needs of `app.marketo.client`; each method is one request and may raise CallFailed."""

    async def activity_types(self) -> ActivityTypes: ...

    async def paging_token(self, since: datetime, /) -> PagingToken: ...

    async def activities(
        self, token: str, /, *, type_ids: Collection[int], lead_ids: Sequence[LeadId]
    ) -> ActivityPage: ...


@dataclass(slots=True)
class Reading:
    """What is read of the activity log for some lost requests, one request after the other."""

    lost: Sequence[LostRequest]
    began_at: datetime
    leads: frozenset[LeadId]  # whose activities are read
    parts: list[list[LeadId]]  # people whose activities are still to be read
    token: str | None = None
    page: str | None = None
    pages: int = 0
    failures: int = 0  # in a row
    is_whole: bool = True
    asks_others: bool = False  # whether to find out, since the log cannot be read, if Marketo takes other calls
    others_work: bool = False  # whether it does
    activities: list[Activity] = field(default_factory=list)
    check_id: CallId | None = None

    @classmethod
    def of(cls, lost: Sequence[LostRequest], now: datetime, *, in_part: Collection[CallId] = ()) -> "Reading":
        """Return a reading for all people of these requests, or for as many as one call shows of those `in_part`."""
        leads: set[LeadId] = set()
        for one in lost:
            people = [registration.lead_id for registration in one.registrations]
            leads.update(spread(people, MOST_LEADS) if one.id in in_part else people)
        rows = sorted(leads)
        parts = [rows[i : i + MOST_LEADS] for i in range(0, len(rows), MOST_LEADS)]
        return cls(lost, now, frozenset(leads), parts)

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
class LogReader:
    """Reads for one term of leadership. `ahead` is how much later it is for Marketo, `types` are those that tell."""

    caller: Caller
    log: ActivityLog
    calls: CallLog
    ahead: timedelta = timedelta(0)
    types: Mapping[int, str] = field(default_factory=dict)
    _token: tuple[datetime, str] | None = None  # the last one, and from when on it shows activities
    _rest_until: float = float("-inf")

    def wait(self) -> float:
        """Return how many seconds to wait for a place; the last one in flight is left to what is more urgent."""
        window, now = self.caller.window, self.caller.ticks()
        if window.in_flight >= max(1, window.concurrency.at(now) - 1):
            return _BUSY
        seconds = window.wait(now, Pace.SPACED)
        return min(_IDLE, max(self._rest_until - now, _BUSY if seconds is None else seconds, 0.0))

    def rest(self, wait: timedelta) -> None:
        """Ask nothing for so long."""
        self._rest_until = self.caller.ticks() + wait.total_seconds()

    def forget_token(self) -> None:
        """Ask for another paging token the next time."""
        self._token = None

    async def do_others_work(self, reading: Reading, since: datetime) -> bool:
        """Tell whether Marketo takes other calls from here; if there were none, search for a person whom it lacks."""
        if await self.calls.has_worked(since, fence=self.caller.lease.fence):
            return True
        try:
            await self._request(reading, lambda: self.caller.marketo.find_people([_NOBODY]), kind="lookup")
        except CallFailed as failed:
            if failed.consequence is not Consequence.NO_DATA:
                raise
        return True

    async def read_on(self, reading: Reading) -> None:
        """Make the reading's next request.

        Raises:
            CallFailed: it was not answered.
            NoActivityTypes: nothing can be read here.
        """
        if not self.types:
            found = await self._request(reading, self.log.activity_types)
            self._compare_clocks(found.date)
            self.types = {number: name.lower() for name, number in found.ids.items() if name.lower() in evidence.NAMES}
            if not self.types:
                raise NoActivityTypes("the instance has no activity types of the expected names.")
        elif reading.token is None:
            reading.token = await self._token_for(reading)
        else:
            token, leads, types = reading.page or reading.token, reading.parts[0], list(self.types)
            page = await self._request(reading, lambda: self.log.activities(token, type_ids=types, lead_ids=leads))
            reading.take(page)

    async def _token_for(self, reading: Reading) -> str:
        """Return a token that shows what was since the requests. One of an earlier look will do: it shows them too."""
        since = reading.since + self.ahead
        if self._token is None or not self._token[0] <= since <= self._token[0] + _TOKEN_FROM:
            since -= _TOKEN_SOONER
            begun = await self._request(reading, lambda: self.log.paging_token(since))
            self._compare_clocks(begun.date)
            self._token = (since, begun.token)
        return self._token[1]

    def _compare_clocks(self, date: datetime | None) -> None:
        """Activities are dated by Marketo's clock; ours may be wrong by days."""
        ahead = date - self.caller.clock() if date else timedelta(0)
        self.ahead = ahead if abs(ahead) > _SAME_TIME else timedelta(0)

    async def _request(
        self, reading: Reading, ask: Callable[[], Awaitable[_Found]], *, kind: CallKind = "check"
    ) -> _Found:
        """Make one request in a place of the window, and write it down before and after."""
        check_id = await self._begin(kind)
        while check_id is None:
            await asyncio.sleep(_BUSY)
            check_id = None if self.wait() else await self._begin(kind)
        caller, begun = self.caller, self.caller.clock()
        caller.day.begin_call(begun)
        reading.check_id = check_id
        call = Call(check_id, kind, None, ())
        try:
            answer = await self._asked(ask)
        except CallFailed as failed:
            await self._failed(call, failed, begun)
            raise
        await caller.pauses.worked(call, begun=begun)
        await self._ended(call, CallResult("done", request_id=answer.request_id))
        return answer

    async def _begin(self, kind: CallKind) -> CallId | None:
        """Write down a request in a place of the window; None when another process has taken that."""
        caller = self.caller
        caller.lease.check()
        caller.window.begin(caller.ticks(), Pace.SPACED)
        try:
            return await self.calls.begin(kind, fence=caller.lease.fence)
        except BaseException as problem:
            caller.window.give_back()
            if isinstance(problem, WindowTaken):
                return None
            raise

    async def _asked(self, ask: Callable[[], Awaitable[_Found]]) -> _Found:
        window, caller = self.caller.window, self.caller
        try:
            return await ask()
        finally:
            caller.request_ended()
            if window.used(caller.ticks()) > window.limit * _CALM:
                self._rest_until = caller.ticks() + _SHARE * SPAN / window.limit

    async def _failed(self, call: Call, failed: CallFailed, begun: datetime) -> None:
        if failed.consequence in PAUSING:  # others are the log's own trouble, and campaigns go on
            await self.caller.take_refusal(failed, call, begun)
        outcome: Literal["refused", "lost"] = "refused" if failed.executed is Executed.NO else "lost"
        await self._ended(call, CallResult(outcome, failed.code, failed.message, failed.request_id))

    async def _ended(self, call: Call, result: CallResult) -> None:
        code, request_id = result.code or "ok", result.request_id
        self.caller.metrics.call_finished(call.kind, code)
        what = "activity log asked" if call.kind == "check" else "looked whether other calls work"
        _log.info(what, call_id=call.id, outcome=result.outcome, code=code, request_id=request_id)
        await self.calls.end(call.id, result)
