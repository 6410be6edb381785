"""The day's budget: counted with what others use, saved towards its end, and new at Marketo's midnight."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dispatch.day import Day, DayState

MIDNIGHT = datetime(2026, 11, 24, 6, tzinfo=UTC)
NOON = MIDNIGHT - timedelta(hours=12)


def test_a_spent_day_waits_for_midnight() -> None:
    """The rest of the instance's calls belong to others."""
    day = Day(limit=2, ends_at=MIDNIGHT)
    day.begin_call(NOON)
    assert day.wait(NOON) == 0
    day.begin_call(NOON)
    assert day.wait(NOON) == 12 * 3600
    assert "2 calls are used up" in (day.described(NOON) or "")


def test_a_new_day_begins_at_nothing() -> None:
    """At midnight it goes on by itself, whether somebody asks or calls first."""
    day = Day(limit=1, ends_at=MIDNIGHT, own=1, others=5)
    assert day.wait(MIDNIGHT - timedelta(microseconds=1)) > 0
    assert day.wait(MIDNIGHT) == 0
    assert (day.used, day.ends_at) == (0, MIDNIGHT + timedelta(days=1))
    other = Day(limit=5, ends_at=MIDNIGHT, own=5)
    other.begin_call(MIDNIGHT + timedelta(hours=1))
    assert other.used == 1


@pytest.mark.parametrize(
    ("ends_at", "hours"),
    [
        (MIDNIGHT, 24),
        (datetime(2026, 3, 9, 5, tzinfo=UTC), 23),  # clocks go forward on 8 March
        (datetime(2026, 11, 2, 6, tzinfo=UTC), 25),  # and back on 1 November
    ],
)
def test_the_day_began_at_the_midnight_before(ends_at: datetime, hours: int) -> None:
    """A new leader counts the calls since then."""
    assert Day(limit=1, ends_at=ends_at).began_at == ends_at - timedelta(hours=hours)


def test_what_others_use_counts() -> None:
    """The limit is the instance's; Marketo tells what all together have used."""
    day = Day(limit=100, ends_at=MIDNIGHT, own=10)
    day.report(60, asked_at=NOON, now=NOON)
    assert (day.own, day.others, day.used, day.left) == (10, 50, 60, 40)
    day.begin_call(NOON)
    assert day.used == 61
    assert day.described(NOON) is None


def test_what_the_relay_called_beside_its_leader_is_not_by_others() -> None:
    """Marketo's count has these calls, and so has the store: as others' they would be shown and spent twice."""
    day = Day(limit=100, ends_at=MIDNIGHT, own=10)
    day.seen_beside(13, day.began_at)
    day.report(60, asked_at=NOON, now=NOON)
    assert (day.others, day.used, day.left) == (37, 60, 40)
    day.seen_beside(15, day.began_at)
    assert (day.others, day.used) == (37, 62)
    day.seen_beside(99, day.began_at - timedelta(days=1))
    assert day.used == 62, "a day that is over is not counted any more"
    day.begin_call(MIDNIGHT)
    assert day.used == 1


def test_the_last_tenth_is_saved() -> None:
    """It is for webinars that start before the day ends; the others can wait for the next day's calls."""
    day = Day(limit=100, ends_at=MIDNIGHT, own=89)
    assert (day.state(NOON), day.left_for_all) == (DayState.OPEN, 1)
    day.begin_call(NOON)
    assert (day.state(NOON), day.left_for_all, day.left) == (DayState.SAVING, 0, 10)
    assert day.wait(NOON) == 0
    assert "90 of the day's 100 calls are used" in (day.described(NOON) or "")


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_report_never_lowers_the_relays_own_count(own: int, total: int) -> None:
    """Marketo does not count some refusals, and may be behind; a full day must not become an open one by that."""
    day = Day(limit=50_000, ends_at=MIDNIGHT, own=own)
    day.report(total, asked_at=NOON, now=NOON)
    assert day.used == max(own, total)


def test_a_report_of_yesterday_says_nothing_about_today() -> None:
    """Asked a second before midnight, answered a second after."""
    day = Day(limit=100, ends_at=MIDNIGHT, own=10)
    second = timedelta(seconds=1)
    day.report(99, asked_at=MIDNIGHT - second, now=MIDNIGHT + second)
    assert day.used == 0
