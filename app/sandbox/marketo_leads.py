"""Marketo's people: Sync Leads and Get Leads by Filter Type."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.sandbox.marketo_answers import Refusal, Result
from app.sandbox.marketo_bodies import json_object, listed, page_size, parameters, required, whole_number
from app.sandbox.people import (
    DEFAULT_FIELDS,
    EMAIL,
    SEARCHABLE,
    Person,
    Refused,
    checked_fields,
    writable,
)
from app.sandbox.world import Work

MOST_PEOPLE = 300
MOST_MATCHES = 1_000
_ACTIONS = ("createOrUpdate", "createOnly", "updateOnly", "createDuplicate")


@dataclass(frozen=True, slots=True)
class Sync:
    """How the records of one call are saved; `seen` are the keys that it has had."""

    work: Work
    action: str
    lookup_field: str
    seen: set[str] = field(default_factory=set)


def sync(work: Work) -> Result:
    """Save up to 300 people; one outcome a record, in order."""
    body = json_object(work)
    records = _records(body)
    work.call.size = len(records)
    order = Sync(work, body.get("action") or "createOrUpdate", body.get("lookupField") or EMAIL)
    _check_order(order, body, records)
    return Result([_outcome(order, record) for record in records])


def find(work: Work) -> Result:
    """Return everyone whose field has one of up to 300 values, newest first, a page at a time."""
    given = parameters(work)
    name = required(given, "filterType")
    if name != "id" and name not in SEARCHABLE:
        raise Refusal("1003", f"Invalid filterType '{name[:40]}'")
    required(given, "filterValues")
    values = listed(given, "filterValues", most=MOST_PEOPLE)
    work.call.size = len(values)
    names = tuple(listed(given, "fields", most=100)) or DEFAULT_FIELDS
    if unknown := [field_name for field_name in names if field_name not in work.world.fields]:
        raise Refusal("1006", f"Field '{unknown[0][:40]}' not found")
    found = {person.id: person for value in values for person in work.world.people.find(name, value)}
    if len(found) > MOST_MATCHES:
        raise Refusal("1003", f"More than {MOST_MATCHES} people match")
    return _page([found[lead_id].record(names) for lead_id in sorted(found, reverse=True)], given)


def _page(records: list[dict[str, Any]], given: dict[str, str]) -> Result:
    size, start = page_size(given), _offset(given.get("nextPageToken", ""))
    if start + size >= len(records):
        return Result(records[start:])
    token = base64.b32encode(f"leads,{start + size}".encode()).decode()
    return Result(records[start : start + size], beside={"nextPageToken": token, "moreResult": True})


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        return whole_number(base64.b32decode(token).decode().removeprefix("leads,"), "nextPageToken")
    except ValueError:
        raise Refusal("1003", "nextPageToken is not one of ours") from None


def _records(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    records = body.get("input")
    if not isinstance(records, list) or not records:
        raise Refusal("1002", "Missing value for required parameter 'input'")
    if len(records) > MOST_PEOPLE:
        raise Refusal("1003", f"Number of records exceeds {MOST_PEOPLE}")
    if not all(isinstance(record, dict) for record in records):
        raise Refusal("609", "Invalid JSON: each record is an object")
    return records


def _check_order(order: Sync, body: Mapping[str, Any], records: list[dict[str, Any]]) -> None:
    if order.action not in _ACTIONS:
        raise Refusal("1003", f"Invalid action '{str(order.action)[:40]}'")
    if order.lookup_field not in SEARCHABLE and not (order.lookup_field == "id" and order.action == "updateOnly"):
        raise Refusal("1011", f"Lookup field '{str(order.lookup_field)[:40]}' is not supported")
    if (partition := body.get("partitionName")) is not None and partition not in order.work.world.partitions:
        raise Refusal("1009", f"Lead partition '{str(partition)[:40]}' not found")
    known = writable(order.work.world.fields) | ({"id"} if order.lookup_field == "id" else set())
    if unknown := {name for record in records for name in record} - known:
        raise Refusal("1006", f"Field '{min(unknown)[:40]}' not found")


def _outcome(order: Sync, record: Mapping[str, Any]) -> dict[str, Any]:
    try:
        person, status = _save(order, record)
    except Refused as refused:
        order.work.call.skipped += 1
        order.work.call.skip_reason = f"{refused.code} {refused.message}"
        return {"status": "skipped", "reasons": [{"code": refused.code, "message": refused.message}]}
    return {"id": person.id, "status": status}


def _save(order: Sync, record: Mapping[str, Any]) -> tuple[Person, str]:
    """Create or update one person.

    Raises:
        Refused: the record is skipped (1001, 1003, 1004, 1005, 1007).
    """
    people, now = order.work.world.people, order.work.world.now()
    if not (key := str(record.get(order.lookup_field) or "")):
        raise Refused("1003", f"'{order.lookup_field}' is missing")
    given = {name: value for name, value in record.items() if name != "id"}
    fields = checked_fields(given, order.work.world.fields)
    found = people.find(order.lookup_field, key)
    if order.action == "createDuplicate":
        return people.create(fields, now), "created"
    collided = order.action != "updateOnly" and _collides(order, key)
    if len(found) > 1:
        raise Refused("1007", f"Multiple leads match lookup criteria: {len(found)}")
    if collided and found:
        people.duplicates += 1
        return people.create(fields, now), "created"
    return _create_or_update(order, found, fields)


def _create_or_update(order: Sync, found: list[Person], fields: dict[str, Any]) -> tuple[Person, str]:
    people, now = order.work.world.people, order.work.world.now()
    if not found and order.action == "updateOnly":
        raise Refused("1004", "Lead not found")
    if found and order.action == "createOnly":
        raise Refused("1005", "Lead already exists")
    if not found:
        return people.create(fields, now), "created"
    people.update(found[0], fields, now)
    return found[0], "updated"


def _collides(order: Sync, key: str) -> bool:
    """Note the upsert; tell whether it comes too close to another one of the same key, which is a violation."""
    work = order.work
    repeated = key.lower() in order.seen
    order.seen.add(key.lower())
    collided = work.world.people.collides(order.lookup_field, key, work.call.started, work.world.now())
    if repeated:
        work.violation("duplicate_key_in_call", f"one key stands twice in one sync ({order.lookup_field})")
    elif collided:
        work.violation("concurrent_upsert", f"two upserts of one key at about the same time ({order.lookup_field})")
    return repeated or collided
