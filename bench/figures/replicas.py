"""How many webhooks a second several relays accept together, on one PostgreSQL, all on this machine."""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack

import psycopg

from bench.generator import Load
from bench.plan import Plan
from bench.results import Bars, Figure, Row
from bench.stage import staged
from bench.stores import postgresql

PROCESSES = (1, 2, 4)
_NOTE = (
    "Relays, their senders, PostgreSQL and the simulations shared the {cores} cores of one machine: what more "
    "processes gain here is what the cores had left. fsync was on."
)


class NotAccepted(Exception):
    """A webhook was answered with something else than 202."""


async def measure(plan: Plan) -> Figure:
    with postgresql() as server:
        found = {count: await _together(plan, count, server) for count in PROCESSES}
    alone = _rate(found[1])
    return Figure(
        name="replicas",
        title="Accepting with several relays on one PostgreSQL",
        rows=[_row(count, loads, alone) for count, loads in found.items()],
        notes=(_NOTE.format(cores=os.cpu_count()),),
        plot=Bars(unit="webhooks a second", bars=[(f"{count}", _rate(loads)) for count, loads in found.items()]),
    )


async def _together(plan: Plan, count: int, server: str) -> Sequence[Load]:
    """Load so many relays at once, each with its share of the connections."""
    plan.tell(f"{count} relays")
    name = f"relay{count}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = server.replace("/postgres?", f"/{name}?")
    async with AsyncExitStack() as stack:
        stages = [await stack.enter_async_context(staged(DATABASE_URL=url)) for _ in range(count)]
        job = {"kind": "signed", "seconds": plan.seconds, "warm_up": plan.warm_up}
        connections = max(1, plan.connections // count)
        loads = await asyncio.gather(
            *(one.load(prefix=f"r{number}", connections=connections, **job) for number, one in enumerate(stages))
        )
    if others := sum((Counter(one.statuses) for one in loads), Counter()).keys() - {202}:
        raise NotAccepted(f"answers of {sorted(others)}")
    return loads


def _rate(loads: Sequence[Load]) -> float:
    return sum(one.per_second for one in loads)


def _row(count: int, loads: Sequence[Load], alone: float) -> Row:
    cpu = sum(one.server_cpu for one in loads)
    return Row(
        what=f"{count} relay{'s' if count > 1 else ''}",
        measured=f"{_rate(loads):,.0f}/s, {cpu:.2f} cores",
        yardstick=f"{alone:,.0f}/s with one",
        ratio=_rate(loads) / alone,
    )
