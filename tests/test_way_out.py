"""Every request that leaves: to a host that the configuration names, over verified TLS, wherever it is made."""

import inspect
import json
import re
import ssl
import typing
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import is_dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

import app
from app.commands.replaying import RunningRelay
from app.dispatch.alarm import NotDelivered
from app.domain import Clock, utc_now
from app.errors import AskedInVain, ResolveFailed
from app.marketo.address import base_urls
from app.marketo.auth import MarketoAuth
from app.marketo.client import MarketoClient
from app.marketo.failures import CallFailed
from app.marketo.setup import MarketoSetup
from app.marketo.transport import GuardedTransport, open_http
from app.notifying import Notifier
from app.sources.eventbrite import EventbriteApi
from app.sources.eventbrite.account import EventbriteAccount
from app.sources.fetching import open_client
from app.sources.pendo import PendoApi

SECRET = SecretStr("Zk3vB8xQ1pLwMark")
MARKETO = base_urls("https://123-ABC-456.mktorest.com")
EVENTBRITE, PENDO = "https://www.eventbriteapi.com/v3", "https://app.pendo.io"
ALERTS = "https://chat.example.com/services/x"
HOMES = (f"{MARKETO.rest}/", f"{MARKETO.identity}/oauth/token", f"{EVENTBRITE}/", f"{PENDO}/api/v1/", ALERTS)
CLIENTS = (MarketoClient, MarketoSetup, EventbriteApi, EventbriteAccount, PendoApi, Notifier)
TEXTS = st.sampled_from(
    [
        "..", ".", "", "../../evil", "//evil.example", "@evil.example/", "https://evil.example/", "\\evil", "a/b",
        "%2e%2e", "x?y=1", "x#y", ":443", "a\r\nHost: evil.example", "é", "\x00", "\ud800", "1", "7",
    ]
) | st.text(max_size=20)  # fmt: skip
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # or each client would read all authorities
EVIL = "https://evil.example/"
ANSWERS = [
    httpx.Response(302, headers={"Location": EVIL}),
    httpx.Response(307, headers={"Location": EVIL, "Refresh": f"0; url={EVIL}", "Alt-Svc": 'h3="evil.example:443"'}),
    httpx.Response(404),
    httpx.Response(200, text="<html>"),
]


def document(text: str) -> dict[str, object]:
    """Return an answer that leads further where one reads pages, and elsewhere where one believes addresses."""
    item = {"id": text, "name": text, "resource_uri": EVIL, "endpoint_url": EVIL, "url": EVIL, "folder": {"id": 1}}
    paged = {"has_more_items": True, "continuation": text, "next": EVIL}
    lists = {name: [item] for name in ("result", "organizations", "webhooks", "attendees", "events")}
    more = {"success": True, "moreResult": True, "nextPageToken": text, "access_token": "t", "expires_in": 3600}
    return lists | more | {"pagination": paged, "id": text, "resource_uri": EVIL, "nextPage": EVIL}


class World:
    """Answers as it was told, and keeps where it was asked."""

    def __init__(self, answer: httpx.Response | Mapping[str, object]) -> None:
        self.answer = answer
        self.asked: list[httpx.URL] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        if request.url.path == "/identity/oauth/token":
            return httpx.Response(200, json={"access_token": "t", "expires_in": 3600, "scope": "x"})
        if isinstance(self.answer, httpx.Response):
            return httpx.Response(self.answer.status_code, headers=self.answer.headers, content=self.answer.content)
        return httpx.Response(200, content=json.dumps(self.answer).encode())


@asynccontextmanager
async def clients(world: World) -> AsyncIterator[list[object]]:
    """Give each client that there is, on one transport that leads nowhere."""
    transport = httpx.MockTransport(world)
    clock: Clock = utc_now
    guarded = GuardedTransport(transport, origin=MARKETO.origin)
    made = [httpx.AsyncClient(transport=one, trust_env=False, verify=NO_TLS) for one in (guarded, transport)]
    async with made[0] as inner, made[1] as plain:
        auth = MarketoAuth(address=MARKETO, client_id="c", client_secret=SECRET, clock=clock)
        marketo = MarketoClient(http=inner, address=MARKETO, auth=auth, clock=clock)
        yield [
            marketo,
            MarketoSetup(marketo.send),
            EventbriteApi(client=plain, token=SECRET, base_url=EVENTBRITE),
            EventbriteAccount(client=plain, token=SECRET, base_url=EVENTBRITE),
            PendoApi(client=plain, integration_key=SECRET, base_url=PENDO),
            Notifier(plain, SecretStr(ALERTS)),
        ]


def calls_of(kind: type) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each method that may make a request, with the kinds of its arguments."""
    for name, method in inspect.getmembers(kind, inspect.iscoroutinefunction):
        if not name.startswith("_") and (name != "send" or kind is Notifier):  # the others' takes a request as it is
            hints = typing.get_type_hints(method)
            yield (
                name,
                {argument: hints[argument] for argument in inspect.signature(method).parameters if argument != "self"},
            )


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Return hostile values of a kind."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Sequence, Collection):
        return st.lists(values(arguments[0]), min_size=1, max_size=3)
    if origin is Mapping:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=2)
    if arguments:
        return st.one_of(*map(values, arguments))
    if kind is str:
        return TEXTS
    if isinstance(kind, type) and is_dataclass(kind):
        return st.builds(kind, **{name: values(of) for name, of in typing.get_type_hints(kind).items()})
    return st.datetimes(timezones=st.just(UTC)) if kind is datetime else st.from_type(kind)


EVERY_CALL = [(kind, name, kinds) for kind in CLIENTS for name, kinds in calls_of(kind)]


@pytest.mark.parametrize(("kind", "name", "kinds"), EVERY_CALL, ids=lambda one: getattr(one, "__name__", str(one))[:40])
@settings(max_examples=10, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
async def test_nothing_from_outside_chooses_where_a_request_goes(
    kind: type, name: str, kinds: Mapping[str, Any], data: st.DataObject
) -> None:
    """Each method of each client, with arguments and answers that would like to; a new one is tried by itself."""
    world = World(data.draw(st.sampled_from(ANSWERS) | TEXTS.map(document)))
    given_ = {argument: data.draw(values(of)) for argument, of in kinds.items()}
    async with clients(world) as every:
        [client] = [one for one in every if type(one) is kind]
        with suppress(CallFailed, ResolveFailed, NotDelivered, ValueError):
            await getattr(client, name)(**given_)
    for url in world.asked:
        assert str(url).startswith(HOMES), url
        assert not re.search(r"/\.{1,2}(/|$)", url.path), url


MADE = re.compile(
    r"httpx\.((?:Async)?(?:Client|HTTPTransport)|get|post|request|stream)\("
    r"|import .*\b(HTTPS?Connection)\b|\b(urlopen|create_connection|open_connection)\("
)
CARELESS = re.compile(r"verify\s*=\s*False|CERT_NONE|follow_redirects\s*=\s*True")


def test_no_request_is_made_past_these_clients() -> None:
    """Whoever makes another client names it here, and says above where its requests go."""
    root = Path(app.__file__).parent
    texts = {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in root.rglob("*.py")}
    found = {name: {next(filter(None, one)) for one in MADE.findall(text)} for name, text in texts.items()}
    assert {name: made for name, made in found.items() if made and not name.startswith("sandbox/")} == {
        "commands/asking.py": {"AsyncClient"},  # RELAY_URL, or the own store
        "commands/send.py": {"AsyncClient"},  # the same, or --relay
        "commands/serving.py": {"HTTPConnection"},  # the health check of this machine
        "marketo/transport.py": {"AsyncClient", "AsyncHTTPTransport"},
        "sources/fetching.py": {"AsyncClient"},
    }
    assert [name for name, text in texts.items() if CARELESS.search(text)] == []


# --- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority of our own."""
    return trustme.CA()


@asynccontextmanager
async def vendor(authority: trustme.CA, name: str) -> AsyncIterator[tuple[int, list[str]]]:
    """Serve by TLS with a certificate for this name; gives the port, and what was asked."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET  # noqa: N815  # the library's names

        def log_message(self, *_: object) -> None: ...

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    server = HTTPServer(("127.0.0.1", 0), Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a refused handshake is what is tried
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def by_marketo(port: int) -> None:
    address = base_urls(f"https://localhost:{port}")
    async with open_http(address) as http:
        await http.get(f"{address.rest}/v1/x")


async def by_sources(port: int) -> None:
    async with open_client() as http:
        await http.get(f"https://localhost:{port}/v3/x")


async def by_command_line(port: int) -> None:
    await RunningRelay(f"https://localhost:{port}", "t" * 20).progress("rpl_1")


WAYS: list[Callable[[int], Any]] = [by_marketo, by_sources, by_command_line]


@pytest.mark.parametrize("way", WAYS)
async def test_only_a_certificate_for_that_name_by_a_known_authority_will_do(
    way: Callable[[int], Any], authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first byte that would be told to another is a secret. SSL_CERT_FILE names further authorities."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    async with vendor(authority, "localhost") as (port, asked):
        with pytest.raises((httpx.ConnectError, AskedInVain), match=r"(?i)certificate.verify.failed"):
            await way(port)
        file = tmp_path / "authority.pem"
        authority.cert_pem.write_to_path(str(file))
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        await way(port)
        assert len(asked) == 1
    async with vendor(authority, "elsewhere.example.com") as (port, asked):
        with pytest.raises((httpx.ConnectError, AskedInVain), match=r"(?i)mismatch|not valid for"):
            await way(port)
    assert asked == []
