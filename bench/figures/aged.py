"""What a store that is full of finished registrations costs: accepting, claiming, a lone registration, the start.

Both kinds of store are measured in turns, so that what the machine does meanwhile meets both. Each visit has a new one.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from app.store.database import open_database
from app.store.events import EventQueue
from bench.arithmetic import median
from bench.figures.lone import registered
from bench.filling import fill, fill_events, fill_timelines
from bench.inserting import Insert
from bench.plan import Plan
from bench.results import Figure, Row
from bench.stage import staged
from bench.stores import KINDS, Stores

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
    return await _measured(plan, "aged", "A store", "SQLite")


async def measure_postgresql(plan: Plan) -> Figure:
    return await _measured(plan, "aged-postgresql", "A PostgreSQL", "PostgreSQL")


async def _measured(plan: Plan, name: str, store: str, kind: str) -> Figure:
    rows = plan.samples * ROWS_A_SAMPLE
    with KINDS[kind]() as stores:
        plan.tell(f"filling a store with {rows:,} registrations, their webhooks and timelines")
        size = await stores.fill(partial(_fill, rows=rows))
        pairs = []
        for number in range(plan.repeats):
            empty = await _visit(plan, stores, number, full=False)
            pairs.append((empty, await _visit(plan, stores, number, full=True)))
    return Figure(
        name=name,
        title=f"{store} with {rows:,} finished registrations",
        rows=[
            _row("accepting one of many", "accept", 1e6, "µs", pairs),
            _row("claiming what is due", "claim", 1e6, "µs", pairs),
            _row("a lone registration, from accept to trigger", "lone", 1e3, "ms", pairs),
            _start_row(pairs),
            Row(what="size of the store", measured=f"{size / 1e6:,.0f} MB, {size / rows:,.0f} bytes a registration"),
        ],
        notes=[
            (
                f"{plan.repeats} pairs of an empty and a full store, each with a relay of its own; medians. Each "
                "registration has its webhook and three entries of its timeline; half of the webhooks still have their "
                f"body. {kind}."
            ),
        ],
    )


def _fill(insert: Insert, rows: int) -> None:
    now = datetime.now(UTC)
    fill(insert, rows, now, _SPAN)
    fill_events(insert, rows, now, _SPAN, blank=rows // 2)
    fill_timelines(insert, rows, now, _SPAN)


async def _visit(plan: Plan, stores: Stores, number: int, *, full: bool) -> Visit:
    which = "full" if full else "empty"
    plan.tell(f"{which} store, repeat {number + 1} of {plan.repeats}")
    url = await stores.fresh(full=full)
    async with staged(DATABASE_URL=url) as stage:
        await registered(stage, 0, webinar=0)  # fetches the access token
        lone = median([await registered(stage, one, webinar=100 + number) for one in range(1, plan.samples + 1)])
        load = await stage.load(
            kind="signed",
            prefix=f"{which}{number}",
            seconds=plan.seconds,
            warm_up=plan.warm_up,
            connections=plan.connections,
        )
    return Visit(1 / load.per_second, await _claiming(url), lone, stage.start_up)


async def _claiming(url: str) -> float:
    """Return the median time of a claim that finds nothing due, after the relay has ended."""
    database = open_database(url)
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
