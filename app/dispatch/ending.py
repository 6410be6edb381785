"""End a term of leadership within seconds: calls under way are waited for, and what was in hand is freed."""

import asyncio
import math
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from app.dispatch.intake import Intake
from app.dispatch.sender import Sender
from app.domain import Ticks
from app.errors import StoreUnavailable
from app.store.database import answered_within

# For running calls, when told to stop: the next leader waits as long, but a request whose answer was not waited for is
# looked for in the activity log, which takes a minute, or is made again by MARKETO_ON_AMBIGUOUS=retry: a second e-mail.
_PATIENCE = timedelta(seconds=4)
_LAST_STEPS = 2.0  # seconds of that for steps under way, which end at once unless the store says nothing
_FREED_WITHIN = timedelta(seconds=1)  # or the next leader frees what this one held
_CANCELLED_AGAIN = 0.2  # seconds between two attempts to end what does not heed it


@dataclass(slots=True)
class Ending:
    """Knows whether the process was told to stop, and how much of the time for that is left."""

    ticks: Ticks
    _told: asyncio.Event = field(default_factory=asyncio.Event)
    _ends_at: float = math.inf

    def begin(self) -> None:
        """Begin to stop; a second time makes it no longer."""
        self._ends_at = min(self._ends_at, self.ticks() + _PATIENCE.total_seconds())
        self._told.set()

    def patience(self) -> timedelta:
        """Return how long running calls may still be waited for."""
        left = timedelta(seconds=min(self._ends_at - self.ticks(), _PATIENCE.total_seconds()))
        return max(left, timedelta(0))

    async def run(self, steps: Sequence[Coroutine[Any, Any, None]]) -> None:
        """Run the loops of a term beside each other until they end; raise what one of them raises."""
        loops = [asyncio.create_task(step) for step in steps]
        try:
            await self._until_ended(loops)
        finally:
            await _ended(loops)

    async def close(self, intake: Intake, sender: Sender) -> None:
        """Free what is being read, and wait for the calls under way."""
        with suppress(StoreUnavailable):
            async with answered_within(_FREED_WITHIN):
                await intake.close()
        await sender.close(self.patience())

    async def _until_ended(self, loops: Sequence["asyncio.Task[None]"]) -> None:
        """Return when all have ended, soon after they are told to stop; raise what one of them raises."""
        told: asyncio.Task[Any] = asyncio.create_task(self._told.wait())
        try:
            await asyncio.wait([told, *loops], return_when=asyncio.FIRST_COMPLETED)
            ended, _ = await asyncio.wait(loops, timeout=_LAST_STEPS, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            told.cancel()
        for loop in ended:
            loop.result()


async def _ended(loops: Sequence["asyncio.Task[None]"]) -> None:
    """Cancel these until they have ended, whatever swallows it: while a term does not end, nobody else leads."""
    pending = set(loops)
    while pending:
        for loop in pending:
            loop.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCELLED_AGAIN)
    await asyncio.gather(*loops, return_exceptions=True)
