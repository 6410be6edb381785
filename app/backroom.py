"""A thread with an event loop of its own, for what must not wait behind requests, nor they behind it.

SQLite is written to here, in this thread: a commit may wait for the disk, and no request waits with it. Under a burst
each turn of the serving loop takes milliseconds, and a transaction in that loop would need several of them.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import TypeVar

import structlog
import uvloop

from app.standstill import watched_loop

Answer = TypeVar("Answer")
_log = structlog.get_logger(__name__)


class Backroom:
    """Runs `work` in its own thread and loop; `work` is handed the event that tells it to end."""

    def __init__(self, work: Callable[[asyncio.Event], Coroutine[object, object, None]]) -> None:
        self._work = work
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="backroom", daemon=True)

    @property
    def is_working(self) -> bool:
        """Tell whether the work goes on; it ends early only by a defect."""
        return self._thread.is_alive()

    async def open(self) -> None:
        """Start the thread, and return when its loop runs."""
        self._thread.start()
        await asyncio.to_thread(self._begun.wait)

    def call(self, action: Callable[[], None]) -> None:
        """Have something done in the thread; nothing once it has ended."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(action)

    async def ask(self, question: Callable[[], Coroutine[object, object, Answer]]) -> Answer:
        """Have a coroutine run in the thread and return what it returns; what it raises is raised here.

        Raises:
            RuntimeError: the work has ended.
        """
        if self._loop is None or not self.is_working:
            raise RuntimeError("the backroom's work has ended")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(question(), self._loop))

    async def close(self) -> None:
        """Tell the work to end and wait until it has."""
        if self._end is not None:
            self.call(self._end.set)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        try:
            uvloop.run(self._main())
        except Exception:  # noqa: BLE001  # the thread's outermost layer; /readyz tells that it has ended
            _log.exception("the backroom ended by a defect")

    async def _main(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._begun.set()
        with watched_loop():
            await self._work(self._end)
