"""Show what webhooks hold without the secrets in it: one way for the API, the command line and the console. No I/O."""

import json
import re
from collections.abc import Iterable, Mapping

from app.domain import Json
from app.hiding import Hiding
from app.log import MASK

_SECRET_HEADER = re.compile(r"auth|cookie|key|secret|signature|token", re.IGNORECASE)
_SECRET_NAME = re.compile(r"secret|passw|signature|authorization|api_?key|access_?token|cookie", re.IGNORECASE)


class Masking:
    """Masks these secrets wherever they stand, and whatever has a name that sounds like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._hiding = Hiding(secrets)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {
            name: MASK if _SECRET_HEADER.search(name) else self._hiding.text(value) for name, value in headers.items()
        }

    def body(self, body: bytes) -> str:
        """Return a body as text: as it came, unless something in it is masked."""
        text = body.decode("utf-8", "replace")
        try:
            document = json.loads(text)
            masked = self._hiding.document(_without_secret_names(document))
        except (ValueError, RecursionError):  # what is not JSON is searched as it is
            return self._hiding.text(text)
        if masked != document:
            text = json.dumps(masked, ensure_ascii=False).encode("utf-8", "replace").decode()
        return self._hiding.text(text)


def _without_secret_names(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _named(name, below) for name, below in value.items()}
    return [_without_secret_names(one) for one in value] if isinstance(value, list) else value


def _named(name: str, value: Json) -> Json:
    """Return what stands under this name: masked where it is a text, and the name sounds like a secret."""
    is_secret = isinstance(value, str) and value and _SECRET_NAME.search(name)
    return MASK if is_secret else _without_secret_names(value)
