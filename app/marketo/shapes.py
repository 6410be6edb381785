"""Take JSON apart, strictly: a value of the documented shape, or `WrongShape`, which names the field. No I/O."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import cast

from app.dates import in_utc
from app.domain import LARGEST_LEAD_ID, Json


class WrongShape(Exception):
    """What came is not what Marketo documents. The message names the field and holds nothing of its value."""


def parse(body: bytes) -> Json:
    """Return the document in a body; UTF-8 only, with or without a byte order mark."""
    try:
        return cast("Json", json.loads(body.decode("utf-8-sig")))
    except UnicodeDecodeError:
        raise WrongShape("the body is not UTF-8") from None
    except ValueError:
        is_page = body.lstrip().startswith(b"<")
        raise WrongShape("the body is a web page" if is_page else "the body is not JSON") from None
    except RecursionError:
        raise WrongShape("the body is nested too deep") from None


def as_object(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise WrongShape("an object was expected")
    return value


def items(record: Mapping[str, Json], name: str) -> list[Json]:
    """Return a list; an absent one is empty."""
    value = record.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise WrongShape(f"{name} is no list")
    return value


def number(record: Mapping[str, Json], name: str, *, smallest: int = 1) -> int:
    """Return a whole number up to 2^31-1, which is what Adobe's Swagger files call int32."""
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not smallest <= value <= LARGEST_LEAD_ID:
        raise WrongShape(f"{name} is no number from {smallest} to 2^31-1")
    return value


def text(record: Mapping[str, Json], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise WrongShape(f"{name} is no text")
    return printable(value)


def optional_text(record: Mapping[str, Json], name: str) -> str | None:
    return text(record, name) if record.get(name) is not None else None


def moment(value: Json) -> datetime | None:
    """Return a date and time in UTC, None for anything else: no decision rests on one alone."""
    try:
        return in_utc(datetime.fromisoformat(value)) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def printable(value: str) -> str:
    """Return a text that any log and database takes: no control characters, no half surrogate pairs."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value)
