"""What would become of a webhook, and how to send one that its source takes for authentic. Values and signing only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.domain import new_id
from app.errors import FieldProblem
from app.sources.base import Inbound
from app.sources.signing import sign_hmac_hex, sign_standard_webhook

Sign = Callable[[bytes, datetime], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class WouldBe:
    """A registration that a payload would make; `flaw` says why it could not be sent."""

    email: str | None
    lead_id: int | None
    first_name: str | None
    last_name: str | None
    webinar_id: str
    campaign_id: int
    tokens: Mapping[str, str]
    starts_at: datetime | None
    cause: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Tried:
    """What would become of a payload: refused, ignored, of no use, or these registrations and cancellations."""

    refused: str | None = None
    fields: Sequence[FieldProblem] = ()
    ignored: str | None = None
    unusable: tuple[str, str] | None = None  # cause and detail
    registrations: Sequence[WouldBe] = ()
    cancelled: Sequence[str] = ()  # what persons are known by


@dataclass(frozen=True, slots=True)
class Sender:
    """How one source's webhooks reach this relay: below which path, and with which headers.

    `shown` are headers that only say what is sent; `sign` adds those that make it authentic.
    """

    source: str
    path_secret: str | None = None
    shown: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    sign: Sign = lambda _body, _now: {}

    @property
    def path(self) -> str:
        secret = f"/{self.path_secret}" if self.path_secret else ""
        return f"/webhooks/{self.source}{secret}"

    def headers(self, body: bytes, now: datetime) -> Mapping[str, str]:
        return {**self.shown, **self.sign(body, now)}

    def request(self, body: bytes, now: datetime) -> Inbound:
        """Return the request that this body would come in."""
        return Inbound(self.headers(body, now), body, now, self.path_secret)


def signs_by_standard_webhooks(secret: str) -> Sign:
    return lambda body, now: sign_standard_webhook(secret, new_id("msg", now), now, body)


def signs_by_key(key: str) -> Sign:
    return lambda _body, _now: {"authorization": f"Bearer {key}"}


def signs_by_digest(header: str, secret: str) -> Sign:
    return lambda body, _now: {header: sign_hmac_hex(secret, body)}
