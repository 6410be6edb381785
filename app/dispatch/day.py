"""The day's budget of calls, which Marketo counts from midnight to midnight US Central. No I/O."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.dispatch.backoff import next_quota_day


@dataclass(slots=True)
class Day:
    """Counts the relay's own calls of the current quota day against its limit."""

    limit: int
    ends_at: datetime
    used: int = 0

    @property
    def began_at(self) -> datetime:
        """Return about when the day began: days with a clock change are an hour longer or shorter."""
        return self.ends_at - timedelta(hours=24)

    def begin_call(self, now: datetime) -> None:
        self._turn(now)
        self.used += 1

    def wait(self, now: datetime) -> float:
        """Return how many seconds to wait for the next day; 0 while calls are left."""
        self._turn(now)
        return 0.0 if self.used < self.limit else (self.ends_at - now).total_seconds()

    def _turn(self, now: datetime) -> None:
        if now >= self.ends_at:
            self.ends_at, self.used = next_quota_day(now), 0
