"""The forecast: calls by arithmetic, time by the window and the day."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.dispatch.forecast import Means, forecast
from app.store.ahead import Ahead

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 24, 6, tzinfo=UTC)


def means(*, free: int = 50, left_today: int = 45_000, begins_at: datetime = NOON) -> Means:
    return Means(free, 50, left_today, 45_000, MIDNIGHT, begins_at)


def test_nothing_costs_nothing() -> None:
    """An idle relay is through."""
    told = forecast(Ahead(), means())
    assert (told.calls, told.seconds(NOON)) == (0, 0)


def test_ten_thousand_of_one_webinar_are_134_calls_in_three_windows() -> None:
    """⌈N/300⌉ + ⌈N/100⌉, and two waits of 20 s."""
    told = forecast(Ahead(10_000, upserts=10_000, requests=100), means())
    assert (told.registrations, told.calls, told.seconds(NOON)) == (10_000, 134, 40)


def test_a_used_window_takes_longer() -> None:
    """Its places come back within 20 s."""
    assert forecast(Ahead(100, requests=1), means(free=0)).seconds(NOON) == 20


def test_webhooks_that_are_not_read_yet_are_reckoned_as_new_people() -> None:
    """It is a guess; the others are counted."""
    told = forecast(Ahead(webhooks=301), means())
    assert (told.webhooks, told.calls) == (301, 2 + 4)


def test_a_pause_comes_first() -> None:
    """What Marketo asked for is waited out."""
    told = forecast(Ahead(1, requests=1), means(begins_at=NOON + timedelta(minutes=10)))
    assert told.seconds(NOON) == 600


def test_what_the_day_has_no_calls_for_goes_on_at_midnight() -> None:
    """Unique links of 1,000 people, with 100 calls left today."""
    told = forecast(Ahead(1000, requests=1000), means(left_today=100))
    assert told.through_at == MIDNIGHT + timedelta(seconds=20 * 17)


def test_who_is_held_ends_it() -> None:
    """After a lost answer, a back-off or for a campaign's pause: the window alone would promise too much."""
    later = NOON + timedelta(seconds=95)
    assert forecast(Ahead(1, upserts=1, held_until=later), means()).seconds(NOON) == 95
    assert forecast(Ahead(1, held_until=later), means()).seconds(NOON) == 95, "its answer is looked for"
    paused = replace(means(), held_until=later)
    assert forecast(Ahead(1, requests=1), paused).seconds(NOON) == 95
    assert forecast(Ahead(), paused).seconds(NOON) == 0


def test_days_with_a_clock_change_are_as_long_as_they_are() -> None:
    """On 1 November 2026 the day in US Central has 25 hours."""
    midnight = datetime(2026, 11, 1, 5, tzinfo=UTC)
    before = replace(means(left_today=0, begins_at=midnight), day_ends_at=midnight)
    told = forecast(Ahead(45_001, requests=45_001), before)
    assert told.through_at == midnight + timedelta(hours=25)


def test_a_backlog_of_several_days_takes_them() -> None:
    """45,000 calls a day; the rest is for the soonest webinars."""
    told = forecast(Ahead(100_000, requests=100_000), means(left_today=0))
    assert timedelta(days=2) < told.through_at - MIDNIGHT < timedelta(days=2, hours=2)


@given(st.integers(0, 10**6), st.integers(0, 50), st.integers(0, 45_000), st.integers(0, 3600))
def test_more_work_never_ends_sooner(requests: int, free: int, left: int, pause: int) -> None:
    """And nothing ends before it begins."""
    by = means(free=free, left_today=left, begins_at=NOON + timedelta(seconds=pause))
    one, more = (forecast(Ahead(n, requests=n), by) for n in (requests, requests + 1))
    assert by.begins_at <= one.through_at <= more.through_at
    assert one.calls == requests
