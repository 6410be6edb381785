"""Word what is wrong with a custom body: each field by the path that the sender wrote, and never its value. Pure."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.domain import CampaignId, Json
from app.errors import FieldProblem, Invalid
from app.sources.custom.body import CustomBody, known_names, parse, token_problem

_MOST = 20  # a body with ten thousand unknown keys gets a short answer too
_WORDS = {
    "missing": "is needed",
    "string_type": "must be text",
    "int_type": "must be a whole number, without quotation marks",
    "int_from_float": "must be a whole number",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object of names and texts",
    "too_long": "must not have more than {max_length} entries",
    "string_too_long": "must not be longer than {max_length} characters",
    "string_too_short": "must not be empty",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "timezone_aware": "must name its time zone, such as 2026-12-01T16:00:00Z",
    "value_error": "{error}",
}


def checked_body(
    document: Json, *, allowed_campaigns: Collection[CampaignId], reserved_tokens: Collection[str]
) -> CustomBody:
    """Return the body if every field of it can be used.

    Raises:
        Invalid: names each field at fault (at most 20).
    """
    if not isinstance(document, dict):
        raise Invalid([FieldProblem("body", "must be a JSON object")])
    try:
        body = parse(document)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise Invalid([_problem(detail) for detail in details[:_MOST]]) from None
    wrong = list(_disallowed(body, allowed_campaigns, reserved_tokens))
    if wrong:
        raise Invalid(wrong[:_MOST])
    return body


def _disallowed(
    body: CustomBody, allowed_campaigns: Collection[CampaignId], reserved_tokens: Collection[str]
) -> Iterable[FieldProblem]:
    if body.campaign_id is not None and body.campaign_id not in allowed_campaigns:
        yield FieldProblem("campaignId", "is not one of the campaigns that the relay may request")
    for name, value in body.tokens.items():
        if problem := token_problem(name, value, reserved_tokens):
            yield FieldProblem(_path(("tokens", name)), problem)


def _problem(detail: ErrorDetails) -> FieldProblem:
    path = detail["loc"]
    if detail["type"] == "extra_forbidden":
        return FieldProblem(_path(path), _unknown(path))
    words = _WORDS.get(detail["type"], detail["msg"])
    return FieldProblem(_path(path), _filled(words, detail.get("ctx", {})))


def _filled(words: str, context: Mapping[str, Any]) -> str:
    return words.format(**context) if context else words


def _unknown(path: tuple[int | str, ...]) -> str:
    """Say that a key is unknown, and which one was probably meant: `joinlink` → `joinLink`."""
    names = {name.lower(): name for name in known_names(path[:-1])}
    written = str(path[-1])[:64].lower().replace("_", "").replace("-", "")
    likely = difflib.get_close_matches(written, names, n=1)
    return f"is not known here; did you mean {names[likely[0]]}?" if likely else "is not known here"


def _path(path: tuple[int | str, ...]) -> str:
    """Return a path as the sender wrote it, with what cannot be shown left out."""
    steps = (str(step)[:64] for step in path if step != "[key]")
    return "".join(char for char in ".".join(steps) if char.isprintable()) or "body"
