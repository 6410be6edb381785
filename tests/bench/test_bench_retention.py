"""What the figure of the purge tells: which of its bounds were kept, on which store."""

import pytest

from bench.figures.retention import Purging, told
from bench.generator import Load
from bench.results import Row


def load(*latencies: float) -> Load:
    return Load(per_second=300, latencies=latencies, statuses={202: 3}, own_cpu=0.1, server_cpu=0.1)


def rows(*pairs: tuple[Load, Load], seconds: float = 125.0, steps: tuple[float, ...] = (0.02, 0.03, 0.09)) -> list[Row]:
    return list(told(Purging(kind="SQLite", rows=100_000, pairs=pairs, seconds=seconds, steps=steps)))


def test_the_cost_of_the_purge_is_the_median_of_the_pairs() -> None:
    """A pair that the machine disturbed is one of several; each compares neighbours in time."""
    usual = load(0.002, 0.002, 0.004), load(0.0022, 0.0022, 0.006)  # the rarest wait for a step's transaction
    disturbed = load(0.002, 0.002, 0.004), load(0.9, 0.9, 0.9)
    half, rare, *_ = rows(usual, disturbed, usual)
    assert half.ratio == pytest.approx(1.1)
    assert half.reached
    assert (rare.measured, rare.yardstick, rare.reached) == ("6.0 ms", "4.0 ms, nothing to purge", False)
    assert not any(row.reached for row in rows(disturbed)[:2])


def test_a_purge_must_keep_up_with_ten_million_a_day() -> None:
    """One that is slower than what comes in never ends."""
    pair = load(0.002), load(0.002)
    assert rows(pair)[2].measured == "125 s, 800/s"
    assert [rows(pair, seconds=seconds)[2].reached for seconds in (125.0, 900.0)] == [True, False]


def test_a_steps_usual_time_is_bounded_and_its_longest_told() -> None:
    """The longest is the disk's or the machine's; a usual one that is too long is ours."""
    pair = load(0.002), load(0.002)
    assert (rows(pair)[3].measured, rows(pair)[3].reached) == ("30 ms, 90 ms", True)
    assert rows(pair, steps=(0.06,))[3].reached is False
