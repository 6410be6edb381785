"""When a refusal of the activity log is believed, and how long until it is asked again."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.dispatch.refusals import Refusals

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def refused(works: list[bool]) -> Refusals:
    """Refuse once, and then each time that the log is asked again."""
    refusals = Refusals("603", "Give it.", NOON, NOON, MINUTE)
    for others_work in works:
        refusals = refusals.again(refusals.again_at, others_work=others_work)
    return refusals


@given(st.lists(st.booleans(), max_size=20))
def test_the_third_counts_whatever_lies_between(works: list[bool]) -> None:
    """Where nothing else works, the log's refusals say nothing of a permission."""
    assert refused(works).is_closed == (sum(works) >= 2)


@given(st.lists(st.booleans(), max_size=20))
def test_the_log_is_asked_again_within_a_quarter_of_an_hour(works: list[bool]) -> None:
    """At growing distances, for ever: a permission may be given at any time."""
    refusals = refused(works)
    assert MINUTE <= refusals.again_at - refusals.last <= 15 * MINUTE


def test_one_before_its_time_does_not_count() -> None:
    """Many webinars that begin soon must not make three refusals of one moment."""
    first = refused([])
    assert first.again(NOON + MINUTE / 2, others_work=True) is first
