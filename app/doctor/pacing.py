"""Keep a check's calls below a rate, since Marketo's window is shared with everybody who calls the instance."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import timedelta

from app.marketo.envelope import Reply
from app.marketo.requests import Outgoing
from app.marketo.setup import Send

WINDOW = timedelta(seconds=20)


class Paced:
    """Passes calls on, at most `most` in any 20 seconds."""

    def __init__(
        self,
        send: Send,
        *,
        most: int,
        ticks: Callable[[], float] = time.monotonic,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._send = send
        self._ticks = ticks
        self._wait = wait
        self._recent: deque[float] = deque(maxlen=most)

    async def __call__(self, call: Outgoing) -> Reply:
        """Send a call when the window has room for it."""
        if len(self._recent) == self._recent.maxlen:
            await self._wait(max(0.0, self._recent[0] + WINDOW.total_seconds() - self._ticks()))
        self._recent.append(self._ticks())
        return await self._send(call)
