"""The leader's right to act: a lease in the store, and how long this process may believe in it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.dispatch.holder import has_died
from app.dispatch.steady import Silence
from app.domain import Ticks, steady_seconds
from app.errors import LeadershipLost
from app.store.leases import LEADER, Leases, Seen

LASTING = timedelta(seconds=8)  # how long a leader believes in its last sign of life
GONE_AFTER = timedelta(seconds=9)  # without a sign of life, others take over: later, as no two clocks run the same
RENEWED_EVERY = timedelta(seconds=2)


class Lease:
    """A lease that this process holds. `check` costs nothing; a frozen process that wakes fails it at once.

    `found` is what it looked like before, after how much silence.
    """

    def __init__(
        self,
        leases: Leases,
        fence: int,
        *,
        taken_at: float,
        ticks: Ticks = steady_seconds,
        found: tuple[Seen, Silence] = (Seen(), Silence()),
    ) -> None:
        self._leases = leases
        self._ticks = ticks
        self._told_at, self._tried_at = taken_at - found[1].at_most, taken_at - found[1].at_least
        self._believed_until = taken_at + LASTING.total_seconds()
        self.fence = fence
        self.found = found

    def check(self) -> None:
        """Make sure that nobody else can lead yet.

        Raises:
            LeadershipLost: the lease may have gone to another.
        """
        if self._ticks() >= self._believed_until:
            raise LeadershipLost("the lease ran out before it was renewed")

    async def renew(self, at: datetime) -> None:
        """Prolong the lease, and tell others what time it is.

        Raises:
            LeadershipLost: it has gone to another.
            StoreUnavailable: not known; `check` goes on counting.
        """
        with self.telling() as asked_at:  # before others can see it, so that we never believe longer than they wait
            if not await self._leases.renew(LEADER, fence=self.fence, at=at):
                raise LeadershipLost("another process leads now")
        self._believed_until = asked_at + LASTING.total_seconds()

    @contextmanager
    def telling(self) -> Iterator[float]:
        """Note that the store is told the time in this block; it may take what it does not answer."""
        self._tried_at = self._ticks()
        yield self._tried_at
        self._told_at = self._tried_at

    def silence(self) -> Silence:
        """Return since when the store was not told the time."""
        now = self._ticks()
        return Silence(now - self._tried_at, now - self._told_at)

    async def give_back(self) -> None:
        """Let another process lead at once."""
        await self._leases.give_back(LEADER, fence=self.fence)


@dataclass(slots=True)
class Applicant:
    """Watches the lease, and takes it when its holder has given it back, has died, or gives no sign of life."""

    leases: Leases
    holder: str
    ticks: Ticks = steady_seconds
    is_dead: Callable[[str], bool] = has_died
    _seen: Seen = field(default_factory=Seen)
    _since: float = 0.0  # when a change of it was seen last
    _looked_at: float = float("-inf")
    _told_between: tuple[float, float] = (float("-inf"), 0.0)  # two looks, at the later of which it told a new time
    _own: Lease | None = None  # the last that was taken here

    async def apply(self) -> Lease | None:
        """Return the lease, None while another process may hold it."""
        asked_at = self.ticks()
        seen, before = await self.leases.look(LEADER), self._seen
        if seen != before:
            self._since = self.ticks()
        if seen.at != before.at:  # which who takes it or gives it back leaves as it was
            self._told_between = self._looked_at, self.ticks()
        self._seen, self._looked_at = seen, asked_at
        return await self._take(seen) if self._is_to_be_had(seen) else None

    async def _take(self, seen: Seen) -> Lease | None:
        asked_at, found = self.ticks(), (seen, self._silence(seen))
        fence = await self.leases.take(LEADER, holder=self.holder, seen=seen)
        if fence is None:
            return None
        self._own = Lease(self.leases, fence, taken_at=asked_at, ticks=self.ticks, found=found)
        return self._own

    def _silence(self, seen: Seen) -> Silence:
        if self._own and self._own.fence == seen.fence:
            return self._own.silence()
        now, (before, after) = self.ticks(), self._told_between
        return Silence(now - after, now - before)

    def _is_to_be_had(self, seen: Seen) -> bool:
        silent_for = self.ticks() - self._since
        return seen.is_free or silent_for >= GONE_AFTER.total_seconds() or self.is_dead(seen.holder)
