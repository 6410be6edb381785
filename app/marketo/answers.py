"""Read Marketo's answers. No I/O: bytes in, values or errors out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from app.domain import CampaignId, Json, LeadId
from app.marketo.codes import Consequence, Endpoint, meaning_of_record
from app.marketo.envelope import Answer, Reply, coded, explaining, open_envelope
from app.marketo.failures import CallFailed, failure, presentable
from app.marketo.shapes import WrongShape, as_object, items, moment, number, optional_text, parse, printable, text

_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")  # what may stand in a header
_OAUTH_ERROR = re.compile(r"[a-z_]{1,40}")
_OAUTH_REFUSALS = frozenset({"unauthorized", "invalid_client", "unauthorized_client", "access_denied"})
_LONGEST_TOKEN_LIFE = timedelta(days=1)


class PersonStatus(StrEnum):
    """What Sync Leads did with one record."""

    CREATED = "created"
    UPDATED = "updated"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why Marketo skipped one record."""

    code: str
    message: str

    @property
    def consequence(self) -> Consequence:
        """What the caller does with this record."""
        return meaning_of_record(self.code).consequence

    @property
    def advice(self) -> str:
        """The sentence that tells a person what to do."""
        return meaning_of_record(self.code).advice


@dataclass(frozen=True, slots=True)
class PersonOutcome:
    """What became of one record of a Sync Leads call. A created or updated one has its lead id."""

    lead_id: LeadId | None
    status: PersonStatus
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundPerson:
    """One person that a search found: `key` is the lookup field's value as Marketo has it."""

    lead_id: LeadId
    key: str
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class SyncAnswer(Answer):
    """One outcome for each record, in the order of the call."""

    people: tuple[PersonOutcome, ...]


@dataclass(frozen=True, slots=True)
class FindAnswer(Answer):
    """One page of people in Marketo's order; several may share a key. `next_page_token` continues, None at the end."""

    people: tuple[FoundPerson, ...]
    next_page_token: str | None


@dataclass(frozen=True, slots=True)
class TriggerAnswer(Answer):
    """The campaign was requested. Nothing says which leads passed its smart list."""


@dataclass(frozen=True, slots=True)
class CampaignInfo(Answer):
    """A smart campaign as the set-up check sees it; `active` is meant for trigger campaigns only."""

    id: CampaignId
    name: str
    type: str
    active: bool
    program_id: int | None
    program_name: str | None
    workspace: str | None


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """An access token and how long it still lives."""

    value: str
    expires_in: timedelta


def read_sync(reply: Reply, *, expected: int) -> SyncAnswer:
    """Read the answer to Sync Leads of `expected` records.

    Raises:
        CallFailed: it was refused, or the answer cannot be matched to the records.
    """
    with explaining(Endpoint.SYNC, reply):
        envelope = open_envelope(Endpoint.SYNC, reply)
        if len(envelope.result) != expected:
            raise WrongShape(f"result has {len(envelope.result)} entries for {expected} records")
        people = tuple(_outcome(as_object(entry)) for entry in envelope.result)
        return SyncAnswer(envelope.request_id, envelope.warnings, people)


def read_find(reply: Reply, *, lookup_field: str) -> FindAnswer:
    """Read the answer to Get Leads by Filter; 'no data found' is an empty page.

    Raises:
        CallFailed: it was refused or cannot be read.
    """
    try:
        with explaining(Endpoint.FIND, reply):
            envelope = open_envelope(Endpoint.FIND, reply)
            people = tuple(_found(as_object(entry), lookup_field) for entry in envelope.result)
            return FindAnswer(envelope.request_id, envelope.warnings, people, envelope.next_page_token)
    except CallFailed as refused:
        if refused.consequence is not Consequence.NO_DATA:
            raise
        return FindAnswer(refused.request_id, (), (), None)


def read_trigger(reply: Reply) -> TriggerAnswer:
    """Read the answer to Request Campaign.

    Raises:
        CallFailed: it was refused; AMBIGUOUS where an answer came that cannot be read.
    """
    with explaining(Endpoint.TRIGGER, reply):
        envelope = open_envelope(Endpoint.TRIGGER, reply)
        return TriggerAnswer(envelope.request_id, envelope.warnings)


@dataclass(frozen=True, slots=True)
class DayUsage:
    """How many calls all integrations have made, and on which of Marketo's days (US Central), where it says so."""

    calls: int
    day: date | None = None


def read_usage(reply: Reply) -> DayUsage:
    """Read how many calls all integrations have made today.

    Raises:
        CallFailed: it was refused or cannot be read.
    """
    with explaining(Endpoint.USAGE, reply):
        days = open_envelope(Endpoint.USAGE, reply).result
        if not days:
            return DayUsage(0)  # no call yet
        entry = as_object(days[0])
        return DayUsage(number(entry, "total", smallest=0), _day(entry.get("date")))


def _day(value: Json) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def read_campaign(reply: Reply) -> CampaignInfo:
    """Read what Get Campaign by Id tells.

    Raises:
        CallFailed: it was refused or cannot be read; CAMPAIGN where there is no such campaign.
    """
    with explaining(Endpoint.CAMPAIGN, reply):
        envelope = open_envelope(Endpoint.CAMPAIGN, reply)
        if not envelope.result:
            message = "there is no such campaign"
            raise failure(Endpoint.CAMPAIGN, "1013", message, request_id=envelope.request_id, http_status=reply.status)
        return _campaign(envelope, as_object(envelope.result[0]))


def read_token(reply: Reply) -> TokenGrant:
    """Read the identity service's answer, which has no envelope.

    Raises:
        CallFailed: CREDENTIALS for a refused client id or secret; its own words are left out, they name the client id.
    """
    with explaining(Endpoint.IDENTITY, reply):
        if reply.status >= 300 or _oauth_error(reply):
            raise _identity_refusal(reply)
        grant = as_object(parse(reply.body))
        token = grant.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise WrongShape("access_token is no token")
        lives = timedelta(seconds=number(grant, "expires_in", smallest=0))
        return TokenGrant(token, min(lives, _LONGEST_TOKEN_LIFE))


def _identity_refusal(reply: Reply) -> CallFailed:
    error = _oauth_error(reply)
    return failure(
        Endpoint.IDENTITY,
        "401" if error in _OAUTH_REFUSALS else str(reply.status),
        f"the identity service answered HTTP {reply.status}" + (f", {error}" if error else ""),
        retry_after=reply.retry_after,
        http_status=reply.status,
    )


def _oauth_error(reply: Reply) -> str | None:
    try:
        error = as_object(parse(reply.body)).get("error")
    except WrongShape:
        return None
    return error if isinstance(error, str) and _OAUTH_ERROR.fullmatch(error) else None


def _outcome(record: Mapping[str, Json]) -> PersonOutcome:
    try:
        status = PersonStatus(text(record, "status"))
    except ValueError:
        raise WrongShape("status is none of created, updated, skipped") from None
    if status is not PersonStatus.SKIPPED:
        return PersonOutcome(_lead_id(record), status)
    return PersonOutcome(None if record.get("id") is None else _lead_id(record), status, _reasons(record))


def _reasons(record: Mapping[str, Json]) -> tuple[Reason, ...]:
    """Read `reasons`, a list in Adobe's text, or `reason`, an object in its Swagger file."""
    single = record.get("reason")
    reasons = [single] if single is not None else items(record, "reasons")
    pairs = (coded(as_object(reason)) for reason in reasons)
    return tuple(Reason(code, presentable(message)) for code, message in pairs)


def _found(record: Mapping[str, Json], lookup_field: str) -> FoundPerson:
    key = record.get(lookup_field)
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise WrongShape(f"a person has no {lookup_field}")
    return FoundPerson(_lead_id(record), printable(str(key)), moment(record.get("updatedAt")))


def _lead_id(record: Mapping[str, Json]) -> LeadId:
    return LeadId(number(record, "id"))


def _campaign(envelope: Answer, record: Mapping[str, Json]) -> CampaignInfo:
    return CampaignInfo(
        envelope.request_id,
        envelope.warnings,
        id=CampaignId(number(record, "id")),
        name=text(record, "name"),
        type=text(record, "type"),
        active=record.get("active") is True,
        program_id=None if record.get("programId") is None else number(record, "programId"),
        program_name=optional_text(record, "programName"),
        workspace=optional_text(record, "workspaceName"),
    )
