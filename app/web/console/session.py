"""Who is signed in: a cookie that the relay signed with a key made from ADMIN_TOKEN. No I/O, nothing is stored.

Taking a token out of ADMIN_TOKEN ends the sessions that it opened.
"""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

LASTS = timedelta(hours=12)
_CONTEXT = b"marketo-webhook-relay console 1"


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in browser. `form_token` is what its forms must carry, and no other site can know.

    `may_act` is False for who signed in with a token that only looks.
    """

    expires_at: datetime
    form_token: str
    may_act: bool


class Sessions:
    """Opens and reads sessions for these admin tokens."""

    def __init__(self, admin_tokens: Sequence[str], read_tokens: Sequence[str] = ()) -> None:
        self._tokens = [token.encode() for token in (*admin_tokens, *read_tokens)]
        self._full = len(admin_tokens)
        self._keys = [hmac.digest(token, _CONTEXT, "sha256") for token in self._tokens]

    @property
    def are_possible(self) -> bool:
        """Tell whether there is any token to sign in with."""
        return bool(self._tokens)

    def open(self, shown: str, now: datetime) -> str | None:
        """Return the cookie of a new session; None when what is shown is no admin token."""
        given = shown.strip().encode("utf-8", "surrogatepass")
        fits = [hmac.compare_digest(token, given) for token in self._tokens]  # all of them: no early exit
        if not any(fits):
            return None
        said = f"{int((now + LASTS).timestamp())}.{secrets.token_urlsafe(16)}"
        return f"{said}.{_signed(self._keys[fits.index(True)], 'session', said)}"

    def read(self, cookie: str | None, now: datetime) -> Session | None:
        """Return the session of a cookie; None when it is forged, too old or not there."""
        said, _, signature = (cookie or "").rpartition(".")
        expires = said.partition(".")[0]
        if not (said.isascii() and expires.isdecimal() and len(expires) <= 12 and signature.isascii()):
            return None
        fits = [hmac.compare_digest(_signed(key, "session", said), signature) for key in self._keys]  # as above
        if not any(fits):
            return None
        number, expires_at = fits.index(True), datetime.fromtimestamp(int(expires), UTC)
        if now >= expires_at:
            return None
        return Session(expires_at, _signed(self._keys[number], "form", said), may_act=number < self._full)


def _signed(key: bytes, purpose: str, said: str) -> str:
    return hmac.digest(key, f"{purpose}.{said}".encode(), "sha256").hex()
