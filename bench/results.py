"""What a run found, as values: figures with their rows and plots. To and from JSON; nothing else."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured thing beside its yardstick; both as they are to be read, with their unit.

    `ratio` is measured by yardstick. `reached` says whether the target was reached, None when there is none.
    """

    what: str
    measured: str
    yardstick: str = ""
    ratio: float | None = None
    target: str = ""
    reached: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """A plot of amounts side by side; `marks` are lines across, by their label."""

    unit: str
    bars: Sequence[tuple[str, float]]
    marks: Sequence[tuple[str, float]] = ()
    kind: str = "bars"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """A plot of y over x, several lines by their label; `log_x` for shares that come close to all."""

    x_label: str
    y_label: str
    lines: Sequence[tuple[str, Sequence[float], Sequence[float]]]
    marks: Sequence[tuple[str, float]] = ()
    log_y: bool = False
    kind: str = "lines"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panels:
    """Plots of lines above one another, over the same x."""

    panels: Sequence[Lines]
    kind: str = "panels"


Plot = Bars | Lines | Panels


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One question and its answer. `notes` say how it was measured and what happened beside it."""

    name: str
    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    plot: Plot | None = None

    @property
    def missed(self) -> list[Row]:
        return [row for row in self.rows if row.reached is False]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All figures of this folder, each of its last run, and the machine of the last run."""

    machine: dict[str, str]
    figures: dict[str, Figure] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"


def kept_results(path: Path) -> dict[str, Figure]:
    """Return the figures of earlier runs; none when nothing was kept."""
    if not path.exists():
        return {}
    return {name: _figure(values) for name, values in json.loads(path.read_text())["figures"].items()}


def _figure(values: dict[str, Any]) -> Figure:
    drawn = _plot(values["plot"]) if values["plot"] else None
    return Figure(**values | {"rows": [Row(**row) for row in values["rows"]], "plot": drawn})


def _plot(values: dict[str, Any]) -> Plot:
    if values["kind"] == "panels":
        return Panels(panels=[Lines(**panel) for panel in values["panels"]])
    return Bars(**values) if values["kind"] == "bars" else Lines(**values)
