"""How many calls fit now: a true sliding window, and the spacing that keeps it from running dry. No I/O.

Marketo allows 100 calls in any 20 s and 10 at a time, all integrations together; Adobe asks one integration to stay at
50 and 5. Times are seconds of a monotonic clock, so that a jump of the wall clock neither bursts nor stalls.
"""

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum

from app.dispatch.adapting import Allowance
from app.dispatch.guests import Guests, share_of_guests
from app.marketo.limits import SPAN

_CALM = 0.06  # below this share of the window nothing waits
_LONE = 2  # calls of a lone registration, which wait in no window
_LEAST = 0.5  # of the spacing at which a window lasts for ever; else what left together comes back together
_LEAST_OF_MANY = 0.25  # the same between full batches: a crowd is through sooner, and there are few of them


class Pace(Enum):
    """How a call may leave."""

    SPACED = "spaced"  # it gains by waiting: it takes along what arrives meanwhile
    LONE = "lone"  # one registration, and nothing else waits: others hardly come while it would
    FULL = "full"  # it gains nothing by waiting, but must leave places to others
    YIELDING = "yielding"  # as full, beside something urgent: that finds a place within a moment
    AT_ONCE = "at once"  # it has waited for others long enough


# Up to which share of the window a call need not be spaced. The last of it is spaced even for a crowd of full batches.
_UNSPACED = {Pace.SPACED: 0.0, Pace.LONE: 0.5, Pace.YIELDING: 0.75, Pace.FULL: 0.92, Pace.AT_ONCE: float("inf")}


@dataclass(slots=True)
class Window:
    """Counts calls from their beginning until 20 s after their end: when Marketo counts one lies in between."""

    limit: int
    most_in_flight: int
    in_flight: int = 0
    guests: Guests = field(default_factory=Guests)  # calls of other processes, as they were last seen
    rate: Allowance = field(init=False)
    concurrency: Allowance = field(init=False)
    _leaving: deque[float] = field(default_factory=deque)  # when each ended call leaves the window, oldest first
    _next_spaced: float = float("-inf")  # when the next call that is spaced may leave
    _before: float = float("-inf")
    _ended_at: float = float("-inf")  # the last own call

    def __post_init__(self) -> None:
        self.rate = Allowance(self.limit)
        self.concurrency = Allowance(self.most_in_flight)

    def begin(self, now: float, pace: Pace = Pace.FULL) -> None:
        """Count a call that is about to be made; only when `wait` returned 0 for its pace at the same moment."""
        self._before = self._next_spaced
        if not _is_free(pace, self.used(now) / self.rate.at(now)):
            self._next_spaced = now + self._spacing(now, pace)
        self.in_flight += 1

    def give_back(self) -> None:
        """Uncount a call that was begun and not made after all."""
        self.in_flight -= 1
        self._next_spaced = self._before

    def end(self, now: float) -> None:
        """Count a call as ended, whatever came of it."""
        self.in_flight -= 1
        self._ended_at = now
        insort(self._leaving, now + SPAN)  # what an earlier leader left may leave later

    def remember(self, ended: Iterable[float]) -> None:
        """Take over calls of an earlier leader, oldest first; one that ends later is in flight until then."""
        self._leaving.extend(at + SPAN for at in ended)

    def heed(self, guests: Guests, now: float) -> bool:
        """Take note of others' calls; tell whether the call that was begun last still has its place."""
        self.guests = replace(guests, began=max(guests.began, self.guests.began))
        if self.guests.is_nobody:
            return True
        in_flight = self.in_flight + self.left_in_flight(now) + self._not_ours_in_flight(now)
        used = self.used(now) + self._kept(now)
        return used <= self.rate.at(now) and in_flight <= self.concurrency.at(now)

    def left_in_flight(self, now: float) -> int:
        """Return how many calls of an earlier leader may still run at Marketo."""
        return len(self._leaving) - bisect_right(self._leaving, now + SPAN)

    def used(self, now: float) -> int:
        """Return how many calls the window holds."""
        while self._leaving and self._leaving[0] <= now:
            self._leaving.popleft()
        return len(self._leaving) + self.in_flight + self.guests.used(now)

    def free(self, now: float) -> int:
        """Return how many calls could be made at once."""
        return max(0, self.rate.at(now) - self.used(now))

    def wait(self, now: float, pace: Pace) -> float | None:
        """Return how many seconds to wait before the next call of this pace; None until a running call ends."""
        used, limit = self.used(now), self.rate.at(now)
        in_flight, most = self.in_flight + self.left_in_flight(now), self.concurrency.at(now)
        if in_flight >= most:
            return None
        if used >= limit:
            return self._until_room(now, used - limit)
        if in_flight + self._not_ours_in_flight(now) >= most or used + self._kept(now) >= limit:
            return self.guests.until_unknown(now)
        return 0.0 if _is_free(pace, used / limit) else max(0.0, self._next_spaced - now)

    def _until_room(self, now: float, too_many: int) -> float | None:
        """Wait for the call that makes room: a window that has shrunk may hold more than it allows."""
        leaving = sorted([*self._leaving, *self.guests.leaving_at(now)]) if self.guests.used(now) else self._leaving
        return None if too_many >= len(leaving) else leaving[too_many] - now

    def _kept(self, now: float) -> int:
        """Return how many places are kept for others, who wait for one."""
        limit = self.rate.at(now)
        return self._kept_of(limit, max(0, share_of_guests(limit) - self.guests.used(now)), now)

    def _not_ours_in_flight(self, now: float) -> int:
        running = self.guests.running_at(now)
        return running or self._kept_of(self.concurrency.at(now), 1, now)

    def _kept_of(self, limit: int, share: int, now: float) -> int:
        """Keep a share for who waits; of a single place, every other turn."""
        is_their_turn = limit > 1 or self._ended_at > self.guests.began
        return share if self.guests.is_waiting_at(now) and is_their_turn else 0

    def _spacing(self, now: float, pace: Pace) -> float:
        """Share what is left evenly until the next place is free: a ramp over what is used alone would run dry."""
        used, limit = self.used(now), self.rate.at(now)
        if used < max(_LONE, limit * _CALM):
            return 0.0
        until_room = min(SPAN, self._leaving[0] - now) if self._leaving else SPAN
        least = _LEAST_OF_MANY if pace is Pace.FULL else _LEAST
        return max(least * SPAN / limit, until_room / (max(0, limit - used) + 1))


def _is_free(pace: Pace, share: float) -> bool:
    """Tell whether a call of this pace need not be spaced when this share of the window is used."""
    return share < _UNSPACED[pace]
