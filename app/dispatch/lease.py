"""The leader's right to act: a lease in the store, and how long this process may believe in it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from app.dispatch.holder import has_died
from app.domain import steady_seconds
from app.errors import LeadershipLost
from app.store.leases import LEADER, Leases, Seen

LASTING = timedelta(seconds=8)  # how long a leader believes in its last sign of life
GONE_AFTER = timedelta(seconds=9)  # without a sign of life, others take over: later, as no two clocks run the same
RENEWED_EVERY = timedelta(seconds=2)


class Lease:
    """A lease that this process holds. `check` costs nothing; a frozen process that wakes fails it at once."""

    def __init__(
        self, leases: Leases, fence: int, *, taken_at: float, ticks: Callable[[], float] = steady_seconds
    ) -> None:
        self._leases = leases
        self._ticks = ticks
        self._believed_until = taken_at + LASTING.total_seconds()
        self.fence = fence

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
        asked_at = self._ticks()  # before others can see it, so that we never believe longer than they wait
        if not await self._leases.renew(LEADER, fence=self.fence):
            raise LeadershipLost("another process leads now")
        self._believed_until = asked_at + LASTING.total_seconds()

    async def give_back(self) -> None:
        """Let another process lead at once."""
        await self._leases.give_back(LEADER, fence=self.fence)


@dataclass(slots=True)
class Applicant:
    """Watches the lease, and takes it when its holder has given it back, has died, or gives no sign of life."""

    leases: Leases
    holder: str
    ticks: Callable[[], float] = steady_seconds
    is_dead: Callable[[str], bool] = has_died
    _seen: Seen = field(default_factory=Seen)
    _since: float = 0.0

    async def apply(self) -> Lease | None:
        """Return the lease, None while another process may hold it."""
        seen = await self.leases.look(LEADER)
        if seen != self._seen:
            self._seen, self._since = seen, self.ticks()
        if not self._is_to_be_had(seen):
            return None
        asked_at = self.ticks()
        fence = await self.leases.take(LEADER, holder=self.holder, seen=seen)
        return None if fence is None else Lease(self.leases, fence, taken_at=asked_at, ticks=self.ticks)

    def _is_to_be_had(self, seen: Seen) -> bool:
        silent_for = self.ticks() - self._since
        return seen.is_free or silent_for >= GONE_AFTER.total_seconds() or self.is_dead(seen.holder)
