"""How long a worker's place stays empty."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.crew import LONGEST, SHORTEST, pause_after


def test_the_first_death_is_made_good_at_once() -> None:
    assert pause_after(1) == SHORTEST < timedelta(seconds=1)


@given(st.integers(min_value=1, max_value=10_000))
def test_deaths_in_a_row_are_answered_ever_more_slowly_but_never_with_giving_up(deaths: int) -> None:
    """A store that is down for an hour must not fill the log, nor keep the relay down after it."""
    assert SHORTEST <= pause_after(deaths) <= pause_after(deaths + 1) <= LONGEST
