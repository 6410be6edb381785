"""How long a search in the console takes among a million registrations, and what open consoles cost accepting."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx

from bench.arithmetic import median, percentile
from bench.filling import SEARCHES, fill
from bench.generator import Load
from bench.inserting import into_sqlite
from bench.plan import Plan
from bench.results import Bars, Figure, Row
from bench.stage import ADMIN_TOKEN, Stage, staged

ROWS_A_SAMPLE = 50_000  # so that a full run has a million
CONSOLES = 10
EVERY = 10.0  # seconds between two looks of one console, as its script has it
QUICK_MS = 150
MOST_COST = 1.05
_RATE = 300  # webhooks a second while consoles are open
_AS_THE_SCRIPT = {"x-console-live": "1"}
_PAGES = ("/console", "/console/registrations", "/console?over=30d", "/console/webinars", "/console/dead-letters")


async def measure(plan: Plan) -> Figure:
    rows = plan.samples * ROWS_A_SAMPLE
    async with staged() as stage, _signed_in(stage) as client:
        plan.tell(f"filling the store with {rows:,} registrations")
        await asyncio.to_thread(fill, into_sqlite(stage.database), rows, datetime.now(UTC))
        searches = {what: await _timed(plan, client, what, query) for what, query in SEARCHES.items()}
        frame = await _timed_page(client, "/console/sign-in", plan.samples)
        overview = await _timed_page(client, "/console?over=30d", 1)
        pairs = [await _pair(plan, stage, client, number) for number in range(plan.repeats)]
    return Figure(
        name="console",
        title=f"The console over {rows:,} registrations",
        rows=[
            *(_row(what, seconds, frame) for what, seconds in searches.items()),
            _overview_row(overview),
            *_cost_rows(pairs),
        ],
        notes=_notes(plan),
        plot=Bars(
            unit="ms a search, p95",
            bars=[(what, percentile(seconds, 0.95) * 1000) for what, seconds in searches.items()],
            marks=[(f"target {QUICK_MS} ms", QUICK_MS)],
        ),
    )


@asynccontextmanager
async def _signed_in(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stage.relay, timeout=60) as client:
        answer = await client.post("/console/sign-in", data={"token": ADMIN_TOKEN})
        assert answer.status_code == 303, answer.text
        yield client


async def _timed(plan: Plan, client: httpx.AsyncClient, what: str, query: str) -> list[float]:
    plan.tell(f"search: {what}")
    await client.get(f"/console/registrations?{query}")  # the first one ever compiles its template
    return await _timed_page(client, f"/console/registrations?{query}", plan.samples)


async def _timed_page(client: httpx.AsyncClient, path: str, samples: int) -> list[float]:
    taken = []
    for _ in range(samples):
        began = time.perf_counter()
        answer = await client.get(path)
        taken.append(time.perf_counter() - began)
        assert answer.status_code == 200, path
    return taken


async def _pair(plan: Plan, stage: Stage, client: httpx.AsyncClient, number: int) -> tuple[Load, Load]:
    """Return the same load without and with open consoles, one right after the other."""
    alone = await _load(plan, stage, f"alone{number}")
    looking = [asyncio.create_task(_look(client, n)) for n in range(CONSOLES)]
    try:
        return alone, await _load(plan, stage, f"watched{number}")
    finally:
        for one in looking:
            one.cancel()
        await asyncio.gather(*looking, return_exceptions=True)


async def _load(plan: Plan, stage: Stage, prefix: str) -> Load:
    plan.tell(f"accepting, {prefix}")
    return await stage.load(
        kind="signed", prefix=prefix, seconds=2 * plan.seconds, warm_up=plan.warm_up, connections=64, rate=_RATE
    )


async def _look(client: httpx.AsyncClient, number: int) -> None:
    await asyncio.sleep(EVERY * number / CONSOLES)
    while True:
        await client.get(_PAGES[number % len(_PAGES)], headers=_AS_THE_SCRIPT)
        await asyncio.sleep(EVERY)


def _row(what: str, seconds: Sequence[float], frame: Sequence[float]) -> Row:
    measured, yardstick = percentile(seconds, 0.95) * 1000, percentile(frame, 0.95) * 1000
    return Row(
        what=f"search: {what}, p95",
        measured=f"{measured:.0f} ms",
        yardstick=f"{yardstick:.0f} ms, a page that asks the store for nothing",
        ratio=measured / yardstick,
        target=f"≤ {QUICK_MS} ms",
        reached=measured <= QUICK_MS,
    )


def _overview_row(seconds: Sequence[float]) -> Row:
    return Row(what="overview of 30 days, counted anew", measured=f"{seconds[0] * 1000:.0f} ms")


def _cost_rows(pairs: Sequence[tuple[Load, Load]]) -> list[Row]:
    return [_cost_row(share, pairs, has_target=share == 0.5) for share in (0.5, 0.95)]


def _cost_row(share: float, pairs: Sequence[tuple[Load, Load]], *, has_target: bool) -> Row:
    alone, watched = (median([percentile(pair[n].latencies, share) for pair in pairs]) for n in (0, 1))
    ratio = median([percentile(b.latencies, share) / percentile(a.latencies, share) for a, b in pairs])
    return Row(
        what=f"accepting while {CONSOLES} consoles are open, p{share * 100:.0f}",
        measured=f"{watched * 1000:.2f} ms",
        yardstick=f"{alone * 1000:.2f} ms, without them",
        ratio=ratio,
        target=f"≤ {MOST_COST} of it" if has_target else "",
        reached=ratio <= MOST_COST if has_target else None,
    )


def _notes(plan: Plan) -> list[str]:
    return [
        f"Over HTTP, {plan.samples} times each, one after the other; 50 rows a page; SQLite.",
        (
            f"Accepting: {_RATE} signed webhooks a second at random times, {plan.repeats} pairs of "
            f"{2 * plan.seconds:g} s; a console asks for its page every {EVERY:g} s. Median of the pairs' ratios."
        ),
    ]
