"""How long a sender waits for its 202 at half of the load that the relay can take."""

from collections.abc import Sequence

from bench.arithmetic import percentile, quantiles
from bench.generator import Load
from bench.plan import Plan
from bench.results import Figure, Lines, Row
from bench.stage import staged

_CONNECTIONS = 256
_SHARES = [*(share / 100 for share in range(1, 100)), 0.995, 0.999]


async def measure(plan: Plan) -> Figure:
    most = await _most(plan)
    rate = round(most.per_second / 2)
    async with staged() as stage:
        loads = {}
        for kind in ("noop", "signed"):
            plan.tell(f"{kind} at {rate}/s")
            loads[kind] = await stage.load(
                kind=kind,
                prefix=f"{kind}-open",
                seconds=2 * plan.seconds,
                warm_up=plan.warm_up,
                connections=_CONNECTIONS,
                rate=rate,
            )
        mapped = stage.counted("events", "state").get("mapped", 0)
    webhook, noop = loads["signed"], loads["noop"]
    return Figure(
        name="latency",
        title="Latency of accepting at half of that load",
        rows=[_row(share, webhook.latencies, noop.latencies) for share in (0.5, 0.95, 0.99)],
        notes=_notes(rate, webhook, mapped),
        plot=_plot(webhook, noop),
    )


async def _most(plan: Plan) -> Load:
    plan.tell("the most it can take")
    async with staged() as stage:
        return await stage.load(
            kind="signed",
            prefix="most",
            seconds=plan.seconds,
            warm_up=plan.warm_up,
            connections=plan.connections,
        )


def _row(share: float, webhook: Sequence[float], noop: Sequence[float]) -> Row:
    measured, yardstick = percentile(webhook, share) * 1000, percentile(noop, share) * 1000
    return Row(
        what=f"p{share * 100:.0f}",
        measured=f"{measured:.1f} ms",
        yardstick=f"{yardstick:.1f} ms, endpoint that does nothing, same rate",
        ratio=measured / yardstick,
    )


def _notes(rate: int, webhook: Load, mapped: int) -> list[str]:
    return [
        (
            f"Open loop: {rate:,} requests a second, due at random (Poisson) times whatever the server does; latency "
            "counts from the time at which a request was due, and up to 1 ms of it is the generator's own timer."
        ),
        (
            f"{len(webhook.latencies):,} samples, the longest {max(webhook.latencies) * 1000:.0f} ms. The dispatcher "
            f"mapped {mapped:,} of them meanwhile."
        ),
    ]


def _plot(webhook: Load, noop: Load) -> Lines:
    shares = [100 * share for share in _SHARES]
    lines = [
        (label, shares, [1000 * seconds for seconds in quantiles(load.latencies, _SHARES)])
        for label, load in (("signed webhook", webhook), ("does nothing", noop))
    ]
    return Lines(x_label="percent of requests", y_label="at most … ms", lines=lines, log_y=True)
