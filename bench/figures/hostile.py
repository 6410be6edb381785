"""What good traffic keeps of its rate when every fifth request beside it is hostile.

Each repeat is a new relay: good senders alone, and the same beside strangers, who send forged signatures, no key,
broken and wrong JSON, other types and unknown addresses, at a fifth of the rate that the good ones had alone. Every
other repeat has the strangers in its first half: in the second, the dispatcher still works on what the first one sent.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.arithmetic import median
from bench.generator import Load
from bench.plan import Plan
from bench.results import Bars, Figure, Row
from bench.stage import Stage, staged

SHARE = 0.2
TARGET = 0.8
_STRANGERS = 32  # connections


class NotRefused(Exception):
    """A stranger heard something else than a refusal, or a good sender something else than 202."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One repeat."""

    alone: Load
    beside: Load
    hostile: Load

    @property
    def ratio(self) -> float:
        return self.beside.per_second / self.alone.per_second


async def measure(plan: Plan) -> Figure:
    pairs: list[Pair] = []
    for number in range(plan.repeats):
        is_first = number % 2 == 0
        pairs.append(await (_alone_first(plan, number) if is_first else _beside_first(plan, number, pairs[-1])))
    return Figure(
        name="hostile",
        title="Good traffic beside hostile traffic",
        rows=[_row(pairs)],
        notes=_notes(plan, pairs),
        plot=Bars(
            unit="good webhooks a second, one process",
            bars=[
                ("alone", median([pair.alone.per_second for pair in pairs])),
                ("beside strangers", median([pair.beside.per_second for pair in pairs])),
            ],
            marks=[("target 0.8", TARGET * median([pair.alone.per_second for pair in pairs]))],
        ),
    )


async def _alone_first(plan: Plan, number: int) -> Pair:
    async with staged() as stage:
        alone = await _alone(stage, plan, number)
        return Pair(alone, *await _beside(stage, plan, number, alone))


async def _beside_first(plan: Plan, number: int, before: Pair) -> Pair:
    async with staged() as stage:
        beside, hostile = await _beside(stage, plan, number, before.alone)
        return Pair(await _alone(stage, plan, number), beside, hostile)


async def _alone(stage: Stage, plan: Plan, number: int) -> Load:
    plan.tell(f"good senders alone, repeat {number + 1}")
    return await _good(stage, plan, f"alone{number}")


async def _beside(stage: Stage, plan: Plan, number: int, alone: Load) -> tuple[Load, Load]:
    plan.tell(f"good senders beside strangers, repeat {number + 1}")
    beside, hostile = await asyncio.gather(
        _good(stage, plan, f"beside{number}"), _strangers(stage, plan, SHARE * alone.per_second)
    )
    _check(beside.statuses, range(202, 203))
    _check(hostile.statuses, range(400, 500))
    return beside, hostile


async def _good(stage: Stage, plan: Plan, prefix: str) -> Load:
    return await stage.load(
        kind="signed", prefix=prefix, seconds=plan.seconds, warm_up=plan.warm_up, connections=plan.connections
    )


async def _strangers(stage: Stage, plan: Plan, rate: float) -> Load:
    return await stage.load(
        kind="hostile",
        prefix="hostile",
        seconds=plan.seconds,
        warm_up=plan.warm_up,
        connections=_STRANGERS,
        rate=rate,
    )


def _check(statuses: dict[int, int], allowed: range) -> None:
    if odd := set(statuses) - set(allowed):
        raise NotRefused(f"answers {sorted(odd)} among {statuses}")


def _row(pairs: Sequence[Pair]) -> Row:
    ratio = median([pair.ratio for pair in pairs])
    return Row(
        what=f"signed webhooks, beside {SHARE:.0%} as many hostile requests",
        measured=f"{median([pair.beside.per_second for pair in pairs]):,.0f}/s",
        yardstick=f"{median([pair.alone.per_second for pair in pairs]):,.0f}/s, alone, same relay",
        ratio=ratio,
        target=f"≥ {TARGET}",
        reached=ratio >= TARGET,
    )


def _notes(plan: Plan, pairs: Sequence[Pair]) -> list[str]:
    answers: Counter[int] = sum((Counter(pair.hostile.statuses) for pair in pairs), Counter())
    told = ", ".join(f"{status}: {count:,}" for status, count in sorted(answers.items()))
    return [
        (
            f"Good: closed loop, {plan.connections} connections, {plan.seconds:g} s. Hostile: a process of its own, at "
            f"random (Poisson) times, {_STRANGERS} connections; it takes processor time of the same machine."
        ),
        f"Answers to strangers: {told}. Each good sender heard 202.",
        (
            f"Ratios of the single repeats: {', '.join(f'{pair.ratio:.2f}' for pair in pairs)}; those beside "
            "strangers came first in the second, the fourth, …"
        ),
    ]
