"""A Marketo with rules, in memory: one token at a time for everybody, header only, in the body of a POST."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qs

import httpx
from pydantic import SecretStr

from app.marketo.address import base_urls
from app.marketo.auth import MarketoAuth
from app.marketo.client import MarketoClient
from tests.conftest import MovableClock
from tests.marketo.shapes_of_marketo import assert_shape

ADDRESS = base_urls("https://123-ABC-456.mktorest.com")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CLIENT_ID = "1e2f-client"
SECRET = "s3cret&with=signs"


def watch() -> MovableClock:
    return MovableClock(NOW)


def envelope(result: Sequence[object] = (), **more: object) -> dict[str, object]:
    """Return an answer with every key that Adobe's Swagger file requires."""
    return {"requestId": "a1b2#19", "success": True, "result": list(result), "errors": [], "warnings": [], **more}


def refusal(code: object, message: str = "No.") -> dict[str, object]:
    return envelope(success=False, errors=[{"code": code, "message": message}])


def campaign_ran(_: httpx.Request) -> httpx.Response:
    answer = envelope([{"id": 1234}])
    assert_shape("trigger_answer", answer)
    return httpx.Response(200, json=answer)


class FakeMarketo:
    """Issuing a token revokes the one before for everybody; a request without the current one is refused.

    `before_identity` and `before_rest` are awaited first, so that a test can hold requests where it wants them.
    """

    def __init__(self, *, expires_in: object = 3599, refuse_with: str = "601") -> None:
        self.expires_in = expires_in
        self.refuse_with = refuse_with
        self.token: str | None = None
        self.identity_calls = 0
        self.rest_calls: list[httpx.Request] = []
        self.identity_answer: Callable[[], httpx.Response] | None = None
        self.answer: Callable[[httpx.Request], httpx.Response] = campaign_ran
        self.before_identity: Callable[[], object] | None = None
        self.before_rest: Callable[[], object] | None = None
        self.accepts_tokens = True

    def revoke(self) -> None:
        self.token = None

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)  # as on a network, everybody else goes on meanwhile; else no race could show
        is_identity = request.url.path == "/identity/oauth/token"
        waiting = self.before_identity if is_identity else self.before_rest
        if waiting is not None and asyncio.iscoroutine(coroutine := waiting()):
            await coroutine
        return self._identity(request) if is_identity else self._rest(request)

    def _identity(self, request: httpx.Request) -> httpx.Response:
        self.identity_calls += 1
        assert request.method == "POST"
        assert request.url.query == b"", "credentials do not belong in a URL"
        assert "Authorization" not in request.headers
        form = parse_qs(request.content.decode(), strict_parsing=True)
        if form != {"grant_type": ["client_credentials"], "client_id": [CLIENT_ID], "client_secret": [SECRET]}:
            return httpx.Response(401, json={"error": "invalid_client", "error_description": "Bad client credentials"})
        if self.identity_answer is not None:
            return self.identity_answer()
        self.token = f"token-{self.identity_calls}"
        grant = {"access_token": self.token, "token_type": "bearer", "expires_in": self.expires_in, "scope": "a@b.co"}
        assert_shape("token_answer", grant)
        return httpx.Response(200, json=grant)

    def _rest(self, request: httpx.Request) -> httpx.Response:
        self.rest_calls.append(request)
        assert "access_token" not in request.url.params
        sent = request.headers.get("Authorization")
        if self.token is None or sent != f"Bearer {self.token}" or not self.accepts_tokens:
            return httpx.Response(200, json=refusal(self.refuse_with, "Access token invalid"))
        return self.answer(request)

    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self))

    def auth(self, *, clock: MovableClock | None = None, secret: str = SECRET) -> MarketoAuth:
        return MarketoAuth(
            address=ADDRESS, client_id=CLIENT_ID, client_secret=SecretStr(secret), clock=clock or watch()
        )

    def client(self, http: httpx.AsyncClient, auth: MarketoAuth) -> MarketoClient:
        return MarketoClient(http=http, address=ADDRESS, auth=auth, clock=watch())


def body_of(request: httpx.Request) -> object:
    return json.loads(request.content)
