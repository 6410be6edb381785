"""What the purge costs those who send meanwhile, how long it takes, and how long one of its steps does.

Both stores, each in pairs of two relays on equal copies of a store whose webhooks and registrations are over 30 days
old: one keeps them for ten years and has nothing to purge, the other for 30 days and purges all the while.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import func, select

from app.store.database import Database, open_database
from app.store.retention import A_STEP, Retention
from app.store.search import first_id
from app.store.tables import events, registrations
from bench.arithmetic import median, percentile
from bench.filling import fill, fill_events, fill_timelines
from bench.generator import Load
from bench.inserting import Insert
from bench.plan import Plan
from bench.results import Figure, Row
from bench.stage import staged
from bench.stores import KINDS, Stores

ROWS_A_SAMPLE = 2_500  # so that a full run purges fifty thousand
MOST_COST = 1.2
MOST_MS = 50
ENOUGH = 116  # a second: ten million a day, see docs/scale.md
_RATE = 300  # webhooks a second meanwhile
_KEEP = timedelta(days=30)
_FOR_EVER = timedelta(days=3650)
_SPAN = timedelta(days=30)
_STEPS = 100
_LOOKS = 0.5  # seconds
_PATIENCE = 600.0  # seconds


class NotPurging(Exception):
    """The purge had ended before the load did, or does not end: the figure would compare nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purging:
    """What was found on one store: pairs of loads without and with it; seconds of all of it, and of its steps."""

    kind: str
    rows: int
    pairs: Sequence[tuple[Load, Load]]
    seconds: float
    steps: Sequence[float]


async def measure(plan: Plan) -> Figure:
    rows = plan.samples * ROWS_A_SAMPLE
    found = [await _on(plan, kind, rows) for kind in KINDS]
    return Figure(
        name="retention",
        title=f"Purging {rows:,} registrations and their webhooks",
        rows=[row for one in found for row in told(one)],
        notes=[
            (
                f"{_RATE} signed webhooks a second at random times, {plan.repeats} pairs of {2 * plan.seconds:g} s, "
                "each relay with a copy of its own; medians. The yardstick keeps the same rows for ten years. All were "
                "purged without a load beside it; the purge paces itself, four steps a second at most."
            ),
            (
                f"A step blanks {A_STEP} webhooks, then {A_STEP} registrations and their timelines, then calls, each "
                "in a transaction of its own: none is longer than the step."
            ),
        ],
    )


async def _on(plan: Plan, kind: str, rows: int) -> Purging:
    with KINDS[kind]() as stores:
        plan.tell(f"{kind}: filling a store with {rows:,} registrations that are due")
        await stores.fill(partial(_fill, rows=rows))
        pairs = []
        for number in range(plan.repeats):
            plan.tell(f"{kind}: accepting without and with the purge, pair {number + 1} of {plan.repeats}")
            alone = await _load(plan, stores, f"alone{number}", keep=_FOR_EVER)
            pairs.append((alone, await _load(plan, stores, f"beside{number}", keep=_KEEP)))
        plan.tell(f"{kind}: purging all")
        seconds = await _all(stores)
        plan.tell(f"{kind}: single steps")
        steps = await _steps(stores, min(_STEPS, rows // A_STEP))
    return Purging(kind=kind, rows=rows, pairs=pairs, seconds=seconds, steps=steps)


def _fill(insert: Insert, rows: int) -> None:
    until = datetime.now(UTC) - _KEEP - timedelta(days=1)
    for add in (fill, fill_events, fill_timelines):
        add(insert, rows, until, _SPAN)


async def _load(plan: Plan, stores: Stores, prefix: str, *, keep: timedelta) -> Load:
    url = await stores.fresh(full=True)
    async with staged(DATABASE_URL=url, RETENTION_DAYS=f"{keep.days}") as stage:
        load = await stage.load(
            kind="signed", prefix=prefix, seconds=2 * plan.seconds, warm_up=plan.warm_up, connections=64, rate=_RATE
        )
        async with open_database(url) as database:
            if not any(await _left(database)):
                raise NotPurging("all was purged before the load had ended")
    return load


async def _all(stores: Stores) -> float:
    """Return how long a relay takes to purge all of a store, from when it is ready."""
    url = await stores.fresh(full=True)
    async with staged(DATABASE_URL=url, RETENTION_DAYS=f"{_KEEP.days}"), open_database(url) as database:
        began = time.monotonic()
        while any(left := await _left(database)):
            if time.monotonic() - began > _PATIENCE:
                raise NotPurging(f"{left} webhooks and registrations are left")
            await asyncio.sleep(_LOOKS)
        return time.monotonic() - began


async def _left(database: Database) -> tuple[int, int]:
    """Return how many webhooks and registrations are still to be purged; both are found by an index."""
    until = datetime.now(UTC) - _KEEP
    old = (events.c.settled_at < until) & events.c.settled_at.is_not(None) & events.c.body.is_not(None)
    kept = registrations.c.purged_at.is_(None) & (registrations.c.id < first_id("reg", until))
    async with database.read() as connection:
        webhooks = await connection.scalar(select(func.count()).select_from(events).where(old))
        people = await connection.scalar(select(func.count()).select_from(registrations).where(kept))
    return int(webhooks or 0), int(people or 0)


async def _steps(stores: Stores, count: int) -> list[float]:
    """Return how long each of so many steps takes where nothing else is done."""
    taken = []
    async with open_database(await stores.fresh(full=True)) as database:
        retention = Retention(database, keep=_KEEP)
        for _ in range(count):
            began = time.perf_counter()
            if not await retention.step(datetime.now(UTC)):
                raise NotPurging("a step found nothing to do")
            taken.append(time.perf_counter() - began)
    return taken


def told(one: Purging) -> Iterator[Row]:
    """Yield the rows of one store."""
    for share in (0.5, 0.99):
        yield _cost(one, share)
    pace = one.rows / one.seconds
    yield Row(
        what=f"{one.kind}: purging them all",
        measured=f"{one.seconds:.0f} s, {pace:,.0f}/s",
        target=f"≥ {ENOUGH}/s, ten million a day",
        reached=pace >= ENOUGH,
    )
    usual = median(one.steps) * 1000
    yield Row(
        what=f"{one.kind}: a step of the purge, p50 and longest",
        measured=f"{usual:.0f} ms, {max(one.steps) * 1000:.0f} ms",
        target=f"p50 ≤ {MOST_MS} ms",
        reached=usual <= MOST_MS,
    )


def _cost(one: Purging, share: float) -> Row:
    """Tell the median of the pairs' ratios."""
    alone, beside = (median([percentile(pair[n].latencies, share) for pair in one.pairs]) for n in (0, 1))
    ratio = median([percentile(b.latencies, share) / percentile(a.latencies, share) for a, b in one.pairs])
    return Row(
        what=f"{one.kind}: accepting beside the purge, p{share * 100:.0f}",
        measured=f"{beside * 1000:.1f} ms",
        yardstick=f"{alone * 1000:.1f} ms, nothing to purge",
        ratio=ratio,
        target=f"≤ {MOST_COST} of it",
        reached=ratio <= MOST_COST,
    )
