"""Bodies that are not whole yet share a room: halves of large ones may fill it, and crowd out no small one."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.web.body import SMALL, Room
from tests.web.relay_server import PATH_SECRET, Relay, Surroundings, serving

LARGE = 3 * SMALL
ROOM = 2 * (LARGE - SMALL)  # for what is more than small of two


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    async with serving(Surroundings().app(room=Room(ROOM), max_body=2 * LARGE)) as running:
        yield running


def head(length: int, path: str = "/webhooks/custom") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: relay", "Content-Type: application/json", f"X-Key: {PATH_SECRET}"]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


def body(size: int) -> bytes:
    start, end = b'{"id": "of %d", "filler": "' % size, b'"}'
    return start + b"x" * (size - len(start) - len(end)) + end


async def begin(writer: asyncio.StreamWriter, path: str = "/webhooks/custom") -> None:
    """Send all but the end of a large body."""
    writer.write(head(LARGE + 10, path) + body(LARGE))
    await writer.drain()


async def sent_in_two(relay: Relay, size: int) -> bytes:
    """Send a body that the server reads in two pieces, and return the answer's first line and headers."""
    async with relay.connection() as (reader, writer):
        whole = body(size)
        writer.write(head(size) + whole[:-10])
        await writer.drain()
        await asyncio.sleep(0.05)  # or it may read both as one
        writer.write(whole[-10:])
        return await reader.readuntil(b"\r\n\r\n")


async def answered(relay: Relay, size: int, status: bytes) -> bytes:
    """Send it until it is answered so: what others sent is read in its own time."""
    for _ in range(100):
        answer = await sent_in_two(relay, size)
        if answer.startswith(b"HTTP/1.1 " + status):
            return answer
    pytest.fail(f"the last answer was {answer!r}")


@pytest.mark.parametrize("path", ["/webhooks/custom", "/api/registrations"])
async def test_who_sends_large_bodies_hears_503_while_there_is_no_room(relay: Relay, path: str) -> None:
    """Whoever has taken it has shown no key; when they are gone there is room again."""
    async with relay.connection() as (_, one), relay.connection() as (_, two):
        await begin(one, path)
        await begin(two, path)
        refused = (await answered(relay, LARGE, b"503")).lower()
        assert b"\r\nretry-after: " in refused
        assert b"\r\nconnection: close" in refused
        assert (await sent_in_two(relay, SMALL)).startswith(b"HTTP/1.1 202")
    await answered(relay, LARGE, b"20")


async def test_a_body_that_was_too_slow_gives_its_room_back() -> None:
    around = Surroundings()
    async with serving(
        around.app(room=Room(LARGE - SMALL), max_body=2 * LARGE, read_timeout=timedelta(seconds=0.1))
    ) as relay:
        async with relay.connection() as (reader, writer):
            await begin(writer)
            assert (await reader.read()).startswith(b"HTTP/1.1 408")
        assert (await sent_in_two(relay, LARGE - 100)).startswith(b"HTTP/1.1 202")
