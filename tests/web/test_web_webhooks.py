"""What senders of webhooks hear, over real sockets."""

import asyncio
import json
from datetime import timedelta
from http import HTTPStatus

import pytest

from app.domain import Dedupe
from tests.web.relay_server import NOW, PATH_SECRET, Relay, Surroundings, serving

HEAD = "POST /webhooks/pendo HTTP/1.1\r\nhost: relay\r\nx-key: " + PATH_SECRET + "\r\n"


async def test_an_accepted_webhook_is_stored_before_the_sender_hears_202(relay: Relay, around: Surroundings) -> None:
    """The answer names the id under which the event can be looked up."""
    answer = await relay.post("/webhooks/custom", {"id": "order-1"})
    [event] = around.inbox.events
    assert (answer.status_code, answer.json()) == (202, {"id": event.id, "status": "accepted"})
    assert (event.source, event.body) == ("custom", b'{"id": "order-1"}')
    assert (event.dedupe, event.headers) == (Dedupe("order-1", "forever", "{}"), {"x-kept": "yes"})
    assert (event.received_at, event.due_at) == (NOW, NOW + timedelta(seconds=7))
    assert around.wakes == 1


async def test_a_repeat_is_answered_with_the_first_id(relay: Relay, around: Surroundings) -> None:
    first = await relay.post("/webhooks/custom", {"id": "order-1"})
    repeat = await relay.post("/webhooks/custom", {"id": "order-1"})
    assert (repeat.status_code, repeat.json()) == (200, {"id": first.json()["id"], "status": "duplicate"})
    assert len(around.inbox.events) == 1


async def test_what_says_something_else_under_a_used_key_is_told(relay: Relay, around: Surroundings) -> None:
    """It is not stored, and nobody is led to believe so."""
    await relay.post("/webhooks/custom", {"id": "order-1"})
    other = await relay.post("/webhooks/custom", {"id": "order-1", "who": "else"})
    assert (other.status_code, other.headers["content-type"]) == (422, "application/problem+json")
    assert "not stored: send it with a key of its own" in other.json()["detail"]
    assert (len(around.inbox.events), around.wakes) == (1, 1)


async def test_what_is_of_no_interest_is_ignored_with_its_reason(relay: Relay, around: Surroundings) -> None:
    answer = await relay.post("/webhooks/pendo", {"ping": 1})
    assert (answer.status_code, answer.json()) == (200, {"status": "ignored", "reason": "test_ping"})
    assert not around.inbox.events


@pytest.mark.parametrize("path", [f"/webhooks/eventbrite/{PATH_SECRET}", f"/webhooks/pendo/{PATH_SECRET}"])
async def test_the_last_path_segment_reaches_the_source_as_its_secret(relay: Relay, path: str) -> None:
    assert (await relay.post(path, {}, {"x-key": ""})).status_code == 202


@pytest.mark.parametrize(
    "segment", ["", "/", "/wrong", f"/x/{PATH_SECRET}", f"/{PATH_SECRET}/", "/%00", "/%C3%A9", "/a%2Fb"]
)
async def test_a_wrong_path_secret_is_not_authentic(relay: Relay, around: Surroundings, segment: str) -> None:
    """401, not 404: the source is there; and what stood in the path is not repeated."""
    answer = await relay.post(f"/webhooks/eventbrite{segment}", {}, {"x-key": ""})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert PATH_SECRET not in answer.text
    assert not around.inbox.events


@pytest.mark.parametrize("path", ["/webhooks/zoom", "/webhooks/", "/webhooks/Custom", "/webhooks/..%2Fapi"])
async def test_a_source_that_is_not_configured_is_not_found(relay: Relay, path: str) -> None:
    answer = await relay.post(path, {})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_webhooks_take_post_only(relay: Relay, around: Surroundings, method: str) -> None:
    answer = await relay.client.request(method, "/webhooks/custom")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert not around.inbox.events


async def test_each_error_is_a_problem_with_its_request_id(relay: Relay) -> None:
    answer = await relay.post("/webhooks/custom", {"wrong": ["joinlink", "webinar.Title"]}, {"x-request-id": "abc-1"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == "abc-1"
    assert answer.json() == {
        "type": "about:blank",
        "title": HTTPStatus(422).phrase,
        "status": 422,
        "detail": "Some fields are wrong; errors names each.",
        "errors": [
            {"field": "joinlink", "problem": "is unknown"},
            {"field": "webinar.Title", "problem": "is unknown"},
        ],
        "requestId": "abc-1",
    }


async def test_a_body_of_unknown_keys_is_not_sent_back_whole(relay: Relay) -> None:
    """An error answer must not amplify."""
    answer = await relay.post("/webhooks/custom", {"wrong": ["k" * 500, *map(str, range(500))]})
    assert len(answer.json()["errors"]) == 20
    assert answer.json()["errors"][0]["field"] == "k" * 200


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc.DEF_1-2", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ("<script>", False), ("é", False)],
)
async def test_a_request_id_is_kept_only_when_harmless(relay: Relay, given: str, kept: bool) -> None:
    answer = await relay.client.get("/livez", headers=[(b"x-request-id", given.encode())])
    assert (answer.headers["x-request-id"] == given) is kept


async def test_a_store_that_does_not_commit_is_503_with_retry_after(relay: Relay, around: Surroundings) -> None:
    """No 202 without a commit, and no word of where the store is."""
    around.inbox.broken = True
    answer = await relay.post("/webhooks/custom", {})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "secret-place" not in answer.text
    around.inbox.broken = False
    assert (await relay.post("/webhooks/custom", {})).status_code == 202


async def test_a_defect_in_a_source_is_500_without_details(relay: Relay) -> None:
    """A bug is loud in the log; the sender learns nothing, and the next one is served."""
    answer = await relay.post("/webhooks/custom", {"bug": "boom"})
    assert answer.status_code == 500
    assert not {"boom", PATH_SECRET, "KeyError", "Traceback"} & set(answer.text.replace('"', " ").split())
    assert (await relay.post("/webhooks/custom", {})).status_code == 202


async def test_a_defect_elsewhere_is_500_without_details(around: Surroundings) -> None:
    around.probe_fails = lambda: ZeroDivisionError("postgresql://user:password@db")
    async with serving(around.app()) as relay:
        answer = await relay.client.get("/readyz")
        assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
        assert "password" not in answer.text


class TestContentType:
    """JSON it must be; some vendors' deliveries name no type at all."""

    @pytest.mark.parametrize(
        "kind",
        ["application/json", "APPLICATION/JSON", "application/json; charset=utf-8", "application/cloudevents+json"],
    )
    async def test_json_types_pass(self, relay: Relay, kind: str) -> None:
        assert (await relay.post("/webhooks/custom", {}, {"content-type": kind})).status_code == 202

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "text/+json", "json", ";"])
    @pytest.mark.parametrize("source", ["custom", "pendo"])
    async def test_other_types_are_415(self, relay: Relay, source: str, kind: str) -> None:
        assert (await relay.post(f"/webhooks/{source}", {}, {"content-type": kind})).status_code == 415

    @pytest.mark.parametrize(("source", "status"), [("custom", 415), ("pendo", 202), ("eventbrite", 202)])
    async def test_no_type_passes_for_vendors_only(self, relay: Relay, source: str, status: int) -> None:
        assert (await relay.post(f"/webhooks/{source}", {}, {"content-type": ""})).status_code == status

    async def test_a_compressed_body_is_415(self, relay: Relay) -> None:
        answer = await relay.post("/webhooks/custom", b"\x1f\x8b", {"content-encoding": "gzip"})
        assert (answer.status_code, answer.json()["detail"]) == (
            415,
            "Send the body as it is, without Content-Encoding.",
        )


class TestSize:
    """The limit holds while reading, whatever a sender announces."""

    async def test_exactly_the_limit_passes(self, relay: Relay) -> None:
        body = json.dumps({"a": "x" * (4096 - 9)}).encode()
        assert len(body) == 4096
        assert (await relay.post("/webhooks/custom", body)).status_code == 202
        assert (await relay.post("/webhooks/custom", body + b" ")).status_code == 413

    async def test_an_announced_giant_is_refused_before_it_is_sent(self, relay: Relay, around: Surroundings) -> None:
        """The sender waits for `100 Continue` and must hear no instead, once, and the end of the connection."""
        head = HEAD + "content-length: 999999999999\r\nexpect: 100-continue\r\n\r\n"
        async with relay.connection() as (reader, writer):
            writer.write(head.encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 413 ")
            assert b"connection: close" in answer
        assert not around.sources["pendo"].requests

    @pytest.mark.parametrize("megabytes", [1, 10])
    async def test_a_giant_hears_413_and_not_a_reset(self, relay: Relay, megabytes: int) -> None:
        """Closing with unread bytes would reset the connection and the answer with it."""
        answer = await relay.post("/webhooks/custom", b" " * (megabytes << 20))
        assert answer.status_code == 413

    async def test_a_chunked_giant_is_refused_while_reading(self, relay: Relay, around: Surroundings) -> None:
        chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
        head = HEAD + "transfer-encoding: chunked\r\n\r\n"
        answer = await relay.exchange(head.encode(), *[chunk] * 512, b"0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert not around.sources["pendo"].requests

    async def test_a_giant_without_end_is_cut_off(self, relay: Relay) -> None:
        """Swallowing a refused body has a limit, too."""
        head = HEAD + "transfer-encoding: chunked\r\n\r\n"
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        async with relay.connection() as (reader, writer):
            writer.write(head.encode())
            assert (await _first_line(reader, writer, chunk)).startswith(b"HTTP/1.1 413 ")
            with pytest.raises(ConnectionError):
                await _send_for_ever(writer, chunk)

    async def test_a_chunked_body_within_the_limit_passes(self, relay: Relay, around: Surroundings) -> None:
        head = HEAD + "transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        answer = await relay.exchange(head.encode(), b'5\r\n{"id"\r\n', b'6\r\n: "a"}\r\n', b"0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 202 ")
        assert around.inbox.events[0].body == b'{"id": "a"}'


async def _send_for_ever(writer: asyncio.StreamWriter, chunk: bytes) -> None:
    while True:
        writer.write(chunk)
        await writer.drain()


async def _first_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chunk: bytes) -> bytes:
    writer.write(chunk)
    await writer.drain()
    return await reader.readline()


class TestSlowAndGone:
    """A sender that stalls or leaves costs nobody anything."""

    async def test_a_body_that_never_comes_is_408(self, around: Surroundings) -> None:
        async with serving(around.app(read_timeout=timedelta(milliseconds=50))) as relay:
            answer = await relay.exchange(HEAD.encode() + b"content-length: 10\r\n\r\n{")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert not around.sources["pendo"].requests

    async def test_a_sender_that_leaves_is_counted_and_no_error(self, relay: Relay, around: Surroundings) -> None:
        async with relay.connection() as (_, writer):
            writer.write(HEAD.encode() + b"content-length: 10\r\n\r\n{")
            await writer.drain()
        async with asyncio.timeout(5):
            while "disconnected" not in (await relay.client.get("/metrics")).text:
                pass  # the server must notice; it has no way to tell us
        assert not around.sources["pendo"].requests

    async def test_a_neighbour_on_the_same_connection_is_served(self, relay: Relay, around: Surroundings) -> None:
        """Pipelined after a refusal whose body was never read."""
        refused = HEAD.replace("pendo", "nobody") + "content-length: 3000\r\n\r\n" + " " * 3000
        good = HEAD + "content-length: 2\r\nconnection: close\r\n\r\n{}"
        answers = await relay.exchange((refused + good).encode())
        assert answers.startswith(b"HTTP/1.1 404 ")
        assert b"HTTP/1.1 202 Accepted" in answers
        assert len(around.inbox.events) == 1

    async def test_many_at_once_lose_nobody(self, relay: Relay, around: Surroundings) -> None:
        bodies = [{"id": str(n)} if n % 3 else {"wrong": ["x"]} for n in range(60)]
        answers = await asyncio.gather(*(relay.post("/webhooks/pendo", body) for body in bodies))
        assert [a.status_code for a in answers] == [202 if n % 3 else 422 for n in range(60)]
        assert len(around.inbox.events) == 40


class TestNotHttp:
    """What is no HTTP is answered as a problem, too, and never fills the memory."""

    @pytest.mark.parametrize(
        "sent",
        [
            b"\x16\x03\x01\x02\x00\r\n\r\n",
            b"POST /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
        ],
    )
    async def test_garbage_is_400(self, relay: Relay, sent: bytes) -> None:
        answer = await relay.exchange(sent)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json")
        assert json.loads(body)["status"] == 400

    async def test_endless_headers_are_431(self, relay: Relay) -> None:
        head = b"POST /webhooks/pendo HTTP/1.1\r\nhost: x\r\nx-key: "
        async with relay.connection() as (reader, writer):
            writer.write(head)
            line = asyncio.create_task(reader.readline())
            try:
                while not line.done():
                    writer.write(b"a" * 4096)
                    await writer.drain()
            except ConnectionError:
                pass
            assert await line == b"HTTP/1.1 431 Request Header Fields Too Large\r\n"


async def test_headers_reach_the_source_by_lower_case_name(relay: Relay, around: Surroundings) -> None:
    """Repeated ones are joined, so that none is dropped in silence; bytes beyond ASCII do no harm."""
    sent = [
        (b"Content-Type", b"application/json"),
        (b"X-KEY", PATH_SECRET.encode()),
        (b"X-Sig", b"a"),
        (b"x-sig", b"\xff"),
    ]
    answer = await relay.client.post("/webhooks/custom", content=b"{}", headers=sent)
    assert answer.status_code == 202
    assert around.sources["custom"].requests[0].headers["x-sig"] == "a, ÿ"


async def test_answers_may_not_be_sniffed_or_cached(relay: Relay) -> None:
    answer = await relay.client.get("/livez")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/", "/nope", "/livez/", "//evil.example/", "/api/nope", "/docs/x"])
async def test_an_unknown_address_is_a_problem_and_never_a_redirect(relay: Relay, path: str) -> None:
    answer = await relay.client.get(f"http://127.0.0.1:{relay.port}{path}")
    assert (answer.status_code, answer.json()["status"]) == (404, 404)


async def test_a_wrong_method_is_a_problem_with_allow(relay: Relay) -> None:
    answer = await relay.client.post("/metrics")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.json()["title"] == "Method Not Allowed"
