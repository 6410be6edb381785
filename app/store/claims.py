"""A call to Marketo, and the registrations that it takes along. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row

from app.domain import CallId, CampaignId, LeadId, RegistrationId
from app.store.links import Values, field_values, passed_tokens

CallKind = Literal["upsert", "lookup", "trigger", "check", "usage", "setup"]


@dataclass(frozen=True, slots=True)
class Claimed:
    """One registration in the hands of a call."""

    id: RegistrationId
    source: str
    person_key: str
    email: str | None
    lead_id: LeadId | None
    first_name: str | None
    last_name: str | None
    campaign_id: CampaignId
    tokens: Mapping[str, str]
    attempts: int
    relooked: bool
    created_at: datetime
    came_at: datetime
    expires_at: datetime
    person_hash: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    by_field: bool = False
    traceparent: str | None = None

    @classmethod
    def of(cls, row: Row[Any]) -> "Claimed":
        """Return the registration of a row of its table."""
        return cls(
            id=RegistrationId(row.id),
            source=row.source,
            person_key=row.person_key,
            email=row.email,
            lead_id=row.lead_id,
            first_name=row.first_name,
            last_name=row.last_name,
            campaign_id=CampaignId(row.campaign_id),
            tokens=row.tokens,
            attempts=row.attempts,
            relooked=bool(row.relooked),
            created_at=row.created_at,
            came_at=row.came_at,
            expires_at=row.expires_at,
            person_hash=row.person_hash,
            fields=row.fields,
            by_field=bool(row.by_field),
            traceparent=row.traceparent,
        )

    @property
    def written(self) -> Values:
        """Return what its upsert writes to person fields beside the names."""
        return field_values(self.tokens, self.fields) if self.by_field else {}

    @property
    def passed(self) -> Mapping[str, str]:
        """Return the tokens that its campaign request passes."""
        return passed_tokens(self.tokens, self.fields, by_field=self.by_field)


@dataclass(frozen=True, slots=True)
class Call:
    """One request to Marketo, written down before it is made."""

    id: CallId
    kind: CallKind
    campaign_id: CampaignId | None
    registrations: Sequence[Claimed]


@dataclass(frozen=True, slots=True)
class CallResult:
    """How a call ended: `done`, `refused` (not executed), or `lost` (it may have been executed)."""

    outcome: Literal["done", "refused", "lost"]
    code: str | None = None
    message: str | None = None
    request_id: str | None = None
