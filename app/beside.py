"""Make a check's calls from a process that does not lead: beside the window of the one that does, and written down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from app.dispatch.caller import refusal
from app.dispatch.errands import read_result
from app.dispatch.holder import has_died
from app.dispatch.judgement import person_key
from app.dispatch.pausing import LIMIT_CODES, not_now
from app.doctor.pacing import Gate, Make, Paced, share_beside
from app.domain import Clock
from app.errors import NotNow, StoreUnavailable
from app.making import make_memory
from app.marketo.envelope import Reply
from app.marketo.failures import CallFailed
from app.settings import Settings
from app.store.calls import CallLog
from app.store.claims import CallResult
from app.store.database import open_database
from app.store.leases import LEADER, Leases
from app.store.looking import look_at_store
from app.store.people import People

_log = structlog.get_logger(__name__)

LONGEST_APART = 130.0  # seconds; an upsert of the relay's whose answer was lost is over by then
_LOOK_AGAIN = 0.5  # seconds


class Beside:
    """A gate that keeps a pace of its own, heeds the leader's pauses, and writes each call down for the next leader.

    The store is opened for each call, in whichever thread and loop that is made.
    """

    def __init__(self, url: str, pace: Paced, *, clock: Clock) -> None:
        self._url = url
        self.pace = pace
        self._clock = clock

    async def __call__(self, make: Make) -> Reply:
        """Make a call when there is room for it; without the store it is made all the same.

        Raises:
            CallFailed: from `make`.
            NotNow: Marketo is paused by one of its limits.
        """
        return await self.pace(lambda: self._noted(make))

    async def _noted(self, make: Make) -> Reply:
        async with open_database(self._url) as database:
            log = CallLog(database, clock=self._clock)
            try:
                await _heed_pauses(log)
                fence = (await Leases(database).look(LEADER)).fence
                call_id = await log.begin("setup", fence=fence)
            except StoreUnavailable as problem:
                _log.warning("call not written down", reason=str(problem))
                return await make()
            result = CallResult("lost", message="The check ended before the answer came.")
            try:
                reply = await make()
                result, _ = read_result(reply)
            except CallFailed as failed:
                result = refusal(failed)
                raise
            finally:
                with suppress(StoreUnavailable):  # the next leader ends it
                    await log.end(call_id, result)
            return reply


async def gate_of_a_command(settings: Settings, *, clock: Clock) -> Gate:
    """Return the gate of a process that only checks: where a relay leads on its store, a small share of the window."""
    url, most = settings.database_url.get_secret_value(), settings.marketo_calls_per_window
    if not await _is_usable(url, clock):
        return Paced(most)
    async with open_database(url) as database:
        seen = await Leases(database).look(LEADER)
    is_led = not seen.is_free and not has_died(seen.holder)
    return Beside(url, Paced(share_beside(most) if is_led else most), clock=clock)


@asynccontextmanager
async def apart(settings: Settings, address: str, *, clock: Clock) -> AsyncIterator[None]:
    """Keep an upsert of this person apart from those of a relay on the same store; without the store there is no guard.

    Raises:
        NotNow: the relay saved this person again and again meanwhile.
    """
    url, key = settings.database_url.get_secret_value(), person_key(address.lower())
    if not await _is_usable(url, clock):
        yield
        return
    async with open_database(url) as database:
        people, outcome = People(database, make_memory(settings)), "lost"
        await _taken(people, key, clock)
        try:
            yield
            outcome = "done"
        except CallFailed as failed:
            outcome = refusal(failed).outcome
            raise
        finally:
            await people.leave(key, outcome, clock())


async def _is_usable(url: str, clock: Clock) -> bool:
    store = await look_at_store(url, clock=clock)
    return not (store.problem or store.is_new or store.is_old)


async def _taken(people: People, key: str, clock: Clock) -> None:
    try:
        async with asyncio.timeout(LONGEST_APART):
            while not await people.take(key, clock()):  # noqa: ASYNC110  # another process ends it, in the store
                await asyncio.sleep(_LOOK_AGAIN)
    except TimeoutError:
        raise NotNow("the relay is saving this very person; two upserts at once make duplicates") from None


async def _heed_pauses(log: CallLog) -> None:
    for pause in await log.pauses():
        if pause.code in LIMIT_CODES:
            raise not_now(pause)
