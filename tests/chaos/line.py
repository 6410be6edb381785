"""A connection that a careful sender keeps: HTTP/1.1 with next to no work, as the machine is the relay's to use."""

import select
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.e2e.harness import API_KEY

_LONGEST = 20.0  # seconds that an answer is waited for


class Unreached(Exception):  # a fact
    """Nobody takes connections there."""


class Unanswered(Exception):  # a fact
    """The request was sent, and the connection ended before the whole answer came."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    is_last: bool  # the connection is not to be used again


class Line:
    """One connection to an address: made when needed, kept while the other end wants it kept.

    Before each request it is looked whether the other end has hung up meanwhile, as HTTP clients do.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (str(parts.hostname), int(parts.port or 80))
        self._head = f"Host: {parts.netloc}\r\nAuthorization: Bearer {API_KEY}\r\nContent-Type: application/json\r\n"
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._hang_up()

    def post(self, path: str, body: bytes, *, key: str) -> Answer:
        """Send one webhook.

        Raises:
            Unreached, Unanswered: as they say.
        """
        connected = self._connected()
        own = f"Idempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            connected.sendall(f"POST {path} HTTP/1.1\r\n{self._head}{own}".encode() + body)
            answer = _read(connected)
        except OSError as problem:
            self._hang_up()
            raise Unanswered(str(problem)) from problem
        if answer.is_last:
            self._hang_up()
        return answer

    def _connected(self) -> socket.socket:
        if self._socket and _has_ended(self._socket):
            self._hang_up()
        if self._socket is None:
            try:
                self._socket = socket.create_connection(self._address, timeout=_LONGEST)
            except OSError as problem:
                raise Unreached(str(problem)) from problem
        return self._socket

    def _hang_up(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket = None


def _has_ended(connected: socket.socket) -> bool:
    """Tell whether something came unasked, and that is the end."""
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    return bool(poll.poll(0))


def _read(connected: socket.socket) -> Answer:
    head, body = b"", b""
    while not (parted := head.partition(b"\r\n\r\n"))[1]:
        head += _some(connected)
    lines, body = parted[0].lower().split(b"\r\n"), parted[2]
    headers = dict(line.split(b": ", 1) for line in lines[1:])
    while len(body) < int(headers[b"content-length"]):
        body += _some(connected)
    return Answer(int(lines[0].split()[1]), body, headers.get(b"connection") == b"close")


def _some(connected: socket.socket) -> bytes:
    if not (data := connected.recv(65_536)):
        raise ConnectionResetError("it ended before the answer")
    return data
