"""Write Marketo's requests. No I/O: values in, bytes out, and nothing that Marketo is known to refuse."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from app.domain import CampaignId, Json, LeadId
from app.marketo.codes import Endpoint
from app.marketo.failures import CallFailed, failure

MOST_PEOPLE = 300  # a Sync Leads or Get Leads by Filter call
MOST_LEADS = 100  # a Request Campaign call
MOST_TOKENS = 100
MOST_BYTES = 1_000_000  # 'body 1 MB': the smaller of the two readings

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """One person to create or update: the value of the lookup field, names where known, further fields by API name."""

    key: str
    first_name: str | None = None
    last_name: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One HTTP request to be: `path` continues the REST base URL."""

    endpoint: Endpoint
    method: str
    path: str
    body: bytes | None = None
    content_type: str | None = None


def sync_people(records: Sequence[PersonRecord], *, lookup_field: str, partition: str | None) -> Outgoing:
    """Write a Sync Leads call.

    Raises:
        ValueError: no or more than 300 records, one key twice (it would make duplicates), or a field set twice.
        CallFailed: the body is over 1 MB, or a value is no Unicode text (SPLIT).
    """
    _check_keys([record.key for record in records])
    body: dict[str, Json] = {"action": "createOrUpdate", "lookupField": lookup_field}
    if partition:
        body["partitionName"] = partition
    body["input"] = [_person(record, lookup_field) for record in records]
    return Outgoing(Endpoint.SYNC, "POST", "/v1/leads.json", _json(Endpoint.SYNC, body), _JSON)


def find_people(values: Sequence[str], *, lookup_field: str, next_page_token: str | None = None) -> Outgoing:
    """Write a Get Leads by Filter call, as a POST with `_method=GET`.

    Adobe asks for that form when a query is longer than 8 KB. It is used always, since people's addresses in a URL end
    up in the logs of every proxy on the way, and in httpx's own.

    Raises:
        ValueError: no or more than 300 values, or one twice.
        CallFailed: a value holds a comma, which Marketo takes as the end of it, or the body is over 1 MB (SPLIT).
    """
    _check_keys(values)
    if any("," in value for value in values):
        raise failure(Endpoint.FIND, "1001", "a value to search for holds a comma")
    query = {
        "filterType": lookup_field,
        "filterValues": ",".join(values),
        "fields": ",".join(dict.fromkeys(("id", lookup_field, "updatedAt", "email"))),
    }
    if next_page_token is not None:
        query["nextPageToken"] = next_page_token
    return Outgoing(Endpoint.FIND, "POST", "/v1/leads.json?_method=GET", _form(Endpoint.FIND, query), _FORM)


def trigger(campaign: CampaignId, leads: Sequence[LeadId], tokens: Mapping[str, str]) -> Outgoing:
    """Write a Request Campaign call. Token names come without `{{my.}}`; a lead that is named twice is sent once.

    Raises:
        ValueError: no or more than 100 leads, or more than 100 tokens.
        CallFailed: the body is over 1 MB, a token's name has braces, or a value is no Unicode text (SPLIT).
    """
    once = list(dict.fromkeys(leads))
    if not 1 <= len(once) <= MOST_LEADS:
        raise ValueError(f"a campaign request takes 1 to {MOST_LEADS} leads, not {len(once)}")
    if len(tokens) > MOST_TOKENS:
        raise ValueError(f"a campaign request takes at most {MOST_TOKENS} tokens, not {len(tokens)}")
    body: Json = {
        "input": {
            "leads": [{"id": lead} for lead in once],
            "tokens": [{"name": _token_name(name), "value": value} for name, value in tokens.items()],
        }
    }
    path = f"/v1/campaigns/{campaign:d}/trigger.json"
    return Outgoing(Endpoint.TRIGGER, "POST", path, _json(Endpoint.TRIGGER, body), _JSON)


def usage() -> Outgoing:
    """Write a Get Daily Usage call."""
    return Outgoing(Endpoint.USAGE, "GET", "/v1/stats/usage.json")


def campaign(number: CampaignId) -> Outgoing:
    """Write a Get Campaign by Id call."""
    return Outgoing(Endpoint.CAMPAIGN, "GET", f"/v1/campaigns/{number:d}.json")


def _check_keys(keys: Sequence[str]) -> None:
    if not 1 <= len(keys) <= MOST_PEOPLE:
        raise ValueError(f"a call takes 1 to {MOST_PEOPLE} people, not {len(keys)}")
    if not all(keys):
        raise ValueError("a person's key is empty")
    if len({key.casefold() for key in keys}) < len(keys):  # Marketo compares without regard to case
        raise ValueError("one person stands twice in the same call")


def _person(record: PersonRecord, lookup_field: str) -> dict[str, Json]:
    named = {lookup_field: record.key, "firstName": record.first_name, "lastName": record.last_name}
    if twice := named.keys() & record.fields.keys():
        raise ValueError(f"{', '.join(sorted(twice))} must not stand among the further fields")
    return {**{name: value for name, value in named.items() if value is not None}, **record.fields}


def _token_name(name: str) -> str:
    if not name or "{" in name or "}" in name:
        raise failure(Endpoint.TRIGGER, "1001", "a token's name is empty or has braces")
    return "{{my." + name + "}}"


def _json(endpoint: Endpoint, body: Json) -> bytes:
    try:
        return _fitting(endpoint, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())
    except UnicodeEncodeError:  # half a surrogate pair: Marketo would refuse the whole call as no JSON
        raise _no_text(endpoint) from None


def _form(endpoint: Endpoint, query: Mapping[str, str]) -> bytes:
    try:
        return _fitting(endpoint, urlencode(query).encode())
    except UnicodeEncodeError:
        raise _no_text(endpoint) from None


def _no_text(endpoint: Endpoint) -> CallFailed:
    return failure(endpoint, "1001", "a value is no Unicode text")


def _fitting(endpoint: Endpoint, body: bytes) -> bytes:
    if len(body) > MOST_BYTES:
        raise failure(endpoint, "413", f"the call would be {len(body):,} bytes, over Marketo's 1 MB")
    return body
