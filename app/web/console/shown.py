"""Make what strangers wrote fit to be shown: secrets masked, endless texts cut, nothing that prints oddly. No I/O."""

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

HIDDEN = "•••"
LONGEST = 300  # characters of a name or title
LONGEST_PAYLOAD = 100_000  # characters
_SECRET_NAME = re.compile(r"secret|passw|signature|authorization|api_?key|access_?token|cookie", re.IGNORECASE)
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def plain(text: object, longest: int = LONGEST) -> str:
    """Return a text on one line without control characters and changes of direction, cut where it is endless."""
    shown = " ".join(_INVISIBLE.sub("\ufffd", str(text)).split())
    return shown if len(shown) <= longest else f"{shown[:longest]}… ({len(shown)} characters)"


def payload(body: bytes, secrets: Iterable[str]) -> str:
    """Return a webhook's body for people: JSON laid out, secrets masked by name and by value."""
    text = body.decode("utf-8", "replace")
    with suppress(ValueError, RecursionError):  # what is not JSON is shown as it came
        text = json.dumps(_masked(json.loads(text)), indent=2, ensure_ascii=False)
    for secret in secrets:
        text = text.replace(secret, HIDDEN) if secret else text
    text = _INVISIBLE.sub("\ufffd", text)
    return text if len(text) <= LONGEST_PAYLOAD else f"{text[:LONGEST_PAYLOAD]}\n… ({len(text)} characters)"


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            k: HIDDEN if v and isinstance(v, str) and _SECRET_NAME.search(k) else _masked(v) for k, v in value.items()
        }
    return [_masked(one) for one in value] if isinstance(value, list) else value
