"""Strangers on raw sockets beside good senders: no 5xx, no traceback, bounded memory, and nothing smuggled in."""

import json
import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.harness import API_KEY, Relay, environment, registration, start_relay, web

pytestmark = pytest.mark.no_cover  # under a tracer it takes twice as long, and each part has tests of its own

IDLE = 1000
MANY = 10_000
OWN_FILES = 500  # that this process needs besides
MOST_FOR_MANY = 150_000  # kB for as many that have sent nothing: 15 kB each
MOST_GROWTH = 100_000  # kB for all that are held open: a tenth of a megabyte each
UNREAD = 100
MOST_UNREAD = 25_000  # kB for as many that do not read what they are answered: a quarter of a megabyte each
_numbers = count(1)


@contextmanager
def open_files(most: int) -> Iterator[int]:
    """Let this process, and those that it starts, hold so many files open at most; gives how many it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    try:
        yield allowed
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """One relay for all strangers, started as a shell does; Marketo is not reached, which accepting does not need."""
    folder = tmp_path_factory.mktemp("relay")
    with open_files(1024):
        running = start_relay(environment("http://127.0.0.1:9", f"sqlite:///{folder / 'relay.db'}"), folder)
    yield running
    assert running.process.stop() == 0
    assert "Traceback" not in running.process.output
    assert "_failed" not in running.process.output


@pytest.fixture(autouse=True)
def good_neighbour(relay: Relay) -> Iterator[None]:
    """After each stranger the next sender is accepted."""
    yield
    assert_good_traffic(relay)


def assert_good_traffic(relay: Relay, times: int = 1) -> None:
    for _ in range(times):
        assert relay.send(registration(f"good{next(_numbers)}@example.com")).status_code == 202


def request(
    *headers: str, address: str = "", target: str = "/webhooks/custom", version: str = "1.1", close: bool = True
) -> bytes:
    """Return a webhook as bytes; its length is told unless the headers frame it."""
    body = json.dumps(registration(address or f"raw{next(_numbers)}@example.com"))
    lines = [f"POST {target} HTTP/{version}", "Host: relay", f"Authorization: Bearer {API_KEY}"]
    lines += ["Content-Type: application/json", *(["Connection: close"] if close else []), *headers]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()


def statuses(answers: bytes) -> list[int]:
    return [int(piece[:3]) for piece in answers.split(b"HTTP/1.1 ")[1:]]


def held(relay: Relay, stack: ExitStack, sent: bytes = b"") -> socket.socket:
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", int(relay.url.rpartition(":")[2])), 15))
    with suppress(ConnectionError):  # who is refused while it sends
        connection.sendall(sent)
    return connection


def held_unread(relay: Relay, stack: ExitStack, target: str) -> socket.socket:
    """Ask 250 kB of one connection, as far as it takes that, and read nothing of the answers but their beginning."""
    line = f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    connection = held(relay, stack)
    connection.setblocking(False)
    connection.send(line * (250_000 // len(line)))
    connection.setblocking(True)
    connection.recv(1)
    return connection


def reset(connection: socket.socket) -> None:
    """End it at once, as a sender does that is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def memory(relay: Relay) -> int:
    """Return how many kB the relay holds."""
    status = Path(f"/proc/{relay.process.child.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


SLOW = {
    "idle": b"",
    "half a first line": b"POST /webh",
    "half the headers": request()[:80],
    "large headers without end": request().partition(b"\r\n\r\n")[0] + b"\r\nX: " + b"x" * 20_000,
    "half a body": request()[:-10],
    "most of a large body": request("Content-Length: 250000") + b" " * 240_000,
    "a body without a token": request("Content-Length: 250000", target="/api/replay") + b" " * 240_000,
    "a form without an end": request("Content-Length: 250000", target="/console/sign-in") + b" " * 240_000,
    "half a chunk": request("Transfer-Encoding: chunked").partition(b"\r\n\r\n")[0] + b"\r\n\r\n8000\r\n" + b" " * 9000,
}


@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW.keys())
def test_a_thousand_slow_connections_keep_nobody_waiting(relay: Relay, sent: bytes) -> None:
    """They cost a tenth of a megabyte each at most, and whoever sends properly is served beside them."""
    before = memory(relay)
    with ExitStack() as stack:
        for _ in range(IDLE):
            held(relay, stack, sent)
        assert_good_traffic(relay, 20)
        assert memory(relay) - before < MOST_GROWTH


def test_ten_thousand_idle_connections_keep_nobody_waiting(relay: Relay) -> None:
    """Ten times what a shell lets a process have open, which the relay has raised (as far as the system lets it).

    It takes some seconds, for so many connections are made.
    """
    before = memory(relay)
    with open_files(MANY + OWN_FILES) as allowed, ExitStack() as stack:
        for _ in range(min(MANY, allowed - OWN_FILES)):
            held(relay, stack)
        assert_good_traffic(relay, 20)
        assert memory(relay) - before < MOST_FOR_MANY


def test_who_does_not_read_the_answers_holds_little(relay: Relay) -> None:
    """However many requests come at once, and however large their answers are."""
    before = memory(relay)
    with ExitStack() as stack:
        for _ in range(UNREAD):
            held_unread(relay, stack, "/openapi.json")
        assert_good_traffic(relay)
        assert memory(relay) - before < MOST_UNREAD


@pytest.mark.parametrize("target", ["/openapi.json", "/docs", "/console/sign-in", "/metrics", "/unknown"])
def test_who_leaves_amid_the_answers_is_no_defect(relay: Relay, target: str) -> None:
    """The log has nothing of it that needs a person."""
    with ExitStack() as stack:
        for _ in range(20):
            reset(held_unread(relay, stack, target))


SMUGGLED = request(address="smuggled@example.com")
PAIRS = {
    "length, then chunks": ("Content-Length: 5", "Transfer-Encoding: chunked"),
    "chunks, then length": ("Transfer-Encoding: chunked", "Content-Length: 5"),
    "chunks twice": ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    "chunks under another": ("Transfer-Encoding: chunked, gzip",),
    "chunks misspelt": ("Transfer-Encoding: xchunked",),
    "a space before the colon": ("Content-Length: 5", "Transfer-Encoding : chunked"),
    "a folded line": ("Content-Length: 5", "Transfer-Encoding:", " chunked"),
    "two lengths": ("Content-Length: 5", "Content-Length: 0"),
    "lengths in a list": ("Content-Length: 5, 0",),
    "a signed length": ("Content-Length: +5",),
    "a length in hexadecimal": ("Content-Length: 0x5",),
}


@pytest.mark.parametrize("headers", PAIRS.values(), ids=PAIRS.keys())
def test_what_may_be_framed_in_two_ways_smuggles_nothing(relay: Relay, headers: tuple[str, ...]) -> None:
    """A proxy may have read it the other way: what follows is no request of this connection."""
    head = request(*headers, close=False).partition(b"\r\n\r\n")[0]
    answers = statuses(relay.exchange(head + b"\r\n\r\n0\r\n\r\n" + SMUGGLED))
    assert len(answers) == 1
    assert 400 <= answers[0] < 500
    assert relay.registrations(email="smuggled@example.com") == []


TWICE = {
    "Authorization: Bearer wrong-key-of-a-stranger": 401,
    "Content-Type: text/plain": 415,
    "Idempotency-Key: b": 422,
}


@pytest.mark.parametrize(("header", "status"), TWICE.items())
def test_a_header_that_is_sent_twice_is_no_way_in(relay: Relay, header: str, status: int) -> None:
    """Two readers may each take another one of them."""
    assert statuses(relay.exchange(request("Idempotency-Key: a", header))) == [status]


@pytest.mark.parametrize("size", [60_000, 1_000_000])
def test_large_headers_are_taken_or_refused(relay: Relay, size: int) -> None:
    assert statuses(relay.exchange(request(f"X-Large: {'x' * size}"))) == [202 if size < 65_536 else 431]


TARGETS = {"http://evil.example/webhooks/custom": 202, "https://evil.example:443/": 404, "*": 404, "//x//": 404}


@pytest.mark.parametrize(("target", "status"), TARGETS.items())
def test_an_absolute_address_is_fetched_from_nowhere(relay: Relay, target: str, status: int) -> None:
    """The relay is no proxy: it answers from what it has, or says that there is nothing."""
    assert statuses(relay.exchange(request(target=target))) == [status]


def test_http_1_0_is_answered_and_closed(relay: Relay) -> None:
    assert statuses(relay.exchange(request(version="1.0", close=False))) == [202]


@pytest.mark.parametrize("times", [1, 50])
def test_who_ends_its_half_of_the_connection_is_answered(relay: Relay, times: int) -> None:
    """As `nc -N` does once it has sent what it was given."""
    with ExitStack() as stack:
        connection = held(relay, stack, b"".join(request(close=False) for _ in range(times)))
        connection.shutdown(socket.SHUT_WR)
        answers = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert statuses(answers) == [202] * times


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_another_method_is_refused_and_the_next_request_is_not(relay: Relay, method: str) -> None:
    other = request(close=False).replace(b"POST", method.encode(), 1)
    assert statuses(relay.exchange(other + request())) == [405, 202]


def test_a_hundred_pipelined_requests_are_answered_in_order(relay: Relay) -> None:
    many = [request(close=False) for _ in range(99)]
    assert statuses(relay.exchange(b"".join([*many, request()]))) == [202] * 100
    assert web.get(f"{relay.url}/livez").status_code == 200
