"""Read which fields people have and which partitions there are. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain import Json
from app.marketo.codes import Endpoint
from app.marketo.envelope import Reply, explaining, open_envelope
from app.marketo.requests import Outgoing
from app.marketo.shapes import as_object, text


@dataclass(frozen=True, slots=True)
class PersonField:
    """One field: `name` is the one that the REST API knows, `length` the most characters where Marketo tells it."""

    name: str
    display_name: str
    type: str
    length: int | None
    is_read_only: bool


def person_fields() -> Outgoing:
    """Write a Describe Lead call."""
    return Outgoing(Endpoint.SETUP, "GET", "/v1/leads/describe.json")


def partitions() -> Outgoing:
    """Write a Get Lead Partitions call."""
    return Outgoing(Endpoint.SETUP, "GET", "/v1/leads/partitions.json")


def read_person_fields(reply: Reply) -> Mapping[str, PersonField]:
    """Read the fields by their REST names; those that the REST API does not have are left out.

    Raises:
        CallFailed: it was refused or cannot be read.
    """
    with explaining(Endpoint.SETUP, reply):
        records = [as_object(entry) for entry in open_envelope(Endpoint.SETUP, reply).result]
        fields = [_field(record, as_object(record.get("rest"))) for record in records if record.get("rest")]
        return {field.name: field for field in fields}


def read_partitions(reply: Reply) -> tuple[str, ...]:
    """Read the partitions' names.

    Raises:
        CallFailed: it was refused or cannot be read.
    """
    with explaining(Endpoint.SETUP, reply):
        return tuple(text(as_object(entry), "name") for entry in open_envelope(Endpoint.SETUP, reply).result)


def _field(record: Mapping[str, Json], rest: Mapping[str, Json]) -> PersonField:
    length = record.get("length")
    return PersonField(
        name=text(rest, "name"),
        display_name=text(record, "displayName"),
        type=text(record, "dataType"),
        length=length if isinstance(length, int) and not isinstance(length, bool) else None,
        is_read_only=rest.get("readOnly") is True,
    )
