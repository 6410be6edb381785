"""The end of the port: whoever was let in is answered, and told that it was the last time."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager

import pytest

from app.bootstrap import Relay
from app.listening import bound_sockets
from app.serve import LAST_ANSWERS, Server, make_config
from app.settings import Settings
from app.web.wire import StrictHttp
from tests.web.relay_server import Surroundings

ASKED = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Server, list[socket.socket]]]:
    """Serve on a port of the system's choice, with `relay serve`'s own server. The test stops it."""
    config = make_config(Settings(), Relay(Surroundings().parts(), begin_stop=lambda: None))
    config.load()
    server, sockets = Server(config), bound_sockets("127.0.0.1", 0)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets)
    yield server, sockets


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connected(opened: ExitStack, sockets: list[socket.socket]) -> socket.socket:
    """Return a connection to the port. The system lets it in, even while the server does something else."""
    made = opened.enter_context(socket.create_connection(sockets[0].getsockname(), timeout=20))
    made.setblocking(False)
    return made


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # uvicorn tells nobody when it has taken a connection, or closed the port
        await asyncio.sleep(0)


async def taken(server: Server, connection: socket.socket) -> None:
    """Wait until the server has taken this connection."""
    client = connection.getsockname()
    await until(lambda: client in [getattr(one, "client", None) for one in server.server_state.connections])


async def answer_of(connection: socket.socket) -> bytes:
    """Return all that comes until the connection's end."""
    pieces = []
    while piece := await asyncio.get_running_loop().sock_recv(connection, 65_536):
        pieces.append(piece)
    return b"".join(pieces)


def is_the_last(answer: bytes, status: int = 200) -> bool:
    return answer.startswith(b"HTTP/1.1 %d " % status) and b"\r\nconnection: close\r\n" in answer


@pytest.mark.parametrize("before", [b"", ASKED], ids=["new", "used"])
async def test_a_request_on_an_idle_connection_is_answered_after_the_port_closed(
    opened: ExitStack, before: bytes
) -> None:
    """It was on its way, and its sender cannot know whether it was taken."""
    async with listening() as (server, sockets):
        connection = connected(opened, sockets)
        await taken(server, connection)
        connection.sendall(before)
        if before:
            await asyncio.get_running_loop().sock_recv(connection, 65_536)
        address = sockets[0].getsockname()
        stopped = asyncio.create_task(server.shutdown(sockets))
        await until(lambda: sockets[0].fileno() < 0)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        connection.sendall(ASKED)
        assert is_the_last(await answer_of(connection))
        await stopped


async def test_whoever_the_system_let_in_is_answered(opened: ExitStack) -> None:
    """Under load many wait there to be taken; a port that is just closed resets them."""
    async with listening() as (server, sockets):
        waiting = [connected(opened, sockets) for _ in range(20)]
        for one in waiting:
            one.sendall(ASKED)
        stopped = asyncio.create_task(server.shutdown(sockets))
        assert [(await answer_of(one))[:12] for one in waiting] == [b"HTTP/1.1 200"] * 20
        await stopped


async def test_a_request_that_has_arrived_at_the_last_moment_is_answered(opened: ExitStack) -> None:
    """It stands unread in the socket while the timer that ends idle connections runs."""
    async with listening() as (server, sockets):
        connection = connected(opened, sockets)
        await taken(server, connection)
        [ours] = server.server_state.connections
        assert isinstance(ours, StrictHttp)
        ours.shutdown()
        connection.sendall(ASKED)
        ours.leave()
        assert is_the_last(await answer_of(connection))
        await server.shutdown(sockets)


async def test_idle_connections_end_after_a_moment(opened: ExitStack) -> None:
    """Nobody waits for them as long as for a request that is under way, and the log tells of nobody cut off."""
    async with listening() as (server, sockets):
        connection = connected(opened, sockets)
        await taken(server, connection)
        await server.shutdown(sockets)
        assert await answer_of(connection) == b""
    assert StrictHttp.stays_for < LAST_ANSWERS


async def test_half_a_request_is_told_to_come_again(opened: ExitStack) -> None:
    """The rest might come too late; 503 is what every sender repeats."""
    async with listening() as (server, sockets):
        connection = connected(opened, sockets)
        await taken(server, connection)
        connection.sendall(ASKED[:-2])
        stopped = asyncio.create_task(server.shutdown(sockets))
        answer = await answer_of(connection)
        assert is_the_last(answer, 503)
        assert b"\r\nretry-after: 5\r\n" in answer
        connection.close()
        await stopped
