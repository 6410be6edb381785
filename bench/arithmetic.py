"""Reckon with samples. No I/O."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import ceil, floor

SPAN = 20.0  # seconds, of Marketo's window


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the smallest sample that at least `share` (0 to 1) of all samples do not exceed (nearest rank).

    Raises:
        ValueError: there are no samples, or share is none.
    """
    if not samples or not 0 <= share <= 1:
        raise ValueError("percentile needs samples and a share from 0 to 1")
    return sorted(samples)[max(0, ceil(share * len(samples)) - 1)]


def median(samples: Sequence[float]) -> float:
    """Return the middle sample, or the mean of the two middle ones. Raises ValueError without samples."""
    if not samples:
        raise ValueError("median needs samples")
    ordered, half = sorted(samples), len(samples) // 2
    return ordered[half] if len(samples) % 2 else (ordered[half - 1] + ordered[half]) / 2


def quantiles(samples: Sequence[float], shares: Sequence[float]) -> list[float]:
    """Return the percentile for each share."""
    ordered = sorted(samples)
    return [ordered[max(0, ceil(share * len(ordered)) - 1)] for share in shares]


def most_within(times: Sequence[float], span: float = SPAN) -> int:
    """Return the most of these times that any such span of time holds, its two ends included."""
    ordered = sorted(times)
    return max((bisect_right(ordered, at + span) - number for number, at in enumerate(ordered)), default=0)


def within_last(times: Sequence[float], moments: Sequence[float], span: float = SPAN) -> list[int]:
    """Return for each moment how many of these times lie in the span that ends with it."""
    ordered = sorted(times)
    return [bisect_right(ordered, moment) - bisect_left(ordered, moment - span) for moment in moments]


def present_at(moments: Sequence[float], *, came: Sequence[float], left: Sequence[float]) -> list[int]:
    """Return for each moment how many had come by then and not left."""
    comings, leavings = sorted(came), sorted(left)
    return [bisect_right(comings, moment) - bisect_right(leavings, moment) for moment in moments]


def fewest_calls(people: int, *batches: int) -> int:
    """Return how many calls find so many new people, 300 at a time, and request campaigns for these, 100 at a time."""
    return ceil(people / 300) + sum(ceil(batch / 100) for batch in batches)


def dictated(calls: int, *, limit: int = 50) -> float:
    """Return how many seconds lie between the first and the last of so many calls when no 20 s hold over `limit`."""
    return SPAN * max(0, ceil(calls / limit) - 1)


def moments_until(end: float, every: float = 1.0) -> list[float]:
    """Return 0, `every`, … up to the first moment that is not before `end`."""
    return [number * every for number in range(floor(end / every) + 2)]
