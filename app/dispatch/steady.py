"""The dispatcher's time: the machine's, as it was when the term began, counted on by steady seconds.

Times in the store are durations in disguise: try again in 4 s, leave this person alone until then. A machine's clock
that is set by an hour would make all of them wrong at once. So within a term the time runs on whatever the machine's
clock does; a leader that sees it jump ends its term, and a new term moves the stored times along before anything else.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain import Clock, Ticks

NOTICED = timedelta(seconds=2)  # less is what a look at a busy machine's store may take


class SteadyClock:
    """A clock that never jumps but in `set`. `ticks` counts steady seconds."""

    def __init__(self, machine: Clock, ticks: Ticks) -> None:
        self._machine, self._ticks = machine, ticks
        self.set()

    def __call__(self) -> datetime:
        return self._at + timedelta(seconds=self._ticks() - self._since)

    def set(self) -> None:
        """Take over the machine's time."""
        self._at, self._since = self._machine(), self._ticks()

    def has_been_left(self) -> bool:
        """Tell whether the machine's clock has jumped since."""
        return abs(self._machine() - self()) > NOTICED


@dataclass(frozen=True, slots=True)
class Silence:
    """Between how many and how many seconds ago the last leader gave its last sign of life, and told its time.

    Who only just came to look knows no upper bound.
    """

    at_least: float = 0.0
    at_most: float = float("inf")


def jump_between(then: datetime, now: datetime, silence: Silence) -> timedelta:
    """Return how far the time has jumped between two leaders; zero where the seconds in between may explain it."""
    passed = (now - then).total_seconds()
    jumped = timedelta(seconds=passed - min(max(passed, silence.at_least), silence.at_most))
    return jumped if abs(jumped) > NOTICED else timedelta(0)
