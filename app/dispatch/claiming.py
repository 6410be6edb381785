"""Take from the store what a leader reads next: no more than it can read, and what leaders ended at by itself."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from app.dispatch.in_hand import MOST_OF_A_SOURCE, InHand
from app.dispatch.lease import Lease
from app.domain import Clock, Event, Ticks
from app.errors import StoreUnavailable
from app.store.events import EventQueue

_MOST_A_CLAIM = 100  # events
_PACE = 0.15  # seconds between two full claims: thrice what Marketo can take, and the rest of the time is accepting's
_ALONE = timedelta(seconds=1)  # after that one that is read alone has shown that it does not block the process
_IDLE = 1.0  # seconds between two looks at the store, for events that other processes accepted
_log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Claiming:
    """Claims the events of one term of leadership, and knows which of them are in hand."""

    events: EventQueue
    lease: Lease
    clock: Clock
    look_every: float = _IDLE
    pace: float = _PACE
    ticks: Ticks = time.monotonic
    in_hand: InHand = field(default_factory=InHand)
    _is_unclear: bool = False  # whether the last claim's answer was lost
    _next_claim: float = float("-inf")
    _is_behind: bool = False
    _may_find_suspects: bool = True  # they are found at the beginning of a term

    def is_behind(self) -> bool:
        """Tell whether more events are waiting than the last claim could take."""
        return self._is_behind

    async def claim(self) -> Sequence[Event]:
        """Take in hand what is due; nothing when it is too soon."""
        if self._is_unclear:
            await self._free()
        try:
            claimed = await (self._claim_suspect() if self._may_find_suspects else self._claim_due())
        except StoreUnavailable:
            self._is_unclear = True  # it may have been stored all the same
            raise
        self.in_hand.take(claimed, self.clock())
        return claimed

    async def wait(self) -> float:
        """Return in how many seconds there may be something to claim, unless a bell tells sooner."""
        return max(0.0, self._next_claim - self.ticks()) or await self._until_due()

    async def close(self) -> None:
        """Free what is in hand for the next leader."""
        with suppress(StoreUnavailable):
            await self.events.free(fence=self.lease.fence, but=())

    async def _claim_suspect(self) -> Sequence[Event]:
        """Take an event in whose reading several leaders ended: alone, so that no other comes under suspicion.

        One that waits for its source's API does not stop the process, and others go on beside it.
        """
        now = self.clock()
        if self.in_hand.has_one_from_after(now - _ALONE):
            return []
        suspect = await self.events.claim_suspect(now=now, fence=self.lease.fence)
        if suspect is None:
            self._may_find_suspects = False
            return await self._claim_due()
        _log.warning("reading alone what several leaders ended at", event_id=suspect.id, source=suspect.source)
        return [suspect]

    async def _claim_due(self) -> Sequence[Event]:
        if self.ticks() < self._next_claim:
            return []
        claimed = await self.events.claim(
            now=self.clock(),
            fence=self.lease.fence,
            limit=_MOST_A_CLAIM,
            held=self.in_hand.by_source(),
            most=MOST_OF_A_SOURCE,
        )
        self._is_behind = len(claimed) == _MOST_A_CLAIM
        if self._is_behind:
            self._next_claim = self.ticks() + self.pace
        return claimed

    async def _free(self) -> None:
        freed = await self.events.free(fence=self.lease.fence, but=self.in_hand.ids())
        self._is_unclear = False
        if freed:
            _log.warning("freed what a lost answer of the store had claimed", events=freed)

    async def _until_due(self) -> float:
        if self._may_find_suspects:
            return _ALONE.total_seconds() / 4
        if self.in_hand.is_full():
            return self.look_every  # what is due next may be of that source, and the bell tells of an end
        due = await self.events.next_due()
        return self.look_every if due is None else min(self.look_every, max(0.01, (due - self.clock()).total_seconds()))
