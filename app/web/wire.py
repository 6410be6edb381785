"""Speak HTTP a little more strictly than uvicorn: bounded headers, and problems for what is no HTTP at all."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.web.problems import CONTENT_TYPE, Problem

LARGEST_HEADERS = 65_536  # bytes, about: uvicorn sets no limit, so one sender could fill the memory
NOT_HTTP = Problem(400, "not_http", "This is not HTTP/1.1.")
HEADERS_TOO_LARGE = Problem(431, "headers_too_large", f"The headers are larger than {LARGEST_HEADERS} bytes.")


def raw_answer(problem: Problem) -> bytes:
    """Return a whole HTTP answer for a request that never became one; it ends the connection."""
    body = problem.body("none")
    head = (
        f"HTTP/1.1 {problem.status} {problem.title}\r\ncontent-type: {CONTENT_TYPE.decode()}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


class StrictHttp(HttpToolsProtocol):
    """Give this to uvicorn as `http`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_headers = False
        self._unfinished = 0

    def on_message_begin(self) -> None:
        self._in_headers = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._unfinished = 0
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_headers:
            self._unfinished += len(data)
            if self._unfinished > LARGEST_HEADERS and not self.transport.is_closing():
                self._refuse(HEADERS_TOO_LARGE)

    def send_400_response(self, msg: str) -> None:  # uvicorn's own words, which say no more
        self._refuse(NOT_HTTP)

    def _refuse(self, problem: Problem) -> None:
        self.transport.write(raw_answer(problem))
        self.transport.close()
