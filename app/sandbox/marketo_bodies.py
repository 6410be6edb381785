"""Read what a Marketo call carries: JSON, lists in a query, ids. Anything odd is refused with its documented code."""

import json
from typing import Any

from app.sandbox.marketo_answers import Refusal
from app.sandbox.world import Work


def json_object(work: Work) -> dict[str, Any]:
    """Return the body's object.

    Raises:
        Refusal: 609 when it is not UTF-8, not JSON (NaN is not), or no object.
    """
    try:
        document = json.loads((work.request.body or b"").decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Refusal("609") from None
    if not isinstance(document, dict):
        raise Refusal("609", "Invalid JSON: an object is expected")
    return document


def parameters(work: Work) -> dict[str, str]:
    """Return the query; for a POST with `_method=GET`, the form body with it."""
    return {**work.request.query, **work.request.form()}


def required(given: dict[str, str], name: str) -> str:
    """Raise 1002 when a parameter is missing or empty."""
    if not (value := given.get(name, "")):
        raise Refusal("1002", f"Missing value for required parameter '{name}'")
    return value


def listed(given: dict[str, str], name: str, *, most: int) -> list[str]:
    """Return a comma-separated parameter's values, none when it is absent; 1003 when there are too many."""
    values = [value.strip() for value in given.get(name, "").split(",") if value.strip()]
    if len(values) > most:
        raise Refusal("1003", f"{name} has {len(values)} values; the maximum is {most}")
    return values


def whole_number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Refusal("1001", f"Invalid value '{text[:40]}' for '{name}'. Required of type 'Integer'")
    return int(text)


def page_size(given: dict[str, str]) -> int:
    size = whole_number(given.get("batchSize") or "300", "batchSize")
    return min(size, 300) or 300


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
