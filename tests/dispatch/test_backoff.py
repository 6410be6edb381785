"""When to try again: within bounds, never before the server's own time."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.dispatch.backoff import after_failure, delay_after


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
