"""What the papers say about calls and seconds is what was measured last."""

import re
from pathlib import Path

import pytest

from bench.results import Figure, kept_results

ROOT = Path(__file__).parents[2]
FIGURES = kept_results(ROOT / "bench" / "results.json")
CALLS = " ".join((ROOT / "docs" / "calls.md").read_text().split())
README = " ".join((ROOT / "README.md").read_text().split())


def measured(figure: Figure, what: str) -> str:
    return next(row.measured for row in figure.rows if row.what == what)


def first_number(text: str) -> str:
    found = re.match(r"[\d,.]+", text)
    assert found is not None, text
    return found[0]


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("a webinar for new people", "new people"),
        ("a link of one's own for each, in a person field", "unique links in a person field"),
    ],
)
def test_a_crowd_costs_what_was_measured(row: str, what: str) -> None:
    calls = first_number(measured(FIGURES["crowd"], f"{what}: calls"))
    seconds = float(first_number(measured(FIGURES["crowd"], f"{what}: time")))
    assert re.search(rf"\| {row} \|[^|]*\| {calls}, in {seconds:.0f} seconds \|", CALLS)


def test_the_readme_says_the_same() -> None:
    calls = first_number(measured(FIGURES["crowd"], "new people: calls"))
    seconds = float(first_number(measured(FIGURES["crowd"], "new people: time")))
    assert f"10,000 people of one webinar cost {calls} calls to Marketo and {seconds:.0f} seconds" in README


def test_known_people_and_links_in_tokens_cost_what_was_measured() -> None:
    crowd = FIGURES["crowd"]
    known = first_number(measured(crowd, "the same people, second webinar: calls"))
    tokens = first_number(measured(crowd, "unique links in tokens: calls"))
    minutes = round(float(first_number(measured(crowd, "unique links in tokens: time"))))
    assert re.search(rf"\| another webinar for the same people \|[^|]*\| {known} \|", CALLS)
    assert re.search(rf"\| a link of one's own for each, in a token \|[^|]*\| {tokens}, in {minutes} minutes \|", CALLS)


def test_a_steady_load_takes_as_long_as_was_measured() -> None:
    stream = FIGURES["stream"]
    half, most = (float(first_number(measured(stream, f"3 webinars, {p}"))) for p in ("p50", "p95"))
    left = next(row.yardstick for row in stream.rows if row.what.startswith("waiting"))
    waiting = re.search(r"([\d,]+) at the end", left)
    assert waiting is not None
    assert f"sent within {half:g} seconds of registering and 95 % within {most:g}" in CALLS
    assert f"one by one, {waiting[1]} of " in CALLS
