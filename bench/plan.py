"""How long and how often a run measures, and whom it tells."""

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    In real time: `seconds` of each load, after `warm_up`; `repeats` of what is compared; `samples` of single events.
    In virtual time: a `crowd` for one webinar; a `stream` of so many seconds; people who register while some calls are
    `faulted`; `few` where the yardstick would take hours.
    """

    seconds: float = 4.0
    warm_up: float = 1.0
    repeats: int = 5
    samples: int = 20
    connections: int = 256
    crowd: int = 10_000
    stream: float = 120.0
    faulted: int = 5_000
    every_fault: bool = True
    few: int = 300
    tell: Callable[[str], None] = print


def quick(tell: Callable[[str], None]) -> Plan:
    """Return a plan that only shows that everything works."""
    real = Plan(seconds=1.0, warm_up=0.3, repeats=1, samples=3, tell=tell)
    return replace(real, crowd=600, stream=10.0, faulted=300, every_fault=False, few=30)
