"""Read a request's body without ever holding more than the limit, or waiting longer than the time given."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from starlette.types import Receive

from app.web.problems import TOO_SLOW, Refused, too_large


class Disconnected(Exception):
    """The sender went away before its body was complete: nobody is left to answer."""


def check_announced_length(headers: Mapping[str, str], limit: int) -> None:
    """Refuse by Content-Length, before a byte of the body is read.

    Raises:
        Refused: 413.
    """
    announced = headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:20]) > limit:
        raise Refused(too_large(limit))


async def read_body(receive: Receive, *, limit: int, within: timedelta) -> bytes:
    """Return the whole body, at most `limit` bytes.

    Raises:
        Refused: 413 as soon as a byte too many has come (chunked bodies announce no length), 408 after `within`.
        Disconnected: the sender is gone.
    """
    try:
        async with asyncio.timeout(None) as patience:
            # Most bodies are here already, and a timer costs more than reading them: it is set at the first wait.
            loop = asyncio.get_running_loop()
            setting = loop.call_soon(patience.reschedule, loop.time() + within.total_seconds())
            try:
                return await _collect(receive, limit)
            finally:
                setting.cancel()
    except TimeoutError:
        raise Refused(TOO_SLOW) from None


async def _collect(receive: Receive, limit: int) -> bytes:
    body = b""
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
