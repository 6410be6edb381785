"""A registration as an event wants it, what makes two of them the same, and how one stands in the table."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.domain import Cause, RegistrationState
from app.store.links import field_values

_PERHAPS_SENT = (RegistrationState.SENT, RegistrationState.SENDING)


@dataclass(frozen=True, slots=True)
class Draft:
    """A registration as an event wants it; one of the same identity that is already there is updated.

    `fields` are the person fields that its tokens may travel in, by the tokens' names. Whether they do (`by_field`) is
    decided when it is recorded. `came_at` is when the webhook came that wants it sent, or was replayed.
    """

    id: str
    source: str
    webinar_id: str
    person_key: str
    subject: str | None
    state: RegistrationState
    lookup: bool
    cause: Cause | None
    detail: str | None
    email: str | None
    lead_id: int | None
    first_name: str | None
    last_name: str | None
    campaign_id: int
    tokens: Mapping[str, str]
    batch_key: str
    starts_at: datetime | None
    due_at: datetime
    came_at: datetime = field(compare=False)  # a later webhook's is no change
    expires_at: datetime
    webinar_key: str | None = None  # the title as it is searched by; what is sent stands in `tokens`
    fields: Mapping[str, str] = field(default_factory=dict)
    by_field: bool = False
    traceparent: str | None = field(default=None, compare=False)  # a repeated webhook's is no change

    @property
    def values(self) -> Mapping[str, str]:
        """Return what its person's fields hold when its tokens travel in them."""
        return field_values(self.tokens, self.fields)

    @property
    def identity(self) -> str:
        return identity_of(self.source, self.webinar_id, self.person_key)


def identity_of(source: str, webinar_id: str, person_key: str) -> str:
    """Return what makes two registrations the same: the source, its webinar and the person, as a hash."""
    return hashlib.sha256(f"{source}\x00{webinar_id}\x00{person_key}".encode()).hexdigest()


def had_one(row: Mapping[Any, Any]) -> bool:
    """Tell whether an e-mail went out for a row of the table, or may have, whatever became of it since."""
    is_known = row["sent_at"] is not None or row["lost_at"] is not None
    return is_known or row["state"] in _PERHAPS_SENT or row["cause"] == Cause.ANSWER_LOST


def draft_of(row: Mapping[Any, Any]) -> Draft:
    """Return a row of the table as the draft that made it."""
    values = {name: row[name] for name in Draft.__dataclass_fields__}
    cause = Cause(row["cause"]) if row["cause"] else None
    flags = {name: bool(row[name]) for name in ("lookup", "by_field")}
    return Draft(**values | flags | {"state": RegistrationState(row["state"]), "cause": cause})
