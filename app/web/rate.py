"""Bound how many webhooks a second are let through, with a reserve for those that come at once."""

import time
from collections.abc import Callable

RESERVE = 10.0  # seconds' worth that may come at once: senders do not space their deliveries


class Rate:
    """Counts what is let through. What is refused costs nothing, so that a flood starves nobody for longer."""

    def __init__(self, per_second: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._each = 1 / per_second
        self._clock = clock
        self._spent_until = clock()

    def pass_one(self) -> float:
        """Return 0 when one may pass, else in how many seconds one may."""
        now = self._clock()
        spent_until = max(self._spent_until, now) + self._each
        wait = spent_until - now - RESERVE
        if wait > 1e-6:  # less is what the sums of floats come to
            return wait
        self._spent_until = spent_until
        return 0.0
