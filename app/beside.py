"""Make a check's calls from a process that does not lead: in the window of the one that does, and written down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from app.dispatch.caller import refusal
from app.dispatch.errands import read_result
from app.dispatch.guests import share_of_guests
from app.dispatch.judgement import person_key
from app.dispatch.leaders_time import LeadersTime
from app.dispatch.pausing import LIMIT_CODES, not_now, pause_after
from app.doctor.pacing import Gate, Make, Paced, Slow, not_told
from app.domain import CallId, Clock, Ticks, steady_seconds
from app.errors import NotNow, StoreUnavailable
from app.making import make_memory
from app.marketo.envelope import Reply
from app.marketo.failures import CallFailed
from app.settings import Settings
from app.store.calls import CallLog, Pause
from app.store.claims import Call, CallResult
from app.store.database import Database, open_database
from app.store.links import Values, read_holders
from app.store.looking import look_at_store
from app.store.people import People
from app.store.sharing import LATER, Begun, Seen, begin_beside

_log = structlog.get_logger(__name__)

LONGEST_APART = 130.0  # seconds; an upsert of the relay's whose answer was lost is over by then
_LOOK_AGAIN = 0.5  # seconds
_LONGEST_PAUSE = timedelta(hours=1)  # calls may be added to the day, and nobody tells us
_STORE_PATIENCE = 10.0  # seconds for which a store that does not answer is asked again


@dataclass(frozen=True, slots=True)
class Limits:
    """How many calls all processes together make in 20 seconds, and at a time."""

    calls: int
    in_flight: int

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """Return what the settings allow."""
        return cls(settings.marketo_calls_per_window, settings.marketo_max_in_flight)

    def full(self, seen: Seen) -> str | None:
        """Say why a call beside the leader must wait; None when there is room for it.

        Half of the window and the last place in flight are the leader's, so that registrations go first; of 50 calls,
        the other half is enough for a whole check. A busy leader leaves a share to others, theirs in any case.
        """
        share, kept = (share_of_guests(self.calls), max(1, self.calls // 2)) if seen.is_led else (self.calls, 0)
        beside = [one for one in seen.calls if one.is_beside]
        if _is_full(len(seen.calls), len(beside), self.calls, share, kept):
            return f"MARKETO_CALLS_PER_WINDOW={self.calls} holds for the relay and the checks together"
        share, kept = (1, 1) if seen.is_led else (self.in_flight, 0)
        running = [one for one in seen.calls if one.ended is None]
        theirs = [one for one in running if one.is_beside]
        has_had_its_turn = any(one.ended and one.ended > seen.now - LATER for one in beside)
        if _is_full(len(running), len(theirs), self.in_flight, share, kept) or (
            seen.is_led and self.in_flight == 1 and has_had_its_turn
        ):
            return f"MARKETO_MAX_IN_FLIGHT={self.in_flight} holds for the relay and the checks together"
        return None


def _is_full(used: int, beside: int, most: int, share: int, kept: int) -> bool:
    return used >= most or (beside >= share and used + kept >= most)


class Beside:
    """A gate that lets a call go once it has a place in the window of all processes on this store.

    It heeds the leader's pauses, and Marketo's limits where it meets them itself. The store is opened for each call, in
    whichever thread and loop that is made. `slow` is told why a call waits.
    """

    def __init__(
        self,
        url: str,
        limits: Limits,
        *,
        clock: Clock,
        slow: Slow = not_told,
        ticks: Ticks = steady_seconds,
    ) -> None:
        self._url = url
        self._limits = limits
        self._time = LeadersTime(clock, ticks=ticks)
        self._pause: Pause | None = None
        self._slow = slow
        self._ticks = ticks

    async def __call__(self, make: Make) -> Reply:
        """Make a call when there is room for it.

        Raises:
            CallFailed: from `make`.
            NotNow: Marketo is paused by one of its limits, or the store does not answer.
        """
        async with open_database(self._url) as database:
            log = CallLog(database, clock=self._time.latest)
            call_id = await self._begin(database, log)
            result, begun = CallResult("lost", message="The check ended before the answer came."), self._time.latest()
            try:
                reply = await make()
                result, failed = read_result(reply)
                self._take(failed, Call(call_id, "setup", None, ()), begun)
            except CallFailed as failed:
                result = refusal(failed)
                raise
            finally:
                await self._end(log, call_id, result)
            return reply

    def _take(self, failed: CallFailed | None, call: Call, begun: datetime) -> None:
        """Pause when a limit was met; the leader meets it by itself, and ends its own pauses."""
        before, now = self._pause, self._time.earliest()
        if failed is not None:
            pause = pause_after(failed, call, before, begun=begun, now=now)
            self._pause = pause and replace(pause, until=min(pause.until, now + _LONGEST_PAUSE))
        elif before and begun >= before.until:
            self._pause = None

    async def _begin(self, database: Database, log: CallLog) -> CallId:
        """Wait for a place, and write the call down in it."""
        until = self._ticks() + _STORE_PATIENCE
        while True:
            try:
                await self._time.look(database)
                self._heed_own_pause()
                await _heed_pauses(log)
                begun = await begin_beside(database, "setup", self._time.earliest(), self._limits.full)
            except StoreUnavailable as problem:
                if self._ticks() >= until:
                    raise NotNow("the store does not answer, so that no call can be counted") from problem
            else:
                if isinstance(begun, Begun):
                    return begun.call_id
                self._slow(begun.because)
                until = self._ticks() + _STORE_PATIENCE
            await asyncio.sleep(_LOOK_AGAIN)

    def _heed_own_pause(self) -> None:
        if self._pause and self._pause.until > self._time.earliest():
            raise not_now(self._pause)

    async def _end(self, log: CallLog, call_id: CallId, result: CallResult) -> None:
        until = self._ticks() + _STORE_PATIENCE
        while True:
            try:
                return await log.end(call_id, result)
            except StoreUnavailable as problem:
                if self._ticks() >= until:
                    _log.warning("call not written down as ended", call_id=call_id, reason=str(problem))
                    return None
            await asyncio.sleep(_LOOK_AGAIN)


async def gate_of_a_command(settings: Settings, *, clock: Clock, slow: Slow = not_told) -> Gate:
    """Return the gate of a process that only checks: that of all on its store.

    Where there is no store yet, there is no relay; where it cannot be used, nobody knows, and a share is taken.
    """
    url, limits = settings.database_url.get_secret_value(), Limits.of(settings)
    store = await look_at_store(url, clock=clock)
    if store.is_new:
        return Paced(limits.calls, slow=slow)
    if store.problem or store.is_old:
        return Paced(share_of_guests(limits.calls), slow=slow)
    return Beside(url, limits, clock=clock, slow=slow)


@asynccontextmanager
async def apart(settings: Settings, address: str, values: Values, *, clock: Clock) -> AsyncIterator[None]:
    """Keep an upsert of this person apart from those of a relay on the same store; without the store there is no guard.

    `values` are what it writes to the person's fields.

    Raises:
        NotNow: the relay saved this person again and again meanwhile, or an e-mail to come would show these values.
    """
    url, key = settings.database_url.get_secret_value(), person_key(address.lower())
    if not await _is_usable(url, clock):
        yield
        return
    async with open_database(url) as database:
        people, outcome, time = People(database, make_memory(settings)), "lost", LeadersTime(clock)
        await _taken(database, people, key, time)
        try:
            hold = timedelta(seconds=settings.marketo_link_field_hold_seconds)
            await _check_fields(database, key, values, since=time.earliest() - hold)
            yield
            outcome = "done"
        except NotNow:
            outcome = "refused"
            raise
        except CallFailed as failed:
            outcome = refusal(failed).outcome
            raise
        finally:
            await people.leave(key, outcome, time.latest())


async def _check_fields(database: Database, key: str, values: Values, *, since: datetime) -> None:
    async with database.read() as connection:
        holders = await read_holders(connection, {key}, since=since)
    if values and not holders.has_room_for(key, values):
        raise NotNow(
            "an e-mail to this person is still to be made, and would show what the test writes to "
            f"{', '.join(values)}; wait MARKETO_LINK_FIELD_HOLD_SECONDS from its request on, or send to another address"
        )


async def _is_usable(url: str, clock: Clock) -> bool:
    store = await look_at_store(url, clock=clock)
    return not (store.problem or store.is_new or store.is_old)


async def _taken(database: Database, people: People, key: str, time: LeadersTime) -> None:
    try:
        async with asyncio.timeout(LONGEST_APART):
            await time.look(database)
            while not await people.take(key, time.earliest()):
                await asyncio.sleep(_LOOK_AGAIN)  # another process ends it, in the store
                await time.look(database)
    except TimeoutError:
        raise NotNow("the relay is saving this very person; two upserts at once make duplicates") from None


async def _heed_pauses(log: CallLog) -> None:
    for pause in await log.pauses():
        if pause.code in LIMIT_CODES:
            raise not_now(pause)
