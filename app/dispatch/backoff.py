"""When to try again. Arithmetic only."""

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_FIRST = timedelta(seconds=2)
_LONGEST = timedelta(minutes=15)
_YOUNG = timedelta(hours=1)
_US_CENTRAL = ZoneInfo("America/Chicago")


def delay_after(
    attempts: int, *, first: timedelta = _FIRST, longest: timedelta = _LONGEST, jitter: float | None = None
) -> timedelta:
    """Return how long to wait after the n-th failed attempt: doubling, capped, and spread by up to half.

    `jitter` is between 0 and 1, random unless given. Attempts are never counted to give up; age is.
    """
    doublings = min(max(attempts, 1) - 1, 30)
    grown: timedelta = min(longest, first * int(2**doublings))
    spread = random.random() if jitter is None else jitter  # noqa: S311  # spreads load, keeps no secret
    return grown * (0.5 + spread / 2)


def after_failure(
    attempts: int, *, retry_after: timedelta | None = None, first: timedelta = _FIRST, jitter: float | None = None
) -> timedelta:
    """Return the delay for a failure: at least what the server itself asked for."""
    return max(retry_after or timedelta(0), delay_after(attempts, first=first, jitter=jitter))


@dataclass(frozen=True, slots=True)
class Return:
    """When those of a failed call come back: together, since each who came alone would be a call of its own."""

    now: datetime
    jitter: float = field(default_factory=random.random)

    def after(self, attempts: int, *, retry_after: timedelta | None = None) -> datetime:
        """Return when to try again after the n-th failure."""
        return self.now + after_failure(attempts, retry_after=retry_after, jitter=self.jitter)


def next_quota_day(now: datetime) -> datetime:
    """Return when Marketo's daily quota begins anew: midnight US Central, daylight saving included."""
    there = now.astimezone(_US_CENTRAL)
    midnight = (there + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight.astimezone(UTC)


def is_day_young(now: datetime) -> bool:
    """Tell whether Marketo's day has begun within the last hour by our clock: by its own it may be yesterday's."""
    return now - quota_day_began(next_quota_day(now)) < _YOUNG


def quota_day_began(ends_at: datetime) -> datetime:
    """Return when the quota day began that ends then, 23, 24 or 25 hours before."""
    last = _last_second(ends_at)
    return last.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).astimezone(UTC)


def quota_date(ends_at: datetime) -> date:
    """Return the date, US Central, of the quota day that ends then."""
    return _last_second(ends_at).date()


def _last_second(ends_at: datetime) -> datetime:
    return (ends_at - timedelta(seconds=1)).astimezone(_US_CENTRAL)
