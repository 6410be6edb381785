"""Marketo's access token: kept as long as it lives, renewed by one request at a time."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
from pydantic import SecretStr

from app.dates import read_http_date
from app.domain import Clock, utc_now
from app.marketo.address import MarketoAddress
from app.marketo.answers import TokenGrant, read_token
from app.marketo.envelope import Reply, read_retry_after, refuses_token
from app.marketo.transport import USER_AGENT

_TIMEOUT = httpx.Timeout(connect=10.0, read=30.0, write=10.0, pool=10.0)
_EARLY = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class _Token:
    value: SecretStr
    obtained_at: datetime
    renew_at: datetime


_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_NO_TOKEN = _Token(value=SecretStr(""), obtained_at=_LONG_AGO, renew_at=_LONG_AGO)


class MarketoAuth(httpx.Auth):
    """Put a valid token into each request; renew it once and send again at once where Marketo refuses it (601, 602).

    A second refusal goes back to the caller as it is. The client id and secret are sent in the body of a POST, never in
    a URL, which proxies write down. Adobe documents the POST with the parameters in the query; that the body is read as
    well is what OAuth 2 asks for, and was not tried on a live account.

    Marketo gives the same token again until it expires, so 'a little early' is a tenth of what remains, 60 s at most:
    with a fixed minute, each request of the last minute would renew.
    """

    def __init__(
        self, *, address: MarketoAddress, client_id: str, client_secret: SecretStr, clock: Clock = utc_now
    ) -> None:
        self._url = address.token_url
        self._client_id = client_id
        self._client_secret = client_secret
        self._clock = clock
        self._token = _NO_TOKEN
        self._renewing = asyncio.Lock()
        self._renewals = 0

    @property
    def renewals(self) -> int:
        """How many tokens the identity service has given, for the metrics."""
        return self._renewals

    @property
    def token_age(self) -> timedelta | None:
        """How long ago the token in use was first given, for the metrics; None before the first."""
        return None if self._token is _NO_TOKEN else self._clock() - self._token.obtained_at

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Yield what is to be sent, as httpx asks for it.

        httpx closes this generator when a request fails or is cancelled, which lets go of the lock.

        Raises:
            CallFailed: the identity service refused, or its answer cannot be read; the request was not sent.
        """
        token = self._token
        renew = self._clock() >= token.renew_at
        for _ in range(2):  # the first refusal renews, the second goes back to the caller
            if renew:
                async with self._renewing:
                    if self._token is token:  # nobody renewed it while we waited
                        answer = yield self._identity_request()
                        self._keep(read_token(await self._reply(answer)))
                    token = self._token
            request.headers["Authorization"] = f"Bearer {token.value.get_secret_value()}"
            answer = yield request
            if not refuses_token(await self._reply(answer)):
                return
            renew = True

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Refuse: the lock belongs to an event loop."""
        raise RuntimeError("MarketoAuth works with httpx.AsyncClient only")

    def _identity_request(self) -> httpx.Request:
        return httpx.Request(
            "POST",
            self._url,
            data={
                "grant_type": "client_credentials",
                "client_id": self._client_id,
                "client_secret": self._client_secret.get_secret_value(),
            },
            headers={"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": USER_AGENT},
            extensions={"timeout": _TIMEOUT.as_dict()},  # a request made by hand has none
        )

    async def _reply(self, response: httpx.Response) -> Reply:
        body = await response.aread()
        now = read_http_date(response.headers.get("Date")) or self._clock()
        wait = read_retry_after(response.headers.get("Retry-After"), now=now)
        return Reply(response.status_code, body, wait)

    def _keep(self, grant: TokenGrant) -> None:
        now = self._clock()
        is_same = self._token.value.get_secret_value() == grant.value
        self._token = _Token(
            value=SecretStr(grant.value),
            obtained_at=self._token.obtained_at if is_same else now,
            renew_at=now + grant.expires_in - min(_EARLY, grant.expires_in / 10),
        )
        self._renewals += 1
