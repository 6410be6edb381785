"""Read Marketo's answers. No I/O: bytes in, values or errors out."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import cast

from app.domain import LARGEST_LEAD_ID, CampaignId, Json, LeadId
from app.marketo.codes import Consequence, Endpoint, Trouble, meaning_of_record
from app.marketo.failures import CallFailed, failure, presentable

_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")  # what may stand in a header
_CODE = re.compile(r"[0-9]{3,4}")
_OAUTH_ERROR = re.compile(r"[a-z_]{1,40}")
_LONGEST_WAIT = timedelta(days=1)
_LONGEST_TOKEN_LIFE = timedelta(days=1)
_REFUSED_TOKEN = frozenset({"601", "602"})
_OAUTH_REFUSALS = frozenset({"unauthorized", "invalid_client", "unauthorized_client", "access_denied"})


class PersonStatus(StrEnum):
    """What Sync Leads did with one record."""

    CREATED = "created"
    UPDATED = "updated"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer, read whole. `retry_after` is the header's wait, if any."""

    status: int
    body: bytes
    retry_after: timedelta | None = None


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
class Answer:
    """What every answer brings: the id that Marketo's support asks for, and warnings."""

    request_id: str | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SyncAnswer(Answer):
    """One outcome for each record, in the order of the call."""

    people: tuple[PersonOutcome, ...]


@dataclass(frozen=True, slots=True)
class FindAnswer(Answer):
    """One page of people, in Marketo's order; several may share a key. `next_page_token` continues, None at the end."""

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


@dataclass(frozen=True, slots=True)
class _Envelope(Answer):
    result: list[Json]
    next_page_token: str | None


class _WrongShape(Exception):
    """Marketo's answer is JSON, and not what it documents. The message names the field."""


def read_sync(reply: Reply, *, expected: int) -> SyncAnswer:
    """Read the answer to Sync Leads of `expected` records.

    Raises:
        CallFailed: it was refused, or the answer cannot be matched to the records.
    """
    with _explaining(Endpoint.SYNC, reply):
        envelope = _envelope(Endpoint.SYNC, reply)
        if len(envelope.result) != expected:
            raise _WrongShape(f"result has {len(envelope.result)} entries for {expected} records")
        people = tuple(_outcome(_record(item)) for item in envelope.result)
        return SyncAnswer(envelope.request_id, envelope.warnings, people)


def read_find(reply: Reply, *, lookup_field: str) -> FindAnswer:
    """Read the answer to Get Leads by Filter; 'no data found' is an empty page.

    Raises:
        CallFailed: it was refused or cannot be read.
    """
    try:
        with _explaining(Endpoint.FIND, reply):
            envelope = _envelope(Endpoint.FIND, reply)
            people = tuple(_found(_record(item), lookup_field) for item in envelope.result)
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
    with _explaining(Endpoint.TRIGGER, reply):
        envelope = _envelope(Endpoint.TRIGGER, reply)
        return TriggerAnswer(envelope.request_id, envelope.warnings)


def read_usage(reply: Reply) -> int:
    """Read how many calls all integrations have made today.

    Raises:
        CallFailed: it was refused or cannot be read.
    """
    with _explaining(Endpoint.USAGE, reply):
        days = _envelope(Endpoint.USAGE, reply).result
        return _number(_record(days[0]), "total", smallest=0) if days else 0  # a day without a call has no entry


def read_campaign(reply: Reply) -> CampaignInfo:
    """Read what Get Campaign by Id tells.

    Raises:
        CallFailed: it was refused or cannot be read; CAMPAIGN where there is no such campaign.
    """
    with _explaining(Endpoint.CAMPAIGN, reply):
        envelope = _envelope(Endpoint.CAMPAIGN, reply)
        if not envelope.result:
            raise failure(
                Endpoint.CAMPAIGN,
                "1013",
                "there is no such campaign",
                request_id=envelope.request_id,
                http_status=reply.status,
            )
        record = _record(envelope.result[0])
        return CampaignInfo(
            envelope.request_id,
            envelope.warnings,
            id=CampaignId(_number(record, "id")),
            name=_text(record, "name"),
            type=_text(record, "type"),
            active=record.get("active") is True,
            program_id=_number(record, "programId") if record.get("programId") is not None else None,
            program_name=_optional_text(record, "programName"),
            workspace=_optional_text(record, "workspaceName"),
        )


def read_token(reply: Reply) -> TokenGrant:
    """Read the identity service's answer, which has no envelope.

    Raises:
        CallFailed: CREDENTIALS for a refused client id or secret; its own words are left out, they name the client id.
    """
    with _explaining(Endpoint.IDENTITY, reply):
        if reply.status >= 300:
            raise _identity_refusal(reply)
        grant = _record(_json(reply))
        if "access_token" not in grant and _oauth_error(reply) in _OAUTH_REFUSALS:
            raise _identity_refusal(reply)
        token = grant.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise _WrongShape("access_token is no token")
        seconds = _number(grant, "expires_in", smallest=0)
        return TokenGrant(token, min(timedelta(seconds=seconds), _LONGEST_TOKEN_LIFE))


def refuses_token(reply: Reply) -> bool:
    """Tell whether Marketo refused the call for its token: invalid (601) or expired (602). Never raises."""
    try:
        code, _ = _error(_record(_json(reply)))
    except _WrongShape:
        return False
    return code in _REFUSED_TOKEN


def read_retry_after(header: str | None, *, now: datetime) -> timedelta | None:
    """Read a Retry-After header, seconds or a date; at most a day, None when it is absent or neither. Never raises."""
    if header is None:
        return None
    text = header.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(timedelta(seconds=int(text)), _LONGEST_WAIT)
    try:
        wait = _in_utc(parsedate_to_datetime(text)) - now
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return min(max(wait, timedelta(0)), _LONGEST_WAIT)


@contextmanager
def _explaining(endpoint: Endpoint, reply: Reply) -> Iterator[None]:
    try:
        yield
    except _WrongShape as wrong:
        raise failure(
            endpoint, Trouble.UNREADABLE, str(wrong), retry_after=reply.retry_after, http_status=reply.status
        ) from None


def _envelope(endpoint: Endpoint, reply: Reply) -> _Envelope:
    document = _document(endpoint, reply)
    success = document.get("success")
    if not isinstance(success, bool):
        raise _WrongShape("success is neither true nor false")
    if not success:
        raise _refusal(endpoint, reply, document)
    if reply.status >= 300:
        raise _status_failure(endpoint, reply)
    return _Envelope(
        request_id=_request_id(document),
        warnings=_warnings(document),
        result=_list(document, "result"),
        next_page_token=_optional_text(document, "nextPageToken") or None,
    )


def _document(endpoint: Endpoint, reply: Reply) -> Mapping[str, Json]:
    """Return the answer's object. Of an answer that is none, the HTTP status tells more than its shape."""
    try:
        return _record(_json(reply))
    except _WrongShape:
        if reply.status >= 300:
            raise _status_failure(endpoint, reply) from None
        raise


def _refusal(endpoint: Endpoint, reply: Reply, document: Mapping[str, Json]) -> CallFailed:
    try:
        code, message = _error(document)
    except _WrongShape:
        if reply.status >= 300:
            return _status_failure(endpoint, reply)
        raise
    return failure(
        endpoint,
        code,
        message,
        retry_after=reply.retry_after,
        request_id=_request_id(document),
        http_status=reply.status,
    )


def _status_failure(endpoint: Endpoint, reply: Reply) -> CallFailed:
    return failure(
        endpoint,
        str(reply.status),
        f"HTTP {reply.status} without one of Marketo's codes",
        retry_after=reply.retry_after,
        http_status=reply.status,
    )


def _identity_refusal(reply: Reply) -> CallFailed:
    error = _oauth_error(reply)
    code = "401" if error in _OAUTH_REFUSALS else str(reply.status)
    return failure(
        Endpoint.IDENTITY,
        code,
        f"the identity service answered HTTP {reply.status}" + (f", {error}" if error else ""),
        retry_after=reply.retry_after,
        http_status=reply.status,
    )


def _oauth_error(reply: Reply) -> str | None:
    try:
        error = _record(_json(reply)).get("error")
    except _WrongShape:
        return None
    return error if isinstance(error, str) and _OAUTH_ERROR.fullmatch(error) else None


def _json(reply: Reply) -> Json:
    try:
        return cast("Json", json.loads(reply.body.decode("utf-8-sig")))
    except UnicodeDecodeError:
        raise _WrongShape("the body is not UTF-8") from None
    except ValueError:
        start = reply.body.lstrip()[:1]
        raise _WrongShape("the body is a web page" if start == b"<" else "the body is not JSON") from None
    except RecursionError:
        raise _WrongShape("the body is nested too deep") from None


def _error(document: Mapping[str, Json]) -> tuple[str, str]:
    """Return the first error's code and message. Codes are documented as strings; numbers are taken as well."""
    if document.get("success") is True:
        raise _WrongShape("it succeeded")
    errors = _list(document, "errors")
    if not errors:
        raise _WrongShape("success is false and errors is empty")
    return _coded(_record(errors[0]))


def _coded(record: Mapping[str, Json]) -> tuple[str, str]:
    code = record.get("code")
    if isinstance(code, int) and not isinstance(code, bool) and 0 <= code < 10_000:
        code = str(code)
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise _WrongShape("an error has no code")
    message = record.get("message")
    return code, message if isinstance(message, str) else ""


def _outcome(record: Mapping[str, Json]) -> PersonOutcome:
    status = record.get("status")
    if status not in tuple(PersonStatus):
        raise _WrongShape("status is none of created, updated, skipped")
    skipped = status == PersonStatus.SKIPPED
    lead = None if skipped and record.get("id") is None else _lead_id(record)
    return PersonOutcome(lead, PersonStatus(status), _reasons(record) if skipped else ())


def _reasons(record: Mapping[str, Json]) -> tuple[Reason, ...]:
    """Read `reasons`, a list in Adobe's text, or `reason`, an object in its Swagger file."""
    single = record.get("reason")
    reasons = [single] if single is not None else _list(record, "reasons")
    pairs = (_coded(_record(reason)) for reason in reasons)
    return tuple(Reason(code, presentable(message)) for code, message in pairs)


def _found(record: Mapping[str, Json], lookup_field: str) -> FoundPerson:
    key = record.get(lookup_field)
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise _WrongShape(f"a person has no {presentable(lookup_field)}")
    return FoundPerson(_lead_id(record), _printable(str(key)), _moment(record.get("updatedAt")))


def _lead_id(record: Mapping[str, Json]) -> LeadId:
    return LeadId(_number(record, "id"))


def _moment(value: Json) -> datetime | None:
    try:
        return _in_utc(datetime.fromisoformat(value)) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _record(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise _WrongShape("an object was expected")
    return value


def _list(record: Mapping[str, Json], name: str) -> list[Json]:
    value = record.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _WrongShape(f"{name} is no list")
    return value


def _number(record: Mapping[str, Json], name: str, *, smallest: int = 1) -> int:
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not smallest <= value <= LARGEST_LEAD_ID:
        raise _WrongShape(f"{name} is no number from {smallest} to 2^31-1")
    return value


def _text(record: Mapping[str, Json], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise _WrongShape(f"{name} is no text")
    return _printable(value)


def _optional_text(record: Mapping[str, Json], name: str) -> str | None:
    return _text(record, name) if record.get(name) is not None else None


def _request_id(document: Mapping[str, Json]) -> str | None:
    value = document.get("requestId")
    return presentable(value, longest=100) if isinstance(value, str) else None


def _warnings(document: Mapping[str, Json]) -> tuple[str, ...]:
    """Read warnings: texts in Adobe's examples, objects in its Swagger file. They decide nothing, so none is a fault."""
    warnings = document.get("warnings")
    return tuple(_warning(warning) for warning in warnings[:20]) if isinstance(warnings, list) else ()


def _warning(value: Json) -> str:
    parts = [value.get("code"), value.get("message")] if isinstance(value, dict) else [value]
    return presentable(": ".join(str(part) for part in parts if isinstance(part, str | int)))


def _printable(text: str) -> str:
    """Return a text that any log and database takes: no control characters, no half surrogate pairs."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
