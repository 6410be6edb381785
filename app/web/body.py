"""Read a request's body without ever holding more than the limit, or waiting longer than the time given."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from starlette.types import Message, Receive

from app.web.problems import CROWDED, TOO_SLOW, Refused, too_large

MOST_UNFINISHED = 32 * 1024 * 1024  # bytes of large bodies, of all connections of a process
SMALL = 16 * 1024  # bytes of each body that are not counted: strangers must not crowd out what most webhooks are


class Disconnected(Exception):
    """The sender went away before its body was complete: nobody is left to answer."""


FORM = 16 * 1024  # bytes of a form without a payload in it


def largest_form(max_body: int) -> int:
    """Return how many bytes a form may have in which a payload is tried: encoded, each of its bytes may be three."""
    return FORM + 3 * max_body


class Room:
    """Counts what has come of the bodies that are not whole yet, and bounds it: no sender has shown a key so far."""

    def __init__(self, most: int = MOST_UNFINISHED) -> None:
        self._most = most
        self._taken = 0

    def take(self, size: int) -> None:
        """Give so many bytes to a body.

        Raises:
            Refused: 503, they are all taken.
        """
        if self._taken + size > self._most:
            raise Refused(CROWDED)
        self._taken += size

    def give_back(self, size: int) -> None:
        self._taken -= size


def check_announced_length(headers: Mapping[str, str], limit: int) -> None:
    """Refuse by Content-Length, before a byte of the body is read.

    Raises:
        Refused: 413.
    """
    announced = headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:20]) > limit:
        raise Refused(too_large(limit))


async def read_body(receive: Receive, *, limit: int, within: timedelta, room: Room) -> bytes:
    """Return the whole body, at most `limit` bytes.

    Raises:
        Refused: 413 as soon as a byte too many has come (chunked bodies announce no length), 408 after `within`, 503
            when it is large and there is no room for what has come of it.
        Disconnected: the sender is gone.
    """
    try:
        async with asyncio.timeout(None) as patience:
            # Most bodies are here already, and a timer costs more than reading them: it is set at the first wait.
            loop = asyncio.get_running_loop()
            setting = loop.call_soon(patience.reschedule, loop.time() + within.total_seconds())
            try:
                return await _collect(receive, limit, room)
            finally:
                setting.cancel()
    except TimeoutError:
        raise Refused(TOO_SLOW) from None


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that has been read already, and then what `receive` gives."""
    left = [body]

    async def receive_again() -> Message:
        return {"type": "http.request", "body": left.pop(), "more_body": False} if left else await receive()

    return receive_again


async def _collect(receive: Receive, limit: int, room: Room) -> bytes:
    body, taken = b"", 0
    try:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            chunk: bytes = message.get("body", b"")
            body += chunk
            if len(body) > limit:
                raise Refused(too_large(limit))
            if not message.get("more_body", False):
                return body
            if (more := len(body) - SMALL - taken) > 0:
                room.take(more)
                taken += more
    finally:
        room.give_back(taken)
