"""What the bench reckons and writes: wrong arithmetic would make every figure wrong, and nobody would see it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.arithmetic import (
    dictated,
    fewest_calls,
    median,
    moments_until,
    most_within,
    percentile,
    present_at,
    quantiles,
    within_last,
)
from bench.generator import Job, answer_size, arrivals
from bench.report import table
from bench.results import Bars, Figure, Lines, Results, Row, kept_results

SAMPLES = st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=200)


@given(SAMPLES, st.floats(min_value=0, max_value=1))
def test_a_percentile_is_a_sample_that_at_least_that_share_does_not_exceed(samples: list[float], share: float) -> None:
    """Nearest rank: no value is shown that nobody waited."""
    found = percentile(samples, share)
    assert found in samples
    assert sum(1 for one in samples if one <= found) >= share * len(samples) - 1e-9
    assert sum(1 for one in samples if one < found) <= share * len(samples)


def test_percentiles_of_a_hundred_are_what_one_expects() -> None:
    """The textbook case."""
    samples = list(range(100, 0, -1))
    assert [percentile(samples, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert quantiles(samples, [0.5, 0.95]) == [50, 95]


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_beyond_all_is_refused(share: float) -> None:
    """95 instead of 0.95 must not be the largest sample in silence."""
    with pytest.raises(ValueError, match="share"):
        percentile([1.0], share)


@given(SAMPLES)
def test_half_of_the_samples_lie_on_each_side_of_the_median(samples: list[float]) -> None:
    """One disturbed repeat does not move it."""
    middle = median(samples)
    assert 2 * sum(1 for one in samples if one < middle) <= len(samples)
    assert 2 * sum(1 for one in samples if one > middle) <= len(samples)


def test_nothing_has_no_median() -> None:
    """A figure of no samples is a defect, not zero."""
    with pytest.raises(ValueError, match="samples"):
        median([])


@given(st.lists(st.floats(min_value=0, max_value=200), max_size=60))
def test_no_span_holds_more_than_the_most_and_one_holds_as_many(times: list[float]) -> None:
    """Marketo's window slides; it is not enough to look at every full 20 s."""
    counts = [sum(at <= other <= at + 20.0 for other in times) for at in times]
    assert most_within(times) == max(counts, default=0)


def test_a_window_shows_the_last_twenty_seconds() -> None:
    """What the plot of the calls draws."""
    assert within_last([0.0, 10.0, 20.5], [0.0, 15.0, 20.0, 25.0]) == [1, 2, 2, 2]
    assert moments_until(2.5) == [0.0, 1.0, 2.0, 3.0]


def test_who_has_come_and_not_left_is_present() -> None:
    """What the plot of the queue draws."""
    assert present_at([0.0, 1.0, 2.0, 9.0], came=[0.5, 1.0, 2.5], left=[2.0, 3.0, 8.0]) == [0, 2, 1, 0]


def test_ten_thousand_new_people_need_134_calls_and_three_windows() -> None:
    """The arithmetic that the relay is measured by: 34 that find people, 100 that request the campaign."""
    assert fewest_calls(10_000, 10_000) == 134
    assert fewest_calls(0, 150, 150) == 4
    assert [dictated(calls) for calls in (0, 1, 50, 51, 100, 134)] == [0, 0, 0, 20, 20, 40]


def test_requests_are_due_at_the_rate_that_was_asked_for() -> None:
    """Over ten thousand, chance is small; and the same job is due at the same times again."""
    job = Job(port=1, kind="noop", prefix="p", seconds=9, warm_up=1, connections=1, watched=1, rate=1000)
    due = list(arrivals(job, first=50.0))
    assert len(due) == pytest.approx(10_000, rel=0.05)
    assert due == sorted(due)
    assert due[0] >= 50.0
    assert due[-1] < 60.0
    assert due == list(arrivals(job, first=50.0))


def test_an_answer_ends_where_its_length_says() -> None:
    """The generator reads no more of HTTP than that."""
    whole = b'HTTP/1.1 202 Accepted\r\ncontent-length: 4\r\nx: y\r\n\r\n{"a"'
    assert answer_size(whole) == len(whole)
    assert answer_size(whole[:-10]) is None


def test_results_come_back_as_they_were_kept(tmp_path: Path) -> None:
    """A run of one figure keeps the others."""
    rows = [Row(what="a", measured="1", ratio=0.5, reached=False)]
    figures = {
        "one": Figure(name="one", title="One", rows=rows, notes=["n"], plot=Bars(unit="u", bars=[("a", 1.0)])),
        "two": Figure(name="two", title="Two", rows=[], plot=Lines(x_label="x", y_label="y", lines=[])),
        "three": Figure(name="three", title="Three", rows=[]),
    }
    path = tmp_path / "results.json"
    text = Results(machine={"cores": "2"}, figures=figures).to_json()
    path.write_text(text)
    kept = kept_results(path)
    assert Results(machine={"cores": "2"}, figures=kept).to_json() == text
    assert [row.what for row in kept["one"].missed] == ["a"]
    assert kept_results(tmp_path / "absent.json") == {}


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    """Markdown tables are cut at bars."""
    assert "a\\|b" in table([Row(what="a|b", measured="1")])
