"""A custom app's three moments: check signature or key and every field, fetch nothing, pass it on."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence

from app.domain import (
    CampaignId,
    Cause,
    Dedupe,
    Event,
    Finding,
    Json,
    LeadId,
    Person,
    Registered,
    Unusable,
    Webinar,
)
from app.errors import FieldProblem, Invalid, NotAuthentic, RequestRefused
from app.sources.base import Accepted, Inbound
from app.sources.custom.body import CustomBody
from app.sources.custom.problems import checked_body
from app.sources.payload import read_json
from app.sources.signing import StandardWebhooks, matches_any, not_empty
from app.sources.webinars import id_of_unnumbered

WEBINAR_TOKENS = ("WebinarTitle", "JoinLink", "WebinarImage")
_KEY = re.compile(r"[!-~]{1,255}")


class CustomSource:
    """Registrations that an own app sends whole. `reserved_tokens` are the names of the webinar's three tokens."""

    name = "custom"

    def __init__(
        self,
        *,
        signing_secrets: Sequence[str],
        api_keys: Sequence[str],
        allowed_campaigns: Collection[CampaignId],
        reserved_tokens: Collection[str] = WEBINAR_TOKENS,
    ) -> None:
        if not signing_secrets and not api_keys:
            raise ValueError("a custom source needs signing secrets or API keys: without them everybody could send")
        self._standard_webhooks = StandardWebhooks.of(signing_secrets)
        self._api_keys = not_empty(api_keys, "an API key")
        self._allowed_campaigns = frozenset(allowed_campaigns)
        self._reserved_tokens = tuple(reserved_tokens)

    def receive(self, request: Inbound) -> Accepted:
        secret, message_id = self._authenticate(request)
        document = read_json(request.body)
        self._checked(document)
        if message_id is not None:
            return Accepted(_dedupe("message", message_id, secret, document), {"webhook-id": message_id})
        key = _idempotency_key(request.headers)
        return Accepted(_dedupe("key", key, secret, document) if key is not None else None)

    async def resolve(self, event: Event) -> Json:
        return None

    def map(self, event: Event, fetched: Json) -> Sequence[Finding]:
        """Read the stored body again: a campaign may have been disallowed since."""
        try:
            return [_registered(self._checked(read_json(event.body)))]
        except RequestRefused as error:
            return [Unusable(_cause(error), str(error))]

    def _authenticate(self, request: Inbound) -> tuple[bytes, str | None]:
        """Return which secret the sender has, and the id of its message if it is signed."""
        if "webhook-signature" in request.headers:
            signed = self._standard_webhooks.verify(request.headers, request.body, now=request.received_at)
            return signed.key, signed.message_id
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not matches_any(key.strip(), self._api_keys):
            raise NotAuthentic("neither webhook-signature nor Authorization: Bearer with one of the API keys")
        return key.strip().encode(), None

    def _checked(self, document: Json) -> CustomBody:
        return checked_body(document, allowed_campaigns=self._allowed_campaigns, reserved_tokens=self._reserved_tokens)


def _idempotency_key(headers: Mapping[str, str]) -> str | None:
    key = headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise Invalid([FieldProblem("Idempotency-Key", "must be 1 to 255 visible ASCII characters")])
    return key


def _dedupe(kind: str, key: str, secret: bytes, document: Json) -> Dedupe:
    """Return what makes a request the same as an earlier one: its sender calls it so, and it says the same.

    Apps number alike without knowing of each other, so a key counts for one secret. A repeat that comes with the next
    secret, while it is changed, is taken anew: better than to lose somebody, and no second reminder. A registrationId
    makes nothing a repeat: apps may share ids, and a second event about one registration updates it.
    """
    sender, said = hashlib.sha256(secret), hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    return Dedupe(f"{kind}:{sender.hexdigest()}:{key}", "forever", said.hexdigest())


def _registered(body: CustomBody) -> Registered:
    webinar = body.webinar
    return Registered(
        person=Person(
            email=body.email,
            lead_id=LeadId(body.lead_id) if body.lead_id is not None else None,
            first_name=body.first_name or None,
            last_name=body.last_name or None,
        ),
        webinar=Webinar(
            id=webinar.id or id_of_unnumbered(webinar.title or "", webinar.starts_at),
            title=webinar.title or None,
            join_link=webinar.join_link,
            image=webinar.image,
            starts_at=webinar.starts_at,
        ),
        subject=f"registration:{body.registration_id}" if body.registration_id else None,
        campaign_id=CampaignId(body.campaign_id) if body.campaign_id is not None else None,
        tokens=body.tokens,
    )


def _cause(error: RequestRefused) -> Cause:
    fields = {problem.field for problem in error.problems} if isinstance(error, Invalid) else set()
    return Cause.CAMPAIGN_NOT_ALLOWED if fields == {"campaignId"} else Cause.BAD_PAYLOAD
