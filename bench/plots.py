"""Draw a figure's plot as SVG: small, the same bytes for the same numbers, legible on light and on dark ground."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Sheet

from bench.results import Bars, Figure, Lines, Panels

_INK = "#8b949e"  # grey that can be read on white and on black
_COLOURS = ("#2f81f7", "#d29922", "#3fb950", "#db61a2")
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "relay",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def draw(figure: Figure, folder: Path) -> None:
    """Write `<name>.svg` into the folder; nothing when the figure has no plot."""
    if figure.plot is None:
        return
    with mpl.rc_context(_STYLE):
        sheet = _bars_sheet(figure.plot) if isinstance(figure.plot, Bars) else _lines_sheet(figure.plot)
        sheet.savefig(folder / f"{figure.name}.svg", transparent=True, metadata={"Date": None, "Creator": None})


def _bars_sheet(plot: Bars) -> Sheet:
    sheet = Sheet(figsize=(6.4, 2.6), layout="constrained")
    _bars(sheet.add_subplot(), plot)
    return sheet


def _lines_sheet(plot: Lines | Panels) -> Sheet:
    panels = plot.panels if isinstance(plot, Panels) else [plot]
    sheet = Sheet(figsize=(6.4, 0.6 + 2.0 * len(panels)), layout="constrained")
    above = None
    for number, panel in enumerate(panels, start=1):
        above = sheet.add_subplot(len(panels), 1, number, sharex=above)
        _lines(above, panel)
    return sheet


def _bars(axes: Any, plot: Bars) -> None:
    names, values = [name for name, _ in plot.bars][::-1], [value for _, value in plot.bars][::-1]
    colours = [_COLOURS[0] if name == plot.bars[0][0] else _INK for name in names]
    drawn = axes.barh(names, values, color=colours, height=0.6)
    for label, value in plot.marks:
        axes.axvline(value, color=_COLOURS[1], linewidth=1, linestyle="--", label=label, zorder=0)
    axes.bar_label(drawn, [f"{value:,.0f}" for value in values], color=_INK, padding=5)
    axes.set_xlabel(plot.unit)
    axes.margins(x=0.12)
    _legend(axes, plot.marks)


def _lines(axes: Any, plot: Lines) -> None:
    for colour, (label, x, y) in zip(_COLOURS, plot.lines, strict=False):
        axes.plot(x, y, color=colour, linewidth=1.6, label=label)
    for dashes, (label, value) in zip(("--", ":", "-."), plot.marks, strict=False):
        axes.axhline(value, color=_INK, linewidth=1, linestyle=dashes, label=label)
    axes.set_xlabel(plot.x_label)
    axes.set_ylabel(plot.y_label)
    if plot.log_y:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    _legend(axes, plot.lines)


def _legend(axes: Any, entries: Any) -> None:
    if entries:
        axes.legend(loc="best", fontsize=8)
