"""How soon a relay is ready, and how much memory it keeps: idle, and after a load."""

import asyncio

from bench.arithmetic import median
from bench.plan import Plan
from bench.processes import peak_resident_bytes, resident_bytes
from bench.results import Bars, Figure, Row
from bench.stage import bare, staged

_SETTLES = 2.0  # seconds until an idle process has done what it does once


async def measure(plan: Plan) -> Figure:
    ready, bare_ready = [], []
    for number in range(max(1, plan.repeats - 1)):
        plan.tell(f"start {number + 1}")
        async with staged() as stage:
            ready.append(stage.start_up)
        async with bare("fastapi") as (_, _, seconds):
            bare_ready.append(seconds)
    alone = await _alone()
    idle, after, peak, accepted = await _loaded(plan)
    memory = [("idle", idle), ("after the load", after), ("at most", peak)]
    rows = [_memory_row(what, amount, alone) for what, amount in memory]
    return Figure(
        name="footprint",
        title="Start and memory",
        rows=[_start_row(median(ready), median(bare_ready)), *rows],
        notes=[
            f"Start: from the command to /readyz 200 on an empty store, tables made; median of {len(ready)}.",
            (
                f"Memory: resident, one process; the load were {accepted:,} signed webhooks, and memory was read "
                f"{_SETTLES:g} s after the last."
            ),
        ],
        plot=Bars(
            unit="resident memory, MiB",
            bars=[*((what, amount / 2**20) for what, amount in memory), ("FastAPI alone", alone / 2**20)],
        ),
    )


async def _alone() -> int:
    async with bare("fastapi") as (_, pid, _):
        await asyncio.sleep(_SETTLES)
        return resident_bytes(pid)


async def _loaded(plan: Plan) -> tuple[int, int, int, int]:
    plan.tell("memory, idle and under load")
    async with staged() as stage:
        await asyncio.sleep(_SETTLES)
        idle = resident_bytes(stage.pid)
        load = await stage.load(
            kind="signed",
            prefix="memory",
            seconds=2 * plan.seconds,
            warm_up=plan.warm_up,
            connections=plan.connections,
        )
        await asyncio.sleep(_SETTLES)
        accepted = sum(load.statuses.values())
        return idle, resident_bytes(stage.pid), peak_resident_bytes(stage.pid), accepted


def _start_row(seconds: float, alone: float) -> Row:
    return Row(
        what="start",
        measured=f"{seconds:.2f} s",
        yardstick=f"{alone:.2f} s, FastAPI alone",
        ratio=seconds / alone,
    )


def _memory_row(what: str, amount: int, alone: int) -> Row:
    return Row(
        what=f"memory {what}",
        measured=f"{amount / 2**20:.0f} MiB",
        yardstick=f"{alone / 2**20:.0f} MiB, FastAPI alone",
        ratio=amount / alone if alone else None,
    )
