"""What the relay allows itself: less for a while after Marketo said that it was too much, then more again. No I/O.

Other integrations share Marketo's limits, and nobody tells how much they use. So a refusal shrinks the allowance by a
factor, and each second without one gives a little back: what TCP does on a line that it shares.
"""

from dataclasses import dataclass, field

_SHRINKS_TO = 0.7  # of what it was
_GROWS_BACK_IN = 200.0  # seconds, from nothing to all: a tenth of the limit in each of Marketo's windows of 20 s


@dataclass(slots=True)
class Allowance:
    """A whole number between 1 and `most`. Times are seconds of a monotonic clock."""

    most: int
    _value: float = field(init=False)
    _since: float = float("-inf")

    def __post_init__(self) -> None:
        self._value = float(self.most)

    def at(self, now: float) -> int:
        """Return what is allowed now."""
        return max(1, int(self._grown(now)))

    def shrink(self, now: float, *, begun: float) -> None:
        """Take a refusal of a call into account that was begun at `begun`.

        Calls that were under way when it shrank are no further reason: several in flight meet one full window.
        """
        if begun >= self._since:
            self._value = max(1.0, min(self._grown(now) * _SHRINKS_TO, self.at(now) - 1))
            self._since = now

    def is_shrunk(self, now: float) -> bool:
        return self.at(now) < self.most

    def _grown(self, now: float) -> float:
        if self._value >= self.most:
            return float(self.most)
        grown = self._value + (now - self._since) * self.most / _GROWS_BACK_IN
        return min(float(self.most), grown)
