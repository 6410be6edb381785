"""Senders that do not read what they are answered: they hold little of the memory, and not for ever."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from app.web.body import SMALL, Room
from app.web.wire import StrictHttp
from tests.web.log_capture import Lines
from tests.web.relay_server import Relay, Surroundings, serving
from tests.web.test_web_wire import GOOD, LAST, statuses

LARGE = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"  # its answer, that is
SLOW = b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n"  # while the probe is held
MANY = 300  # of them are more than the system keeps
MUCH = b" " * 32_000_000  # so is this


class Hasty(StrictHttp):
    """Waits no longer for who does not read than a test should take."""

    drains_within = 0.05
    lingers_for = 0.05


class Narrow(StrictHttp):
    """Has no room for requests that wait, besides what each connection has of its own."""

    room = Room(0)


class Talkative:
    """Answers with much; it goes on until its reader is gone, unless it was asked for a page alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.asked = 0
        self.is_left = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        self.asked += 1
        goes_on = scope["path"] != "/page"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": MUCH, "more_body": goes_on})
        while goes_on and (await receive())["type"] != "http.disconnect":
            pass
        self.is_left.set()


@pytest.fixture
async def hasty(around: Surroundings) -> AsyncIterator[Relay]:
    async with serving(around.app(), http=Hasty) as running:
        yield running


@pytest.fixture
async def narrow(around: Surroundings) -> AsyncIterator[Relay]:
    around.hold_probe = asyncio.Event()
    async with serving(around.app(), http=Narrow) as running:
        yield running


async def drop(log: Lines) -> str:
    """Wait until a connection was dropped, and return why."""
    async with asyncio.timeout(20):
        while not (facts := log.facts("connection_dropped")):  # noqa: ASYNC110  # a log has no event to wait for
            await asyncio.sleep(0.01)
    return str(facts[0]["reason"])


class TestReaders:
    """The system keeps some megabytes for each of them; the relay keeps little more, for half a minute."""

    async def test_who_reads_nothing_is_let_go(self, hasty: Relay, log: Lines) -> None:
        async with hasty.connection() as (_, writer):
            writer.write(LARGE * MANY)
            assert await drop(log) == "answers_not_read"
        assert len(log.facts("request_answered")) < MANY

    async def test_a_last_answer_is_not_kept_for_ever_either(self, around: Surroundings, log: Lines) -> None:
        """The connection is closing already, as far as the server goes."""
        async with serving(Talkative(around.app()), http=Hasty) as relay, relay.connection() as (_, writer):
            writer.write(b"GET /page HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert await drop(log) == "answers_not_read"

    async def test_who_reads_late_gets_every_answer(self, relay: Relay) -> None:
        async with relay.connection() as (reader, writer):
            writer.write(LARGE * MANY + LAST)
            await writer.drain()
            assert statuses(await reader.read()) == [200] * MANY + [202]


class TestWhatWaits:
    """Requests that follow one on their connection wait unread until it is answered."""

    async def test_they_are_neither_handled_nor_lost(self, relay: Relay, around: Surroundings) -> None:
        around.hold_probe = asyncio.Event()
        async with relay.connection() as (reader, writer):
            writer.write(SLOW + GOOD * 2_000 + LAST)
            await around.probe_begun.wait()
            assert statuses(await relay.exchange(LAST)) == [202]
            assert len(around.inbox.events) == 1
            around.hold_probe.set()
            assert statuses(await reader.read()) == [200] + [202] * 2_001
        assert len(around.inbox.events) == 2_002

    @pytest.mark.parametrize("size", [SMALL - 2_000, SMALL + 2_000])
    async def test_many_of_them_share_a_room(self, narrow: Relay, around: Surroundings, size: int) -> None:
        """Who finds none hears so, after the answer to what came first; then nothing of what waited is stored."""
        assert around.hold_probe
        waiting = GOOD * (size // len(GOOD))
        async with narrow.connection() as (reader, writer):
            writer.write(SLOW + waiting + LAST)
            await around.probe_begun.wait()
            around.hold_probe.set()
            answers = await reader.read()
        stored = waiting.count(b"{}") + 1 if size < SMALL else 0
        assert statuses(answers) == [200] + ([202] * stored or [503])
        assert len(around.inbox.events) == stored

    async def test_the_room_is_given_back(self, around: Surroundings) -> None:
        """When they were read, and when their sender left."""
        around.hold_probe = asyncio.Event()
        waiting = GOOD * (2 * SMALL // len(GOOD))

        class Fitting(StrictHttp):
            room = Room(2 * len(waiting) - SMALL)

        async with serving(around.app(), http=Fitting) as relay:
            async with relay.connection() as (_, left):
                left.write(SLOW + waiting)
                await around.probe_begun.wait()
                left.transport.abort()
            around.hold_probe.set()
            for _ in range(3):
                answers = await relay.exchange(SLOW + waiting + LAST)
                assert statuses(answers) == [200] + [202] * (waiting.count(b"{}") + 1)
        Fitting.room.take(2 * len(waiting) - SMALL)


async def test_all_that_a_sender_asked_ends_when_it_leaves(around: Surroundings) -> None:
    """The one that is being answered too, not only what it asked last; and what waits is not begun."""
    app = Talkative(around.app())
    async with serving(app) as relay, relay.connection() as (reader, writer):
        writer.write(SLOW * 3)
        await reader.readline()
        writer.transport.abort()
        async with asyncio.timeout(20):
            await app.is_left.wait()
    assert app.asked == 1
