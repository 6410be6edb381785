"""Marketo's identity service: one token per custom service, given again with the seconds that remain."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from app.sandbox.config import Credential
from app.sandbox.marketo_answers import Refusal
from app.sandbox.wire import Answer, Request, json_answer

if TYPE_CHECKING:
    from app.sandbox.world import Work


@dataclass(frozen=True, slots=True)
class Token:
    """One access token and whose it is."""

    text: str
    client_id: str
    expires: datetime


class TokenDesk:
    """Give out tokens and know them again. Credentials can be revoked and given back."""

    def __init__(self, credentials: Iterable[Credential], *, life: timedelta, make: Callable[[], str]) -> None:
        self._credentials = {credential.client_id: credential for credential in credentials}
        self._permissions = {c.client_id: c.permissions for c in self._credentials.values()}
        self._life = life
        self._make = make
        self._current: dict[str, Token] = {}
        self._ever: dict[str, Token] = {}
        self._revoked = False

    def issue(self, client_id: str, client_secret: str, now: datetime) -> Token | None:
        """Return the service's token, a new one only when the last has ended; None for wrong credentials."""
        credential = self._credentials.get(client_id)
        if self._revoked or not credential or not _same(credential.client_secret, client_secret):
            return None
        token = self._current.get(client_id)
        if token is None or token.expires <= now:
            token = Token(f"{self._make()}:ab", client_id, now + self._life)
            self._current[client_id] = self._ever[token.text] = token
        return token

    def user_of(self, text: str, now: datetime) -> Credential:
        """Return who holds this token.

        Raises:
            Refusal: 601 for one that was never given or has been revoked, 602 for one that has expired.
        """
        token = self._ever.get(text)
        if token is None:
            raise Refusal("601")
        if token.expires <= now:
            raise Refusal("602")
        return self._credentials[token.client_id]

    def permissions_of(self, client_id: str) -> frozenset[str]:
        return self._permissions[client_id]

    def permit(self, permissions: Iterable[str]) -> None:
        """Give every custom service just these permissions from now on."""
        self._permissions = dict.fromkeys(self._credentials, frozenset(permissions))

    def revoke_tokens(self) -> None:
        """Make every token invalid (601), as an admin does by saving the custom service again."""
        self._current.clear()
        self._ever.clear()

    def expire_tokens(self, now: datetime) -> None:
        """End every token now (602)."""
        self._ever = {text: Token(text, token.client_id, now) for text, token in self._ever.items()}
        self._current.clear()

    def revoke_credentials(self) -> None:
        self.revoke_tokens()
        self._revoked = True

    def restore_credentials(self) -> None:
        self._revoked = False


class Identity:
    """`/identity/oauth/token`, by GET or POST, with its parameters in the query or in a form body. Never counted."""

    name = "identity"

    def operation(self, request: Request) -> str:
        return "identity" if request.path == "/oauth/token" else "identity_unknown"

    async def answer(self, work: "Work") -> Answer:
        await work.world.config.sleep(work.world.config.latency.total_seconds())
        request = work.request
        if request.path != "/oauth/token":
            return _refused(work, 404, "not_found", "No such resource")
        if request.method not in ("GET", "POST"):
            return _refused(work, 405, "method_not_allowed", "Use GET or POST")
        parameters = {**request.query, **request.form()}
        if parameters.get("grant_type") != "client_credentials":
            return _refused(work, 400, "unsupported_grant_type", "grant_type must be client_credentials")
        now = work.world.now()
        token = work.world.tokens.issue(parameters.get("client_id", ""), parameters.get("client_secret", ""), now)
        if token is None:
            return _refused(work, 401, "invalid_client", "Bad client credentials")
        return json_answer(200, self._granted(work, token, now))

    def error(self, work: "Work", code: str) -> Answer:
        work.call.code = code
        status = int(code.removeprefix("http ")) if code.startswith("http ") else 401
        return json_answer(status, {"error": "unauthorized" if status == 401 else "server_error"})

    def _granted(self, work: "Work", token: Token, now: datetime) -> dict[str, Any]:
        credential = work.world.tokens.user_of(token.text, now)
        left = max(0, int((token.expires - now).total_seconds()) - 1)
        return {"access_token": token.text, "token_type": "bearer", "expires_in": left, "scope": credential.user}


def _same(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode(), other.encode())


def _refused(work: "Work", status: int, error: str, description: str) -> Answer:
    work.call.code = f"http {status}"
    work.call.message = description
    return json_answer(status, {"error": error, "error_description": description})
