"""The people of the simulated instance, and the two ways in which careless upserts make duplicates of them."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from app.sandbox import seed
from app.sandbox.marketo_answers import stamp

EMAIL = "email"
SEARCHABLE = ("email", "externalId", seed.JOIN_LINK_FIELD)  # plus `id`, which is an integer
DEFAULT_FIELDS = ("id", "firstName", "lastName", "email", "updatedAt", "createdAt")
PARTITIONS = ("Default",)
_LONGEST_VALUE = 255
_ADDRESS = re.compile(r"[\x21-\x7e]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")  # ASCII only


@dataclass(frozen=True, slots=True)
class PersonField:
    """One field as Describe Lead shows it, by its name in the REST API."""

    display_name: str
    type: str = "string"
    length: int | None = _LONGEST_VALUE
    read_only: bool = False


def seeded_fields() -> dict[str, PersonField]:
    return {
        "id": PersonField("Id", "integer", None, read_only=True),
        "email": PersonField("Email Address", "email"),
        "firstName": PersonField("First Name"),
        "lastName": PersonField("Last Name"),
        "salutation": PersonField("Salutation"),
        "title": PersonField("Job Title"),
        "phone": PersonField("Phone Number", "phone"),
        "unsubscribed": PersonField("Unsubscribed", "boolean", None),
        "externalId": PersonField("External Id"),
        seed.JOIN_LINK_FIELD: PersonField("Webinar Join Link", "text", 2000),
        "createdAt": PersonField("Created At", "datetime", None, read_only=True),
        "updatedAt": PersonField("Updated At", "datetime", None, read_only=True),
        "leadPartitionId": PersonField("Person Partition", "lead_function", None, read_only=True),
    }


@dataclass(slots=True)
class Person:
    """One lead record. `emails` counts the messages it got, `runs` its campaigns: when first and when last.

    `making` are the e-mails that are not made yet: until when, and the fields that they read.
    """

    id: int
    created: datetime
    updated: datetime
    fields: dict[str, Any] = field(default_factory=dict)
    emails: int = 0
    runs: dict[int, tuple[datetime, datetime]] = field(default_factory=dict)
    making: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)

    def value(self, name: str) -> Any:
        special = {"id": self.id, "createdAt": self.created, "updatedAt": self.updated, "leadPartitionId": 1}
        value = special.get(name, self.fields.get(name))
        return stamp(value) if isinstance(value, datetime) else value

    def record(self, names: tuple[str, ...] = DEFAULT_FIELDS) -> dict[str, Any]:
        return {"id": self.id, **{name: self.value(name) for name in names}}


class Refused(Exception):  # a fact about one record, as Marketo words it
    """One record is skipped, for this code and reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class People:
    """All lead records, found by id or by any searchable field, compared without regard to case."""

    def __init__(self, *, duplicate_within: timedelta) -> None:
        self._duplicate_within = duplicate_within
        self._ids = count(seed.FIRST_LEAD_ID)
        self._by_id: dict[int, Person] = {}
        self._by_value: dict[tuple[str, str], list[Person]] = defaultdict(list)
        self._upserted: dict[tuple[str, str], datetime] = {}
        self.duplicates = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Person]:
        return iter(self._by_id.values())

    def get(self, lead_id: int) -> Person | None:
        return self._by_id.get(lead_id)

    def find(self, name: str, value: str) -> list[Person]:
        """Return everyone with this value, newest record first: callers must not lean on the order."""
        if name == "id":
            person = self._by_id.get(int(value)) if value.isascii() and value.isdigit() else None
            return [person] if person else []
        return sorted(self._by_value.get((name, value.lower()), ()), key=lambda person: -person.id)

    def create(self, fields: Mapping[str, Any], now: datetime) -> Person:
        person = Person(next(self._ids), now, now)
        self._by_id[person.id] = person
        self._write(person, fields, now)
        return person

    def update(self, person: Person, fields: Mapping[str, Any], now: datetime) -> None:
        self._write(person, fields, now)

    def remove(self, lead_id: int) -> bool:
        """Delete a person; False when there was none."""
        person = self._by_id.pop(lead_id, None)
        if person:
            self._unlist(person)
        return person is not None

    def collides(self, name: str, value: str, started: datetime, now: datetime) -> bool:
        """Note an upsert of this key and tell whether another one was in flight with it, or too shortly before.

        `started` is when the call came in. An upsert that ended after that, or less than `duplicate_within` before it,
        was not yet visible to this one: Marketo then makes a second person.
        """
        key = (name, value.lower())
        last = self._upserted.get(key)
        self._upserted[key] = now
        return last is not None and last > started - self._duplicate_within

    def _write(self, person: Person, fields: Mapping[str, Any], now: datetime) -> None:
        self._unlist(person)
        person.fields.update(fields)
        person.updated = now
        person.making = [(until, read) for until, read in person.making if until > now]
        for _, read in person.making:
            read.update(fields)
        for name in SEARCHABLE:
            if value := person.fields.get(name):
                self._by_value[name, str(value).lower()].append(person)

    def _unlist(self, person: Person) -> None:
        for name in SEARCHABLE:
            if value := person.fields.get(name):
                same = self._by_value[name, str(value).lower()]
                same.remove(person)
                if not same:
                    del self._by_value[name, str(value).lower()]


def writable(known: Mapping[str, PersonField]) -> set[str]:
    """Return the fields that a sync may name."""
    return {name for name, one in known.items() if not one.read_only}


def checked_fields(record: Mapping[str, Any], known: Mapping[str, PersonField]) -> dict[str, Any]:
    """Return a record's fields when Marketo would save them.

    Raises:
        Refused: a value has the wrong type or length, or the address is not plain ASCII (1001, 1003).
    """
    for name, value in record.items():
        if name == "unsubscribed":
            if not isinstance(value, bool):
                raise Refused("1001", f"Invalid value '{value}'. Required of type 'Boolean'")
        elif value is not None and not isinstance(value, str):
            raise Refused("1001", f"Invalid value '{value}'. Required of type 'String'")
        elif value is not None and (longest := known[name].length) and len(value) > longest:
            raise Refused("1003", f"Value for field '{name}' exceeds {longest} characters")
    address = record.get(EMAIL)
    if address is not None and not _ADDRESS.fullmatch(address):
        raise Refused("1003", "Email Address is invalid")
    return dict(record)
