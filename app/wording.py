"""Word what pydantic found wrong, as what follows the field's name in a sentence; never the value. Pure.

And take people's addresses out of sentences that others wrote, before they are kept.
"""

import re
from collections.abc import Sequence

from pydantic_core import ErrorDetails

_ADDRESS = re.compile(r"(?:[^\s'\"<>()\[\],;:=]|(?<=\w)')+(?:@|%40)[^\s'\"<>()\[\],;]+", re.IGNORECASE)
_OF_TIME = "must be a time with its time zone, such as 2026-12-01T16:00:00Z"
_WORDS = {
    "missing": "is needed",
    "json_invalid": "is not JSON",
    "string_type": "must be text",
    "bool_type": "must be true or false, without quotation marks",
    "int_type": "must be a whole number, without quotation marks",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object of names and texts",
    "too_long": "must not have more than {max_length} entries",
    "string_too_long": "must not be longer than {max_length} characters",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "holds characters that it cannot have",
    "greater_than": "must be more than {gt:.12g}",
    "greater_than_equal": "must be at least {ge:.12g}",
    "less_than_equal": "must be at most {le:.12g}",
    "enum": "must be one of these: {expected}",
    "timezone_aware": _OF_TIME,
    "datetime_type": _OF_TIME,
    "datetime_parsing": _OF_TIME,
    "datetime_from_date_parsing": _OF_TIME,
    "extra_forbidden": "is not known here",
    "value_error": "{error}",
}


def problem_in_words(detail: ErrorDetails) -> str:
    """Return what is expected instead, such as `must be at most 200`."""
    return _WORDS.get(detail["type"], "cannot be used as it is").format(**detail.get("ctx", {}))


def path_of(location: Sequence[int | str]) -> str:
    """Return the path of a field as its sender wrote it, without what cannot be shown; `body` is the whole."""
    steps = (str(step)[:64] for step in location if step != "[key]")
    return "".join(char for char in ".".join(steps) if char.isprintable()) or "body"


def without_addresses(text: str) -> str:
    """Return a sentence with `<address>` in the place of each e-mail address."""
    return _ADDRESS.sub("<address>", text)
