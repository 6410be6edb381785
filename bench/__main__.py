"""`make bench`: measure everything, show it, and keep table, numbers and plots beside this file."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.figures import FIGURES, Measure
from bench.machine import describe
from bench.plan import Plan, quick
from bench.plots import draw
from bench.report import markdown, show
from bench.results import Figure, Results, kept_results

_FOLDER = Path(__file__).parent
_AT_MOST = 1500.0  # seconds for one figure
_NAMES = ", ".join(FIGURES)


def main(
    only: Annotated[list[str] | None, typer.Option(help=f"Measure this one, may be repeated: {_NAMES}.")] = None,
    seconds: Annotated[float, typer.Option(min=0.5, max=60, help="Length of each measured load.")] = 4.0,
    fast: Annotated[bool, typer.Option("--quick", help="Only see that it works: short, and nothing is kept.")] = False,
) -> None:
    """Measure the relay. Nothing leaves this machine; all figures together take an hour and a half."""
    console = Console()
    unknown = set(only or ()) - FIGURES.keys()
    if unknown:
        raise typer.BadParameter(f"there is no {', '.join(sorted(unknown))}; there are {_NAMES}", param_hint="--only")
    chosen = {name: measure for name, measure in FIGURES.items() if not only or name in only}
    found = asyncio.run(measured(chosen, seconds=seconds, fast=fast, console=console))
    if not fast:
        keep(found, describe())
        console.print("Kept: bench/results.md, bench/results.json and the plots.")
    missed = [f"{figure.name}: {row.what}" for figure in found.values() for row in figure.missed]
    if missed:
        console.print("Below target: " + ", ".join(missed), style="red")


async def measured(chosen: dict[str, Measure], *, seconds: float, fast: bool, console: Console) -> dict[str, Figure]:
    """Measure one figure after the other, and say what is going on."""
    found: dict[str, Figure] = {}
    for name, measure in chosen.items():
        with console.status(name) as status:

            def tell(what: str, name: str = name) -> None:
                status.update(f"{name}: {what}")
                if not console.is_terminal:
                    console.print(f"{name}: {what}", style="dim")

            plan = quick(tell) if fast else Plan(seconds=seconds, tell=tell)
            async with asyncio.timeout(_AT_MOST):
                found[name] = await measure(plan)
        show(console, found[name])
    return found


def keep(found: dict[str, Figure], machine: dict[str, str]) -> None:
    """Write what was found beside what earlier runs found of the other figures."""
    kept = kept_results(_FOLDER / "results.json") | found
    results = Results(machine=machine, figures={name: kept[name] for name in FIGURES if name in kept})
    (_FOLDER / "results.json").write_text(results.to_json())
    (_FOLDER / "results.md").write_text(markdown(results))
    for figure in found.values():
        draw(figure, _FOLDER)


if __name__ == "__main__":
    typer.run(main)
