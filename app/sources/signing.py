"""Tell whether a webhook comes from who shares a secret with us. Pure functions on bytes, compared in constant time.

What a stranger writes into a header never raises anything but `NotAuthentic`: not base64, not ASCII, huge, repeated.
The `sign_…` functions are the other half, for `relay send`, the documentation's examples and tests.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from app.errors import NotAuthentic

TOLERANCE = timedelta(minutes=5)
LONGEST_HEADER = 4096  # room for more than 80 signatures; a sender has one or two

_SECRET_PREFIX = "whsec_"  # noqa: S105  # the public prefix of the format, not a secret
_MESSAGE_ID = re.compile(r"[!-~]{1,255}")
_UNIX_SECONDS = re.compile(r"[1-9][0-9]{0,10}")


class Signed(NamedTuple):
    """An authentic message: its `webhook-id`, which its sender repeats when it sends again, and whose key it fits."""

    message_id: str
    key: bytes


@dataclass(frozen=True, slots=True)
class StandardWebhooks:
    """Verify what is signed as Standard Webhooks 1.0.0 says, with any of several secrets (rotation).

    Stricter than the specification where a lax reading helps only an attacker: the timestamp is a whole number,
    the signature canonical base64.
    """

    keys: tuple[bytes, ...]
    tolerance: timedelta = TOLERANCE

    @classmethod
    def of(cls, secrets: Sequence[str], *, tolerance: timedelta = TOLERANCE) -> "StandardWebhooks":
        """Return a verifier for these `whsec_…` secrets. Raises ValueError when one is empty or no base64."""
        return cls(tuple(standard_key(secret) for secret in secrets), tolerance)

    def verify(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Signed:
        """Return an authentic message's id, and the first of the keys that signed it.

        Raises:
            NotAuthentic: a header is missing, malformed or huge, the time is off, or no signature fits.
        """
        message_id = _header(headers, "webhook-id", _MESSAGE_ID)
        timestamp = _header(headers, "webhook-timestamp", _UNIX_SECONDS)
        if abs(now.timestamp() - int(timestamp)) > self.tolerance.total_seconds():
            raise NotAuthentic("the time in webhook-timestamp is more than 5 minutes off; check the sender's clock")
        presented = list(_signatures(headers.get("webhook-signature", "")))
        expected = [(key, _standard_digest(key, message_id, timestamp, body)) for key in self.keys]
        fitting = [key for key, digest in expected if any([same(one, digest) for one in presented])]  # noqa: C419  # no early exit
        if not fitting:
            raise NotAuthentic("no webhook-signature fits: it must be v1,base64(HMAC-SHA256(id.timestamp.body))")
        return Signed(message_id, fitting[0])


def standard_key(secret: str) -> bytes:
    """Return the key bytes of a `whsec_…` secret (padding and prefix may be missing).

    Raises:
        ValueError: the secret is empty or not base64; the message does not repeat it.
    """
    text = secret.removeprefix(_SECRET_PREFIX).rstrip("=")
    try:
        key = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("a signing secret must be base64 after its prefix whsec_") from None
    if not key:
        raise ValueError("a signing secret must not be empty")
    return key


def verify_digest(presented: str | None, body: bytes, secrets: Sequence[str], *, header: str) -> None:
    """Accept a header that holds HMAC-SHA256 of the body as hex (any case) or base64, with or without `sha256=`.

    Raises:
        NotAuthentic: it is missing, huge, or fits none of the secrets.
    """
    if not presented or len(presented) > LONGEST_HEADER:
        raise NotAuthentic(f"the header {header} with the signature is missing or too long")
    given = presented.strip()
    if given[:7].lower() == "sha256=":
        given = given[7:]
    digests = [_hmac(secret.encode(), body) for secret in secrets]
    fits = [same(given.lower(), digest.hex()) | same(given, _base64(digest)) for digest in digests]
    if not any(fits):
        raise NotAuthentic("the signature fits none of the configured secrets")


def matches_any(presented: str | None, keys: Sequence[str]) -> bool:
    """Tell in constant time whether a Bearer key or a secret path segment is one of ours."""
    if not presented:
        return False
    return any([same(presented, key) for key in keys])  # noqa: C419  # a list: every key is compared, no early exit


def same(one: str, other: str) -> bool:
    """Compare two texts in a time that tells neither content nor length; whatever a header may hold is allowed."""
    return hmac.compare_digest(_fingerprint(one), _fingerprint(other))


def not_empty(secrets: Sequence[str], what: str) -> tuple[str, ...]:
    """Return the secrets, or raise ValueError if one is blank: a blank key would let everybody in."""
    if not all(secret.strip() for secret in secrets):
        raise ValueError(f"{what} must not be empty")
    return tuple(secrets)


def sign_standard_webhook(secret: str, message_id: str, sent_at: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers that make a body authentic to a receiver who knows the `whsec_…` secret."""
    timestamp = str(int(sent_at.timestamp()))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + _standard_digest(standard_key(secret), message_id, timestamp, body),
    }


def sign_hmac_hex(secret: str, body: bytes) -> str:
    return _hmac(secret.encode(), body).hex()


def sign_hmac_base64(secret: str, body: bytes) -> str:
    return _base64(_hmac(secret.encode(), body))


def _header(headers: Mapping[str, str], name: str, shape: re.Pattern[str]) -> str:
    value = headers.get(name, "")
    if not shape.fullmatch(value):
        raise NotAuthentic(f"the header {name} is missing or malformed")
    return value


def _signatures(header: str) -> list[str]:
    """Return the v1 signatures of a header; entries of other versions or without a comma are passed over."""
    if not header or len(header) > LONGEST_HEADER:
        raise NotAuthentic("the header webhook-signature is missing or too long")
    entries = [entry.partition(",") for entry in header.split()]
    return [signature for version, _, signature in entries if version == "v1" and signature]


def _standard_digest(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    return _base64(_hmac(key, f"{message_id}.{timestamp}.".encode() + body))


def _hmac(key: bytes, message: bytes) -> bytes:
    # Not hmac.digest: it lets other threads run meanwhile, and would wait for its turn after a few microseconds' work.
    return hmac.new(key, message, "sha256").digest()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


def _fingerprint(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
