"""Each figure in virtual time works, in small. Its numbers are for `make bench`; what must always hold is here."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.sandbox.wire import Request
from bench.figures import FIGURES
from bench.figures.faults import Load, Regularly, sent
from bench.figures.stream import bound
from bench.plan import Plan
from bench.plots import draw
from bench.report import table
from bench.results import Figure, Results, kept_results

pytestmark = pytest.mark.no_cover  # under a tracer it takes twice as long, and each part has tests of its own

SMALL = Plan(crowd=250, stream=2.0, faulted=30, every_fault=False, few=5, tell=lambda _: None)


@pytest.fixture(params=["crowd", "stream", "takeover"])
async def figure(request: pytest.FixtureRequest) -> Figure:
    measured: Figure = await FIGURES[request.param](SMALL)
    return measured


async def test_a_figure_is_measured_drawn_and_kept(figure: Figure, tmp_path: Path) -> None:
    """Everybody is mailed exactly once in each of them, or `measure` fails."""
    assert all(row.measured and row.yardstick for row in figure.rows)
    assert figure.rows[0].what in table(figure.rows)
    draw(figure, tmp_path)
    assert (tmp_path / f"{figure.name}.svg").read_text().startswith("<?xml")
    results = Results(machine={}, figures={figure.name: figure})
    (tmp_path / "results.json").write_text(results.to_json())
    assert Results(machine={}, figures=kept_results(tmp_path / "results.json")).to_json() == results.to_json()


async def test_everybody_is_mailed_once_whatever_goes_wrong() -> None:
    """Each fifth call: the answer is lost, or refused for the rate, or for a person who is gone."""
    outcome = await sent(Load(30, 3), ["lost", "code:606", "code:1004"], 5)
    assert outcome.hits > 0
    assert outcome.once


def test_the_bound_for_twelve_webinars_is_what_the_window_leaves_them() -> None:
    """Half of a call a second finds people; two calls a second for 12 webinars are a turn every 6 s, and two calls."""
    assert bound(12, share=1.0) == pytest.approx(6.0 + 0.1)


def test_each_nth_call_goes_wrong_in_each_way_by_turns() -> None:
    """Five in a hundred are five, whatever chance says; other services are left alone."""
    book, request = Regularly(["cut", "code:606"], 5), Request("GET", "/", "/", {}, b"", "")
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    hits = [book.take("marketo", "trigger", request, now) for _ in range(20)]
    assert [number for number, fault in enumerate(hits, start=1) if fault] == [5, 10, 15, 20]
    assert Counter(fault.kind for fault in hits if fault) == {"cut": 2, "code:606": 2}
    assert not any(book.take("identity", "identity", request, now) for _ in range(20))
