"""Speak HTTP a little more strictly than uvicorn: bounded headers, and problems for what is no HTTP at all."""

import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_headers = False
        self._in_body = False
        self._unfinished = 0

    def on_message_begin(self) -> None:
        self._in_headers = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._in_body = True
        self._unfinished = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data if self._in_body else without_offers(data))
        if self._in_headers:
            self._unfinished += len(data)
            if self._unfinished > LARGEST_HEADERS and not self.transport.is_closing():
                self._refuse(HEADERS_TOO_LARGE)

    def send_400_response(self, msg: str) -> None:  # uvicorn's own words, which say no more
        self._refuse(NOT_HTTP)

    def _refuse(self, problem: Problem) -> None:
        self.transport.write(raw_answer(problem))
        self.transport.close()
