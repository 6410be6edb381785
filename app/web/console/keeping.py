"""Keep what was costly to find out: many people look at one overview, and accepting must not wait for them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from app.domain import Ticks

T = TypeVar("T")
AT_LEAST = 2.0  # seconds
SHARE = 0.01  # of all time, at most, is spent on finding it out


class Kept(Generic[T]):
    """Finds something out for whoever asks: once at a time, and again only when it is old enough.

    What took long is kept longer, so that the store is asked for `SHARE` of the time at most, whatever its size.
    """

    def __init__(
        self,
        find: Callable[[], Awaitable[T]],
        *,
        at_least: float = AT_LEAST,
        ticks: Ticks = time.monotonic,
    ) -> None:
        self._find = find
        self._at_least = at_least
        self._ticks = ticks
        self._running: asyncio.Task[T] | None = None
        self._kept: tuple[float, T] | None = None  # until when, and what

    async def get(self) -> T:
        if self._kept and self._ticks() < self._kept[0]:
            return self._kept[1]
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._ask())
        return await asyncio.shield(self._running)  # one who leaves must not end it for the others

    async def _ask(self) -> T:
        began = self._ticks()
        found = await self._find()
        now = self._ticks()
        self._kept = (now + max(self._at_least, (now - began) / SHARE), found)
        return found
