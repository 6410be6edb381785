"""Which fields Marketo's people have, and which partitions there are."""

from typing import Any

from app.sandbox.marketo_answers import Result
from app.sandbox.people import PersonField
from app.sandbox.world import Work


def describe(work: Work) -> Result:
    """Return every field; one has no REST name, which Adobe's Swagger does not require."""
    fields = [_record(number, name, field) for number, (name, field) in enumerate(work.world.fields.items(), 1)]
    return Result([*fields, {"id": 900, "displayName": "Acquisition Program", "dataType": "reference"}])


def partitions(work: Work) -> Result:
    return Result(
        [{"id": number, "name": name, "description": ""} for number, name in enumerate(work.world.partitions, 1)]
    )


def _record(number: int, name: str, field: PersonField) -> dict[str, Any]:
    record = {"id": number, "displayName": field.display_name, "dataType": field.type}
    rest = {"name": name, "readOnly": field.read_only}
    return {**record, **({"length": field.length} if field.length else {}), "rest": rest}
