"""Let a check's calls borrow places of the leader's window, from whichever thread and event loop they are made in."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TypeVar

from app.backroom import Backroom
from app.doctor.pacing import Gate, Make
from app.errors import LeadershipLost, NotNow
from app.marketo.envelope import Reply

_Answer = TypeVar("_Answer")
Errand = Callable[[Make], Coroutine[object, object, Reply]]


@dataclass(frozen=True, slots=True)
class Borrowed:
    """The gate of a process that may lead: places of its own window, or `beside` it while another process leads.

    `errand` belongs to the backroom's loop; the call itself is made where it was asked for.
    """

    backroom: Backroom
    errand: Errand
    beside: Gate

    async def __call__(self, make: Make) -> Reply:
        """Make a call when no registration needs its place.

        Raises:
            CallFailed: from `make`.
            NotNow: it was not made.
        """
        here = asyncio.get_running_loop()
        try:
            return await self._ask(lambda: self.errand(lambda: _made_in(here, make)))
        except LeadershipLost:
            return await self.beside(make)

    async def _ask(self, question: Callable[[], Coroutine[object, object, _Answer]]) -> _Answer:
        stopping = NotNow("the relay is stopping")
        if not self.backroom.is_working:
            raise stopping
        try:
            return await self.backroom.ask(question)
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) and task.cancelling():
                raise
            raise stopping from None  # the backroom's loop has ended under it


async def _made_in(loop: asyncio.AbstractEventLoop, make: Make) -> Reply:
    async def made() -> Reply:
        return await make()

    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(made(), loop))
