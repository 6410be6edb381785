"""Calls that other processes make in the leader's window, as they were when the store last told of them. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.marketo.limits import SPAN

_FRESH = 0.5  # seconds for which it is believed that a call still runs, or somebody still waits


def share_of_guests(calls_per_window: int) -> int:
    """Return how many calls in 20 seconds a leader leaves to others, who wait for them: a tenth, at least one."""
    return max(1, calls_per_window // 10)


@dataclass(frozen=True, slots=True)
class Guests:
    """Times are seconds of the leader's clock. `leaving` are those at which each call that has ended leaves."""

    seen_at: float = float("-inf")
    leaving: tuple[float, ...] = ()
    running: int = 0
    is_waiting: bool = False
    began: float = float("-inf")  # the last of them

    @property
    def is_nobody(self) -> bool:
        return not (self.leaving or self.running or self.is_waiting)

    def used(self, now: float) -> int:
        """Return how many places they take."""
        return sum(1 for _ in self.leaving_at(now))

    def leaving_at(self, now: float) -> Iterator[float]:
        """Yield when each of those who are in the window leaves it, at the earliest."""
        yield from (at for at in self.leaving if at > now)
        if self.seen_at + SPAN > now:
            yield from [self.seen_at + SPAN] * self.running

    def running_at(self, now: float) -> int:
        return self.running if self._is_fresh(now) else 0

    def is_waiting_at(self, now: float) -> bool:
        return self.is_waiting and self._is_fresh(now)

    def until_unknown(self, now: float) -> float:
        """Return how long to wait until the store must be asked again."""
        return max(0.0, self.seen_at + _FRESH - now)

    def _is_fresh(self, now: float) -> bool:
        return self.seen_at + _FRESH > now
