"""Bad input of every kind over real HTTP: a problem that names what is wrong, and the next sender is served.

On SQLite: hundreds of requests that mostly reach no store; what the two stores do with odd text is tried on both in
`tests/store`.
"""

import base64
import hashlib
import hmac
import json
import socket
import time
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import httpx
import pytest

from app.sandbox import seed
from tests.e2e.harness import (
    API_KEY,
    EVENTBRITE_TOKEN,
    PENDO_SECRET,
    WEBHOOK_SECRET,
    Relay,
    Sandbox,
    environment,
    pendo_signature,
    registration,
    standard_webhook,
    start_relay,
    start_sandbox,
    until,
    web,
)

pytestmark = pytest.mark.no_cover  # under a tracer it takes twice as long, and each part has tests of its own

PLACES = {
    "custom": "/webhooks/custom",
    "pendo": "/webhooks/pendo",
    "eventbrite": f"/webhooks/eventbrite/{EVENTBRITE_TOKEN}",
}
JSON_TYPE = {"Content-Type": "application/json"}
KEY = {"Authorization": f"Bearer {API_KEY}"}
NOW = int(time.time())
MEGABYTE = 1024 * 1024
_numbers = count(1)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    running = start_sandbox(tmp_path_factory.mktemp("sandbox"))
    yield running
    running.process.stop()


@pytest.fixture(scope="module")
def relay(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """One relay for all that is bad; at the end nothing has gone wrong in it."""
    folder = tmp_path_factory.mktemp("relay")
    running = start_relay(environment(sandbox.url, f"sqlite:///{folder / 'relay.db'}"), folder)
    yield running
    assert running.process.stop() == 0
    assert "Traceback" not in running.process.output
    assert "webhook_failed" not in running.process.output


@pytest.fixture(scope="module")
def neighbours(relay: Relay, sandbox: Sandbox) -> Iterator[list[str]]:
    """Whom the good requests between the bad ones register: each gets one e-mail, in the end."""
    people: list[str] = []
    yield people

    def mailed() -> list[str]:
        emails = sandbox.get("emails?html=false&limit=100000")
        return [email["to"] for email in emails if email["to"].startswith("neighbour")]

    until(lambda: len(mailed()) >= len(people), within=60, what="the neighbours' e-mails")
    assert sorted(mailed()) == sorted(people)
    assert sandbox.get("violations") == []


@pytest.fixture(autouse=True)
def good_neighbour(relay: Relay, neighbours: list[str]) -> Iterator[None]:
    """After each bad request the next sender is accepted, and the log has no traceback."""
    yield
    address = f"neighbour{next(_numbers)}@example.com"
    assert relay.send(registration(address)).status_code == 202
    neighbours.append(address)
    assert "Traceback" not in relay.process.output


def post(
    relay: Relay, source: str, body: bytes, headers: Mapping[str, str | bytes] | list[tuple[str, str | bytes]]
) -> httpx.Response:
    given = headers.items() if isinstance(headers, Mapping) else headers
    raw = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in given]
    return web.post(relay.url + PLACES[source], content=body, headers=raw)


def authentic(source: str, body: bytes) -> dict[str, str]:
    if source == "custom":
        return JSON_TYPE | KEY
    if source == "pendo":
        return JSON_TYPE | pendo_signature(body)
    return JSON_TYPE


def signed(body: bytes, *, at: int = NOW, message: str = "msg_1", secret: str = WEBHOOK_SECRET) -> dict[str, str]:
    return JSON_TYPE | standard_webhook(body, message, secret=secret, at=at)


def assert_problem(answer: httpx.Response, *statuses: int, field: str | None = None) -> None:
    """The contract's answer: RFC 9457, with the field at fault where there is one, and nothing of the body."""
    assert answer.status_code in statuses, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert {"type", "title", "status", "detail"} <= problem.keys()
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    assert answer.headers["X-Request-Id"] == problem["requestId"]
    if field is not None:
        assert field in [error["field"] for error in problem["errors"]]
        assert all(error["problem"] for error in problem["errors"])


# --- signatures and timestamps -----------------------------------------------------------------------------------

GOOD = json.dumps(registration("signed@example.com")).encode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"another key of 24 bytes!").decode()
STANDARD: dict[str, dict[str, str | bytes]] = {
    "none at all": {"webhook-id": "", "webhook-timestamp": "", "webhook-signature": ""},
    "another secret": {**signed(GOOD, secret=OTHER_SECRET)},
    "another body": {**signed(b"{}")},
    "old": {**signed(GOOD, at=NOW - 3600)},
    "future": {**signed(GOOD, at=NOW + 3600)},
    "year 1970": {**signed(GOOD, at=1)},
    "year 5138": {**signed(GOOD, at=99_999_999_999)},
    "time of 5000 digits": {"webhook-timestamp": "9" * 5000},
    "time as a fraction": {"webhook-timestamp": f"{NOW}.5"},
    "time in milliseconds": {"webhook-timestamp": f"{NOW}000"},
    "time in exponents": {"webhook-timestamp": "1e9"},
    "time NaN": {"webhook-timestamp": "NaN"},
    "time negative": {"webhook-timestamp": "-1"},
    "time as a date": {"webhook-timestamp": "2026-11-23T12:00:00Z"},
    "time in Arabic digits": {"webhook-timestamp": "\u0661\u0662\u0663".encode()},
    "time not ASCII": {"webhook-timestamp": b"\xb2\xb3"},
    "empty signature": {"webhook-signature": ""},
    "no version": {"webhook-signature": "AAAA"},
    "no value": {"webhook-signature": "v1,"},
    "asymmetric version": {"webhook-signature": "v1a,AAAA"},
    "not base64": {"webhook-signature": "v1,!!!!"},
    "commas only": {"webhook-signature": ",,, ,, v1 v1,,"},
    "not ASCII": {"webhook-signature": b"v1,\xe9\xff\xfe"},
    "emoji": {"webhook-signature": "v1,\N{PILE OF POO}".encode()},
    "60 kB": {"webhook-signature": "v1," + "A" * 60_000},
    "a thousand signatures": {"webhook-signature": " ".join(["v1,AAAA"] * 1000)},
    "id empty": {"webhook-id": ""},
    "id not ASCII": {"webhook-id": b"\xe9"},
    "id of 60 kB": {"webhook-id": "m" * 60_000},
    "id with spaces": {"webhook-id": "a b"},
}


@pytest.mark.parametrize("changes", STANDARD.values(), ids=STANDARD.keys())
def test_a_bad_standard_webhooks_signature_is_401(relay: Relay, changes: dict[str, str | bytes]) -> None:
    """The body is a good one, so only the signature stands in the way."""
    assert_problem(post(relay, "custom", GOOD, {**signed(GOOD), **changes}), 401)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_a_repeated_header_with_another_value_is_401(relay: Relay, name: str, first: bool) -> None:
    """Two proxies could each believe another one of them."""
    good: list[tuple[str, str | bytes]] = list(signed(GOOD, message="msg_repeated").items())
    bad: list[tuple[str, str | bytes]] = [(name, "v1,AAAA,BBBB" if name.endswith("signature") else "123")]
    kept = [pair for pair in good if pair[0] != name or not name.endswith("signature")]
    assert_problem(post(relay, "custom", GOOD, bad + bad + kept if first else kept + bad + bad), 401)


def test_a_signature_that_is_replayed_registers_nobody_again(relay: Relay, sandbox: Sandbox) -> None:
    """Within the five minutes it is authentic, and known by its id."""
    body = json.dumps(registration("replayed@example.com")).encode()
    headers = signed(body, at=int(time.time()), message="msg_replayed")
    answers = [post(relay, "custom", body, headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 200, 200]
    assert {answer.json()["id"] for answer in answers} == {answers[0].json()["id"]}
    relay.in_state("replayed@example.com", "sent")
    assert len(sandbox.emails_to("replayed@example.com")) == 1


PENDO_BODY = json.dumps({"event": "trackEventReceived", "visitorId": "grace@example.com"}).encode()
PENDO_DIGEST = hmac.digest(PENDO_SECRET.encode(), PENDO_BODY, hashlib.sha256).hex()
PENDO: dict[str, list[str | bytes]] = {
    "missing": [],
    "empty": [""],
    "another secret": [hmac.digest(b"another-secret", PENDO_BODY, hashlib.sha256).hex()],
    "another body": [hmac.digest(PENDO_SECRET.encode(), b"{}", hashlib.sha256).hex()],
    "half": [PENDO_DIGEST[:32]],
    "twice as long": [PENDO_DIGEST * 2],
    "prefix only": ["sha256="],
    "another algorithm": [f"sha1={PENDO_DIGEST}"],
    "the secret itself": [PENDO_SECRET],
    "not hex": ["zz" * 32],
    "not ASCII": [b"\xe9" * 64],
    "full width": [PENDO_DIGEST.replace("a", "\uff41").replace("1", "\uff11").encode()],
    "60 kB": ["a" * 60_000],
    "repeated": [PENDO_DIGEST, PENDO_DIGEST],
    "repeated after a wrong one": ["00", PENDO_DIGEST],
}


@pytest.mark.parametrize("values", PENDO.values(), ids=PENDO.keys())
def test_a_bad_pendo_signature_is_401(relay: Relay, values: list[str | bytes]) -> None:
    """Nothing but one digest of these very bytes opens the door."""
    headers: list[tuple[str, str | bytes]] = [("Content-Type", "application/json")]
    answer = post(relay, "pendo", PENDO_BODY, headers + [("X-Pendo-Signature", value) for value in values])
    assert_problem(answer, 401)


KEYS: dict[str, str | bytes] = {
    "empty": "",
    "no scheme": API_KEY,
    "basic": f"Basic {base64.b64encode(API_KEY.encode()).decode()}",
    "no key": "Bearer",
    "half a key": "Bearer =",
    "shortened": f"Bearer {API_KEY[:-1]}",
    "upper case": f"Bearer {API_KEY.upper()}",
    "two keys": f"Bearer {API_KEY} {API_KEY}",
    "not ASCII": b"Bearer \xff\xfe",
    "60 kB": "Bearer " + "k" * 60_000,
}


@pytest.mark.parametrize("value", KEYS.values(), ids=KEYS.keys())
def test_a_bad_key_is_401(relay: Relay, value: str | bytes) -> None:
    """And says how a key is sent."""
    answer = post(relay, "custom", GOOD, [("Content-Type", "application/json"), ("Authorization", value)])
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "segment", ["", "/wrong", "/%ff%00", "/..%2f", f"/{EVENTBRITE_TOKEN}x", f"/{EVENTBRITE_TOKEN}/x"]
)
def test_a_wrong_path_segment_is_401(relay: Relay, segment: str) -> None:
    """It is all that protects Eventbrite's webhook; 410 would unsubscribe it."""
    body = {"config": {"action": "order.placed"}, "api_url": "https://www.eventbriteapi.com/v3/orders/1/"}
    assert_problem(web.post(f"{relay.url}/webhooks/eventbrite{segment}", json=body), 401)


# --- headers and the protocol ------------------------------------------------------------------------------------

ODD_HEADERS = (
    "User-Agent",
    "X-Eventbrite-Event",
    "X-Eventbrite-Delivery",
    "Cookie",
    "X-Request-Id",
    "X-Forwarded-For",
    "Accept",
)


@pytest.mark.parametrize("name", ODD_HEADERS)
@pytest.mark.parametrize("value", [b"\xff\xfe", "\N{PILE OF POO}".encode(), b"\xe9"], ids=["bytes", "UTF-8", "latin-1"])
def test_a_header_that_does_not_matter_may_hold_anything(relay: Relay, name: str, value: bytes) -> None:
    """Proxies pass on what they are given; a test ping is answered all the same."""
    body = json.dumps({"config": {"action": "test"}, "api_url": "https://www.eventbriteapi.com/{x}/"}).encode()
    answer = post(relay, "eventbrite", body, [("Content-Type", "application/json"), (name, value)])
    assert (answer.status_code, answer.json()["reason"]) == (200, "test_ping")
    assert answer.headers["X-Request-Id"].isascii()


def test_a_kept_header_that_is_not_ascii_is_stored(relay: Relay) -> None:
    """Pendo and Eventbrite write what they like; the store takes it as text."""
    body = json.dumps({"config": {"action": "order.placed"}, "api_url": f"{EVENTBRITE}/orders/404404404/"}).encode()
    answer = post(
        relay, "eventbrite", body, [("Content-Type", "application/json"), ("X-Eventbrite-Event", b"\xff\xc3\xa9")]
    )
    assert answer.status_code == 202
    assert relay.api(f"events/{answer.json()['id']}")["headers"]["x-eventbrite-event"]


@pytest.mark.parametrize("value", [b"\xe9", b"a b", b"", b"k" * 300], ids=["not ASCII", "space", "empty", "long"])
def test_a_bad_idempotency_key_is_named(relay: Relay, value: bytes) -> None:
    answer = post(relay, "custom", GOOD, [*(JSON_TYPE | KEY).items(), ("Idempotency-Key", value)])
    assert_problem(answer, 422, field="Idempotency-Key")


HEAD = f"Host: x\r\nAuthorization: Bearer {API_KEY}\r\nContent-Type: application/json\r\nConnection: close\r\n".encode()
POST = b"POST /webhooks/custom HTTP/1.1\r\n" + HEAD
NOT_HTTP: dict[str, bytes] = {
    "header's name not ASCII": POST + "X-Ü: 1\r\n\r\n".encode(),
    "NUL in a header": POST + b"X-A: a\0b\r\n\r\n",
    "no colon": POST + b"nonsense\r\n\r\n",
    "path not ASCII": b"POST /webhooks/cust\xff HTTP/1.1\r\n" + HEAD + b"\r\n",
    "query not ASCII": b"GET /readyz?\xff HTTP/1.1\r\n" + HEAD + b"\r\n",
    "length negative": POST + b"Content-Length: -5\r\n\r\n",
    "length of 23 digits": POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "length and chunks": POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "bad chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "unknown transfer": POST + b"Transfer-Encoding: gzip\r\n\r\n{}",
    "unknown method": b"BREW /webhooks/custom HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


def read(answer: bytes) -> httpx.Response:
    """Parse the last answer on a connection."""
    head, _, body = answer[answer.rindex(b"HTTP/1.1 ") :].partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return httpx.Response(int(first.split()[1]), headers=headers, content=body)


@pytest.mark.parametrize("request_bytes", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_what_is_no_http_is_a_problem_and_ends_the_connection(relay: Relay, request_bytes: bytes) -> None:
    """Not even uvicorn's own plain text."""
    answer = read(relay.exchange(request_bytes, *[b"x" * 50_000] * 4))  # who goes on sending meets no reset
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["status"] == 400


def test_headers_without_end_are_431(relay: Relay) -> None:
    """Refused while they come, or one sender could fill the memory."""
    most = [b"X-%d: %s\r\n" % (n, b"x" * 8000) for n in range(8)]
    answer = read(relay.exchange(POST, *most, b"X-8: " + b"x" * 2000))
    assert (answer.status_code, answer.json()["title"]) == (431, "Request Header Fields Too Large")


@pytest.mark.parametrize("offer", ["h2c", "websocket"])
def test_an_offer_of_another_protocol_is_passed_over(relay: Relay, offer: str) -> None:
    """Java's own HTTP client makes one with every request without TLS; its body must not get lost."""
    body = json.dumps(registration(f"{offer}@example.com")).encode()
    head = HEAD.replace(b"Connection: close", b"Connection: Upgrade, HTTP2-Settings, close\r\nHTTP2-Settings: AAMAAABk")
    start = b"POST /webhooks/custom HTTP/1.1\r\nUpgrade: %s\r\n" % offer.encode()
    answer = read(relay.exchange(start, head + b"Content-Length: %d\r\n\r\n" % len(body), body))
    assert answer.status_code == 202
    assert "upgrade request" not in relay.process.output


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("source", PLACES)
def test_a_wrong_method_is_405(relay: Relay, source: str, method: str) -> None:
    answer = web.request(method, relay.url + PLACES[source])
    assert_problem(answer, 405)
    assert answer.headers["Allow"] == "POST"


def test_head_is_405_without_a_body(relay: Relay) -> None:
    answer = web.head(relay.url + PLACES["custom"])
    assert (answer.status_code, answer.content) == (405, b"")


TYPES = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "json",
    "",
]


@pytest.mark.parametrize(
    "kind", [*TYPES, "application/jsonp", "text/json+html", "\u00e9", "application/json, text/html"]
)
@pytest.mark.parametrize("source", PLACES)
def test_a_wrong_content_type_is_415(relay: Relay, source: str, kind: str) -> None:
    headers = authentic(source, GOOD) | {"Content-Type": kind}
    assert_problem(post(relay, source, GOOD, headers), 415)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "gzip, gzip", "\u00e9"])
def test_an_encoded_body_is_415(relay: Relay, encoding: str) -> None:
    """So that nobody sends a bomb."""
    assert_problem(post(relay, "custom", GOOD, JSON_TYPE | KEY | {"Content-Encoding": encoding}), 415)


def test_a_custom_body_without_a_type_is_415(relay: Relay) -> None:
    assert_problem(post(relay, "custom", GOOD, KEY), 415)


@pytest.mark.parametrize("path", ["zoom", "", "custom.json", "Custom", "%63ustom%00", "..", "%ff", "🙈", "a" * 5000])
def test_an_unknown_source_is_404(relay: Relay, path: str) -> None:
    """Never 410: Eventbrite would unsubscribe."""
    assert_problem(web.post(f"{relay.url}/webhooks/{path}", json={}, headers=KEY), 404)


def test_a_source_that_is_not_configured_is_404(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Even a good request: without a secret nothing could be authentic."""
    folder = tmp_path_factory.mktemp("unconfigured")
    environ = environment(sandbox.url, f"sqlite:///{folder / 'relay.db'}")
    without = ("PENDO_", "EVENTBRITE_", "ADMIN_TOKEN")
    relay = start_relay({name: value for name, value in environ.items() if not name.startswith(without)}, folder)
    try:
        for source in ("pendo", "eventbrite"):
            assert_problem(post(relay, source, PENDO_BODY, authentic(source, PENDO_BODY)), 404)
        assert_problem(web.get(f"{relay.url}/api/registrations"), 404)
    finally:
        relay.process.stop()


# --- bodies ------------------------------------------------------------------------------------------------------

NO_JSON: dict[str, bytes] = {
    "empty": b"",
    "white space": b" \r\n\t",
    "only a BOM": b"\xef\xbb\xbf",
    "not UTF-8": b'{"email": "\xff\xfe"}',
    "overlong UTF-8": b'{"email": "\xc0\xaf"}',
    "surrogates in UTF-8": b'{"email": "\xed\xa0\x80"}',
    "UTF-16": GOOD.decode().encode("utf-16"),
    "UTF-32": GOOD.decode().encode("utf-32"),
    "a form": b"email=ada%40example.com",
    "XML": b"<email>ada@example.com</email>",
    "cut": GOOD[:-1],
    "trailing": GOOD + b"x",
    "two documents": GOOD + GOOD,
    "comment": b"/* */" + GOOD,
    "single quotes": GOOD.replace(b'"', b"'"),
    "NaN": b'{"leadId": NaN}',
    "Infinity": b'{"leadId": -Infinity}',
    "1e999": b'{"leadId": 1e999}',
    "deep array": b"[" * 100_000 + b"]" * 100_000,
    "deep object": b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
    "deep and open": b"[" * 200_000,
    "lone surrogate": json.dumps(registration("ada@example.com", firstName="\ud800")).encode(),
    "surrogates the wrong way round": json.dumps(registration("ada@example.com", firstName="\udc00\ud800")).encode(),
    "lone surrogate in a key": b'{"\\ud800": 1}',
    "raw NUL": b'{"email": "a\0@example.com"}',
    "raw control": b'{"email": "a\x01\n@example.com"}',
}
NO_OBJECT: dict[str, bytes] = {
    "number": b"42",
    "huge number": b"9" * 100_000,
    "null": b"null",
    "true": b"true",
    "string": b'"ada@example.com"',
    "empty string": b'""',
    "array of scalars": b"[1, 2]",
    "array of arrays": b"[[[]]]",
    "array of nulls": b"[" + b"null," * 1000 + b"null]",
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
@pytest.mark.parametrize("source", PLACES)
def test_a_body_that_is_no_json_is_400(relay: Relay, source: str, body: bytes) -> None:
    """Also when its signature is good: who may send can still send nonsense."""
    assert_problem(post(relay, source, body, authentic(source, body)), 400)


@pytest.mark.parametrize("body", NO_OBJECT.values(), ids=NO_OBJECT.keys())
@pytest.mark.parametrize("source", PLACES)
def test_json_that_is_no_object_is_422(relay: Relay, source: str, body: bytes) -> None:
    """The field is the body itself; digits without end may be refused as no number."""
    answer = post(relay, source, body, authentic(source, body))
    assert_problem(answer, 400, 422, field="body" if answer.status_code == 422 else None)


@pytest.mark.parametrize("source", PLACES)
def test_ten_megabytes_are_refused_before_they_are_sent(relay: Relay, source: str) -> None:
    """By Content-Length, with not a byte of the body on its way."""
    head = [
        f"POST {PLACES[source]} HTTP/1.1",
        "Host: x",
        "Content-Type: application/json",
        f"Content-Length: {10 * MEGABYTE}",
    ]
    with dial(relay) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        assert_refused_as_too_large(connection)


@pytest.mark.parametrize("source", PLACES)
def test_ten_megabytes_in_chunks_are_refused_while_reading(relay: Relay, source: str) -> None:
    """At the limit, though the sender never says how much is to come. Not half a megabyte is sent here."""
    head = [
        f"POST {PLACES[source]} HTTP/1.1",
        "Host: x",
        "Content-Type: application/json",
        "Transfer-Encoding: chunked",
    ]
    with dial(relay) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        for _ in range(5):
            connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        assert_refused_as_too_large(connection)


def test_ten_megabytes_from_a_sender_that_does_not_listen_are_answered(relay: Relay) -> None:
    """Most clients send all before they read; a reset would hide the reason from them."""
    answer = post(relay, "custom", b" " * 10 * MEGABYTE, JSON_TYPE | KEY)
    assert_problem(answer, 413)


def test_whoever_asks_first_is_told_not_to_send(relay: Relay) -> None:
    """`Expect: 100-continue` is what curl sends with a large body."""
    head = POST.replace(b"Connection: close\r\n", b"") + b"Expect: 100-continue\r\nContent-Length: 10485760\r\n\r\n"
    with dial(relay) as connection:
        connection.sendall(head)
        assert_refused_as_too_large(connection)


def dial(relay: Relay) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(relay.url.rpartition(":")[2])), timeout=15)


def assert_refused_as_too_large(connection: socket.socket) -> None:
    received = b""
    while b'"requestId"' not in received:
        chunk = connection.recv(65_536)
        assert chunk, received
        received += chunk
    answer = read(received)
    assert answer.status_code == 413
    assert (answer.headers["content-type"], answer.headers["connection"]) == ("application/problem+json", "close")


# --- fields of a custom body -------------------------------------------------------------------------------------

LINKS: dict[str, Any] = {
    "a script": "javascript:alert(1)",
    "a script in capitals": "JaVaScRiPt:alert(1)",
    "a script with a line break": "java\nscript:alert(1)",
    "a script before a link": "javascript://example.com/%0aalert(1)",
    "data": "data:text/html,<script>alert(1)</script>",
    "vbscript": "vbscript:x",
    "a file": "file:///etc/passwd",
    "ftp": "ftp://example.com/x",
    "no scheme": "example.com/x",
    "no host": "https://",
    "no host but a path": "https:///x",
    "one slash": "https:/example.com",
    "relative": "//example.com/x",
    "a space before": " https://example.com",
    "a space inside": "https://example.com/a b",
    "a tab": "https://example.com/\ta",
    "a line break": "https://example.com/\r\nSet-Cookie: x",
    "NUL": "https://example.com/\0",
    "invisible": "https://exa\u200bmple.com/",
    "right to left": "https://example.com/\u202egpj.exe",
    "half an address": "https://[::1",
    "empty": "",
    "5000 characters": "https://example.com/" + "x" * 5000,
    "a number": 7,
    "a list": ["https://example.com"],
}
ADDRESSES: dict[str, Any] = {
    "empty": "",
    "a word": "ada",
    "no domain": "ada@",
    "nobody": "@example.com",
    "no dot": "ada@example",
    "two at signs": "ada@b@example.com",
    "a space": "ada lovelace@example.com",
    "a space after": "ada@example.com ",
    "a line break": "ada@example.com\n",
    "a header": "ada@example.com\r\nBcc: all@example.com",
    "two addresses": "ada@example.com,bob@example.com",
    "a name": "Ada <ada@example.com>",
    "dots": "ada@example..com",
    "not ASCII before": "\u00e4d\u00e4@example.com",
    "not ASCII after": "ada@ex\u00e4mple.com",
    "Cyrillic look-alike": "\u0430da@example.com",
    "full width": "ada\uff20example.com",
    "NUL": "ada\0@example.com",
    "300 characters": "a" * 300 + "@example.com",
    "a hundred thousand": "a@" + "a." * 50_000 + "com",
    "a number": 7,
    "true": True,
    "a list": ["ada@example.com"],
    "an object": {"address": "ada@example.com"},
}
NUMBERS: dict[str, Any] = {
    "10^30": 10**30,
    "-1": -1,
    "0": 0,
    "2^31": 2**31,
    "true": True,
    "1.5": 1.5,
    "1e30": 1e30,
    "text": "1002200",
    "a list": [1002200],
    "an object": {"id": 1002200},
}
NAMES: dict[str, Any] = {"NUL": "A\0da", "a line break": "A\nda", "C1": "A\x85da", "300": "x" * 300, "7": 7, "[]": []}
TIMES: dict[str, Any] = {
    "soon": "soon",
    "no zone": "2026-12-01T16:00:00",
    "13th": "2026-13-01T16:00:00Z",
    "7": 7,
    "NaN": "NaN",
}
WRONG: dict[str, dict[str, Any]] = {
    "email": ADDRESSES,
    "leadId": NUMBERS,
    "campaignId": NUMBERS | {"foreign": 4321},
    "firstName": NAMES,
    "lastName": NAMES,
    "registrationId": NAMES | {"empty": ""},
    "webinar": {"null": None, "list": [], "string": "w-1", "number": 7, "empty": {}},
    "webinar.id": NAMES | {"empty": ""},
    "webinar.title": {**NAMES, "300": "x" * 1001},
    "webinar.joinLink": LINKS,
    "webinar.image": LINKS,
    "webinar.startsAt": TIMES,
    "tokens": {"null": None, "list": [], "string": "x", "too many": {f"T{n}": "x" for n in range(98)}},
    "tokens.Speaker": {"number": 7, "null": None, "NUL": "a\0b"},
    "tokens.WebinarTitle": {"the webinar's own": "x"},
    "tokens.JOINLINK": {"in capitals": "javascript:alert(1)"},
    "tokens.{{my.X}}": {"with braces": "x"},
    "joinlink": {"misspelt": "https://example.com"},
    "webinar.joinlink": {"misspelt": "https://example.com"},
    "__proto__": {"foreign": {}},
}


def with_field(path: str, value: object) -> bytes:
    """Return a good body but for one field."""
    body: dict[str, Any] = registration("ada@example.com", leadId=1002200)
    above, _, name = path.partition(".")
    if name:
        body[above] = {**body.get(above, {}), name: value}
    else:
        body[above] = value
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param(field, value, id=f"{field} {name}")
        for field, values in WRONG.items()
        for name, value in values.items()
    ],
)
def test_a_wrong_field_is_named(relay: Relay, field: str, value: object) -> None:
    """So that it is mended on the first try. A lead id stands beside, so that no other field is at fault."""
    assert_problem(post(relay, "custom", with_field(field, value), JSON_TYPE | KEY), 422, field=field)


def test_every_wrong_field_is_named_at_once(relay: Relay) -> None:
    body = {"email": "ada", "leadId": -1, "campaignId": True, "webinar": {"joinLink": "javascript:x"}, "nonsense": 1}
    answer = relay.send(body)
    for field in ("email", "leadId", "campaignId", "webinar.joinLink", "nonsense"):
        assert_problem(answer, 422, field=field)


def test_a_body_of_unknown_keys_is_not_sent_back_whole(relay: Relay) -> None:
    answer = relay.send({f"key{n}": n for n in range(10_000)})
    assert_problem(answer, 422)
    assert len(answer.content) < 10_000


# --- Eventbrite and Pendo ----------------------------------------------------------------------------------------

EVENTBRITE = "https://www.eventbriteapi.com/v3"
CONFIGS: dict[str, Any] = {
    "null": None,
    "list": [],
    "list of actions": ["order.placed"],
    "string": "order.placed",
    "number": 7,
    "without action": {},
    "action null": {"action": None},
    "action a list": {"action": ["order.placed"]},
    "action with NUL": {"action": "order.placed\0"},
    "action not ASCII": {"action": "order.pl\u00e4ced"},
    "action endless": {"action": "a" * 100_000},
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_a_config_of_another_shape_is_named(relay: Relay, config: object) -> None:
    body = json.dumps({"config": config, "api_url": f"{EVENTBRITE}/orders/1/"}).encode()
    answer = post(relay, "eventbrite", body, JSON_TYPE)
    assert_problem(answer, 422, field="config.action" if isinstance(config, dict) else "config")


def odd_addresses(trap: str) -> dict[str, Any]:
    """Return addresses that are none of Eventbrite's API. `trap` is a host and port where nobody must ever knock."""
    return {
        "user info": f"https://www.eventbriteapi.com@{trap}/v3/orders/1/",
        "user info with a password": f"https://www.eventbriteapi.com:443@{trap}/v3/orders/1/",
        "user info of our own": "https://user:pass@www.eventbriteapi.com/v3/orders/1/",
        "backslash": f"https://www.eventbriteapi.com\\@{trap}/v3/orders/1/",
        "hash before the host": f"https://{trap}#@www.eventbriteapi.com/v3/orders/1/",
        "question before the host": f"https://{trap}?@www.eventbriteapi.com/v3/orders/1/",
        "port": "https://www.eventbriteapi.com:443/v3/orders/1/",
        "another port": "https://www.eventbriteapi.com:8443/v3/orders/1/",
        "empty port": "https://www.eventbriteapi.com:/v3/orders/1/",
        "another host": f"https://{trap}/v3/orders/1/",
        "loopback": f"http://{trap}/v3/orders/1/",
        "metadata": "http://169.254.169.254/latest/meta-data/",
        "decimal loopback": f"http://2130706433:{trap.rpartition(':')[2]}/v3/orders/1/",
        "longer host": "https://www.eventbriteapi.com.evil.example/v3/orders/1/",
        "dot after the host": "https://www.eventbriteapi.com./v3/orders/1/",
        "no www": "https://eventbriteapi.com/v3/orders/1/",
        "prefix": "https://evilwww.eventbriteapi.com/v3/orders/1/",
        "dot is any character": "https://wwwXeventbriteapi.com/v3/orders/1/",
        "Cyrillic": "https://www.\u0435ventbriteapi.com/v3/orders/1/",
        "full-width dot": "https://www\uff0eeventbriteapi\uff0ecom/v3/orders/1/",
        "punycode": "https://www.xn--ventbriteapi-9fg.com/v3/orders/1/",
        "capitals": "https://WWW.EVENTBRITEAPI.COM/v3/orders/1/",
        "http": "http://www.eventbriteapi.com/v3/orders/1/",
        "HTTPS": "HTTPS://www.eventbriteapi.com/v3/orders/1/",
        "ftp": "ftp://www.eventbriteapi.com/v3/orders/1/",
        "file": "file:///v3/orders/1/",
        "gopher": f"gopher://{trap}/_GET",
        "javascript": "javascript:alert(1)",
        "no scheme": "www.eventbriteapi.com/v3/orders/1/",
        "relative to the scheme": "//www.eventbriteapi.com/v3/orders/1/",
        "path alone": "/v3/orders/1/",
        "one slash": "https:/www.eventbriteapi.com/v3/orders/1/",
        "up": "https://www.eventbriteapi.com/v3/orders/../users/me/",
        "up and back": "https://www.eventbriteapi.com/v3/orders/1/../../users/me/",
        "up encoded": "https://www.eventbriteapi.com/v3/orders/%2e%2e/users/me/",
        "encoded slash": "https://www.eventbriteapi.com/v3/orders/1%2f..%2f..%2fusers%2fme/",
        "encoded digit": "https://www.eventbriteapi.com/v3/orders/%31/",
        "double slash": "https://www.eventbriteapi.com//v3//orders//1/",
        "backslashes": "https:\\\\www.eventbriteapi.com\\v3\\orders\\1\\",
        "another version": "https://www.eventbriteapi.com/v4/orders/1/",
        "another object": "https://www.eventbriteapi.com/v3/users/me/",
        "events only": "https://www.eventbriteapi.com/v3/events/1/",
        "more behind": "https://www.eventbriteapi.com/v3/orders/1/attendees/",
        "no id": "https://www.eventbriteapi.com/v3/orders//",
        "id a word": "https://www.eventbriteapi.com/v3/orders/me/",
        "id negative": "https://www.eventbriteapi.com/v3/orders/-1/",
        "id in Arabic digits": "https://www.eventbriteapi.com/v3/orders/\u0661\u0662/",
        "id of 100000 digits": f"https://www.eventbriteapi.com/v3/orders/{'9' * 100_000}/",
        "query": "https://www.eventbriteapi.com/v3/orders/1/?token=x",
        "fragment": "https://www.eventbriteapi.com/v3/orders/1/#x",
        "parameters": "https://www.eventbriteapi.com/v3/orders/1;x=y/",
        "space before": " https://www.eventbriteapi.com/v3/orders/1/",
        "line break after": "https://www.eventbriteapi.com/v3/orders/1/\n",
        "header": "https://www.eventbriteapi.com/v3/orders/1/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "tab in the host": "https://www.event\tbriteapi.com/v3/orders/1/",
        "NUL": "https://www.eventbriteapi.com/v3/orders/1/\0",
        "brackets": "https://[www.eventbriteapi.com]/v3/orders/1/",
        "placeholder": "https://www.eventbriteapi.com/{api-endpoint-to-fetch-object-details}/",
        "empty": "",
        "null": None,
        "number": 7,
        "true": True,
        "list": ["https://www.eventbriteapi.com/v3/orders/1/"],
        "object": {"url": "https://www.eventbriteapi.com/v3/orders/1/"},
    }


def test_no_request_leaves_for_an_odd_api_url(relay: Relay, sandbox: Sandbox) -> None:
    """Others leaked their API token to whoever could write an address into a webhook."""
    before = len(eventbrite_calls(sandbox))
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        for name, address in odd_addresses(f"127.0.0.1:{trap.getsockname()[1]}").items():
            for action in ("order.placed", "order.refunded", "attendee.updated"):
                body = json.dumps({"config": {"action": action}, "api_url": address}).encode()
                answer = post(relay, "eventbrite", body, JSON_TYPE)
                assert answer.status_code == 422, (name, answer.text)
                assert_problem(answer, 422, field="api_url")
        relay.send(registration("after.the.addresses@example.com"))
        relay.in_state("after.the.addresses@example.com", "sent")
        with pytest.raises(BlockingIOError):
            trap.accept()
    assert len(eventbrite_calls(sandbox)) == before


def eventbrite_calls(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Return the calls to Eventbrite, but for those of the one order that this module lets through."""
    calls = [call for call in sandbox.get("calls?limit=100000") if call["service"] == "eventbrite"]
    return [call for call in calls if "404404404" not in call["endpoint"]]


@pytest.mark.parametrize("address", [None, 7, "javascript:alert(1)", "https://evil.example/"])
def test_an_event_of_no_interest_is_ignored_whatever_it_points_to(relay: Relay, address: object) -> None:
    """Never 4xx for those: the sender would repeat them."""
    body = json.dumps({"config": {"action": "venue.updated"}, "api_url": address}).encode()
    answer = post(relay, "eventbrite", body, JSON_TYPE)
    assert (answer.status_code, answer.json()["status"]) == (200, "ignored")


def track(**properties: object) -> dict[str, Any]:
    inner = {"webinar_title": "T", "join_link": "https://meet.example.com/p", "email": "grace@example.com"}
    return {
        "event": "trackEventReceived",
        "visitorId": seed.PENDO_VISITOR_ID,
        "properties": {"trackEventName": "webinar_registered", "trackEventProperties": inner | properties},
    }


ENDS_DEAD: dict[str, tuple[dict[str, Any], str]] = {
    "a script": (track(join_link="javascript:alert(1)"), "join_link_invalid"),
    "a script as image": (track(webinar_image="javascript:alert(1)"), "image_invalid"),
    "an address that is none": (track(email="grace at example"), "email_invalid"),
    "not ASCII": (track(email="gr\u00e4ce@example.com"), "email_invalid"),
    "two addresses": (track(email="a@example.com,b@example.com"), "email_invalid"),
    "a header": (track(email="a@example.com\r\nBcc: b@example.com"), "email_invalid"),
    "an endless address": (track(email="a" * 10_000 + "@example.com"), "email_invalid"),
}


@pytest.mark.parametrize(("event", "cause"), ENDS_DEAD.values(), ids=ENDS_DEAD.keys())
def test_what_pendo_cannot_know_better_ends_as_dead_with_its_cause(
    relay: Relay, event: dict[str, Any], cause: str
) -> None:
    """It is authentic, so it is taken; nobody is mailed, and one can look up why. Nothing of it reaches Marketo."""
    body = json.dumps(event).encode()
    accepted = post(relay, "pendo", body, authentic("pendo", body))
    assert accepted.status_code == 202
    [made] = mapped(relay, accepted)["registrations"]
    found = relay.api(f"registrations/{made}")
    assert (found["state"], found["cause"]) == ("dead", cause)
    assert found["calls"] == []


ODD_EVENTS: dict[str, Any] = {
    "visitor null": track() | {"visitorId": None},
    "visitor a list": track() | {"visitorId": [1]},
    "properties null": {"event": "trackEventReceived", "properties": None},
    "properties a list": {"event": "trackEventReceived", "properties": ["webinar_registered"]},
    "event a number": track() | {"event": 7},
    "id endless": track() | {"uniqueId": "a" * 100_000},
    "id with NUL": track() | {"uniqueId": "\0"},
    "id true": track() | {"uniqueId": True},
    "title with NUL": track(webinar_title="a\0b"),
    "title endless": track(webinar_title="t" * 200_000),
    "link a number": track(join_link=10**30),
    "address a list": track(email=["a@example.com"]),
    "start far away": track(starts_at="9999-12-31T23:59:59Z"),
    "start long ago": track(starts_at="0001-01-01T00:00:00+14:00"),
    "start endless": track(starts_at="9" * 10_000),
    "a webinar id that is huge": track(webinar_id=2**63),
    "a mix": [track(email="x"), None, 7, [], {}, {"event": None}],
    "nobody": [],
    "very many": [{"event": "guideDisplayed"}] * 5000,
}


@pytest.mark.parametrize("event", ODD_EVENTS.values(), ids=ODD_EVENTS.keys())
def test_an_odd_pendo_event_is_answered_and_ends_in_a_state(relay: Relay, event: object) -> None:
    """Whatever Pendo puts into it, no adapter stumbles and nothing stays behind for ever."""
    body = json.dumps(event).encode()
    answer = post(relay, "pendo", body, authentic("pendo", body))
    assert answer.status_code in (200, 202)
    if answer.status_code == 202:
        found = mapped(relay, answer)
        assert found["cause"] != "adapter_failed"
        for made in found["registrations"]:
            until(lambda path=f"registrations/{made}": has_ended(relay.api(path)), what="its end")  # type: ignore[misc]


def mapped(relay: Relay, accepted: httpx.Response) -> dict[str, Any]:
    """Wait until an event has become what it means."""

    def settled() -> dict[str, Any] | None:
        event: dict[str, Any] = relay.api(f"events/{accepted.json()['id']}")
        return event if event["state"] != "waiting" else None

    return until(settled, what="the event to be mapped")


def has_ended(found: Mapping[str, Any]) -> bool:
    """Tell whether a registration has ended, and with at most one e-mail."""
    assert sum(entry["what"] == "sent" for entry in found["timeline"]) <= 1
    return found["state"] in ("sent", "dead", "ignored")
