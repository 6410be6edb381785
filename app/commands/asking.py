"""Ask the admin API: of a running relay over HTTP, or, where none is named, over the store in this very process.

So both ways answer alike, byte for byte, and a command is written once.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from app import __version__
from app.domain import NewEvent, utc_now
from app.errors import AskedInVain, RelayError, StoreUnavailable, Unclear
from app.log import configure_logging
from app.main import create_app
from app.settings import Settings
from app.store.database import Database, open_database
from app.store.listing import Listing
from app.store.lookup import Lookup
from app.store.opening import prepare_store
from app.store.reports import SetupReports
from app.store.views import Receipt
from app.web.gate import ADMIN_IS_OFF
from app.web.masking import Masking
from app.web.parts import WebParts

_PATIENCE = 30.0  # seconds
_GLANCE = 3.0


@dataclass(frozen=True, slots=True)
class Admin:
    """The admin API, wherever it is."""

    client: httpx.AsyncClient
    where: str

    async def get(self, path: str, **parameters: object) -> Any:
        """Return the answer to a question as JSON; parameters that are None are left out.

        Raises:
            AskedInVain: there is no such answer.
        """
        given = {name: str(value) for name, value in parameters.items() if value is not None}
        return await self._asked("GET", path, params=given)

    async def post(self, path: str, body: object) -> Any:
        """Ask for something to be done, and return the answer as JSON.

        Raises:
            Unclear: it may have been done.
            AskedInVain: it was refused, or nobody was there to hear it.
        """
        return await self._asked("POST", path, json=body)

    async def _asked(self, method: str, path: str, **more: Any) -> Any:
        try:
            answer = await self.client.request(method, f"/api/{path}", **more)
        except (httpx.ConnectError, httpx.ConnectTimeout) as problem:
            raise AskedInVain(self._silence(problem)) from None
        except httpx.HTTPError as problem:
            raise Unclear(self._silence(problem)) from None
        if not answer.is_success:
            kind = Unclear if answer.is_server_error else AskedInVain
            raise kind(_advice(answer, path, self.where))
        try:
            told = answer.json()
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise AskedInVain(f"What answers at {self.where} is no relay; look whether RELAY_URL is right.")
        return told

    def _silence(self, problem: httpx.HTTPError) -> str:
        return (
            f"The relay at {self.where} does not answer: {str(problem) or type(problem).__name__}.\n"
            "Look whether it runs and whether RELAY_URL is right; without RELAY_URL the store is asked."
        )

    async def setup(self) -> Any:
        """Return the last check of the set-up, with what the campaigns are called and what is wrong with them."""
        return (await self.get("setup"))["report"] or {"campaigns": {}, "findings": []}


async def known_campaigns(settings: Settings) -> Mapping[str, str]:
    """Return the campaigns' names where a relay or its store is at hand; nothing where not, and never late."""
    try:
        async with asyncio.timeout(_GLANCE), open_admin(settings) as admin:
            campaigns: Mapping[str, str] = (await admin.setup())["campaigns"]
            return campaigns
    except (RelayError, TimeoutError):
        return {}


@asynccontextmanager
async def open_admin(settings: Settings) -> AsyncIterator[Admin]:
    """Give the admin API of the running relay that the settings name, else of the store.

    Raises:
        AskedInVain: there is no token to ask with.
        StoreUnavailable: the store cannot be read.
    """
    if settings.relay_url:
        async with open_relay(settings.relay_url, _token(settings)) as admin:
            yield admin
    else:
        async with _on_the_store(settings) as admin:
            yield admin


def _token(settings: Settings) -> str:
    if tokens := settings.admin_token or settings.admin_read_token:
        return tokens[0].get_secret_value()
    where = settings.relay_url
    raise AskedInVain(f"Set ADMIN_TOKEN to that of the relay at {where}; or unset RELAY_URL to read the store here.")


@asynccontextmanager
async def open_relay(url: str, token: str, *, patience: float = _PATIENCE) -> AsyncIterator[Admin]:
    """Give the admin API of the relay at this address. Redirects are not followed: the token is for this host."""
    where = url.rstrip("/")
    async with httpx.AsyncClient(base_url=where, headers=_headers(token), timeout=patience) as client:
        yield Admin(client, where)


@asynccontextmanager
async def _on_the_store(settings: Settings) -> AsyncIterator[Admin]:
    url = settings.database_url.get_secret_value()
    configure_logging(level="critical", format="console", secrets=settings.secrets())  # its requests are nobody's news
    try:
        await prepare_store(url, may_migrate=False)
    except StoreUnavailable as problem:
        else_ask = f"{problem.remedy}\nTo ask a running relay instead, set RELAY_URL and ADMIN_TOKEN."
        raise StoreUnavailable(str(problem), remedy=else_ask.lstrip()) from None
    token = secrets.token_urlsafe(32)  # of this process alone
    async with open_database(url, connections=2) as database:
        transport = httpx.ASGITransport(create_app(_parts(database, token, Masking(settings.secrets()))))
        async with httpx.AsyncClient(transport=transport, base_url="http://store", headers=_headers(token)) as client:
            yield Admin(client, "the store")


def _headers(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}", "User-Agent": f"marketo-webhook-relay/{__version__}"}


def _parts(database: Database, token: str, masking: Masking) -> WebParts:
    return WebParts(
        sources={},
        inbox=_Closed(),
        lookup=Lookup(database),
        lists=Listing(database, clock=utc_now),
        probe=_nothing,
        drain=_Closed(),
        admin_tokens=(SecretStr(token),),
        masking=masking,
        version=__version__,
        setup=_LastReport(database),
    )


class _LastReport(SetupReports):
    """The last check of the set-up, as a relay left it."""

    is_running = False

    def begin(self) -> bool:
        return False


class _Closed:
    """No way in: what is read here accepts nothing."""

    is_draining = True

    waiting = 0, 0

    async def accept(self, event: NewEvent) -> Receipt:
        raise StoreUnavailable(f"{event.source} is not accepted here")


async def _nothing() -> None: ...


def _advice(answer: httpx.Response, path: str, where: str) -> str:
    try:
        problem = answer.json()
        said = str(problem["detail"])
        fields = "".join(f"\n  {one['field']}: {one['problem']}" for one in problem.get("errors", ()))
    except (ValueError, KeyError, TypeError):
        return f"{where} answered {answer.status_code}; look whether RELAY_URL names a relay, without any path."
    if answer.status_code == 401:
        return (
            f"This is not the ADMIN_TOKEN of the relay at {where}, nor its ADMIN_READ_TOKEN; set one that it was "
            "started with."
        )
    if said == ADMIN_IS_OFF.detail:
        return f"The relay at {where} shows nothing: start it with an ADMIN_TOKEN, and set the same here."
    if answer.status_code == 404 and not fields:
        return _not_there(path, where)
    return f"{said}{fields}"


def _not_there(path: str, where: str) -> str:
    kind, *rest = path.split("/")
    if not rest:
        return f"{where} has no /api/{kind}; look whether RELAY_URL names a relay of this version, without any path."
    lists = (
        "the console lists the latest replays at Dead letters, and GET /api/replays does"
        if kind == "replays"
        else "`relay events` lists webhooks, and `relay show EMAIL` a person's registrations and the requests to "
        "Marketo in their timelines"
    )
    return f"There is no {rest[0]} in {where}. Look whether the id is whole: {lists}."
