"""Whether the relay keeps up with a stream, and how long each registration waits: few webinars, many webinars.

In virtual time. Each second 150 people register; the window has 2.5 calls a second for them.
"""

from collections.abc import Sequence
from pathlib import Path

from bench.arithmetic import median, moments_until, most_within, percentile, present_at, within_last
from bench.arrivals import steady
from bench.plan import Plan
from bench.results import Figure, Lines, Panels, Row
from bench.simulated import Course, afternoon, simulate, simulated

RATE = 150.0  # a second
_FEW, _MANY = 3, 12  # webinars
_P50, _P95 = 2.5, 6.0  # seconds
_LONGER = 1.3  # p95 by what the window dictates
_CALLS = 2.5  # a second that Adobe advises, 50 in 20 s
_CALL = 0.05  # seconds that a call takes here
_GROWN = 1.2  # the queue's last third by its middle third


async def measure(plan: Plan) -> Figure:
    plan.tell(f"{_FEW} webinars")
    few = await simulate(lambda folder: _streamed(folder, plan.stream, _FEW))
    plan.tell(f"{_MANY} webinars")
    many = await simulate(lambda folder: _streamed(folder, plan.stream, _MANY))
    plan.tell("the yardstick")
    yardstick = await simulate(lambda _: afternoon(steady(RATE, plan.stream, _FEW), to_the_end=False))
    return Figure(
        name="stream",
        title=f"{RATE:g} registrations a second for {plan.stream:g} s",
        rows=[
            _row(f"{_FEW} webinars, p50", few, 0.5, _P50, plan.stream),
            _row(f"{_FEW} webinars, p95", few, 0.95, _P95, plan.stream),
            _queue_row(few, yardstick, plan.stream),
            _limits_row([few, many]),
            _row(f"{_MANY} webinars, p50", many, 0.5, None, plan.stream),
            _row(f"{_MANY} webinars, p95", many, 0.95, _LONGER * bound(_MANY), plan.stream),
        ],
        notes=_notes(plan, few, yardstick),
        plot=_plot(plan, few, many, yardstick),
    )


async def _streamed(folder: Path, seconds: float, webinars: int) -> Course:
    async with simulated(folder) as stage:
        await stage.register(steady(RATE, seconds, webinars))
        await stage.settled()
        course = stage.course()
    assert course.once, f"{course.never} never, {course.twice} twice"
    return course


def bound(webinars: int, *, share: float = 0.95) -> float:
    """Return how many seconds that share of the people wait at most when the calls of a window are spread evenly.

    Finding 300 people takes one call, so the webinars share what is left; each has its turn every so often, and who
    registers at a random moment waits up to that long, and for the two calls themselves.
    """
    turn = webinars / (_CALLS - RATE / 300)
    return share * turn + 2 * _CALL


def _row(what: str, course: Course, share: float, most: float | None, seconds: float) -> Row:
    measured = percentile(course.latencies, share)
    theirs = _afternoons_wait(share, seconds)
    return Row(
        what=what,
        measured=f"{measured:.1f} s",
        yardstick=f"{theirs / 60:,.0f} minutes, written in an afternoon",
        ratio=measured / theirs,
        target="" if most is None else f"≤ {most:.1f} s",
        reached=None if most is None else measured <= most,
    )


def _afternoons_wait(share: float, seconds: float) -> float:
    """Return how long they wait at the yardstick, which sends one for each two calls."""
    each = _CALLS / 2
    return share * seconds * (RATE / each - 1)


def _queue_row(course: Course, yardstick: Course, seconds: float) -> Row:
    early, late = _mean_queue(course, seconds / 3, 2 * seconds / 3), _mean_queue(course, 2 * seconds / 3, seconds)
    theirs = _queue(yardstick, [seconds])[0]
    return Row(
        what="waiting on average, last third of the time",
        measured=f"{late:,.0f} registrations",
        yardstick=f"{early:,.0f} in the third before it; {theirs:,.0f} at the end, written in an afternoon",
        ratio=late / early,
        target=f"≤ {_GROWN:g} times the third before: the queue does not grow",
        reached=late <= _GROWN * early,
    )


def _limits_row(courses: Sequence[Course]) -> Row:
    refused = sum(call.code in ("606", "615") for course in courses for call in course.calls)
    most = max(most_within(course.counted) for course in courses)
    return Row(
        what="calls refused with 606 or 615",
        measured=str(refused),
        yardstick=f"{most} calls in the busiest 20 s, of a budget of 50",
        target="0",
        reached=refused == 0 and most <= 50,
    )


def _queue(course: Course, moments: Sequence[float]) -> list[int]:
    left = [time for times in course.sent.values() for time in times]
    return present_at(moments, came=list(course.accepted.values()), left=left)


def _mean_queue(course: Course, begin: float, end: float) -> float:
    moments = [begin + number * (end - begin) / 100 for number in range(100)]
    return sum(_queue(course, moments)) / len(moments)


def _notes(plan: Plan, few: Course, yardstick: Course) -> list[str]:
    return [
        (
            "Virtual time, a Marketo of 50 ms a call; new people at random moments, three campaigns in all. Latency is "
            f"from accepting to the campaign request. Everybody was mailed once: {len(few.sent):,} people of {_FEW} "
            f"webinars took {few.kinds('sync', 'trigger'):,} calls."
        ),
        (
            f"What the window dictates for {_MANY} webinars: finding people takes {RATE / 300:g} of its {_CALLS:g} "
            f"calls a second, so each webinar has its turn every {_MANY / (_CALLS - RATE / 300):.1f} s, and 95 % wait "
            f"up to {bound(_MANY):.1f} s; the target is {_LONGER:g} times that."
        ),
        (
            f"The yardstick sent {len(yardstick.sent):,} of {len(yardstick.accepted):,} within the {plan.stream:g} s; "
            "its latencies are reckoned from its two calls a registration."
        ),
    ]


def _plot(plan: Plan, few: Course, many: Course, yardstick: Course) -> Panels:
    moments = moments_until(plan.stream + 10)
    runs = [(f"{_FEW} webinars", few), (f"{_MANY} webinars", many)]
    return Panels(
        panels=[
            Lines(
                x_label="",
                y_label="calls in 20 s",
                lines=[(name, moments, within_last(run.counted, moments)) for name, run in runs],
                marks=[("Marketo's limit", 100), ("Adobe's advice", 50)],
            ),
            Lines(
                x_label="",
                y_label="registrations waiting",
                lines=[
                    *((name, moments, _queue(run, moments)) for name, run in runs),
                    ("written in an afternoon", moments, _queue(yardstick, moments)),
                ],
                log_y=True,
            ),
            Lines(
                x_label="seconds",
                y_label="median latency, s",
                lines=[(name, *_latency_over_time(run)) for name, run in runs],
            ),
        ]
    )


def _latency_over_time(course: Course, every: float = 2.0) -> tuple[list[float], list[float]]:
    """Return the median latency of those who were accepted within each two seconds."""
    found: dict[int, list[float]] = {}
    for key, times in course.sent.items():
        at = course.accepted[key]
        found.setdefault(int(at // every), []).append(times[0] - at)
    return [number * every for number in sorted(found)], [median(found[number]) for number in sorted(found)]
