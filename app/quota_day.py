"""Reckon Marketo's day of calls, from midnight to midnight US Central. Arithmetic only.

It lasts 23 or 25 hours where the clocks change, so neither end may be had from the other by taking 24 hours.
"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_YOUNG = timedelta(hours=1)
_US_CENTRAL = ZoneInfo("America/Chicago")


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
