"""What Marketo's errors cost, each alone and all together: everybody is still mailed exactly once, for few more calls.

In virtual time. Faults hit each n-th call, also those that look whether a lost request ran.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.sandbox.faults import Fault, FaultBook
from app.sandbox.wire import Request
from bench.arrivals import spread
from bench.plan import Plan
from bench.results import Bars, Figure, Row
from bench.simulated import NOON, Course, afternoon, simulate, simulated

ALONE, TOGETHER = 20, 5  # one of so many calls goes wrong: 5 %, 20 %
_MOST_ALONE, _MOST_TOGETHER = 1.25, 1.6  # calls by those of a day without faults
_EACH = 10  # people a webinar
_PLAYS = TOGETHER  # of all kinds together, so that each kind comes, and each call goes wrong in one of them
_CODES = (
    "500 502 601 602 603 604 605 606 608 609 610 611 612 613 614 615 616 701 702 704 709 713 719 "
    "1001 1002 1003 1004 1006 1007 1008 1009 1010 1011 1013 1029"
)
KINDS: dict[str, str] = {
    "connection cut, not carried out": "cut",
    "answer lost, carried out": "lost",
    "half an answer, carried out": "half",
    "no answer in time, carried out": "timeout",
    "no answer in time, not carried out": "hang",
    "an answer that is not JSON": "garbage",
    "HTTP 413": "http:413",
    "HTTP 414": "http:414",
    "HTTP 500": "http:500",
    "HTTP 502": "http:502 html",
    "HTTP 503": "http:503",
    **{code: f"code:{code}" for code in _CODES.split()},
}
_SOME = [(name, KINDS[name]) for name in ("answer lost, carried out", "606", "1004")]
_BEFORE_MIDNIGHT = datetime(2026, 11, 24, 5, 50, tzinfo=UTC)  # 23:50 US Central
_CODES_OF_A_RECORD = "701 702 704 709 1001 1002 1003 1004 1006 1007 1029"
_OF_A_RECORD = {"http:413", "http:414", *(f"code:{code}" for code in _CODES_OF_A_RECORD.split())}
_PLENTY = 50_000  # calls a day
_SHOWN = 8  # bars of the plot


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of everybody, and how many calls it took; those for the day's usage are not counted."""

    calls: int
    hits: int
    never: int
    twice: int
    duplicates: int
    seconds: float

    @property
    def once(self) -> bool:
        return not (self.never or self.twice or self.duplicates)


async def measure(plan: Plan) -> Figure:
    plan.tell("without faults")
    without = await sent(plan)
    alone = {}
    for name, kind in KINDS.items() if plan.every_fault else _SOME:
        plan.tell(name)
        alone[name] = await sent(plan, [kind])
    plan.tell("607")
    alone["607, the day's calls used up"] = await sent(plan, calls_per_day=without.calls * 2 // 3)
    kinds = list(KINDS.values())
    random.Random(1).shuffle(kinds)
    plays = []
    for number in range(_PLAYS if plan.every_fault else 1):
        plan.tell(f"all together, {number + 1}")
        first = number * len(kinds) // _PLAYS
        plays.append(await sent(plan, kinds[first:] + kinds[:first], TOGETHER, ahead=number))
    mixed = _middle(plays)
    plan.tell("the yardstick")
    people = min(plan.faulted, 10 * plan.few)
    registrations = spread(people, webinars_of(people))
    yardstick = await simulate(lambda _: afternoon(registrations, Regularly(kinds, TOGETHER)))
    theirs = f"{yardstick.never} never and {yardstick.twice} twice of {people}, written in an afternoon"
    rows = [_row(f"all of them by turns, each {TOGETHER}th call", mixed, without, _MOST_TOGETHER, theirs)]
    rows += [_row(name, one, without, _MOST_ALONE, f"{one.hits} calls hit") for name, one in alone.items()]
    return Figure(
        name="faults",
        title="What Marketo's errors cost",
        rows=rows,
        notes=[*_notes(plan, without), _note_of_plays(plays)],
        plot=_plot({**alone, "all of them": mixed}, without),
    )


class Regularly(FaultBook):
    """Lets each n-th call to Marketo go wrong, in these ways by turns; `ahead` calls earlier than else.

    A record is refused among others only: where a call's one person is refused, that is the person's end, and rightly.
    """

    def __init__(self, kinds: Sequence[str], every: int, ahead: int = 0) -> None:
        super().__init__()
        self._kinds, self._every = kinds, every
        self._seen = ahead

    def take(self, service: str, endpoint: str, request: Request, now: datetime) -> Fault | None:
        self._seen += service == "marketo"
        if service != "marketo" or not self._kinds or self._seen % self._every:
            return None
        return Fault(service, self._kind(request))

    def _kind(self, request: Request) -> str:
        turn = self._seen // self._every % len(self._kinds)
        kinds = [*self._kinds[turn:], *self._kinds[:turn]]
        return next((kind for kind in kinds if kind not in _OF_A_RECORD), kinds[0]) if _is_lone(request) else kinds[0]


def _is_lone(request: Request) -> bool:
    """Tell whether the request is for one person; Sync Leads and Request Campaign name them under `input`."""
    try:
        given = json.loads(request.body or b"")["input"]
    except (ValueError, KeyError, TypeError):
        return False
    return len(given["leads"] if isinstance(given, dict) else given) == 1


async def sent(
    plan: Plan, kinds: Sequence[str] = (), every: int = ALONE, calls_per_day: int = _PLENTY, ahead: int = 0
) -> _Outcome:
    """Let the people of the plan register while calls go wrong."""
    began = NOON if calls_per_day == _PLENTY else _BEFORE_MIDNIGHT

    async def play(folder: Path) -> _Outcome:
        async with simulated(folder, began=began, calls_per_day=calls_per_day) as stage:
            stage.world.faults = Regularly(kinds, every, ahead)
            await stage.register(spread(plan.faulted, webinars_of(plan.faulted)))
            await stage.settled(within=timedelta(days=9))
            return _outcome(stage.course())

    return await simulate(play)


def webinars_of(people: int) -> int:
    return max(1, people // _EACH)


def _outcome(course: Course) -> _Outcome:
    hits = sum(call.fault is not None or call.code == "607" for call in course.calls)
    calls = len(course.calls) - course.kinds("usage")
    duplicates = course.world.people.duplicates
    return _Outcome(calls, hits, course.never, course.twice, duplicates, course.lasted)


def _middle(plays: Sequence[_Outcome]) -> _Outcome:
    """Return one play for all: the middle one by its calls, everybody's troubles summed up."""
    middle = sorted(plays, key=lambda one: one.calls)[len(plays) // 2]
    never, twice, duplicates = (sum(getattr(one, what) for one in plays) for what in ("never", "twice", "duplicates"))
    return replace(middle, never=never, twice=twice, duplicates=duplicates)


def _note_of_plays(plays: Sequence[_Outcome]) -> str:
    calls = ", ".join(f"{one.calls:,}" for one in sorted(plays, key=lambda one: one.calls))
    return (
        f"All kinds together: {len(plays)} plays of {calls} calls, which begin with different kinds and calls; above "
        "stands the middle one. The dear ones lost the answer of an upsert: its people come 95 s later, and need a "
        "request for each webinar once more. Records are refused (1001, 1029, …) in calls of several people only: "
        "whoever is refused alone ends in the dead letters, with the reason."
    )


def _row(name: str, one: _Outcome, without: _Outcome, most: float, beside: str) -> Row:
    wrong = f", {one.never} never, {one.twice} twice, {one.duplicates} duplicate people" if not one.once else ""
    return Row(
        what=name,
        measured=f"{one.calls:,} calls, {one.seconds:,.0f} s{wrong}",
        yardstick=beside,
        ratio=one.calls / without.calls,
        target=f"everybody once, ≤ {most:g} times the calls",
        reached=one.once and one.calls <= most * without.calls,
    )


def _notes(plan: Plan, without: _Outcome) -> list[str]:
    return [
        (
            f"Virtual time: {plan.faulted:,} people of {webinars_of(plan.faulted)} webinars register within "
            f"{plan.faulted / 1000:g} s; without faults that takes {without.calls} calls and {without.seconds:.0f} s. "
            f"Ratio: calls by those without faults. Alone, a fault hits each {ALONE}th call."
        ),
        (
            "Requests whose fate is unknown are settled with MARKETO_ON_AMBIGUOUS=check, and the calls for it are in "
            "the figures; those for the day's usage are not."
        ),
        (
            "607 comes as in earnest: the day's calls end after two thirds of those needed, ten minutes before "
            "midnight US Central. It is not among those that come by turns."
        ),
    ]


def _plot(outcomes: dict[str, _Outcome], without: _Outcome) -> Bars:
    costliest = sorted(outcomes.items(), key=lambda one: -one[1].calls)[:_SHOWN]
    bars = [("without faults", float(without.calls)), *((name, float(one.calls)) for name, one in costliest)]
    return Bars(unit="calls, the costliest faults", bars=bars)
