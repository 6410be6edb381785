"""How many webhooks a second one process accepts, signed and durable, beside an endpoint that does nothing.

Each repeat is a new relay with an empty store: first the endpoint that does nothing, while the dispatcher has nothing
to do either, then webhooks, while it maps and sends what comes. So the yardstick never pays for the measured.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.arithmetic import median
from bench.generator import Load
from bench.plan import Plan
from bench.results import Bars, Figure, Row
from bench.stage import Stage, bare, load, staged

TARGET = 0.8
AT_LEAST = 0.7
KINDS = {"signed": "custom app, signed", "bearer": "custom app, Bearer key", "eventbrite": "Eventbrite, secret path"}


class NotStored(Exception):
    """A webhook was answered with 202 and is not in the store, or the other way round."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One repeat: the same connections, seconds and bytes, to the webhook and to the endpoint that does nothing."""

    webhook: Load
    noop: Load
    mapped: int
    sent: int

    @property
    def ratio(self) -> float:
        return self.webhook.per_second / self.noop.per_second

    @property
    def work_ratio(self) -> float:
        """Return the same by processor time a request, which neighbours on the machine disturb less."""
        return _work(self.noop) / _work(self.webhook) if self.webhook.server_cpu else 0.0


async def measure(plan: Plan) -> Figure:
    signed = [await _pair(plan, "signed", number) for number in range(plan.repeats)]
    others = {kind: [await _pair(plan, kind, 0)] for kind in KINDS if kind != "signed"}
    alone = await _bare(plan, "fastapi")
    ceiling = await _bare(plan, "ceiling")
    pairs = {"signed": signed, **others}
    return Figure(
        name="accept",
        title="Accepting, signed and durable",
        rows=[*(_row(kind, pairs[kind]) for kind in KINDS), _work_row(signed), _bare_row(signed, alone)],
        notes=_notes(plan, signed, ceiling),
        plot=_plot(pairs, alone),
    )


async def _pair(plan: Plan, kind: str, number: int) -> Pair:
    plan.tell(f"{KINDS[kind]}, repeat {number + 1}")
    async with staged() as stage:
        noop = await _load(stage, plan, "noop", "noop")
        webhook = await _load(stage, plan, kind, f"{kind}{number}")
        _check_stored(stage, webhook)
        events, registrations = stage.counted("events", "state"), stage.counted("registrations", "state")
        return Pair(webhook, noop, events.get("mapped", 0), registrations.get("sent", 0))


async def _load(stage: Stage, plan: Plan, kind: str, prefix: str) -> Load:
    return await stage.load(
        kind=kind, prefix=prefix, seconds=plan.seconds, warm_up=plan.warm_up, connections=plan.connections
    )


def _check_stored(stage: Stage, load: Load) -> None:
    stored = sum(stage.counted("events", "state").values())
    if Counter(load.statuses) != Counter({202: stored}):
        raise NotStored(f"answers {load.statuses}, but {stored} events in the store")


async def _bare(plan: Plan, which: str) -> Load:
    plan.tell(f"yardstick: {which}")
    async with bare(which) as (port, pid, _):
        return await load(
            port=port,
            watched=pid,
            kind="noop",
            prefix=which,
            seconds=plan.seconds,
            warm_up=plan.warm_up,
            connections=plan.connections,
        )


def _rate(loads: Sequence[Load]) -> float:
    return median([load.per_second for load in loads])


def _work(load: Load) -> float:
    return load.server_cpu / load.per_second


def _row(kind: str, pairs: Sequence[Pair]) -> Row:
    ratio = median([pair.ratio for pair in pairs])
    has_target = kind == "signed"
    return Row(
        what=KINDS[kind],
        measured=f"{_rate([pair.webhook for pair in pairs]):,.0f}/s",
        yardstick=f"{_rate([pair.noop for pair in pairs]):,.0f}/s, same server, endpoint that does nothing",
        ratio=ratio,
        target=f"≥ {TARGET}, at least {AT_LEAST}" if has_target else "",
        reached=ratio >= AT_LEAST if has_target else None,
    )


def _work_row(pairs: Sequence[Pair]) -> Row:
    return Row(
        what="the same by processor time a request",
        measured=f"{median([_work(pair.webhook) for pair in pairs]) * 1e6:.0f} µs",
        yardstick=f"{median([_work(pair.noop) for pair in pairs]) * 1e6:.0f} µs, endpoint that does nothing",
        ratio=median([pair.work_ratio for pair in pairs]),
    )


def _bare_row(pairs: Sequence[Pair], alone: Load) -> Row:
    rate = _rate([pair.webhook for pair in pairs])
    return Row(
        what="custom app, signed",
        measured=f"{rate:,.0f}/s",
        yardstick=f"{alone.per_second:,.0f}/s, FastAPI alone: no middleware of ours, no log",
        ratio=rate / alone.per_second,
    )


def _notes(plan: Plan, pairs: Sequence[Pair], ceiling: Load) -> list[str]:
    accepted = sum(sum(pair.webhook.statuses.values()) for pair in pairs)
    mapped, sent = sum(pair.mapped for pair in pairs), sum(pair.sent for pair in pairs)
    ratios = ", ".join(f"{pair.ratio:.2f}" for pair in pairs)
    own = max(pair.webhook.own_cpu for pair in pairs)
    return [
        (
            f"Closed loop, {plan.connections} keep-alive connections, {plan.seconds:g} s after a warm-up; a new relay "
            "with an empty SQLite file (WAL, synchronous=FULL) for each repeat; medians."
        ),
        f"Ratios of the single repeats: {ratios}. Every answer of 202 was found in the store, and nothing else.",
        (
            f"The dispatcher ran beside it in the same process: of {accepted:,} accepted events it mapped {mapped:,} "
            f"and had Marketo send {sent:,} by the end of the loads."
        ),
        (
            f"The generator took {own:.0%} of a core at most; a server that answers without reading gets "
            f"{ceiling.per_second:,.0f}/s."
        ),
    ]


def _plot(pairs: dict[str, list[Pair]], alone: Load) -> Bars:
    webhooks = [(name, _rate([pair.webhook for pair in pairs[kind]])) for kind, name in KINDS.items()]
    noop = _rate([pair.noop for pair in pairs["signed"]])
    yardsticks = [("does nothing", noop), ("FastAPI alone", alone.per_second)]
    return Bars(
        unit="requests a second, one process", bars=[*webhooks, *yardsticks], marks=[("target 0.8", TARGET * noop)]
    )
