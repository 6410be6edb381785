"""Hide secrets in what strangers sent, before it is stored or shown. No I/O.

A secret is found however it is spelt: JSON may write any character by its number, and so may an address.
"""

import json
from collections.abc import Iterable
from urllib.parse import unquote

from app.domain import Json
from app.log import MASK, SHORTEST_SECRET, secret_forms


class Hiding:
    """Hides these secrets wherever they stand."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [secret for secret in secrets if len(secret) >= SHORTEST_SECRET]
        self._forms = secret_forms(self._secrets)

    def text(self, text: str) -> str:
        """Return a text with the secrets masked; of one that spells them in an unusual way nothing is left."""
        for form in self._forms:
            text = text.replace(form, MASK)
        plain = unquote(text) if "%" in text else text
        return MASK if any(secret in plain for secret in self._secrets) else text

    def document(self, document: Json) -> Json:
        """Return JSON with the secrets masked in each of its texts, the names of its fields among them."""
        if isinstance(document, str):
            return self.text(document)
        if isinstance(document, dict):
            return {self.text(name): self.document(value) for name, value in document.items()}
        if isinstance(document, list):
            return [self.document(one) for one in document]
        return document

    def body(self, body: bytes, document: Json) -> bytes:
        """Return the body in which this document came; without the secrets, where there are any in it."""
        hidden, text = self.document(document), body.decode("utf-8", "replace")
        return body if hidden == document and self.text(text) == text else json.dumps(hidden).encode()
