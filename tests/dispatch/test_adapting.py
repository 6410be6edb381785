"""The allowance: less after a refusal, never nothing, all of it again after a while without one."""

from hypothesis import given
from hypothesis import strategies as st

from app.dispatch.adapting import Allowance

refusals = st.lists(st.floats(0, 100), max_size=30)


@given(st.integers(1, 100), refusals)
def test_it_is_never_nothing_and_never_too_much(most: int, gaps: list[float]) -> None:
    """A relay that allows itself nothing would never learn that the others have stopped."""
    allowance, now = Allowance(most), 0.0
    for gap in gaps:
        now += gap
        before = allowance.at(now)
        allowance.shrink(now, begun=now)
        assert 1 <= allowance.at(now) <= before <= most
        assert allowance.at(now) < before or before == 1


def test_it_shrinks_by_a_factor_and_grows_by_steps() -> None:
    """Others get room quickly; a tenth comes back in each of Marketo's windows."""
    allowance = Allowance(50)
    allowance.shrink(0.0, begun=0.0)
    assert allowance.at(0.0) == 35
    allowance.shrink(1.0, begun=0.5)
    assert allowance.at(1.0) == 24
    assert allowance.at(21.0) == 29
    assert allowance.at(41.0) == 34
    assert not allowance.is_shrunk(200.0)


def test_calls_in_flight_together_are_one_reason() -> None:
    """Five that meet one full window say no more than one does."""
    allowance = Allowance(50)
    for milliseconds in range(5):
        allowance.shrink(10.0 + milliseconds / 1000, begun=9.9)
    assert allowance.at(10.005) == 35


def test_an_untouched_allowance_is_whole() -> None:
    """Also at odd times of a monotonic clock."""
    assert Allowance(5).at(-1e9) == Allowance(5).at(1e9) == 5
