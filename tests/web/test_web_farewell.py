"""Ends of connections: whoever is refused while still sending reads the answer, not a reset."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from app.web.wire import StrictHttp
from tests.web.relay_server import Relay, Surroundings, serving

HEAD = "POST /webhooks/pendo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
REFUSED: dict[str, tuple[str, bytes]] = {
    "no HTTP": ("nonsense", b"400"),
    "no header": (HEAD + "nonsense\r\n\r\n", b"400"),
    "no chunk": (HEAD + "transfer-encoding: chunked\r\n\r\nzz\r\n", b"400"),
    "too large": (HEAD + "content-length: 999999999\r\n\r\n", b"413"),
    "too large in the end": (HEAD + "transfer-encoding: chunked\r\n\r\nfffffff\r\n" + " " * 0x1100, b"413"),
    "endless headers": (HEAD + "x: " + "x" * 70_000, b"431"),
    "unknown, with close": (HEAD.replace("pendo", "x") + "connection: close\r\ncontent-length: 900000\r\n\r\n", b"404"),
    "no route, with close": (
        "POST /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 900000\r\n\r\n",
        b"404",
    ),
}


class Brief(StrictHttp):
    """Waits for nobody for long."""

    lingers_for = 0.05


@pytest.fixture
async def brief(around: Surroundings) -> AsyncIterator[Relay]:
    async with serving(around.app(), http=Brief) as running:
        yield running


@pytest.mark.parametrize(("sent", "status"), REFUSED.values(), ids=REFUSED.keys())
async def test_who_goes_on_sending_after_the_answer_reads_it(relay: Relay, sent: str, status: bytes) -> None:
    """A reset would fail its next write or read, and on some systems throw the answer away."""
    async with relay.connection() as (reader, writer):
        writer.write(sent.encode())
        await writer.drain()
        first_line = await reader.readline()
        for _ in range(10):
            writer.write(b" " * 20_000)
            await writer.drain()
        rest = await reader.read()
    assert first_line.split()[1] == status
    assert b"connection: close\r\n" in rest


@pytest.mark.parametrize(("sent", "status"), REFUSED.values(), ids=REFUSED.keys())
async def test_who_sent_much_before_the_answer_reads_it(relay: Relay, sent: str, status: bytes) -> None:
    """What stands unread in the socket must not reset it."""
    answer = await relay.exchange(sent.encode() + b" " * 600_000)
    assert answer.split()[1] == status


async def _send_for_ever(connection: socket.socket) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(connection, b" " * 0x10000)


async def test_who_stalls_is_let_go(brief: Relay) -> None:
    """It has its answer at once, and the connection for a moment more."""
    with socket.create_connection(("127.0.0.1", brief.port)) as stalled:
        stalled.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(stalled, b"nonsense")
        while await loop.sock_recv(stalled, 65_536):
            pass
        with pytest.raises(ConnectionError):
            await _send_for_ever(stalled)


async def test_who_never_ends_is_cut_off(relay: Relay) -> None:
    """Throwing away has a limit, too."""
    with socket.create_connection(("127.0.0.1", relay.port)) as endless:
        endless.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(endless, b"nonsense")
        with pytest.raises(ConnectionError):
            await _send_for_ever(endless)


async def test_a_refused_request_is_not_answered_twice(relay: Relay, around: Surroundings) -> None:
    """Its body turns out to be no HTTP after the 404, which did not wait for it."""
    head = HEAD.replace("pendo", "nobody") + "transfer-encoding: chunked\r\n\r\n"
    async with relay.connection() as (reader, writer):
        writer.write(head.encode())
        answer = await reader.readuntil(b"}")
        writer.write(b"zz\r\n")
        rest = await reader.read()
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert rest == b""
