"""Run coroutines in a time that passes only when nothing is left to do: hours in seconds.

The event loop is asyncio's own. Only its clock differs: instead of sleeping until the next timer, it moves on to it. So
`asyncio.sleep`, `asyncio.timeout` and `loop.time()` are all in virtual seconds, and what the processor does takes none.
Neither does waiting at a socket, as for an answer of PostgreSQL: the clock stands still until it has come. Without any
socket, all happens in the same order every time.
Clocks of the code under it must be handed in: `clock_from` for dates, `loop.time` for ticks.
"""

import asyncio
import selectors
from asyncio import Future
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import Any, TypeVar

from app.store.database import Database, open_database

_Result = TypeVar("_Result")
_THE_LOOPS_OWN = 1  # socket that is always registered, by which other threads wake the loop


class NothingWillHappen(Exception):
    """All tasks wait, and no timer is set that could wake one of them."""


class _Selector(selectors.SelectSelector):
    """Returns what is ready; when nothing is, moves the clock on instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.threads = 0  # whose work the clock must wait for

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        is_awaited = self.threads or len(self.get_map()) > _THE_LOOPS_OWN
        ready = super().select(None if is_awaited and timeout != 0 else 0)
        if not ready:
            if timeout is None:
                raise NothingWillHappen("every task waits for another one")
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, which begins at 0. Threads and sockets are waited for in real time."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> "Future[Any]":
        future = super().run_in_executor(executor, func, *args)
        self._virtual.threads += 1
        future.add_done_callback(self._thread_ended)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncio's
        self._virtual.threads += 1  # joins the others
        try:
            await super().shutdown_default_executor()
        finally:
            self._virtual.threads -= 1

    def _thread_ended(self, _: "Future[Any]") -> None:
        self._virtual.threads -= 1


def run_in_virtual_time(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run this to its end, from a thread without an event loop.

    Raises:
        NothingWillHappen: it can never end.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def clock_from(began: datetime) -> Callable[[], datetime]:
    """Return the clock of the running loop: so late after `began` as its time is."""
    loop = asyncio.get_running_loop()
    return lambda: began + timedelta(seconds=loop.time())


def open_in_virtual_time(url: str) -> Database:
    """Return the database behind this URL, whose statements take no virtual time.

    SQLite is read in the calling thread, as it is written: the driver for reads has a thread of its own, for which no
    virtual clock would wait. PostgreSQL's driver waits at its socket.
    """
    database = open_database(url)
    if database.is_sqlite:
        vars(database)["read"] = database.write
    return database
