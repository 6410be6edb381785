"""How long one registration on a quiet day takes from the webhook to Marketo: sent by the app, received as a trigger.

Both ends are read from the clock of the one machine: before the request's first byte is written, and when the
simulation received the trigger call.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from datetime import datetime

from bench.arithmetic import percentile, quantiles
from bench.plan import Plan
from bench.results import Figure, Lines, Row
from bench.stage import Stage, staged
from bench.traffic import signed

MARKETO_MS = 50
TARGET_MS = 150
_APART = 3.0  # seconds; closer ones are a load, which the dispatcher gathers into batches
_PATIENCE = 10.0  # seconds
_SHARES = [share / 100 for share in range(1, 101)]


async def measure(plan: Plan) -> Figure:
    async with staged(latency_ms=MARKETO_MS) as stage:
        await registered(stage, 0, webinar=0)  # fetches the access token, which lives for an hour
        new = [await _spaced(plan, stage, number, webinar=1) for number in range(1, plan.samples + 1)]
        known = [await _spaced(plan, stage, number, webinar=2) for number in range(1, plan.samples + 1)]
    return Figure(
        name="lone",
        title="A lone registration, from accept to trigger",
        rows=[
            _row("new person, p50", new, 0.5, calls=1),
            _row("new person, p95", new, 0.95, calls=1),
            _row("person known from another webinar, p50", known, 0.5, calls=0),
            _row("person known from another webinar, p95", known, 0.95, calls=0),
        ],
        notes=[
            (
                f"{len(new)} registrations of each kind, one every {_APART:g} s or so, against a Marketo that takes "
                f"{MARKETO_MS} ms a call; the access token was there."
            ),
            (
                "A new person needs one call (Sync Leads) to be answered before the trigger can be requested: that is "
                "the yardstick. A known one needs none."
            ),
        ],
        plot=_plot(new, known),
    )


async def _spaced(plan: Plan, stage: Stage, number: int, *, webinar: int) -> float:
    await asyncio.sleep(_APART * random.uniform(0.9, 1.1))
    plan.tell(f"{'new' if webinar == 1 else 'known'} person {number} of {plan.samples}")
    return await registered(stage, number, webinar=webinar)


async def registered(stage: Stage, number: int, *, webinar: int) -> float:
    """Register one person and return the seconds until the trigger call came in."""
    before = len(await _triggers(stage))
    request = signed(number, f"lone{webinar}", webinar=webinar, person="lone")
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    began = time.time()
    writer.write(request)
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 202"), answer
    async with asyncio.timeout(_PATIENCE):
        while len(triggers := await _triggers(stage)) == before:  # noqa: ASYNC110  # asks another process
            await asyncio.sleep(0.2)
    return triggers[-1].timestamp() - began


async def _triggers(stage: Stage) -> list[datetime]:
    calls = await stage.seen("calls")
    return [datetime.fromisoformat(call["at"]) for call in calls if call["kind"] == "trigger"]


def _row(what: str, seconds: Sequence[float], share: float, *, calls: int) -> Row:
    measured, needed = percentile(seconds, share) * 1000, calls * MARKETO_MS
    return Row(
        what=what,
        measured=f"{measured:.0f} ms",
        yardstick=f"{needed} ms, Marketo's own answers",
        ratio=measured / needed if needed else None,
        target=f"≤ {TARGET_MS} ms",
        reached=measured <= TARGET_MS,
    )


def _plot(new: Sequence[float], known: Sequence[float]) -> Lines:
    shares = [100 * share for share in _SHARES]
    lines = [
        (label, shares, [1000 * one for one in quantiles(seconds, _SHARES)])
        for label, seconds in (("new person", new), ("known person", known))
    ]
    return Lines(
        x_label="percent of registrations",
        y_label="at most … ms",
        lines=lines,
        marks=[(f"target {TARGET_MS} ms", TARGET_MS), (f"Marketo {MARKETO_MS} ms", MARKETO_MS)],
    )
