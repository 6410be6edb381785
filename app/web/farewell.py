"""Close a connection so that its peer can still read the last answer.

A socket that is closed with unread bytes, or that gets more of them later, makes the kernel reset the connection; and
the reset can overtake the answer that says why. So the end is told first (FIN), and what still comes is thrown away
for a while. Who reads nothing of what was written to it is let go: it would keep the memory for ever.
"""

import asyncio
import select
from collections.abc import Callable
from typing import Any

import structlog

MOST_THROWN_AWAY = 16 * 1024 * 1024  # bytes
_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("app.web")


class PatientTransport(asyncio.Transport):
    """A connection whose `close` lingers when `is_half_read` says that more is to come.

    It is closing from then on: what is written is dropped, and what is read is for `throw_away`. What waits to be sent
    when it closes, or when `expect_to_drain` is called, must be read by the peer `drains_within` so many seconds.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        *,
        is_half_read: Callable[[], bool],
        lingers_for: float,
        drains_within: float,
    ) -> None:
        super().__init__()
        self._transport = transport
        self._is_half_read = is_half_read
        self._lingers_for = lingers_for
        self._drains_within = drains_within
        self._left = MOST_THROWN_AWAY
        self._holds_next = False
        self._held = b""
        self._end: asyncio.TimerHandle | None = None
        self._drain: asyncio.TimerHandle | None = None

    @property
    def is_lingering(self) -> bool:
        return self._end is not None

    @property
    def has_unread(self) -> bool:
        """Tell whether something has arrived that nobody has been given yet."""
        arrived = select.poll()
        arrived.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(arrived.poll(0))

    def linger(self) -> None:
        """Send what is written and FIN; close when the peer does, after `lingers_for` seconds or very many bytes."""
        if self.is_closing():
            return
        self.release()
        self._end = asyncio.get_running_loop().call_later(self._lingers_for, self.finish)
        self._transport.write_eof()
        self._transport.resume_reading()

    def throw_away(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self.finish()

    def expect_to_drain(self) -> None:
        if self._drain is None:
            self._drain = asyncio.get_running_loop().call_later(self._drains_within, self._let_go)

    def drained(self) -> None:
        """Wait no longer for the peer to read, unless the connection is to close then."""
        if self._drain is not None and not self._transport.is_closing():
            self._drain.cancel()
            self._drain = None

    def lost(self) -> None:
        """Forget the timers; to be called when the connection is gone."""
        for timer in (self._end, self._drain):
            if timer is not None:
                timer.cancel()

    def finish(self) -> None:
        """Close once the peer has read what is written, whatever it may send."""
        self.release()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self.expect_to_drain()

    def close(self) -> None:
        if self._is_half_read():
            self.linger()
        elif not self.is_closing():
            self.finish()

    def is_closing(self) -> bool:
        return self._end is not None or self._transport.is_closing()

    def hold(self) -> None:
        """Keep the next write until the one after it or `release`: each is a system call that wakes the peer."""
        self._holds_next = True

    def release(self) -> None:
        """Write what is held."""
        if self._held:
            self._write(self._held)
        self._holds_next, self._held = False, b""

    def write(self, data: Any) -> None:
        if self._end is not None:
            return
        if self._holds_next:
            self._holds_next, self._held = False, data
        elif self._held:
            self._held += data
            self.release()
        else:
            self._write(data)

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():  # the peer may have reset it, of which the protocol hears a moment later
            self._transport.write(data)

    def _let_go(self) -> None:
        _log.info("connection_dropped", reason="answers_not_read")
        self._transport.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        if self._end is None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()
