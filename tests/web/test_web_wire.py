"""HTTP before it is a request: offers to speak another protocol, headers that never end, many requests at once."""

import asyncio

import pytest

from app.web.wire import StrictHttp
from tests.web.relay_server import PATH_SECRET, Relay, Surroundings, serving

HEAD = (
    b"POST /webhooks/pendo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-key: %s\r\n"
    % PATH_SECRET.encode()
)
GOOD = HEAD + b"content-length: 2\r\n\r\n{}"
LAST = HEAD + b"connection: close\r\ncontent-length: 2\r\n\r\n{}"
OFFER = b"HTTP2-Settings: AAMAAABk\r\nConnection: Upgrade, HTTP2-Settings\r\n"


class Impatient(StrictHttp):
    """Waits no longer for headers than a test should take."""

    headers_within = 0.05
    lingers_for = 0.05


def statuses(answers: bytes) -> list[int]:
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


async def exchange_in_pieces(relay: Relay, sent: bytes, *, size: int) -> bytes:
    async with relay.connection() as (reader, writer):
        for start in range(0, len(sent), size):
            writer.write(sent[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(LAST)
        return await reader.read()


class TestOffersToUpgrade:
    """A server may pass over them; the parser would stop there and lose the body."""

    @pytest.mark.parametrize("size", [1, 2, 7, 64, 1000])
    @pytest.mark.parametrize("offer", [b"Upgrade: h2c\r\n", b"UPGRADE: websocket\r\n", b"upgrade:h2c, x/1\r\n"])
    async def test_the_body_arrives_however_it_is_cut(
        self, relay: Relay, around: Surroundings, offer: bytes, size: int
    ) -> None:
        """Packets end where they like, and a connection carries more than one request."""
        body = b'{"id": "upgrade: h2c\\r\\n"}'
        sent = HEAD + offer + OFFER + b"Content-Length: %d\r\n\r\n" % len(body) + body
        assert statuses(await exchange_in_pieces(relay, sent, size=size)) == [202, 202]
        assert [event.body for event in around.inbox.events] == [body, b"{}"]

    async def test_pipelined_requests_may_all_make_one(self, relay: Relay, around: Surroundings) -> None:
        """The second one's offer comes with the first one's body."""
        offering = HEAD + b"Upgrade: h2c\r\n" + OFFER + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        assert statuses(await relay.exchange(offering * 3 + LAST)) == [202] * 4
        assert [event.body for event in around.inbox.events] == [b"{}"] * 4

    async def test_very_many_may(self, relay: Relay) -> None:
        """Each is read anew, none inside the reading of the one before it."""
        offering = b"GET /livez HTTP/1.1\r\nhost: x\r\nUpgrade: h2c\r\n" + OFFER + b"\r\n"
        assert statuses(await relay.exchange(offering * 1_500 + LAST)) == [200] * 1_500 + [202]

    async def test_the_other_headers_stay_as_they_are(self, relay: Relay, around: Surroundings) -> None:
        sent = HEAD + b"Upgrade: h2c\r\nX-Upgrade: a:b \xff\r\n" + OFFER + b"Content-Length: 2\r\n\r\n{}"
        assert statuses(await relay.exchange(sent + LAST)) == [202, 202]
        headers = around.sources["pendo"].requests[0].headers
        assert (headers["x-upgrade"], headers["http2-settings"]) == ("a:b ÿ", "AAMAAABk")
        assert "upgrade" not in headers

    async def test_a_tunnel_is_none(self, relay: Relay) -> None:
        """CONNECT is the other request that would end HTTP."""
        assert statuses(await relay.exchange(b"CONNECT evil.example:443 HTTP/1.1\r\nhost: x\r\n\r\n")) == [400]


class TestSlowHeaders:
    """Whoever sends a request a byte a minute must not hold a connection for ever."""

    @pytest.mark.parametrize("sent", [b"P", HEAD, HEAD + b"Upgrade: h2c\r\n" + OFFER, GOOD + HEAD])
    async def test_headers_that_do_not_end_are_408(self, around: Surroundings, sent: bytes) -> None:
        async with serving(around.app(), http=Impatient) as relay:
            answers = await relay.exchange(sent)
        assert statuses(answers)[-1] == 408
        assert answers.endswith(b'"requestId": "none"}')
        assert len(around.inbox.events) == sent.count(b"{}")

    async def test_a_byte_now_and_then_wins_no_time(self, around: Surroundings) -> None:
        """The clock runs from the first byte to the last of the headers."""
        async with serving(around.app(), http=Impatient) as relay, relay.connection() as (reader, writer):
            writer.write(HEAD)
            answer = asyncio.create_task(reader.read())
            while not answer.done():
                writer.write(b"x: 1\r\n")
                await asyncio.sleep(0.005)
            assert statuses(await answer) == [408]

    async def test_headers_in_time_are_not_held_against_a_slow_body(self, around: Surroundings) -> None:
        """It has a limit of its own, and is no idleness either."""
        server = serving(around.app(), http=Impatient, timeout_keep_alive=0.05)
        async with server as relay, relay.connection() as (reader, writer):
            for piece in (LAST[:50], LAST[50:-1]):
                writer.write(piece)
                await asyncio.sleep(0)
            await asyncio.sleep(0.1)
            writer.write(LAST[-1:])
            assert statuses(await reader.read()) == [202]

    @pytest.mark.parametrize("sent", [b"", b"\r\n", GOOD, GOOD + b"\r\n\r\n"])
    async def test_an_idle_connection_is_closed(self, around: Surroundings, sent: bytes) -> None:
        """From its start on, and line breaks between requests are no activity."""
        async with serving(around.app(), timeout_keep_alive=0.05) as relay:
            answers = await relay.exchange(sent)
        assert statuses(answers) == [202] * sent.count(b"{}")


class TestPipelined:
    """What comes first is answered first, whatever follows it on the connection."""

    @pytest.mark.parametrize(
        ("bad", "status"),
        [
            (b"nonsense", 400),
            (HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n", 400),
            (HEAD + b"x: " + b"x" * 70_000, 431),
        ],
        ids=["no request", "no chunk", "endless headers"],
    )
    async def test_a_bad_request_does_not_cost_the_good_ones_their_answers(
        self, relay: Relay, around: Surroundings, bad: bytes, status: int
    ) -> None:
        """They are stored; their sender would repeat them, or take the refusal for theirs."""
        answers = await relay.exchange(GOOD + GOOD + bad, b" " * 100_000)
        assert statuses(answers) == [202, 202, status]
        assert len(around.inbox.events) == 2

    async def test_a_sender_that_leaves_in_between_harms_nobody(self, relay: Relay, around: Surroundings) -> None:
        async with relay.connection() as (_, writer):
            writer.write(GOOD + HEAD)
            await writer.drain()
        assert statuses(await relay.exchange(LAST)) == [202]
        assert len(around.inbox.events) == 2


class TestHalfClosed:
    """Some senders tell that nothing follows their request (`nc -N`), and wait for the answer."""

    @pytest.mark.parametrize("asked", [0, 1, 100])
    async def test_what_was_asked_is_answered(self, relay: Relay, around: Surroundings, asked: int) -> None:
        """Though the end comes long before the answers; then the connection ends."""
        around.hold_probe = asyncio.Event()
        async with relay.connection() as (reader, writer):
            writer.write(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n" + GOOD * asked)
            writer.write_eof()
            await around.probe_begun.wait()
            assert statuses(await relay.exchange(LAST)) == [202]
            around.hold_probe.set()
            async with asyncio.timeout(20):
                assert statuses(await reader.read()) == [200] + [202] * asked
        assert len(around.inbox.events) == 1 + asked

    @pytest.mark.parametrize("half", [b"POST", HEAD, LAST[:-1]], ids=["a word", "headers", "a body"])
    async def test_half_a_request_is_none(self, relay: Relay, around: Surroundings, half: bytes) -> None:
        """The rest of it will not come; what came whole is answered."""
        async with relay.connection() as (reader, writer):
            writer.write(GOOD + half)
            writer.write_eof()
            async with asyncio.timeout(20):
                assert statuses(await reader.read()) == [202]
        assert len(around.inbox.events) == 1


class TestBounds:
    """What one sender may keep in the memory, or say in two ways."""

    @pytest.mark.parametrize("line", [b"x-t: " + b"a" * 9_000 + b"\r\n", b"a" * 9_000], ids=["lines", "one line"])
    async def test_trailers_that_do_not_end_are_refused(self, relay: Relay, around: Surroundings, line: bytes) -> None:
        """They come after the body, when headers are no longer looked at."""
        async with relay.connection() as (reader, writer):
            writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
            answer = asyncio.create_task(reader.read())
            for _ in range(1_000):
                writer.write(line)
                await asyncio.sleep(0)
                if answer.done():
                    break
            assert statuses(await answer) == [431]
        assert around.inbox.events == []

    async def test_a_trailer_is_no_header(self, relay: Relay, around: Surroundings) -> None:
        """Else a proxy that looks at the headers alone would let pass what they must not say."""
        chunked = HEAD.replace(b"x-key:", b"x-other:") + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
        trailers = b"x-key: %s\r\n\r\n" % PATH_SECRET.encode()
        assert statuses(await relay.exchange(chunked + trailers + LAST)) == [401, 202]
        assert len(around.inbox.events) == 1

    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            (HEAD + b"x: " + b"x" * 66_000 + b"\r\ncontent-length: 2\r\n\r\n{}", 431),
            (HEAD + b"x: x\r\n" * 40_000 + b"content-length: 2\r\n\r\n{}", 431),
            (HEAD + b"x:\r\n" * 300 + b"content-length: 2\r\n\r\n{}", 431),
            (GOOD.replace(b"/pendo", b"/pendo?" + b"x" * 9_000), 414),
            (GOOD.replace(b"host: x", b"host: x\r\nhost: y"), 400),
            (GOOD.replace(b"host: x\r\n", b""), 400),
            (HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400),
            (HEAD.replace(b"1.1", b"1.0") + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400),
        ],
        ids=[
            "a large header",
            "large headers",
            "many headers",
            "a long address",
            "two hosts",
            "no host",
            "two codings",
            "chunks in 1.0",
        ],
    )
    async def test_one_read_is_bounded_like_many(
        self, relay: Relay, around: Surroundings, sent: bytes, status: int
    ) -> None:
        """However little of it is left to come when it is looked at."""
        assert statuses(await relay.exchange(sent)) == [status]
        assert around.inbox.events == []

    async def test_http_1_0_needs_no_host(self, relay: Relay) -> None:
        old = GOOD.replace(b"HTTP/1.1\r\nhost: x", b"HTTP/1.0")
        assert statuses(await relay.exchange(old)) == [202]


class TestAnswersToWebhooks:
    """Head and body leave in one piece: two cost two system calls, and wake the sender for half an answer."""

    async def test_one_read_gets_the_whole_answer(self, relay: Relay) -> None:
        async with relay.connection() as (reader, writer):
            for _ in range(50):
                writer.write(GOOD)
                assert (await reader.read(65_536)).endswith(b'"status":"accepted"}')

    async def test_an_answer_without_a_body_does_not_wait_for_one(self, relay: Relay) -> None:
        head = await relay.client.head("/webhooks/pendo")
        assert (head.status_code, head.content) == (405, b"")
        assert (await relay.post("/webhooks/pendo", {})).status_code == 202

    async def test_the_last_answer_of_a_connection_is_written_before_it_closes(self, relay: Relay) -> None:
        answer = await relay.exchange(HEAD.replace(b"POST", b"HEAD") + b"connection: close\r\n\r\n")
        assert statuses(answer) == [405]
