"""Make what strangers wrote fit to be shown: endless texts cut, nothing that prints oddly. No I/O."""

import json
import re
from contextlib import suppress

HIDDEN = "•••"
LONGEST = 300  # characters of a name or title
LONGEST_PAYLOAD = 100_000  # characters
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def plain(text: object, longest: int = LONGEST) -> str:
    """Return a text on one line without control characters and changes of direction, cut where it is endless."""
    shown = " ".join(_INVISIBLE.sub("\ufffd", str(text)).split())
    return shown if len(shown) <= longest else f"{shown[:longest]}… ({len(shown)} characters)"


def payload(text: str) -> str:
    """Return a webhook's body for people: JSON laid out, endless ones cut. Its secrets are masked before."""
    with suppress(ValueError, RecursionError):  # what is not JSON is shown as it came
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    text = _INVISIBLE.sub("\ufffd", text)
    return text if len(text) <= LONGEST_PAYLOAD else f"{text[:LONGEST_PAYLOAD]}\n… ({len(text)} characters)"
