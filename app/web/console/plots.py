"""Reckon the overview's plots: where each bar stands. No I/O; the templates draw them as inline SVG."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.domain import OPEN_STATES, RegistrationState
from app.store.tallies import Bucket

WIDTH, HEIGHT = 480, 120  # of the bars; labels stand around them
_GAP = 3
_STATES: Sequence[tuple[str, str, Sequence[RegistrationState]]] = (
    ("good", "sent", (RegistrationState.SENT,)),
    ("busy", "waiting", OPEN_STATES),
    ("bad", "not sent", (RegistrationState.DEAD,)),
    ("idle", "cancelled or ignored", (RegistrationState.CANCELLED, RegistrationState.IGNORED)),
)


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of a bar; `tone` is its colour."""

    tone: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One stretch of time."""

    x: float
    width: float
    parts: Sequence[Part]
    title: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Bars from left to right, with the greatest value at the top and a label under some of them."""

    bars: Sequence[Bar]
    top: int
    ticks: Sequence[tuple[float, str]]
    summary: str


def registrations_plot(buckets: Sequence[Bucket]) -> Plot:
    """Return registrations over time, by what became of them."""

    def counts(bucket: Bucket) -> Mapping[tuple[str, str], int]:
        return {(tone, name): sum(bucket.registrations.get(s, 0) for s in states) for tone, name, states in _STATES}

    return _plot(buckets, counts, "registrations")


def calls_plot(buckets: Sequence[Bucket]) -> Plot:
    """Return calls to Marketo over time."""
    return _plot(buckets, lambda bucket: {("accent", "calls to Marketo"): bucket.calls}, "calls to Marketo")


def _plot(buckets: Sequence[Bucket], counts: Callable[[Bucket], Mapping[tuple[str, str], int]], what: str) -> Plot:
    each = [counts(bucket) for bucket in buckets]
    top = max([1, *(sum(count.values()) for count in each)])
    step = WIDTH / max(1, len(buckets))
    bars = [
        Bar(round(n * step, 2), round(step - _GAP, 2), _parts(count, top), _title(bucket, count))
        for n, (bucket, count) in enumerate(zip(buckets, each, strict=True))
    ]
    total = sum(sum(count.values()) for count in each)
    return Plot(bars, top, _ticks(buckets, step), f"{total:,} {what}, at most {top if total else 0:,} in one bar")


def _parts(count: Mapping[tuple[str, str], int], top: int) -> list[Part]:
    parts, y = [], float(HEIGHT)
    for (tone, _), n in count.items():
        height = n / top * HEIGHT
        y -= height
        if n:
            parts.append(Part(tone, round(y, 2), round(height, 2)))
    return parts


def _title(bucket: Bucket, count: Mapping[tuple[str, str], int]) -> str:
    said = ", ".join(f"{n:,} {name}" for (_, name), n in count.items() if n)
    return f"{bucket.begins_at.astimezone(UTC):%-d %b, %H:%M}: {said or 'nothing'}"


def _ticks(buckets: Sequence[Bucket], step: float) -> list[tuple[float, str]]:
    if len(buckets) < 2:
        return []
    is_hours = buckets[1].begins_at - buckets[0].begins_at <= timedelta(hours=1)
    every = max(1, len(buckets) // 6)
    return [
        (round(n * step, 2), _label(b.begins_at, is_hours=is_hours)) for n, b in enumerate(buckets) if n % every == 0
    ]


def _label(at: datetime, *, is_hours: bool) -> str:
    return f"{at.astimezone(UTC):%H:%M}" if is_hours else f"{at.astimezone(UTC):%-d %b}"
