"""When to try again: within bounds, never before the server's own time, at midnight in Chicago for quotas."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dispatch.backoff import after_failure, delay_after, next_quota_day

CENTRAL = ZoneInfo("America/Chicago")


@given(st.integers(-5, 10**9), st.floats(0, 1))
def test_a_delay_is_within_its_bounds(attempts: int, jitter: float) -> None:
    """Neither a hammer nor a registration that is forgotten for a day."""
    assert timedelta(seconds=1) <= delay_after(attempts, jitter=jitter) <= timedelta(minutes=15)


@given(st.integers(1, 100))
def test_jitter_takes_off_up_to_a_half(attempts: int) -> None:
    """What failed together must not come back together."""
    least, most = delay_after(attempts, jitter=0), delay_after(attempts, jitter=1)
    assert least == most / 2
    assert least <= delay_after(attempts) <= most


def test_delays_double_up_to_the_longest() -> None:
    """An outage of hours costs few calls."""
    delays = [delay_after(n, jitter=1) for n in range(1, 14)]
    assert [later / earlier for earlier, later in pairwise(delays)][:8] == [2.0] * 8
    assert delays[-1] == timedelta(minutes=15)


@given(st.integers(1, 50), st.integers(0, 10**6))
def test_the_servers_own_delay_wins(attempts: int, seconds: int) -> None:
    """Who is asked to wait an hour waits an hour, whatever our own arithmetic says."""
    asked = timedelta(seconds=seconds)
    delay = after_failure(attempts, retry_after=asked, jitter=1)
    assert delay == max(asked, delay_after(attempts, jitter=1))


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
