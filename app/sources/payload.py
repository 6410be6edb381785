"""Read what strangers send as JSON, and find texts in it. No I/O: bytes in, values or `Malformed` out."""

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from pydantic_core import from_json

from app.dates import in_utc
from app.domain import Json
from app.errors import Malformed

LONGEST_ID = 255

JsonObject = dict[str, Json]

_BOM = b"\xef\xbb\xbf"
_MIGHT_OVERFLOW = re.compile(rb"[0-9][eE]\+?[0-9]|[0-9]{300}")
_Item = TypeVar("_Item")


def read_json(body: bytes) -> Json:
    """Return the document in a body: RFC 8259 in UTF-8, at most some 200 levels deep, numbers finite.

    One leading byte order mark is passed over (RFC 8259, section 8.1, allows that; .NET senders write it). Of a
    repeated key the last one counts.

    Raises:
        Malformed: with the position of what is wrong, never with the text that stands there.
    """
    text = body.removeprefix(_BOM)
    if not text.strip():
        raise Malformed("the body is empty; a JSON document is expected")
    try:
        document: Json = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        if "recursion limit" in str(error):
            raise Malformed("the body is nested too deeply") from None
        raise Malformed(f"the body is not JSON in UTF-8: {error}") from None
    if _MIGHT_OVERFLOW.search(text) and not _is_finite(document):
        raise Malformed("the body holds a number that is too large")  # 1e400 reads as infinity
    return document


def value_at(document: Json, path: str) -> Json:
    """Return what stands at a dotted path (`properties.items.0.name`), or None. Never raises."""
    here = document
    for step in path.split("."):
        if isinstance(here, dict):
            here = here.get(step)
        elif isinstance(here, list) and step.isascii() and step.isdigit() and len(step) < 6:
            here = first(here[int(step) : int(step) + 1])
        else:
            return None
    return here


def text_at(document: Json, paths: Iterable[str], *, absent: Sequence[str] = ()) -> str | None:
    """Return the first usable text at one of the paths, byte for byte; a whole number counts as its digits.

    Blank texts and those that equal one of `absent` (any case) are passed over, and so are texts with a NUL, which
    PostgreSQL cannot store.
    """
    for path in paths:
        text = as_text(value_at(document, path))
        if text is not None and text.strip().lower() not in absent:
            return text
    return None


def as_text(value: Json) -> str | None:
    """Return a text that says something, or None."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 64:
        return str(value)
    if isinstance(value, str) and value.strip() and "\0" not in value:
        return value
    return None


def as_object(value: Json) -> JsonObject:
    """Return a JSON object as it is, and anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Json) -> list[Json]:
    """Return a JSON array as it is, and anything else as an empty one."""
    return value if isinstance(value, list) else []


def kept_texts(document: Json, paths: Iterable[str]) -> JsonObject:
    """Return a document of the same shape that holds the texts at these paths and nothing else.

    What a vendor's API says beyond that (phone numbers, answers) is not stored.
    """
    kept: JsonObject = {}
    for path in paths:
        *steps, last = path.split(".")
        here = kept
        for step in steps:
            below = here.setdefault(step, {})
            here = below if isinstance(below, dict) else {}
        here.setdefault(last, as_text(value_at(document, path)))
    return kept


def as_time(text: str | None) -> datetime | None:
    """Read an ISO 8601 time (UTC when it names no zone) or Unix seconds or milliseconds; None when it is neither."""
    if text is None:
        return None
    try:
        if re.fullmatch(r"[0-9]{9,13}", text):
            seconds = int(text) / (1000 if len(text) > 11 else 1)
            return datetime.fromtimestamp(seconds, UTC)
        return in_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def short_id(text: str) -> str:
    """Return a text that serves as an id: itself when short, else its hash (an index entry has a largest size)."""
    if len(text) <= LONGEST_ID:
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def first(items: Iterable[_Item]) -> _Item | None:
    return next(iter(items), None)


def _is_finite(document: Json) -> bool:
    left: list[Json] = [document]
    while left:
        here = left.pop()
        if isinstance(here, float) and not math.isfinite(here):
            return False
        if isinstance(here, dict):
            left.extend(here.values())
        elif isinstance(here, list):
            left.extend(here)
    return True
