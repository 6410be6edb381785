"""Judge the fields and the partition that the settings name."""

from collections.abc import Mapping
from typing import NamedTuple

from app.doctor.access import not_looked
from app.doctor.picture import MarketoPicture, Unseen
from app.doctor.report import Check, Outcome, fail, ok, warn
from app.doctor.tokens import near
from app.doctor.wanted import Wanted
from app.marketo.schema import PersonField

LONG_ENOUGH = 255  # characters; conference links with their passcode have up to some 200
_TEXTS = frozenset({"string", "text", "url"})
_FIELDS = "Admin > Database Management > Field Management"


class Subject(NamedTuple):
    """What these checks look at."""

    wanted: Wanted
    seen: MarketoPicture


def _lookup_field(subject: Subject) -> Outcome:
    fields, name = subject.seen.fields, subject.wanted.lookup_field
    if isinstance(fields, Unseen):
        return not_looked(fields)
    return ok(f"people are found by {name}") if name in fields else _no_field(name, "MARKETO_LOOKUP_FIELD", fields)


def _link_fields(subject: Subject) -> Outcome | None:
    wanted, fields = subject.wanted, subject.seen.fields
    if not wanted.link_fields:
        return None
    if isinstance(fields, Unseen):
        return not_looked(fields)
    outcomes = [_link_field(name, setting, fields, wanted) for name, setting in wanted.link_fields.items()]
    return next((one for one in outcomes if one.advice), outcomes[0])


def _link_field(name: str, setting: str, fields: Mapping[str, PersonField], wanted: Wanted) -> Outcome:
    if (found := fields.get(name)) is None:
        return _no_field(name, setting, fields)
    advice = f"{_FIELDS}: make a custom field of type Text Area, and set {setting} to its REST API name."
    shown = f"the field {found.display_name} ({name})"
    if found.type.lower() not in _TEXTS:
        return fail(f"{shown} is of type {found.type}, which holds no link", advice)
    if found.is_read_only:
        return fail(f"{shown} cannot be written by the API", advice)
    if found.length is not None and found.length < max(LONG_ENOUGH, wanted.longest_link):
        return fail(f"{shown} holds {found.length} characters, too few for join links", advice)
    return ok(f"{shown} holds {f'{found.length:,} characters' if found.length else 'text'}")


def _no_field(name: str, setting: str, fields: Mapping[str, PersonField]) -> Outcome:
    similar = near(name, fields) or next((one.name for one in fields.values() if one.display_name == name), None)
    hint = f"Did you mean {similar}? " if similar else ""
    return fail(
        f"people have no field {name}",
        f"{hint}Set {setting} to a field's REST API name: {_FIELDS} > Export Field Names lists them.",
    )


def _partition(subject: Subject) -> Outcome | None:
    wanted, partitions = subject.wanted, subject.seen.partitions
    if wanted.partition is None or partitions is None:
        return None
    if isinstance(partitions, Unseen):
        return not_looked(partitions)
    if wanted.partition in partitions:
        return ok(f"new people go to the partition {wanted.partition}")
    return fail(
        f"there is no partition {wanted.partition} for this API user; there is {', '.join(partitions) or 'none'}",
        "Set MARKETO_PARTITION to one of Admin > Workspaces & Partitions > Person Partitions, or leave it out.",
    )


def _left_out(subject: Subject) -> Outcome | None:
    if not subject.seen.campaigns_left_out:
        return None
    return warn(
        f"{subject.seen.campaigns_left_out} more campaigns are named in the settings and were not looked at",
        "Check them one by one, each as MARKETO_CAMPAIGN_ID.",
    )


CHECKS = (
    Check("lookup_field", "Lookup field", _lookup_field),
    Check("join_link_field", "Field for join links", _link_fields),
    Check("partition", "Partition", _partition),
    Check("campaigns_left_out", "Further campaigns", _left_out),
)
