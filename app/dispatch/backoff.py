"""When to try again. Arithmetic only."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

_FIRST = timedelta(seconds=2)
_LONGEST = timedelta(minutes=15)


def delay_after(
    attempts: int, *, first: timedelta = _FIRST, longest: timedelta = _LONGEST, jitter: float | None = None
) -> timedelta:
    """Return how long to wait after the n-th failed attempt: doubling, capped, and spread by up to half.

    `jitter` is between 0 and 1, random unless given. Attempts are never counted to give up; age is.
    """
    doublings = min(max(attempts, 1) - 1, 30)
    grown: timedelta = min(longest, first * int(2**doublings))
    spread = random.random() if jitter is None else jitter  # noqa: S311  # spreads load, keeps no secret
    return grown * (0.5 + spread / 2)


def after_failure(
    attempts: int, *, retry_after: timedelta | None = None, first: timedelta = _FIRST, jitter: float | None = None
) -> timedelta:
    """Return the delay for a failure: at least what the server itself asked for."""
    return max(retry_after or timedelta(0), delay_after(attempts, first=first, jitter=jitter))


@dataclass(frozen=True, slots=True)
class Return:
    """When those of a failed call come back: together, since each who came alone would be a call of its own."""

    now: datetime
    jitter: float = field(default_factory=random.random)

    def after(self, attempts: int, *, retry_after: timedelta | None = None) -> datetime:
        """Return when to try again after the n-th failure."""
        return self.now + after_failure(attempts, retry_after=retry_after, jitter=self.jitter)
