"""How many calls the backlog costs, and when it will be through. Arithmetic only."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from app.marketo.limits import SPAN
from app.quota_day import next_quota_day
from app.store.ahead import Ahead
from app.store.heads import MOST_LEADS, MOST_PEOPLE


@dataclass(frozen=True, slots=True)
class Means:
    """With what the backlog is worked off: places of the window now and in each 20 s, calls of today and of a day.

    Nothing leaves before `begins_at`, e.g. for a pause, and not everything before `held_until`, e.g. for a campaign's.
    """

    free: int
    per_window: int
    left_today: int
    per_day: int
    day_ends_at: datetime
    begins_at: datetime
    held_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is not at its end, what it costs at least, and when it will be through if nothing else comes."""

    registrations: int
    webhooks: int
    calls: int
    through_at: datetime

    def seconds(self, now: datetime) -> float:
        return max(0.0, (self.through_at - now).total_seconds()) if self.registrations or self.webhooks else 0.0


def forecast(ahead: Ahead, means: Means) -> Forecast:
    """Return what the backlog comes to."""
    calls = calls_of(ahead)
    ends = (_through_at(calls, means), ahead.held_until, means.held_until if ahead.registrations else None)
    return Forecast(ahead.registrations, ahead.webhooks, calls, max(at for at in ends if at))


def calls_of(ahead: Ahead) -> int:
    """Return how many calls it takes at least; a webhook not yet read is reckoned as one new person's registration."""
    return (
        ceil(ahead.upserts / MOST_PEOPLE)
        + ceil(ahead.lookups / MOST_PEOPLE)
        + ahead.requests
        + ceil(ahead.webhooks / MOST_PEOPLE)
        + ceil(ahead.webhooks / MOST_LEADS)
    )


def _through_at(calls: int, means: Means) -> datetime:
    today = means.left_today if means.begins_at < means.day_ends_at else 0
    if calls <= today:
        return means.begins_at + _windows(calls - means.free, means.per_window)
    days, rest = divmod(calls - today - 1, means.per_day)
    begins = max(means.day_ends_at, means.begins_at)
    for _ in range(days):
        begins = next_quota_day(begins)
    return begins + _windows(rest + 1 - means.per_window, means.per_window)


def _windows(calls: int, per_window: int) -> timedelta:
    """Return how long calls take for which there is no place yet."""
    return timedelta(seconds=SPAN * ceil(max(0, calls) / per_window))
