"""Reach an ASGI application without a socket, with all that a socket may bring: cuts, half answers, hang-ups."""

import asyncio
from typing import Any

import httpx
from starlette.types import ASGIApp, Message, Scope


class InProcess(httpx.AsyncBaseTransport):
    """An httpx transport to an application in the same event loop.

    The application goes on when its caller hangs up, as a server does: a request that was given up may be carried out.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._serving: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and return its answer.

        Raises:
            httpx.ReadError, httpx.RemoteProtocolError: the connection was cut before or within the answer.
            httpx.ReadTimeout: the answer took longer than the client waits.
        """
        exchange = _Exchange(await request.aread())
        serving = asyncio.create_task(self._serve(request, exchange))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("read")):
                await exchange.over.wait()
        except TimeoutError as late:
            raise httpx.ReadTimeout("no answer in time", request=request) from late
        finally:
            exchange.hung_up.set()
        return exchange.response(request)

    async def _serve(self, request: httpx.Request, exchange: "_Exchange") -> None:
        try:
            await self._app(_scope(request, exchange), exchange.receive, exchange.send)
        finally:
            exchange.over.set()


class _Exchange:
    """One request and its answer, as ASGI sees them; to the application it is also the connection."""

    def __init__(self, body: bytes) -> None:
        self.over = asyncio.Event()
        self.hung_up = asyncio.Event()
        self._asked: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._start: Message = {}
        self._body = b""
        self._is_whole = False
        self._is_cut = False

    async def receive(self) -> Message:
        if self._asked:
            return self._asked.pop()
        await self.hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if not message.get("more_body", False):
            self._is_whole = True
            self.over.set()

    def abort(self) -> None:
        """Cut the connection."""
        self._is_cut = True
        self.over.set()

    def response(self, request: httpx.Request) -> httpx.Response:
        if self._is_cut:
            raise httpx.ReadError("the connection was reset", request=request)
        if not self._is_whole:
            raise httpx.RemoteProtocolError("the connection was closed within the answer", request=request)
        return httpx.Response(self._start["status"], headers=self._start["headers"], content=self._body)


def _scope(request: httpx.Request, connection: object) -> Scope:
    url = request.url
    described: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.partition(b"?")[0],
        "query_string": url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 0),
        "server": (url.host, url.port),
        "state": {"transport": connection},
    }
    return described
