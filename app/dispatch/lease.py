"""The leader's right to act: a lease in the store, and how long this process may believe in it."""

import time
from collections.abc import Callable
from datetime import timedelta

from app.errors import LeadershipLost
from app.store.leases import Leases

NAME = "leader"
LASTING = timedelta(seconds=10)
RENEWED_EVERY = timedelta(seconds=3)


class Lease:
    """A lease that this process holds. `check` costs nothing; a frozen process that wakes fails it at once."""

    def __init__(
        self, leases: Leases, fence: int, *, taken_at: float, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._leases = leases
        self._ticks = ticks
        self._believed_until = taken_at + LASTING.total_seconds()
        self.fence = fence

    @classmethod
    async def take(cls, leases: Leases, *, holder: str, ticks: Callable[[], float] = time.monotonic) -> "Lease | None":
        """Return the lease, None while another process holds it."""
        asked_at = ticks()  # before the store counts, so that we never believe longer than it does
        fence = await leases.take(NAME, holder=holder, lasting=LASTING)
        return None if fence is None else cls(leases, fence, taken_at=asked_at, ticks=ticks)

    def check(self) -> None:
        """Make sure that nobody else can lead yet.

        Raises:
            LeadershipLost: the lease may have gone to another.
        """
        if self._ticks() >= self._believed_until:
            raise LeadershipLost("the lease ran out before it was renewed")

    async def renew(self) -> None:
        """Prolong the lease.

        Raises:
            LeadershipLost: it has gone to another.
            StoreUnavailable: not known; `check` goes on counting.
        """
        asked_at = self._ticks()
        if not await self._leases.renew(NAME, fence=self.fence, lasting=LASTING):
            raise LeadershipLost("another process leads now")
        self._believed_until = asked_at + LASTING.total_seconds()

    async def give_back(self) -> None:
        """Let another process lead at once."""
        await self._leases.give_back(NAME, fence=self.fence)
