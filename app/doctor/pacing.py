"""Keep a check's calls below a rate, since Marketo's window is shared with everybody who calls the instance."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from app.domain import Ticks
from app.errors import NotNow
from app.marketo.envelope import Reply
from app.marketo.limits import SPAN
from app.marketo.requests import Outgoing
from app.marketo.setup import Send

_LOOK_AGAIN = 0.1  # seconds, while every place is a running call's
Make = Callable[[], Awaitable[Reply]]


Slow = Callable[[str], None]  # told once why calls wait


def not_told(_why: str) -> None:
    """Keep it to ourselves."""


class Gate(Protocol):
    """Makes a call once it is its turn. It may raise NotNow in its place, and what `make` raises."""

    async def __call__(self, make: Make, /) -> Reply: ...


class Gated:
    """Passes calls on through a gate; one that it closed stays closed, so that a report does not wait for each call."""

    def __init__(self, send: Send, gate: Gate) -> None:
        self._send = send
        self._gate = gate
        self._closed: NotNow | None = None

    async def __call__(self, call: Outgoing) -> Reply:
        """Send a call when the gate lets it.

        Raises:
            CallFailed: there is no whole answer.
            NotNow: it was not sent.
        """
        if self._closed is not None:
            raise self._closed
        try:
            return await self._gate(lambda: self._send(call))
        except NotNow as not_now:
            self._closed = not_now
            raise


class Paced:
    """A gate for at most `most` calls in any 20 seconds, whichever threads they come from.

    A call counts from its beginning until 20 s after its end: when Marketo counts it lies in between.
    """

    def __init__(
        self,
        most: int,
        *,
        slow: Slow = not_told,
        ticks: Ticks = time.monotonic,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.most = most
        self._slow = slow
        self._ticks = ticks
        self._wait = wait
        self._lock = threading.Lock()
        self._running = 0
        self._leaving: deque[float] = deque()  # when each ended call leaves the window, oldest first

    async def __call__(self, make: Make) -> Reply:
        """Make a call when the window has room for it."""
        while (seconds := self._take()) > 0:
            self._slow(f"at most {self.most} calls are made in 20 seconds")
            await self._wait(seconds)
        try:
            return await make()
        finally:
            self._end()

    def _take(self) -> float:
        """Take a place, or return how many seconds to wait for one."""
        with self._lock:
            now = self._ticks()
            while self._leaving and self._leaving[0] <= now:
                self._leaving.popleft()
            if self._running + len(self._leaving) >= self.most:
                return self._leaving[0] - now if self._leaving else _LOOK_AGAIN
            self._running += 1
            return 0.0

    def _end(self) -> None:
        with self._lock:
            self._running -= 1
            self._leaving.append(self._ticks() + SPAN)
