"""What a crowd costs: a webinar announced to ten thousand people, and how far the calls stay above the fewest possible.

In virtual time, since the yardstick's way takes hours. The yardstick sends a few and is extrapolated: each registration
costs it the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.sandbox import seed
from bench.arithmetic import dictated, fewest_calls, moments_until, most_within, present_at, within_last
from bench.arrivals import ANNOUNCED, Registration, announced
from bench.plan import Plan
from bench.results import Figure, Lines, Panels, Row
from bench.simulated import Course, afternoon, simulate, simulated

_FIELD = {"MARKETO_JOIN_LINK_FIELD": seed.JOIN_LINK_FIELD}
_MORE = 1.1  # calls by the fewest possible
_LONGER = 1.15  # time by what the window dictates
_SHORT = 5.0  # seconds, for crowds that fit into one window
_TELLING = 120.0  # seconds of the plot


@dataclass(frozen=True, slots=True)
class _Done:
    """What one crowd has cost: calls that look people up, calls that request campaigns, seconds."""

    people: int
    requests: int
    seconds: float
    course: Course

    @property
    def calls(self) -> int:
        return self.people + self.requests


async def measure(plan: Plan) -> Figure:
    size = plan.crowd
    plan.tell(f"{size:,} new people, and the same for a second webinar")
    first, second = await simulate(lambda folder: _twice(folder, size))
    plan.tell(f"{size:,} unique links in a person field")
    own = announced(size, campaign=seed.LINK_FIELD_CAMPAIGN_ID, own_links=True)
    by_field = await simulate(lambda folder: _once(folder, own, _FIELD))
    plan.tell(f"{size:,} unique links in tokens")
    by_token = await simulate(lambda folder: _once(folder, announced(size, own_links=True)))
    plan.tell(f"the yardstick, {plan.few} people")
    yardstick = await simulate(lambda _: afternoon(announced(plan.few)))
    each = yardstick.kinds("sync", "trigger") / plan.few
    return Figure(
        name="crowd",
        title=f"A webinar announced to {size:,} people",
        rows=[
            *_rows_of_new(size, first, each),
            _calls_row("the same people, second webinar: calls", size, second, each, fewest_calls(0, size)),
            _calls_row("unique links in a person field: calls", size, by_field, each, fewest_calls(size, size)),
            _time_row("unique links in a person field: time", size, by_field, each, fewest_calls(size, size)),
            *_rows_of_tokens(size, by_token, by_field),
        ],
        notes=_notes(plan, [first, second, by_field, by_token], yardstick, each),
        plot=_plot(first.course, yardstick),
    )


async def _once(
    folder: Path, registrations: Iterable[Registration], settings: Mapping[str, str] | None = None
) -> _Done:
    async with simulated(folder, settings) as stage:
        await stage.register(registrations)
        await stage.settled()
        return _done(stage.course())


async def _twice(folder: Path, size: int) -> tuple[_Done, _Done]:
    async with simulated(folder) as stage:
        await stage.register(announced(size))
        await stage.settled()
        first = _done(stage.course())
        await stage.register(announced(size, "w-2"))
        await stage.settled()
        both = _done(stage.course())
        return first, _Done(both.people - first.people, both.requests - first.requests, 0.0, both.course)


def _done(course: Course) -> _Done:
    assert course.once, f"{course.never} never, {course.twice} twice, {course.world.people.duplicates} duplicates"
    return _Done(course.kinds("sync", "filter"), course.kinds("trigger"), course.lasted, course)


def _rows_of_new(size: int, done: _Done, each: float) -> list[Row]:
    fewest = fewest_calls(size, size)
    return [
        _calls_row("new people: calls", size, done, each, fewest),
        _time_row("new people: time", size, done, each, fewest),
    ]


def _calls_row(what: str, size: int, done: _Done, each: float, fewest: int) -> Row:
    most = int(_MORE * fewest)
    return Row(
        what=what,
        measured=f"{done.calls:,}",
        yardstick=f"{each * size:,.0f}, written in an afternoon",
        ratio=done.calls / (each * size),
        target=f"≤ {most:,} ({_MORE:g} times the fewest possible, {fewest:,})",
        reached=done.calls <= _MORE * fewest,
    )


def _time_row(what: str, size: int, done: _Done, each: float, fewest: int) -> Row:
    least, theirs = dictated(fewest), dictated(round(each * size))
    return Row(
        what=what,
        measured=f"{done.seconds:.1f} s",
        yardstick=f"{theirs / 60:,.0f} minutes, written in an afternoon" if theirs else "0 s",
        ratio=done.seconds / theirs if theirs else None,
        target=f"≤ {_LONGER * least:.1f} s ({_LONGER:g} times what the window dictates, {least:.0f} s)",
        reached=done.seconds <= max(_LONGER * least, _SHORT),
    )


def _rows_of_tokens(size: int, by_token: _Done, by_field: _Done) -> list[Row]:
    fewest = size + fewest_calls(size)
    least = dictated(fewest)
    return [
        Row(
            what="unique links in tokens: calls",
            measured=f"{by_token.calls:,} ({by_token.requests:,} + {by_token.people})",
            yardstick=f"{by_field.calls:,} in a person field",
            ratio=by_token.calls / by_field.calls,
            target=f"= {fewest:,} (one campaign request a person, and one call that finds 300)",
            reached=by_token.calls == fewest,
        ),
        Row(
            what="unique links in tokens: time",
            measured=f"{by_token.seconds / 60:.1f} minutes",
            yardstick=f"{by_field.seconds:.1f} s in a person field",
            ratio=by_token.seconds / by_field.seconds,
            target=f"≤ {_LONGER * least / 60:.1f} minutes ({_LONGER:g} times what the window dictates)",
            reached=by_token.seconds <= max(_LONGER * least, _SHORT),
        ),
    ]


def _notes(plan: Plan, crowds: Sequence[_Done], yardstick: Course, each: float) -> list[str]:
    first, _, by_field, by_token = crowds
    most = max(most_within(done.course.counted) for done in crowds)
    return [
        (
            "Virtual time: the relay's own dispatcher, store and client with a clock handed in, against the simulation "
            f"with Adobe's limits; {ANNOUNCED:,} register a second. Everybody got exactly one e-mail a webinar."
        ),
        (
            f"A person field for unique links saves {by_token.calls - by_field.calls:,} of {by_token.calls:,} calls: "
            "tokens cost one call a person however many there are."
        ),
        (
            f"No 20 s held more than {most} of the relay's calls (its budget is 50). Not counted above: "
            f"{first.course.kinds('usage')} call that asked Marketo for the day's usage."
        ),
        (
            f"The yardstick (bench/afternoon.py) sent {plan.few} registrations with {each:g} calls each in "
            f"{yardstick.lasted:.0f} s; the rest is reckoned."
        ),
    ]


def _plot(ours: Course, theirs: Course) -> Panels:
    moments = moments_until(_TELLING)
    calls = [
        ("the relay", moments, within_last(ours.counted, moments)),
        ("written in an afternoon", moments, within_last(theirs.counted, moments)),
    ]
    sent = [time for times in ours.sent.values() for time in times if time <= _TELLING]
    waiting = present_at(moments, came=list(ours.accepted.values()), left=sent)
    return Panels(
        panels=[
            Lines(
                x_label="",
                y_label="calls in the last 20 s",
                lines=calls,
                marks=[("Marketo's limit", 100), ("Adobe's advice", 50)],
            ),
            Lines(x_label="seconds", y_label="registrations waiting", lines=[("the relay", moments, waiting)]),
        ]
    )
