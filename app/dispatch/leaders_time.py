"""What time it is for whoever leads, as far as another process can tell. The machines' clocks may differ."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.dispatch.holder import has_died
from app.dispatch.lease import GONE_AFTER
from app.domain import Clock, Ticks, steady_seconds
from app.store.database import Database
from app.store.leases import LEADER, Leases, Seen

_LOOK_AGAIN = 0.1  # seconds; so exact is the time that is told
_HOLDS_FOR = 600.0  # seconds; no two clocks run the same


@dataclass(frozen=True, slots=True)
class _Told:
    """What a sign of life told that was seen at `since`, and not yet at `before`, in seconds of our own."""

    fence: int
    at: datetime
    before: float
    since: float


class LeadersTime:
    """The leader's time, counted on by steady seconds from a sign of life that was seen to come.

    How old a sign is that was there before, nobody can tell: it would hide some seconds between two clocks. Each term
    has a time of its own. While none is known, it is this machine's.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        ticks: Ticks = steady_seconds,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._ticks = ticks
        self._wait = wait
        self._told: _Told | None = None
        self._silent: Seen | None = None  # who was watched for long enough, and leads no more

    async def look(self, database: Database) -> None:
        """Wait for the leader's next sign of life, two seconds at most, unless its time is known.

        Raises:
            StoreUnavailable: not known.
        """
        leases = Leases(database)
        if self._told and self._ticks() >= self._told.since + _HOLDS_FOR:
            self._told = None
        seen = await leases.look(LEADER)
        if self._is_known(seen) or seen.is_free or seen.at is None or has_died(seen.holder):
            return
        self._told = await self._watch(leases, seen)

    def earliest(self) -> datetime:
        """Return the time, rather a moment too early: by it, calls of others stay in the window for long enough."""
        return self._counted_on(self._told.since) if self._told else self._clock()

    def latest(self) -> datetime:
        """Return the time, rather a moment too late: written down, it makes others count for long enough."""
        return self._counted_on(self._told.before) if self._told else self._clock()

    def _counted_on(self, since: float) -> datetime:
        assert self._told is not None  # noqa: S101  # who calls this looks
        return self._told.at + timedelta(seconds=self._ticks() - since)

    def _is_known(self, seen: Seen) -> bool:
        return seen == self._silent or (self._told is not None and self._told.fence == seen.fence)

    async def _watch(self, leases: Leases, seen: Seen) -> _Told | None:
        until = self._ticks() + GONE_AFTER.total_seconds()
        before = self._ticks()
        while before < until:
            await self._wait(_LOOK_AGAIN)
            asked_at, now = self._ticks(), await leases.look(LEADER)
            if now.is_free:
                return None
            if now != seen and now.beats and now.at:  # who has only taken it has told no time of its own
                return _Told(now.fence, now.at, before, self._ticks())
            before = asked_at
        self._silent = seen
        return None
