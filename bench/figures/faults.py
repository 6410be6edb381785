"""What Marketo's errors cost, each alone and all together: everybody is still mailed exactly once, for few more calls.

In virtual time. Faults hit each n-th call, also those that look whether a lost request ran. The load is half of the
announcement of the figure `crowd`; what many small requests cost beside it stands in rows without a target.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.sandbox.faults import Fault, FaultBook
from app.sandbox.wire import Request
from bench.arrivals import spread
from bench.plan import Plan
from bench.results import Bars, Figure, Row
from bench.simulated import NOON, Course, afternoon, simulate, simulated

ALONE, TOGETHER = 19, 5  # one of so many calls goes wrong: 5.3 %, as each 20th would always be a request; 20 %
_MOST_ALONE, _MOST_TOGETHER = 1.25, 1.6  # calls by those of a day without faults
_SMALL, _EACH = 400, 10  # people of the load of small requests, and of each of its webinars
_PLAYS = TOGETHER  # of all kinds together, so that each kind comes, and each call goes wrong in one of them
_FIRST_UPSERT = 2  # the call; the first asks for the day's usage
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


@dataclass(frozen=True, slots=True)
class Load:
    """So many people who register at about the same time, spread over these webinars."""

    people: int
    webinars: int = 1

    def __str__(self) -> str:
        return f"{self.people:,} people of {self.webinars} webinar{'s' * (self.webinars > 1)}"


async def measure(plan: Plan) -> Figure:
    load = Load(plan.faulted)
    small = Load(min(_SMALL, plan.faulted), max(1, min(_SMALL, plan.faulted) // _EACH))
    plan.tell("without faults")
    without = await sent(load)
    alone = {}
    for name, kind in KINDS.items() if plan.every_fault else _SOME:
        plan.tell(name)
        alone[name] = await sent(load, [kind])
    plan.tell("607")
    alone["607, the day's calls used up"] = await sent(load, calls_per_day=without.calls * 2 // 3)
    plays = await _together(plan, load)
    plan.tell("small requests, without faults")
    small_without = await sent(small)
    small_plays = await _together(plan, small)
    small_lost = await sent(small, [KINDS["answer lost, carried out"]], ahead=ALONE - _FIRST_UPSERT)
    plan.tell("the yardstick")
    people = min(plan.faulted, 10 * plan.few)
    yardstick = await simulate(lambda _: afternoon(spread(people, 1), Regularly(_shuffled(), TOGETHER)))
    theirs = f"{yardstick.never} never and {yardstick.twice} twice of {people:,}, written in an afternoon"
    mixed = f"all of them by turns, each {TOGETHER}th call, {len(plays)} plays"
    rows = [_row(mixed, plays, without, _MOST_TOGETHER, theirs)]
    rows += [_row(name, [one], without, _MOST_ALONE, f"{one.hits} calls hit") for name, one in alone.items()]
    rows += [
        _row(f"{small}: {mixed}", small_plays, small_without),
        _row(f"{small}: answer lost, an upsert's first", [small_lost], small_without),
    ]
    return Figure(
        name="faults",
        title="What Marketo's errors cost",
        rows=rows,
        notes=[*_notes(load, without), _note_of_plays(plays), _note_of_small(small, small_without, small_plays)],
        plot=_plot({**alone, "all of them, the dearest play": max(plays, key=lambda one: one.calls)}, without),
    )


async def _together(plan: Plan, load: Load) -> list[_Outcome]:
    """Play all kinds by turns, so often that each kind comes; each play begins with other kinds and another call."""
    kinds, plays = _shuffled(), []
    for number in range(_PLAYS if plan.every_fault else 1):
        plan.tell(f"all together, {load}, {number + 1}")
        first = number * len(kinds) // _PLAYS
        plays.append(await sent(load, kinds[first:] + kinds[:first], TOGETHER, ahead=number))
    return plays


def _shuffled() -> list[str]:
    kinds = list(KINDS.values())
    random.Random(1).shuffle(kinds)
    return kinds


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
    load: Load, kinds: Sequence[str] = (), every: int = ALONE, calls_per_day: int = _PLENTY, ahead: int = 0
) -> _Outcome:
    """Let people register while each n-th call goes wrong, the first one `ahead` calls earlier."""
    began = NOON if calls_per_day == _PLENTY else _BEFORE_MIDNIGHT

    async def play(folder: Path) -> _Outcome:
        async with simulated(folder, began=began, calls_per_day=calls_per_day) as stage:
            stage.world.faults = Regularly(kinds, every, ahead)
            await stage.register(spread(load.people, load.webinars))
            await stage.settled(within=timedelta(days=9))
            return _outcome(stage.course())

    return await simulate(play)


def _outcome(course: Course) -> _Outcome:
    hits = sum(call.fault is not None or call.code == "607" for call in course.calls)
    calls = len(course.calls) - course.kinds("usage")
    duplicates = course.world.people.duplicates
    return _Outcome(calls, hits, course.never, course.twice, duplicates, course.lasted)


def _row(name: str, plays: Sequence[_Outcome], without: _Outcome, most: float | None = None, beside: str = "") -> Row:
    """Judge plays by the sum of their calls."""
    calls, never, twice, duplicates = (
        sum(getattr(one, what) for one in plays) for what in ("calls", "never", "twice", "duplicates")
    )
    wrong = f", {never} never, {twice} twice, {duplicates} duplicate people" if never or twice or duplicates else ""
    ratio = calls / (len(plays) * without.calls)
    return Row(
        what=name,
        measured=f"{calls:,} calls, {max(one.seconds for one in plays):,.0f} s{wrong}",
        yardstick=beside or f"{sum(one.hits for one in plays):,} calls hit",
        ratio=ratio,
        target=f"everybody once, ≤ {most:g} times the calls" if most else "",
        reached=all(one.once for one in plays) and ratio <= most if most else None,
    )


def _notes(load: Load, without: _Outcome) -> list[str]:
    return [
        (
            f"Virtual time: {load} register within {load.people / 1000:g} s; without faults that takes "
            f"{without.calls} calls and {without.seconds:.0f} s. Ratio: calls by those without faults. Alone, a fault "
            f"hits each {ALONE}th call, upserts and requests by turns. Seconds: of the longest play."
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


def _note_of_plays(plays: Sequence[_Outcome]) -> str:
    return (
        f"All kinds together: {len(plays)} plays of {_calls(plays)} calls, which begin with different kinds and calls; "
        "the row sums them up. Records are refused (1001, 1029, …) in calls of several people only: whoever is refused "
        "alone ends in the dead letters, with the reason."
    )


def _note_of_small(small: Load, without: _Outcome, plays: Sequence[_Outcome]) -> str:
    return (
        f"Small requests cost more: {small} take {without.calls} calls without faults, {_calls(plays)} in the plays "
        "with all kinds. Whether a request ran costs about as many calls for 10 people as for 100; and where the "
        "answer of an upsert is lost, its people come 95 s after the others and need a request for each webinar again."
    )


def _calls(plays: Sequence[_Outcome]) -> str:
    return ", ".join(f"{one.calls:,}" for one in sorted(plays, key=lambda one: one.calls))


def _plot(outcomes: dict[str, _Outcome], without: _Outcome) -> Bars:
    costliest = sorted(outcomes.items(), key=lambda one: -one[1].calls)[:_SHOWN]
    bars = [("without faults", float(without.calls)), *((name, float(one.calls)) for name, one in costliest)]
    return Bars(unit="calls, the costliest faults", bars=bars)
