"""HTTP as the simulated services see it: a request read whole, an answer, and a connection that can be cut."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

LONGEST_BODY = 1024 * 1024  # Adobe: request body 1 MB
LONGEST_URI = 8 * 1024  # Adobe: URI 8 KB
_GZIP_FROM = 1024  # Adobe: responses above 1 KB are compressed when asked for


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read whole. Header names are lower-case; `body` is None when it exceeds the limit."""

    method: str
    path: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None
    base_url: str

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    def form(self) -> dict[str, str]:
        """Return the form fields of the body; none where it is no form."""
        if self.content_type != "application/x-www-form-urlencoded":
            return {}
        return dict(parse_qsl((self.body or b"").decode("utf-8", "replace"), keep_blank_values=True))

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to be: status, bytes and headers."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json;charset=UTF-8"})


def json_answer(status: int, document: Any) -> Answer:
    return Answer(status, json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())


def html_answer(status: int, html: str) -> Answer:
    return Answer(status, html.encode(), {"content-type": "text/html"})


async def read_request(scope: Scope, receive: Receive) -> Request:
    """Read a request whole; what lies beyond the limit of 1 MB is dropped, not kept."""
    raw_path = scope.get("raw_path") or scope["path"].encode()
    target = raw_path.decode("latin-1") + (f"?{query}" if (query := scope["query_string"].decode("latin-1")) else "")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(
        method=scope["method"],
        path=scope["path"].removeprefix(scope.get("root_path", "")),
        target=target,
        headers=headers,
        body=await _read_body(receive),
        base_url=f"{scope['scheme']}://{headers.get('host', 'localhost')}",
    )


async def _read_body(receive: Receive) -> bytes | None:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        part: bytes = message.get("body", b"")
        size += len(part)
        if size <= LONGEST_BODY:
            parts.append(part)
        more = message["type"] == "http.request" and message.get("more_body", False)
    return b"".join(parts) if size <= LONGEST_BODY else None


async def send_answer(send: Send, answer: Answer, *, accepts: str = "") -> None:
    body, headers = answer.body, dict(answer.headers)
    if len(body) > _GZIP_FROM and "gzip" in accepts.lower():
        body, headers = gzip.compress(body, 1), {**headers, "content-encoding": "gzip"}
    await send(_start(answer.status, headers, len(body)))
    await send({"type": "http.response.body", "body": body})


async def send_half(send: Send, answer: Answer) -> None:
    """Promise the whole answer and send the first half of it; the server then closes the connection."""
    await send(_start(answer.status, dict(answer.headers), len(answer.body)))
    await send({"type": "http.response.body", "body": answer.body[: len(answer.body) // 2], "more_body": True})


async def cut(scope: Scope, receive: Receive) -> None:
    """Reset the connection without a word.

    Raises:
        ConnectionResetError: there is no connection to cut, since the application is called within one process.
    """
    transport = scope.get("state", {}).get("transport")
    if transport is None:
        raise ConnectionResetError("the simulated service cut the connection")
    transport.abort()
    await gone(receive)


async def gone(receive: Receive) -> None:
    """Wait until the caller has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _start(status: int, headers: Mapping[str, str], length: int) -> dict[str, Any]:
    every = {**headers, "content-length": str(length)}
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in every.items()],
    }
