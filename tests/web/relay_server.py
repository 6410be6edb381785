"""The web layer on a real uvicorn, with stand-ins for the store that keep rules of their own."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp

from app.domain import Cause, Dedupe, Event, Finding, Ignored, Json, NewEvent
from app.errors import FieldProblem, Invalid, Malformed, NotAuthentic, StoreUnavailable
from app.main import WebParts, create_app
from app.sources.base import Accepted, Inbound
from app.store.views import EventView, Page, Receipt, RegistrationFilter, RegistrationView
from app.web.waiting import WaitingRoom
from app.web.wire import StrictHttp

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ADMIN_TOKEN = "adm-0123456789abcdef"
READ_TOKEN = "look-0123456789abcdef"
PATH_SECRET = "path-secret-0123456789"


class MemoryInbox:
    """Stores events as the real one does: a dedupe key is taken once, and nothing is stored while `broken`."""

    def __init__(self) -> None:
        self.events: list[NewEvent] = []
        self.broken = False
        self._known: dict[tuple[str, str], tuple[str, str]] = {}

    waiting = 0, 0

    async def accept(self, event: NewEvent) -> Receipt:
        if self.broken:
            raise StoreUnavailable("disk full at /var/lib/secret-place")
        if event.dedupe is not None:
            said = event.dedupe.content
            first, content = self._known.setdefault((event.source, event.dedupe.key), (event.id, said))
            if first != event.id:
                return Receipt(first, is_new=False, is_other=content != said)
        self.events.append(event)
        return Receipt(event.id, is_new=True)


class MemoryLookup:
    """Lists what it was given, newest first; cursors are positions, and anything else is a ValueError."""

    def __init__(self) -> None:
        self.all: list[RegistrationView] = []
        self.seen: list[EventView] = []
        self.asked: list[RegistrationFilter] = []
        self.broken = False

    async def registrations(
        self, which: RegistrationFilter, *, limit: int, cursor: str | None
    ) -> Page[RegistrationView]:
        if self.broken:
            raise StoreUnavailable("locked")
        self.asked.append(which)
        start = int(cursor or "0")
        found = [r for r in self.all if which.email in (None, r.email)][start:]
        return Page(found[:limit], str(start + limit) if len(found) > limit else None)

    async def registration(self, id: str) -> RegistrationView | None:  # noqa: A002  # the interface's own name
        return next((r for r in self.all if r.id == id), None)

    async def event(self, id: str) -> EventView | None:  # noqa: A002  # the interface's own name
        return next((e for e in self.seen if e.id == id), None)


class LetterBox:
    """A source with one rule for each way that an adapter may judge. Its secret is a path segment or a header."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: list[Inbound] = []

    def receive(self, request: Inbound) -> Accepted | Ignored:
        self.requests.append(request)
        if PATH_SECRET not in (request.path_secret, request.headers.get("x-key")):
            raise NotAuthentic("the key is absent or wrong")
        try:
            body = json.loads(request.body)
        except (ValueError, RecursionError):
            raise Malformed("the body is not JSON") from None
        return self._judge(body)

    def _judge(self, body: object) -> Accepted | Ignored:
        match body:
            case {"ping": _}:
                return Ignored(Cause.TEST_PING, "a test")
            case {"wrong": list(fields)}:
                raise Invalid([FieldProblem(str(name), "is unknown") for name in fields])
            case {"bug": text}:
                raise KeyError(f"{text} {PATH_SECRET} ada@example.com")
            case {"id": str(key), **others}:
                return Accepted(Dedupe(key, "forever", str(others)), {"x-kept": "yes"}, timedelta(seconds=7))
        return Accepted()

    async def resolve(self, event: Event) -> Json:
        raise NotImplementedError

    def map(self, event: Event, fetched: Json) -> Sequence[Finding]:
        raise NotImplementedError


class Switch:
    """Stands for the drain."""

    is_draining = False


@dataclass
class Surroundings:
    """Everything around the web layer that a test may look at or turn."""

    inbox: MemoryInbox = field(default_factory=MemoryInbox)
    lookup: MemoryLookup = field(default_factory=MemoryLookup)
    drain: Switch = field(default_factory=Switch)
    sources: dict[str, LetterBox] = field(
        default_factory=lambda: {name: LetterBox(name) for name in ("eventbrite", "pendo", "custom")}
    )
    status: dict[str, object] = field(default_factory=dict)
    wakes: int = 0
    probes: int = 0
    probe_fails: Callable[[], Exception | None] = lambda: None
    hold_probe: asyncio.Event | None = None
    probe_begun: asyncio.Event = field(default_factory=asyncio.Event)
    now: datetime = NOW

    async def probe(self) -> None:
        self.probes += 1
        self.probe_begun.set()
        if self.hold_probe is not None:
            await self.hold_probe.wait()
        if error := self.probe_fails():
            raise error

    def wake(self) -> None:
        self.wakes += 1

    def parts(self) -> WebParts:
        return WebParts(
            sources=self.sources,
            inbox=self.inbox,
            lookup=self.lookup,
            probe=self.probe,
            drain=self.drain,
            wake=self.wake,
            status=lambda: self.status,
            admin_tokens=(SecretStr("adm-the-old-one-000000"), SecretStr(ADMIN_TOKEN)),
            admin_read_tokens=(SecretStr(READ_TOKEN),),
            waiting=WaitingRoom(wait=timedelta()),
            max_body=4096,
            clock=lambda: self.now,
            version="1.2.3",
        )

    def app(self, **changes: object) -> ASGIApp:
        return create_app(replace(self.parts(), **changes))  # type: ignore[arg-type]  # any field of WebParts


class Relay:
    """A relay that listens on a loopback port."""

    def __init__(self, port: int, client: httpx.AsyncClient) -> None:
        self.port = port
        self.client = client

    async def post(self, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Post JSON (or bytes, as they are) with the right key, unless the headers say otherwise."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json", "x-key": PATH_SECRET} | dict(headers or {})
        return await self.client.post(path, content=content, headers={k: v for k, v in sent.items() if v})

    async def get(self, path: str, token: str | None = ADMIN_TOKEN) -> httpx.Response:
        return await self.client.get(path, headers={"authorization": f"Bearer {token}"} if token else {})

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def exchange(self, *chunks: bytes) -> bytes:
        """Send bytes as they are and return all that comes until the server closes the connection."""
        async with self.connection() as (reader, writer):
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
            return await reader.read()


@asynccontextmanager
async def serving(app: ASGIApp, *, http: type[StrictHttp] = StrictHttp, **options: Any) -> AsyncIterator[Relay]:
    """Serve an application with uvicorn as `relay serve` does, on a port of the system's choice."""
    config = uvicorn.Config(app, http=http, ws="none", lifespan="on", log_config=None, access_log=False, **options)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        await server.startup(sockets=[listening])
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield Relay(port, client)
        server.force_exit = True  # else it sleeps a tenth of a second to see our closed connections go
        await server.shutdown(sockets=[listening])
        await server.lifespan.shutdown()
