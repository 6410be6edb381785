"""The day's budget: counted, used up, and new at Marketo's midnight."""

from datetime import UTC, datetime, timedelta

from app.dispatch.day import Day

MIDNIGHT = datetime(2026, 11, 24, 6, tzinfo=UTC)


def test_a_spent_day_waits_for_midnight() -> None:
    """The rest of the instance's 50,000 calls belong to others."""
    day = Day(limit=2, ends_at=MIDNIGHT)
    noon = MIDNIGHT - timedelta(hours=12)
    day.begin_call(noon)
    assert day.wait(noon) == 0
    day.begin_call(noon)
    assert day.wait(noon) == 12 * 3600


def test_a_new_day_begins_at_nothing() -> None:
    """At midnight it goes on by itself, whether somebody asks or calls first."""
    day = Day(limit=1, ends_at=MIDNIGHT, used=1)
    assert day.wait(MIDNIGHT - timedelta(microseconds=1)) > 0
    assert day.wait(MIDNIGHT) == 0
    assert (day.used, day.ends_at) == (0, MIDNIGHT + timedelta(days=1))
    other = Day(limit=5, ends_at=MIDNIGHT, used=5)
    other.begin_call(MIDNIGHT + timedelta(hours=1))
    assert other.used == 1


def test_the_day_began_about_a_day_before_its_end() -> None:
    """A new leader counts the calls since then."""
    assert Day(limit=1, ends_at=MIDNIGHT).began_at == MIDNIGHT - timedelta(days=1)
