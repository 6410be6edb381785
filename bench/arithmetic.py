"""Reckon with samples. No I/O."""

from collections.abc import Sequence
from math import ceil


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
