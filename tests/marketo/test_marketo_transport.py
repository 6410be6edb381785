"""The way out: one origin, whole answers, limits on bytes and time; over real sockets where httpx must do its part."""

import asyncio
import contextlib
import gzip
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import httpx
import pytest

from app.marketo.address import base_urls
from app.marketo.transport import AnswerTooLarge, GuardedTransport, open_http
from tests.marketo.fake_marketo import ADDRESS

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


@asynccontextmanager
async def server(talk: Talk) -> AsyncIterator[str]:
    """Listen on this machine; yields the base URL. At the end nothing is left, whatever a talk still waits for."""
    talking: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            talking.add(task)
        try:
            with contextlib.suppress(ConnectionError):
                await talk(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        async with listening:
            yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Return one request's head, its body read too."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            await reader.readexactly(int(line.partition(b":")[2]))
    return head


def guarded(handler: Callable[[httpx.Request], httpx.Response], *, largest: int = 1000) -> httpx.AsyncClient:
    inner = httpx.MockTransport(handler)
    return httpx.AsyncClient(transport=GuardedTransport(inner, origin=ADDRESS.origin, largest=largest))


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/rest/v1/leads.json",
        "http://123-abc-456.mktorest.com/rest/v1/leads.json",
        "https://123-abc-456.mktorest.com:8443/rest/v1/leads.json",
        "https://123-abc-456.mktorest.com.evil.example/rest",
        "https://123-abc-456.mktorest.com@evil.example/rest",
    ],
)
async def test_a_request_for_another_host_never_leaves(url: str) -> None:
    """The token would go with it."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    async with guarded(handler) as http:
        with pytest.raises(RuntimeError, match="another host"):
            await http.get(url)
    assert seen == []


async def test_a_redirect_is_an_answer_and_leads_nowhere() -> None:
    """Not even httpx's own preparation of the next request, which trips over odd addresses."""
    async with guarded(lambda _: httpx.Response(302, headers={"Location": "https://[::evil"})) as http:
        response = await http.get(ADDRESS.rest, follow_redirects=True)
    assert response.status_code == 302
    assert response.next_request is None


async def test_cookies_are_not_kept() -> None:
    """The token is all that identifies the relay."""
    async with guarded(lambda _: httpx.Response(200, headers={"Set-Cookie": "a=b", "X-Kept": "1"})) as http:
        response = await http.get(ADDRESS.rest)
        assert not http.cookies
    assert response.headers["X-Kept"] == "1"


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zlib.compress], ids=["plain", "gzip", "deflate"])
async def test_an_answer_is_read_up_to_the_limit_and_no_further(compress: Callable[[bytes], bytes]) -> None:
    """Counted after decompression: a few kilobytes of gzip can hold a gigabyte."""
    coding = {bytes: "identity", gzip.compress: "gzip", zlib.compress: "deflate"}[compress]

    def handler(request: httpx.Request) -> httpx.Response:
        body = compress(b"x" * int(request.url.params["size"]))
        return httpx.Response(200, headers={"Content-Encoding": coding}, stream=httpx.ByteStream(body))

    async with guarded(handler) as http:
        response = await http.get(ADDRESS.rest, params={"size": 1000})
        assert response.content == b"x" * 1000
        with pytest.raises(AnswerTooLarge):
            await http.get(ADDRESS.rest, params={"size": 1001})


async def test_broken_compression_is_a_broken_answer() -> None:
    """One of httpx's own errors, with the request that it concerns."""
    broken = httpx.ByteStream(b"no gzip")
    async with guarded(lambda _: httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=broken)) as http:
        with pytest.raises(httpx.DecodingError) as failed:
            await http.get(ADDRESS.rest)
    assert failed.value.request.url == ADDRESS.rest


async def test_an_answer_that_drips_is_given_up() -> None:
    """httpx's read time-out starts anew with each byte; this server sends one ever and again, and would never end."""
    stop = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not stop.is_set():
            writer.write(b"x")
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.01)

    async with server(talk) as url, open_http(base_urls(url)) as http:
        with pytest.raises(httpx.ReadTimeout, match="as a whole") as failed:
            await http.get(url + "/rest", timeout=httpx.Timeout(0.1))
        stop.set()
    assert failed.value.request.url == url + "/rest"


async def test_a_request_without_time_outs_is_only_limited_in_size() -> None:
    """The client always gives some; nothing is invented where it does not."""
    async with guarded(lambda _: httpx.Response(200, text="ok")) as http:
        assert (await http.get(ADDRESS.rest, timeout=None)).text == "ok"


async def test_answers_are_asked_for_and_read_compressed() -> None:
    """Marketo compresses above 1 KB when asked."""
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_request(reader))
        body = gzip.compress(b'{"success": true}' * 100)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    async with server(talk) as url, open_http(base_urls(url)) as http:
        response = await http.get(url + "/rest")
    assert response.content == b'{"success": true}' * 100
    assert "content-encoding" not in response.headers
    assert b"accept-encoding: gzip\r\n" in heads[0].lower()
    assert b"user-agent: marketo-webhook-relay/" in heads[0].lower()


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


async def call(url: str, *, trust_env: bool = True) -> None:
    """Call an instance, whatever comes of it."""
    address = base_urls(url, plain_http_hosts=["marketo.test"])
    async with open_http(address, trust_env=trust_env) as http:
        with contextlib.suppress(httpx.TransportError):
            await http.get(address.rest, timeout=5)


async def test_a_proxy_of_the_environment_is_used_but_for_this_machine(no_proxies: pytest.MonkeyPatch) -> None:
    """As usual for a container in a company's network."""
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await read_request(reader))
        writer.write(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with server(talk) as proxy:
        no_proxies.setenv("https_proxy", proxy)
        no_proxies.setenv("http_proxy", proxy)
        await call("https://marketo.test")
        assert asked.pop().startswith(b"CONNECT marketo.test:443 ")
        await call("http://marketo.test")
        assert asked.pop().startswith(b"GET http://marketo.test/rest ")
        no_proxies.delenv("http_proxy")
        no_proxies.setenv("all_proxy", proxy)
        await call("http://marketo.test")
        assert asked.pop().startswith(b"GET http://marketo.test/rest ")
        await call("http://127.0.0.1:9")
        await call("https://127.0.0.1:9", trust_env=False)
        no_proxies.setenv("no_proxy", "marketo.test")
        await call("https://marketo.test")
    assert asked == []
