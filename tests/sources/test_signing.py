"""Signatures: what is authentic is accepted, everything else is refused, and nothing crashes."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from app.errors import NotAuthentic
from app.sources.signing import (
    StandardWebhooks,
    matches_any,
    not_empty,
    same,
    sign_hmac_base64,
    sign_hmac_hex,
    sign_standard_webhook,
    standard_key,
    verify_digest,
)

VECTORS = Path(__file__).parent / "vectors"
OFFICIAL = json.loads((VECTORS / "standard_webhooks__official.json").read_text())
PENDO = json.loads((VECTORS / "pendo_signature__self_made.json").read_text())
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another key of some length").decode()
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BODY = b'{"test": 2432232314}'
ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=40)


def signed(**changes: str) -> dict[str, str]:
    return {**sign_standard_webhook(SECRET, "msg_1", NOW, BODY), **changes}


def verify(headers: dict[str, str], *secrets: str, now: datetime = NOW, body: bytes = BODY) -> str:
    return StandardWebhooks.of(secrets or [SECRET]).verify(headers, body, now=now).message_id


@pytest.mark.parametrize("vector", OFFICIAL["sign"], ids=["with prefix", "without prefix"])
def test_the_official_vectors_are_signed_and_verified(vector: dict[str, Any]) -> None:
    secret = vector.get("secret") or vector["secret_without_prefix"]
    sent_at = datetime.fromtimestamp(vector["timestamp"], UTC)
    body = vector["payload"].encode()
    headers = sign_standard_webhook(secret, vector["msg_id"], sent_at, body)
    assert headers["webhook-signature"] == vector["expected_signature"]
    assert verify(headers, secret, now=sent_at, body=body) == vector["msg_id"]


def test_a_signature_whose_last_letters_differ_is_refused() -> None:
    """An official vector: only the very end of the signature is wrong."""
    vector = OFFICIAL["reject"][0]
    headers = {**vector["headers"], "webhook-timestamp": "1614265330"}
    now = datetime.fromtimestamp(1614265330, UTC)
    with pytest.raises(NotAuthentic, match="no webhook-signature fits"):
        verify(headers, vector["secret"], now=now, body=vector["payload"].encode())


def test_a_valid_signature_may_stand_anywhere_in_the_list() -> None:
    """An official vector: other versions and other keys' signatures stand beside it while a sender rotates."""
    valid = signed()["webhook-signature"]
    listed = OFFICIAL["accept"][0]["webhook-signature"].replace("<valid v1>", valid)
    assert verify(signed(**{"webhook-signature": listed})) == "msg_1"


@pytest.mark.parametrize("secret", OFFICIAL["accept"][1]["secrets"])
def test_a_secret_may_lack_its_padding(secret: str) -> None:
    headers = sign_standard_webhook(secret, "msg_1", NOW, BODY)
    assert verify(headers, secret) == "msg_1"
    assert headers["webhook-signature"] == Webhook(secret).sign("msg_1", NOW, BODY.decode())


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_###", "not base64!!", "whsec_====", "whsec_A", "whsec_ä"])
def test_a_secret_that_is_empty_or_no_base64_stops_the_start(secret: str) -> None:
    """And its error does not repeat it: it goes to the log."""
    with pytest.raises(ValueError, match="a signing secret must") as caught:
        StandardWebhooks.of([SECRET, secret])
    assert secret == "" or secret not in str(caught.value)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_of_the_three_headers_is_needed(name: str) -> None:
    headers = signed()
    del headers[name]
    with pytest.raises(NotAuthentic, match=name):
        verify(headers)


@pytest.mark.parametrize(("seconds", "accepted"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_a_timestamp_is_good_for_five_minutes_either_way(seconds: int, accepted: bool) -> None:
    headers = signed()
    later = NOW + timedelta(seconds=seconds)
    if accepted:
        assert verify(headers, now=later) == "msg_1"
    else:
        with pytest.raises(NotAuthentic, match="5 minutes off"):
            verify(headers, now=later)


STAMP = str(int(NOW.timestamp()))
HOSTILE_TIMESTAMPS = [
    "hello",
    "nan",
    "inf",
    f"{STAMP}.5",
    f"{STAMP} ",
    f"0{STAMP}",
    f"+{STAMP}",
    f"-{STAMP}",
    "1e9",
    "٣",
    "9" * 5000,
    "",
]


@pytest.mark.parametrize("timestamp", HOSTILE_TIMESTAMPS)
def test_a_timestamp_that_is_no_whole_number_is_refused(timestamp: str) -> None:
    """Also where the specification's own library reads it: two readings of one signed text invite forgery."""
    with pytest.raises(NotAuthentic, match="webhook-timestamp"):
        verify(signed(**{"webhook-timestamp": timestamp}))


VALID = signed()["webhook-signature"]
HOSTILE_SIGNATURES = [
    "v1", "v1,", "v1,abc", "v1,a,b", "  ", ",", "v1 ,x", "v1,\udcff", "v1,é", "v1,\0", "v2," + VALID[3:],
    VALID[3:], VALID.upper(), VALID.rstrip("="), VALID + "=", VALID + ",", "x" * 100_000, "v1,x " * 2000,
]  # fmt: skip


@pytest.mark.parametrize("signature", HOSTILE_SIGNATURES)
def test_a_malformed_or_huge_signature_is_refused_and_never_crashes(signature: str) -> None:
    with pytest.raises(NotAuthentic):
        verify(signed(**{"webhook-signature": signature}))


def test_a_malformed_entry_does_not_hide_a_valid_one() -> None:
    """The observed edge case `v1a,xx= then a valid v1`, and those on which the library stumbles."""
    for entry in ("v1a,xx=", "v1", "v1,abc", "v1,a,b", " "):
        assert verify(signed(**{"webhook-signature": f"{entry} {VALID}"})) == "msg_1"


@pytest.mark.parametrize("message_id", ["msg 1", "é", "x" * 256, "a\nb", "\0"])
def test_a_message_id_is_short_and_visible(message_id: str) -> None:
    """It becomes a key in the store."""
    with pytest.raises(NotAuthentic, match="webhook-id"):
        verify(signed(**{"webhook-id": message_id}))


def test_any_of_several_secrets_will_do() -> None:
    """That is how a secret is changed without losing a webhook."""
    assert verify(signed(), OTHER, SECRET) == "msg_1"
    with pytest.raises(NotAuthentic):
        verify(signed(), OTHER)


def test_without_secrets_nothing_is_authentic() -> None:
    with pytest.raises(NotAuthentic):
        StandardWebhooks.of([]).verify(signed(), BODY, now=NOW)


@given(key=st.binary(min_size=1, max_size=80), message_id=ids, body=st.text())
def test_the_specifications_own_library_signs_the_same(key: bytes, message_id: str, body: str) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    headers = sign_standard_webhook(secret, message_id, NOW, body.encode())
    assert headers["webhook-signature"] == Webhook(secret).sign(message_id, NOW, body)
    assert verify(headers, secret, body=body.encode()) == message_id


@given(
    headers=st.fixed_dictionaries(
        {
            "webhook-id": st.one_of(st.just("msg_1"), st.text(max_size=20)),
            "webhook-timestamp": st.one_of(st.text("0123456789.-e", max_size=14), st.text(max_size=8)),
            "webhook-signature": st.one_of(st.text(max_size=60), st.just(VALID), st.text("v1,= A", max_size=20)),
        }
    )
)
def test_what_the_library_refuses_is_never_accepted(headers: dict[str, str]) -> None:
    """We may be stricter than the library, never laxer; and only `NotAuthentic` comes out."""
    now = datetime.now(UTC)  # the library reads the clock itself
    sent = sign_standard_webhook(SECRET, "msg_1", now, BODY)
    for mixed in (headers, *({**sent, name: value} for name, value in headers.items())):
        try:
            verify(mixed, now=now)
        except NotAuthentic:
            continue
        assert Webhook(SECRET).verify(BODY, mixed, json_parse=False) is None


def test_the_oracle_refuses_a_forgery() -> None:
    """Without this the property above could hold because the oracle accepts everything."""
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, sign_standard_webhook(SECRET, "msg_1", datetime.now(UTC), BODY))


DIGESTS = [
    PENDO["hmac_sha256_hex"],
    PENDO["hmac_sha256_hex"].upper(),
    "sha256=" + PENDO["hmac_sha256_hex"],
    "SHA256=" + PENDO["hmac_sha256_hex"].upper(),
    PENDO["hmac_sha256_base64"],
    "sha256=" + PENDO["hmac_sha256_base64"],
    f" {PENDO['hmac_sha256_hex']} ",
]


@pytest.mark.parametrize("presented", DIGESTS)
def test_a_digest_is_accepted_in_each_of_its_spellings(presented: str) -> None:
    """Pendo documents none of them, so all that were seen anywhere are taken."""
    body = PENDO["raw_body"].encode()
    verify_digest(presented, body, ["an older secret", PENDO["secret"]], header="X-Signature")
    with pytest.raises(NotAuthentic, match="fits none"):
        verify_digest(presented, body + b" ", [PENDO["secret"]], header="X-Signature")


@pytest.mark.parametrize("presented", [None, "", "x", "sha256=", "é", "\udcff", "0" * 64, "0" * 10_000, "\0", "ﬀ" * 32])
def test_a_wrong_digest_is_refused_and_never_crashes(presented: str | None) -> None:
    with pytest.raises(NotAuthentic):
        verify_digest(presented, b"body", ["secret"], header="X-Signature")


def test_a_missing_digest_names_its_header() -> None:
    """A gateway that strips headers is found by it."""
    with pytest.raises(NotAuthentic, match="X-Signature"):
        verify_digest(None, b"body", ["secret"], header="X-Signature")


@given(secret=st.text(min_size=1), body=st.binary())
def test_what_is_signed_is_verified(secret: str, body: bytes) -> None:
    for signature in (sign_hmac_hex(secret, body), sign_hmac_base64(secret, body)):
        verify_digest(signature, body, [secret], header="X-Signature")


def test_base64_is_compared_with_its_case() -> None:
    swapped = sign_hmac_base64("secret", b"body").swapcase()
    with pytest.raises(NotAuthentic):
        verify_digest(swapped, b"body", ["secret"], header="X-Signature")


@given(st.text(), st.text())
def test_two_texts_are_the_same_only_when_they_are_equal(one: str, other: str) -> None:
    assert same(one, one)
    assert same(one, other) == (one == other)


def test_a_key_matches_one_of_several() -> None:
    assert matches_any("new", ["old", "new"])
    assert not matches_any("newer", ["old", "new"])
    assert not matches_any("new", [])


@pytest.mark.parametrize("presented", [None, "", "ключ", "\udcff", "x" * 1_000_000])
def test_an_odd_key_matches_nothing(presented: str | None) -> None:
    """Not even a key that is empty by mistake."""
    assert not matches_any(presented, ["key", ""])


def test_a_blank_secret_stops_the_start() -> None:
    assert not_empty(["a", "b"], "a key") == ("a", "b")
    with pytest.raises(ValueError, match="a key must not be empty"):
        not_empty(["a", " "], "a key")


def test_a_key_is_what_its_base64_says() -> None:
    assert standard_key("whsec_" + base64.b64encode(b"key").decode()) == b"key"
