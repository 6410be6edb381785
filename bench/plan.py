"""How long and how often a run measures, and whom it tells."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`seconds` of each measured load, after `warm_up`; `repeats` of what is compared; `samples` of single events."""

    seconds: float = 4.0
    warm_up: float = 1.0
    repeats: int = 5
    samples: int = 20
    connections: int = 256
    tell: Callable[[str], None] = print


def quick(tell: Callable[[str], None]) -> Plan:
    """Return a plan that only shows that everything works."""
    return Plan(seconds=1.0, warm_up=0.3, repeats=1, samples=3, tell=tell)
