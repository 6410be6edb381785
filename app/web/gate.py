"""Who may ask: bearers of the ADMIN_TOKEN anything, of the ADMIN_READ_TOKEN what changes nothing."""

import hmac
from collections.abc import Sequence
from typing import Annotated

import structlog
from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from app.web.parts import WebParts
from app.web.problems import CHALLENGE, TOO_MANY_GUESSES, Problem, Refused

ADMIN_IS_OFF = Problem(404, "admin_off", "The admin API is off; set ADMIN_TOKEN to turn it on.")
NO_TOKEN = Problem(
    401,
    "not_authentic",
    "Send Authorization: Bearer with the ADMIN_TOKEN; to look, the ADMIN_READ_TOKEN does, too.",
    headers=(CHALLENGE,),
)
WRONG_TOKEN = Problem(
    401,
    "not_authentic",
    "This token is wrong: compare it with ADMIN_TOKEN in the relay's settings; to look, ADMIN_READ_TOKEN does, too.",
    headers=(CHALLENGE,),
)
READ_ONLY = Problem(403, "read_only", "This token may only look; send the ADMIN_TOKEN to change something.")

_bearer = HTTPBearer(auto_error=False, description="The ADMIN_TOKEN; the ADMIN_READ_TOKEN does for every GET")
_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("app.web")


class Gate:
    """A dependency: lets bearers of a token in, as far as it reaches."""

    def __init__(self, parts: WebParts) -> None:
        self._full = _clear(parts.admin_tokens)
        self._read = _clear(parts.admin_read_tokens)
        self._waiting = parts.waiting

    async def __call__(
        self, request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
    ) -> None:
        if not (self._full or self._read):
            raise Refused(ADMIN_IS_OFF)
        shown = given.credentials.encode("utf-8", "surrogateescape") if given else b""
        is_full, is_reader = _is_among(self._full, shown), _is_among(self._read, shown)
        if not (is_full or is_reader):
            raise Refused(await self._refusal(request) if shown else NO_TOKEN)
        if not is_full and request.method not in ("GET", "HEAD"):
            raise Refused(READ_ONLY)

    async def _refusal(self, request: Request) -> Problem:
        _log.warning("admin_token_refused", client=request.client.host if request.client else None)
        return WRONG_TOKEN if await self._waiting.sit() else TOO_MANY_GUESSES


def _clear(tokens: Sequence[SecretStr]) -> Sequence[bytes]:
    return [token.get_secret_value().encode() for token in tokens]


def _is_among(tokens: Sequence[bytes], shown: bytes) -> bool:
    return any([hmac.compare_digest(token, shown) for token in tokens])  # noqa: C419  # all of them: no early exit
