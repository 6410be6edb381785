"""End a process whose event loop stands still, so that whoever keeps it running starts it anew.

Code that blocks (a source's `time.sleep`, a client that is not asynchronous, a loop without end) holds up all that a
process does, its answers to a load balancer among it, and nothing inside the loop can tell.
"""

import asyncio
import faulthandler
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

STANDS_STILL = 60.0  # seconds
_LOOK_EVERY = 1.0  # seconds
_LAST_WORDS = 10.0  # seconds for the log line, whose lock the loop's thread may hold
_log = structlog.get_logger(__name__)


@contextmanager
def watched_loop(
    *, most: float = STANDS_STILL, every: float = _LOOK_EVERY, end: Callable[[], None] = lambda: os._exit(1)
) -> Iterator[None]:
    """Watch the running loop from another thread; when it makes no turn for `most` seconds, log where it is and `end`.

    The thread counts its own looks, so that a process that was frozen or slept has not stood still.
    """
    watch = _Watch(asyncio.get_running_loop(), threading.get_ident(), most, every, end)
    thread = threading.Thread(target=watch.look, name="standstill", daemon=True)
    watch.beat()
    thread.start()
    try:
        yield
    finally:
        watch.over.set()
        thread.join(_LAST_WORDS)


class _Watch:
    def __init__(
        self, loop: asyncio.AbstractEventLoop, thread: int, most: float, every: float, end: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._thread = thread
        self._most = most
        self._every = every
        self._end = end
        self._turns = 0
        self.over = threading.Event()

    def beat(self) -> None:
        """Count a turn of the loop, and come again at the next look."""
        self._turns += 1
        if not self.over.is_set():
            self._loop.call_later(self._every, self.beat)

    def look(self) -> None:
        seen, missed = 0, 0
        while not self.over.wait(self._every):
            missed = missed + 1 if self._turns == seen else 0
            seen = self._turns
            if missed * self._every >= self._most:
                self._say()
                self._end()
                return

    def _say(self) -> None:
        faulthandler.dump_traceback_later(_LAST_WORDS, exit=True)
        where = traceback.format_stack(sys._current_frames()[self._thread])  # noqa: SLF001  # the documented way
        _log.critical(
            "the event loop stands still, so this process ends",
            seconds=self._most,
            advice="Something blocks it, as a rule a source's own code: see docs/write-a-source.md.",
            stack="".join(where),
        )
        sys.stdout.flush()
        faulthandler.cancel_dump_traceback_later()
