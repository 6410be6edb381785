"""How many calls fit now: a true sliding window, and the spacing that keeps it from running dry. No I/O.

Marketo allows 100 calls in any 20 s and 10 at a time, all integrations together; Adobe asks one integration to stay at
50 and 5. Times are seconds of a monotonic clock, so that a jump of the wall clock neither bursts nor stalls.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

SPAN = 20.0  # seconds; Marketo's
_CALM = 0.3  # below this share of the window, nothing waits


@dataclass(slots=True)
class Window:
    """Counts calls from their beginning until 20 s after their end: when Marketo counts one lies in between."""

    limit: int
    most_in_flight: int
    in_flight: int = 0
    _leaving: deque[float] = field(default_factory=deque)  # when each ended call leaves the window, oldest first
    _last_begun: float = float("-inf")
    _begun_before: float = float("-inf")

    def begin(self, now: float) -> None:
        """Count a call that is about to be made; only when `wait` returned 0 at the same moment."""
        self.in_flight += 1
        self._begun_before, self._last_begun = self._last_begun, now

    def give_back(self) -> None:
        """Uncount a call that was begun and not made after all."""
        self.in_flight -= 1
        self._last_begun = self._begun_before

    def end(self, now: float) -> None:
        """Count a call as ended, whatever came of it."""
        self.in_flight -= 1
        self._leaving.append(now + SPAN)

    def remember(self, ended: Iterable[float]) -> None:
        """Take over calls of an earlier leader, oldest first."""
        self._leaving.extend(at + SPAN for at in ended)

    def used(self, now: float) -> int:
        """Return how many calls the window holds."""
        while self._leaving and self._leaving[0] <= now:
            self._leaving.popleft()
        return len(self._leaving) + self.in_flight

    def wait(self, now: float, *, is_full: bool) -> float | None:
        """Return how many seconds to wait before the next call; None until a running call ends.

        A full batch gains nothing by waiting. Any other one waits the longer the fuller the window is, and takes
        along what arrives meanwhile; in a calm window it goes at once.
        """
        used = self.used(now)
        if self.in_flight >= self.most_in_flight:
            return None
        if used >= self.limit:
            return self._leaving[0] - now if self._leaving else None
        if is_full:
            return 0.0
        return max(0.0, self._last_begun + self._spacing(used) - now)

    def _spacing(self, used: int) -> float:
        """Share what is left evenly until the next place is free: a ramp over `used` alone would run dry."""
        if used < self.limit * _CALM:
            return 0.0
        until_room = min(SPAN, self._leaving[0] - self._last_begun) if self._leaving else SPAN
        return until_room / (self.limit - used + 1)
