"""Marketo's day of calls: from midnight to midnight in Chicago, whatever the clocks do."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.quota_day import next_quota_day

CENTRAL = ZoneInfo("America/Chicago")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2026, 3, 7, 12, tzinfo=UTC), datetime(2026, 3, 8, 6, tzinfo=UTC)),
        (datetime(2026, 3, 8, 6, tzinfo=UTC), datetime(2026, 3, 9, 5, tzinfo=UTC)),  # 23 hours: clocks go forward
        (datetime(2026, 3, 8, 7, 59, tzinfo=UTC), datetime(2026, 3, 9, 5, tzinfo=UTC)),
        (datetime(2026, 10, 31, 12, tzinfo=UTC), datetime(2026, 11, 1, 5, tzinfo=UTC)),
        (datetime(2026, 11, 1, 5, tzinfo=UTC), datetime(2026, 11, 2, 6, tzinfo=UTC)),  # 25 hours: clocks go back
        (datetime(2026, 11, 1, 6, 30, tzinfo=UTC), datetime(2026, 11, 2, 6, tzinfo=UTC)),  # 01:30 the first time
        (datetime(2026, 11, 1, 7, 30, tzinfo=UTC), datetime(2026, 11, 2, 6, tzinfo=UTC)),  # 01:30 the second time
        (datetime(2026, 11, 23, 5, 59, 59, tzinfo=UTC), datetime(2026, 11, 23, 6, tzinfo=UTC)),
        (datetime(2026, 11, 23, 6, tzinfo=UTC), datetime(2026, 11, 24, 6, tzinfo=UTC)),
    ],
)
def test_the_quota_begins_anew_at_midnight_us_central(now: datetime, expected: datetime) -> None:
    """The day is Marketo's, with its daylight saving, not ours and not UTC's."""
    assert next_quota_day(now) == expected


@given(st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  # made aware
def test_the_next_quota_day_is_the_first_midnight_after_now(now: datetime) -> None:
    """Never in the past, or the pause would be none; never a day too late."""
    begins = next_quota_day(now)
    assert now < begins <= now + timedelta(hours=25)
    assert begins.astimezone(CENTRAL).strftime("%H:%M:%S.%f") == "00:00:00.000000"
    assert begins.tzinfo is UTC
