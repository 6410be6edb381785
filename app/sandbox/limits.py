"""Marketo's shared limits as arithmetic: the sliding window, calls in flight, the day's quota. No I/O, no clock."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

CENTRAL = ZoneInfo("America/Chicago")  # Adobe: 'resets daily at 12:00 AM CST'


class SlidingWindow:
    """Admit at most `limit` calls in any span of `length`.

    Refused calls count as well (Adobe's list of codes that do not count lacks 606): who hammers stays locked out.
    """

    def __init__(self, *, limit: int, length: timedelta) -> None:
        self._length = length
        self._recent: deque[datetime] = deque(maxlen=limit)
        self.peak = 0

    def admits(self, now: datetime) -> bool:
        """Count a call and tell whether it fits."""
        oldest = self._recent[0] if len(self._recent) == self._recent.maxlen else None
        self._recent.append(now)
        fits = oldest is None or now - oldest > self._length
        self.peak = max(self.peak, self.used(now))
        return fits

    def used(self, now: datetime) -> int:
        """Return the calls counted in the span that ends now (at most the limit)."""
        return sum(1 for at in self._recent if now - at <= self._length)


class InFlight:
    """Calls that are being worked on, at most `limit` of them."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self.now = 0
        self.peak = 0

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Hold a place while the block runs; False when there was none."""
        fits = self.now < self._limit
        self.now += fits
        self.peak = max(self.peak, self.now)
        try:
            yield fits
        finally:
            self.now -= fits


class DailyQuota:
    """Calls of one day in US Central time, and whose they were."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self.day: date | None = None
        self.by_user: dict[str, int] = {}

    def admits(self, now: datetime, user: str) -> bool:
        """Count a call and tell whether it is within the quota."""
        self.turn_page(now)
        self.by_user[user] = self.by_user.get(user, 0) + 1
        return self.used <= self._limit

    def turn_page(self, now: datetime) -> None:
        """Begin a new count when midnight has passed in US Central."""
        day = now.astimezone(CENTRAL).date()
        if day != self.day:
            self.day, self.by_user = day, {}

    @property
    def used(self) -> int:
        return sum(self.by_user.values())
