"""What a store that is full of finished registrations costs: accepting, claiming, a lone registration, the start.

Both kinds of store are measured in turns, so that what the machine does meanwhile meets both. Each visit has a new one.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.store.database import open_database
from app.store.events import EventQueue
from app.store.opening import prepare_store
from bench.arithmetic import median
from bench.figures.lone import registered
from bench.filling import fill, fill_events
from bench.plan import Plan
from bench.results import Figure, Row
from bench.stage import staged

ROWS_A_SAMPLE = 50_000  # so that a full run has a million
MOST = 1.2
START = 2.0  # seconds
_CLAIMS = 200
_SPAN = timedelta(days=29)  # less than RETENTION_DAYS: what is older was blanked day by day


@dataclass(frozen=True, slots=True)
class Visit:
    """What one relay took: seconds a webhook accepted, a claim, a lone registration, and the start."""

    accept: float
    claim: float
    lone: float
    start: float


async def measure(plan: Plan) -> Figure:
    rows = plan.samples * ROWS_A_SAMPLE
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
        aged = Path(folder) / "aged.db"
        plan.tell(f"filling a store with {rows:,} registrations and their webhooks")
        await prepare_store(f"sqlite:///{aged}")
        await asyncio.to_thread(_fill, aged, rows)
        size = aged.stat().st_size
        pairs = []
        for number in range(plan.repeats):
            empty = await _visit(plan, await _fresh(Path(folder) / "empty"), number)
            pairs.append((empty, await _visit(plan, await _fresh(Path(folder) / "full", aged), number)))
    return Figure(
        name="aged",
        title=f"A store with {rows:,} finished registrations",
        rows=[
            _row("accepting one of many", "accept", 1e6, "µs", pairs),
            _row("claiming what is due", "claim", 1e6, "µs", pairs),
            _row("a lone registration, from accept to trigger", "lone", 1e3, "ms", pairs),
            _start_row(pairs),
            Row(what="size of the file", measured=f"{size / 1e6:,.0f} MB, {size / rows:,.0f} bytes a registration"),
        ],
        notes=[
            (
                f"{plan.repeats} pairs of an empty and a full store, each with a relay of its own; medians. Half of "
                "the registrations' webhooks still have their body. SQLite."
            ),
        ],
    )


async def _fresh(folder: Path, filled: Path | None = None) -> Path:
    """Return a store of its own for a visit: what the visits before left to be mapped would be work in this one."""
    database = folder / "relay.db"
    await asyncio.to_thread(_lay, database, filled)
    if filled is None:
        await prepare_store(f"sqlite:///{database}")
    return database


def _lay(database: Path, filled: Path | None) -> None:
    shutil.rmtree(database.parent, ignore_errors=True)
    database.parent.mkdir()
    if filled:
        shutil.copy(filled, database)
        os.sync()  # or the disk would still be busy with the copy


def _fill(database: Path, rows: int) -> None:
    now = datetime.now(UTC)
    fill(database, rows, now, _SPAN)
    fill_events(database, rows, now, _SPAN)


async def _visit(plan: Plan, database: Path, number: int) -> Visit:
    plan.tell(f"{database.parent.name} store, repeat {number + 1}")
    async with staged(DATABASE_URL=f"sqlite:///{database}") as stage:
        await registered(stage, 0, webinar=0)  # fetches the access token
        lone = median([await registered(stage, one, webinar=100 + number) for one in range(1, plan.samples + 1)])
        load = await stage.load(
            kind="signed",
            prefix=f"{database.parent.name}{number}",
            seconds=plan.seconds,
            warm_up=plan.warm_up,
            connections=plan.connections,
        )
    return Visit(1 / load.per_second, await _claiming(database), lone, stage.start_up)


async def _claiming(path: Path) -> float:
    """Return the median time of a claim that finds nothing due, after the relay has ended."""
    database = open_database(f"sqlite:///{path}")
    taken = []
    try:
        for _ in range(_CLAIMS):
            began = time.perf_counter()
            await EventQueue(database).claim(now=datetime(2000, 1, 1, tzinfo=UTC), fence=0, limit=100)
            taken.append(time.perf_counter() - began)
    finally:
        await database.close()
    return median(taken)


def _row(what: str, field: str, scale: float, unit: str, pairs: Sequence[tuple[Visit, Visit]]) -> Row:
    empty, full = (median([getattr(pair[n], field) for pair in pairs]) for n in (0, 1))
    return Row(
        what=what,
        measured=f"{full * scale:,.0f} {unit}",
        yardstick=f"{empty * scale:,.0f} {unit}, empty store",
        ratio=full / empty,
        target=f"≤ {MOST} of it",
        reached=full / empty <= MOST,
    )


def _start_row(pairs: Sequence[tuple[Visit, Visit]]) -> Row:
    empty, full = (median([pair[n].start for pair in pairs]) for n in (0, 1))
    return Row(
        what="start, until it is ready",
        measured=f"{full:.1f} s",
        yardstick=f"{empty:.1f} s, empty store",
        ratio=full / empty,
        target=f"≤ {START:g} s",
        reached=full <= START,
    )
