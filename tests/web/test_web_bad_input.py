"""What strangers send to the real sources: a problem for each, never a 5xx, and the next sender is served."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.sources.base import Source
from app.sources.custom.adapter import CustomSource
from app.sources.eventbrite.adapter import EventbriteSource
from app.sources.pendo.adapter import PendoSource
from app.sources.signing import sign_hmac_hex, sign_standard_webhook
from app.sources.webinars import Catalogue
from app.web.openapi import EXAMPLE
from tests.web.log_capture import Lines
from tests.web.relay_server import NOW, PATH_SECRET, Relay, Surroundings, serving

STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PENDO = "pendo-secret-0123456789"
KEY = "key-0123456789abcdef"
REFUSED = {400, 401, 422}
PLACES = {"custom": "/webhooks/custom", "pendo": "/webhooks/pendo", "eventbrite": f"/webhooks/eventbrite/{PATH_SECRET}"}
BODIES: dict[str, bytes] = {
    "empty": b"",
    "white space": b" \n",
    "not JSON": b"email=ada%40example.com",
    "not UTF-8": b'{"email": "\xff\xfe"}',
    "UTF-16": json.dumps(EXAMPLE).encode("utf-16"),
    "NaN": b'{"email": NaN}',
    "infinite": b'{"leadId": 1e999}',
    "a huge number": b'{"leadId": ' + b"9" * 100_000 + b"}",
    "a scalar": b"42",
    "null": b"null",
    "a string": b'"ada@example.com"',
    "an array of scalars": b"[1, 2]",
    "deep": b"[" * 100_000,
    "deep and closed": b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
    "NUL": json.dumps(EXAMPLE | {"firstName": "A\0da"}).encode(),
    "lone surrogate": json.dumps(EXAMPLE | {"firstName": "\ud800"}).encode(),
    "surrogate in a key": b'{"\\ud800": 1}',
    "twice the same key": b'{"email": "a@example.com", "email": "b@example.com"}',
    "config null": b'{"config": null, "api_url": null}',
    "config a list": b'{"config": [], "api_url": 7}',
    "config a string": b'{"config": "order.placed", "api_url": {}}',
}
WRONG_FIELDS: dict[str, tuple[str, Any]] = {
    "misspelt": ("joinlink", "https://example.com"),
    "no address": ("email", "ada at example"),
    "not ASCII": ("email", "ädä@example.com"),
    "10^30": ("leadId", 10**30),
    "negative": ("leadId", -1),
    "true": ("leadId", True),
    "foreign campaign": ("campaignId", 4321),
    "a script": ("webinar", {"title": "T", "joinLink": "javascript:alert(1)"}),
}


def real_sources(around: Surroundings) -> dict[str, Source]:
    catalogue = Catalogue()
    return {
        "custom": CustomSource(signing_secrets=[STANDARD], api_keys=[KEY], allowed_campaigns=[]),
        "pendo": PendoSource(
            secrets=[PENDO], track_event="webinar_registered", api=None, catalogue=catalogue, clock=lambda: around.now
        ),
        "eventbrite": EventbriteSource(
            path_secrets=[PATH_SECRET],
            actions=["order.placed"],
            api=None,
            catalogue=catalogue,
            clock=lambda: around.now,
        ),
    }


@asynccontextmanager
async def open_relay() -> AsyncIterator[Relay]:
    around = Surroundings()
    async with serving(around.app(sources=real_sources(around), max_body=262_144)) as relay:
        yield relay


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    async with open_relay() as running:
        yield running


def authentic(source: str, body: bytes) -> dict[str, str]:
    signed = {"pendo": {"x-pendo-signature": sign_hmac_hex(PENDO, body)}, "eventbrite": {}}
    return signed.get(source) or sign_standard_webhook(STANDARD, "msg_1", NOW, body)


async def assert_still_well(relay: Relay) -> None:
    answer = await relay.post("/webhooks/custom", EXAMPLE, {"authorization": f"Bearer {KEY}"})
    assert answer.status_code in (200, 202)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("source", PLACES)
async def test_a_bad_body_with_a_good_signature_is_no_defect(
    relay: Relay, log: Lines, source: str, body: bytes
) -> None:
    """Who may send can still send nonsense."""
    answer = await relay.post(PLACES[source], body, authentic(source, body))
    assert answer.status_code in {200, 202} | REFUSED
    if answer.status_code in REFUSED:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
    assert not log.facts("webhook_failed")
    await assert_still_well(relay)


@pytest.mark.parametrize(("field", "value"), WRONG_FIELDS.values(), ids=WRONG_FIELDS.keys())
async def test_a_wrong_field_of_a_custom_body_is_named(relay: Relay, field: str, value: object) -> None:
    """So that it is mended on the first try."""
    answer = await relay.post("/webhooks/custom", EXAMPLE | {field: value}, {"authorization": f"Bearer {KEY}"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].split(".")[0] == field


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-timestamp": "1"},
        {"webhook-timestamp": "99999999999"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-timestamp": "1e9"},
        {"webhook-timestamp": "NaN"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "\u0661\u0662"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,AAAA, v1,BBBB"},
        {"webhook-signature": "v2,AAAA"},
        {"webhook-signature": "v1,é"},
        {"webhook-signature": "v1," + "A" * 60_000},
        {"webhook-id": ""},
        {"webhook-id": "é"},
        {"webhook-id": "m" * 60_000},
    ],
)
async def test_a_bad_signature_is_401(relay: Relay, changes: dict[str, str]) -> None:
    body = json.dumps(EXAMPLE).encode()
    headers = sign_standard_webhook(STANDARD, "msg_1", NOW, body) | changes
    raw = [(k.encode(), v.encode()) for k, v in headers.items()] + [(b"content-type", b"application/json")]
    answer = await relay.client.post("/webhooks/custom", content=body, headers=raw)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    await assert_still_well(relay)


@pytest.mark.parametrize(
    "url", ["http", "ftp://x", "//evil", "https://www.eventbriteapi.com@evil.example/v3/orders/1/"]
)
async def test_an_odd_api_url_is_answered(relay: Relay, log: Lines, url: str) -> None:
    body = {"config": {"action": "order.placed"}, "api_url": url}
    assert (await relay.post(PLACES["eventbrite"], body)).status_code in {200, 202} | REFUSED
    assert not log.facts("webhook_failed")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["email", "webinar", "config", "api_url", "event", "visitorId", "properties", "leadId", "tokens"]
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(JSON_VALUES | st.dictionaries(KEYS, JSON_VALUES), min_size=1, max_size=6))
async def test_no_json_makes_a_source_fail(log: Lines, bodies: list[object]) -> None:
    async with open_relay() as relay:
        for body in bodies:
            sent = json.dumps(body).encode()
            for source, place in PLACES.items():
                answer = await relay.post(place, sent, authentic(source, sent))
                assert answer.status_code in {200, 202} | REFUSED
    assert not log.facts("webhook_failed")


NAMES = st.sampled_from(
    ["authorization", "webhook-id", "webhook-timestamp", "webhook-signature", "x-pendo-signature", "idempotency-key"]
)
VALUES = st.binary(max_size=40).map(lambda raw: bytes(byte for byte in raw if byte > 31 and byte != 127).strip())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(st.tuples(st.binary(max_size=300), st.lists(st.tuples(NAMES, VALUES), max_size=4)), max_size=6))
async def test_no_bytes_make_a_source_fail(log: Lines, sent: list[tuple[bytes, list[tuple[str, bytes]]]]) -> None:
    """With a good signature or with headers of a stranger's making."""
    async with open_relay() as relay:
        for body, own in sent:
            raw = [(b"content-type", b"application/json"), *((name.encode(), value) for name, value in own)]
            for source, place in PLACES.items():
                trusted = await relay.post(place, body, authentic(source, body))
                strange = await relay.client.post(place, content=body, headers=raw)
                assert {trusted.status_code, strange.status_code} <= {200, 202} | REFUSED
    assert not log.facts("webhook_failed")
