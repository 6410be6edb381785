"""Speak HTTP a little more strictly than uvicorn: bounded headers, and problems for what is no HTTP at all."""

import asyncio
import re
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.web.farewell import PatientTransport
from app.web.problems import CONTENT_TYPE, Problem

LARGEST_HEADERS = 65_536  # bytes, about: uvicorn sets no limit, so one sender could fill the memory
NOT_HTTP = Problem(400, "not_http", "This is not HTTP/1.1.")
HEADERS_TOO_LARGE = Problem(431, "headers_too_large", f"The headers are larger than {LARGEST_HEADERS} bytes.")
# An offer to speak HTTP/2 or WebSocket, which Java's own client makes with each request. A server may ignore it
# (RFC 9110, section 7.8), but the parser would stop there and lose the body.
_OFFER = re.compile(rb"(?<=\n)upgrade:[^\r\n]*\r?\n", re.IGNORECASE)


def raw_answer(problem: Problem) -> bytes:
    """Return a whole HTTP answer for a request that never became one; it ends the connection."""
    body = problem.body("none")
    head = (
        f"HTTP/1.1 {problem.status} {problem.title}\r\ncontent-type: {CONTENT_TYPE.decode()}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


def without_offers(data: bytes) -> bytes:
    """Return what begins with headers without the offers to upgrade among them; what follows them is left alone."""
    if not _OFFER.search(data):
        return data
    head, end, rest = data.partition(b"\r\n\r\n")
    return _OFFER.sub(b"", head + end[:2]) + end[2:] + rest


class StrictHttp(HttpToolsProtocol):
    """Give this to uvicorn as `http`."""

    transport: PatientTransport
    lingers_for: ClassVar[float] = 2.0  # seconds

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_headers = False
        self._in_body = False
        self._unfinished = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own way
        super().connection_made(
            PatientTransport(
                transport, is_half_read=lambda: self._in_headers or self._in_body, lingers_for=self.lingers_for
            )
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport.lost()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._in_headers = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_headers = False
        self._in_body = True
        self._unfinished = 0

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_lingering:
            self.transport.throw_away(data)
            return
        super().data_received(data if self._in_body else without_offers(data))
        if self._in_headers:
            self._unfinished += len(data)
            if self._unfinished > LARGEST_HEADERS:
                self._refuse(HEADERS_TOO_LARGE)

    def send_400_response(self, msg: str) -> None:  # uvicorn's own words, which say no more
        self._refuse(NOT_HTTP)

    def _refuse(self, problem: Problem) -> None:
        """Answer and end the connection; a request that was under way on it is cut off.

        One whose answer has begun is not answered twice.
        """
        if self._in_body and self.cycle.response_started:
            self.transport.linger()
            return
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not self.transport.is_closing():
            self.transport.write(raw_answer(problem))
        self.transport.linger()
