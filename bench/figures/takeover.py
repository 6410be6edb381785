"""What a leader's death costs in the middle of a load: nobody is mailed twice or forgotten, no window runs over.

In virtual time: two processes on one database, of which the leader is killed as by `kill -9`, with calls under way.
"""

import asyncio
from pathlib import Path

from app.dispatch.lease import GONE_AFTER
from bench.arithmetic import moments_until, most_within, present_at, within_last
from bench.arrivals import steady
from bench.plan import Plan
from bench.results import Figure, Lines, Panels, Row
from bench.simulated import Course, Stage, simulate, simulated

RATE, WEBINARS = 150.0, 3
_GONE = GONE_AFTER.total_seconds()
_LOOKS = 1.5  # seconds that may pass between that and the next leader's first call
_BUDGET = 50
_STEP = 0.001  # seconds


async def measure(plan: Plan) -> Figure:
    plan.tell("the leader is killed under load")
    killed_at, under_way, course = await simulate(lambda folder: _killed(folder, plan.stream))
    pause = min(at for at in course.counted if at > killed_at + _STEP) - killed_at
    most = most_within(course.counted)
    return Figure(
        name="takeover",
        title=f"The leader is killed under {RATE:g} registrations a second",
        rows=[
            Row(
                what="until the next leader's first call",
                measured=f"{pause:.1f} s",
                yardstick=f"{_GONE:g} s, after which a silent leader is replaced",
                ratio=pause / _GONE,
                target=f"≤ {_GONE + _LOOKS:g} s",
                reached=pause <= _GONE + _LOOKS,
            ),
            Row(
                what="calls in the busiest 20 s",
                measured=str(most),
                yardstick=f"{_BUDGET}, the budget",
                ratio=most / _BUDGET,
                target=f"≤ {_BUDGET}, and no 606",
                reached=most <= _BUDGET and not course.world.violations.by_kind,
            ),
            Row(
                what="mailed twice, or never",
                measured=f"{course.twice}, {course.never}",
                yardstick=f"of {len(course.accepted):,} registrations",
                target="0, 0",
                reached=course.once,
            ),
        ],
        notes=[
            (
                f"Virtual time: {WEBINARS} webinars; the leader was killed after {killed_at:.1f} s with {under_way} "
                "calls under way, whose answers nobody read. MARKETO_ON_AMBIGUOUS=check found out what had become of "
                "them, as the activity log told it later."
            )
        ],
        plot=_plot(course, killed_at),
    )


async def _killed(folder: Path, seconds: float) -> tuple[float, int, Course]:
    async with simulated(folder, relays=2) as stage:
        killing = asyncio.create_task(_kill_leader(stage, seconds / 3))
        await stage.register(steady(RATE, seconds, WEBINARS))
        killed_at, under_way = await killing
        await stage.settled()
        return killed_at, under_way, stage.course()


async def _kill_leader(stage: Stage, after: float) -> tuple[float, int]:
    """Kill the leader at the first moment after that at which a call is under way."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(after)
    while not (stage.world.in_flight.now and stage.leader):  # noqa: ASYNC110  # virtual time
        await asyncio.sleep(_STEP)
    under_way = stage.world.in_flight.now
    stage.leader.kill()
    return loop.time(), under_way


def _plot(course: Course, killed_at: float) -> Panels:
    moments = moments_until(course.lasted if course.lasted < 300 else 300)
    left = [time for times in course.sent.values() for time in times]
    waiting = present_at(moments, came=list(course.accepted.values()), left=left)
    return Panels(
        panels=[
            Lines(
                x_label="",
                y_label="calls in 20 s",
                lines=[("killed leader, then the next", moments, within_last(course.counted, moments))],
                marks=[("Marketo's limit", 100), ("Adobe's advice", 50)],
            ),
            Lines(
                x_label=f"seconds; the leader was killed at {killed_at:.0f}",
                y_label="registrations waiting",
                lines=[("both", moments, waiting)],
            ),
        ]
    )
