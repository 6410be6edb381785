"""The way out to Marketo: one origin, whole answers, and a limit on every byte and second."""

import asyncio
import ssl
import urllib.request
from collections.abc import Mapping
from typing import cast

import httpx

from app import __version__
from app.marketo.address import MarketoAddress

LARGEST_ANSWER = 16 * 1024 * 1024  # 300 people are some hundred kilobytes
USER_AGENT = f"marketo-webhook-relay/{__version__}"

_NOT_PASSED_ON = frozenset({"content-encoding", "content-length", "transfer-encoding", "location", "set-cookie"})


class AnswerTooLarge(httpx.DecodingError):
    """An answer went over the limit, before or after it was decompressed."""


class GuardedTransport(httpx.AsyncBaseTransport):
    """Let requests out to one origin only, and read each answer whole, within a size and a time.

    httpx limits the silence between two packets, never the whole; here an answer that drips is given up after the sum
    of the request's time-outs. Redirects and cookies are dropped, so that no answer can lead a request elsewhere.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, *, origin: str, largest: int = LARGEST_ANSWER) -> None:
        self._inner = inner
        self._origin = httpx.URL(origin)
        self._largest = largest

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and return its answer, read whole.

        Raises:
            httpx.TransportError, httpx.DecodingError: there is no whole answer.
            RuntimeError: the request is for another host; nothing was sent.
        """
        if not self._is_home(request.url):
            raise RuntimeError("a request for another host than the configured one was stopped")
        try:
            async with asyncio.timeout(_whole_time(request)):
                return await self._whole(request)
        except TimeoutError:
            raise httpx.ReadTimeout("the answer took too long as a whole", request=request) from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()

    def _is_home(self, url: httpx.URL) -> bool:
        return (url.scheme, url.host, url.port) == (self._origin.scheme, self._origin.host, self._origin.port)

    async def _whole(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        try:
            body = await self._read(response)
        finally:
            await response.aclose()
        headers = [
            (name, value)
            for name, value in response.headers.raw
            if name.decode("latin-1").lower() not in _NOT_PASSED_ON
        ]
        return httpx.Response(response.status_code, headers=headers, content=body, extensions=response.extensions)

    async def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > self._largest:
                raise AnswerTooLarge(f"the answer is over {self._largest:,} bytes")
        return bytes(body)


def open_http(
    address: MarketoAddress,
    *,
    most_connections: int = 10,
    trust_env: bool = True,
    verify: ssl.SSLContext | bool = True,
) -> httpx.AsyncClient:
    """Return the HTTP client for one instance; the caller closes it.

    With `trust_env`, HTTPS_PROXY, HTTP_PROXY and NO_PROXY choose a proxy and SSL_CERT_FILE the certificate authorities,
    as usual. This machine is never reached through a proxy.
    """
    inner = httpx.AsyncHTTPTransport(
        verify=verify,
        trust_env=trust_env,
        proxy=proxy_for(address) if trust_env else None,
        limits=httpx.Limits(
            max_connections=most_connections,
            max_keepalive_connections=most_connections,
            keepalive_expiry=15.0,  # shorter than any gateway's, or a trigger call may meet a closing connection
        ),
    )
    return httpx.AsyncClient(
        transport=GuardedTransport(inner, origin=address.origin),
        headers={"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"},
        timeout=httpx.Timeout(10.0),
        follow_redirects=False,
        trust_env=False,  # with its own transport, the client would ignore the proxies anyway: see above
    )


def proxy_for(address: MarketoAddress) -> str | None:
    """Return the proxy that the environment names for this instance; it may hold a user name and password."""
    if address.is_loopback or urllib.request.proxy_bypass(address.host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(httpx.URL(address.origin).scheme) or proxies.get("all")


def shown(proxy: str) -> str:
    """Return a proxy's address without user name and password."""
    return str(httpx.URL(proxy).copy_with(userinfo=b""))


def _whole_time(request: httpx.Request) -> float | None:
    limits = cast("Mapping[str, float | None]", request.extensions.get("timeout", {}))
    return sum(limit for limit in limits.values() if limit) or None
