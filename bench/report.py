"""Write results for people: a Markdown table for the repository, the same on the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.results import Figure, Results, Row

_HEADER = """# Measured

Written by `make bench`. What is not said to be in virtual time ran as separate processes over loopback on one machine,
so the load generator and the simulation took their share of it; absolute numbers belong to that machine, ratios were
taken within one run. Figures in virtual time count calls and waiting for Marketo, and are the same on any machine.
"""
_COLUMNS = ("what", "measured", "yardstick", "ratio", "target")


def markdown(results: Results) -> str:
    machine = "\n".join(f"- {name}: {value}" for name, value in results.machine.items())
    parts = [_HEADER, machine, *(_section(figure) for figure in results.figures.values())]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def table(rows: Sequence[Row]) -> str:
    """Return a Markdown table; a bar in a cell cannot end it."""
    lines = [_line(_COLUMNS), _line(["---", "---", "---", "---:", "---"]), *(_line(_cells(row)) for row in rows)]
    return "\n".join(lines)


def show(console: Console, figure: Figure) -> None:
    drawn = Table(*_COLUMNS, title=figure.title, title_justify="left", title_style="bold")
    for row in figure.rows:
        drawn.add_row(*_cells(row), style="red" if row.reached is False else None)
    console.print(drawn)
    for note in figure.notes:
        console.print(f"  {note}", style="dim", highlight=False)


def _section(figure: Figure) -> str:
    picture = f"![{figure.title}]({figure.name}.svg)" if figure.plot else ""
    notes = "\n".join(f"- {note}" for note in figure.notes)
    return "\n\n".join(part for part in (f"## {figure.title}", table(figure.rows), picture, notes) if part)


def _cells(row: Row) -> list[str]:
    verdict = {True: " ✓", False: " ✗", None: ""}[row.reached]
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return [row.what, row.measured, row.yardstick, ratio, row.target + verdict]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
