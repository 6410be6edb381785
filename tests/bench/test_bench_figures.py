"""Each figure in virtual time works, in small. Its numbers are for `make bench`; what must always hold is here."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.figures import FIGURES
from bench.plan import Plan
from bench.plots import draw
from bench.report import table
from bench.results import Figure, Results, kept_results

SMALL = Plan(crowd=250, tokens=20, stream=4.0, faulted=40, few=5, tell=lambda _: None)


@pytest.fixture(params=["crowd"])
async def figure(request: pytest.FixtureRequest) -> Figure:
    measured: Figure = await FIGURES[request.param](SMALL)
    return measured


def rows_of(figure: Figure) -> Mapping[str, str]:
    return {row.what: row.measured for row in figure.rows}


async def test_a_figure_is_measured_drawn_and_kept(figure: Figure, tmp_path: Path) -> None:
    """Everybody is mailed exactly once in each of them, or `measure` fails."""
    assert all(row.measured and row.target for row in figure.rows)
    assert figure.rows[0].what in table(figure.rows)
    draw(figure, tmp_path)
    assert (tmp_path / f"{figure.name}.svg").read_text().startswith("<?xml")
    results = Results(machine={}, figures={figure.name: figure})
    (tmp_path / "results.json").write_text(results.to_json())
    assert Results(machine={}, figures=kept_results(tmp_path / "results.json")).to_json() == results.to_json()
