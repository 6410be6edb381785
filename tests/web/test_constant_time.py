"""Secrets are compared in constant time, wherever one is shown: nobody learns from the clock how near a guess was.

No test can time that on a busy machine. So `hmac.compare_digest` is watched here: how often it is asked, and whether
it alone decides.
"""

import base64
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

import pytest
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import SecretStr
from starlette.requests import Request
from starlette.types import Message

from app.errors import NotAuthentic, RequestRefused
from app.sources.base import Inbound, Source
from app.sources.custom.adapter import CustomSource
from app.sources.eventbrite.adapter import EventbriteSource
from app.sources.pendo.adapter import PendoSource
from app.sources.signing import sign_hmac_hex, sign_standard_webhook
from app.sources.webinars import Catalogue
from app.web.console.guard import read_own_form
from app.web.console.session import Session, Sessions
from app.web.gate import Gate
from app.web.problems import Refused
from app.web.waiting import WaitingRoom
from tests.web.relay_server import NOW, Surroundings

SECRETS = ("first-secret-0123456789", "second-secret-0123456789", "third-secret-0123456789")
WRONG = "wrong-secret-0123456789"
ODD = ("", "é", "\udcff", SECRETS[0] + "é", "秘密" * 10, "x" * 5000)
BODY = b"{}"


@dataclass
class Scales:
    """Stands for `hmac.compare_digest`: counts, and says what it is told to say, or else the truth."""

    truly: Callable[[bytes, bytes], bool]
    asked: int = 0
    says: bool | None = None

    def __call__(self, one: bytes, other: bytes) -> bool:
        self.asked += 1
        truth = self.truly(one, other)
        return truth if self.says is None else self.says


@pytest.fixture
def scales(monkeypatch: pytest.MonkeyPatch) -> Scales:
    made = Scales(hmac.compare_digest)
    monkeypatch.setattr(hmac, "compare_digest", made)
    return made


@dataclass(frozen=True)
class Door:
    """A place where a secret is shown: whether that lets one in, and what who knows the secret shows there."""

    opens: Callable[[str], Awaitable[bool]]
    shown: Callable[[str], str] = str
    secrets: tuple[str, ...] = SECRETS


async def asks_the_api(token: str) -> bool:
    parts = replace(
        Surroundings().parts(),
        admin_tokens=tuple(SecretStr(secret) for secret in SECRETS[:2]),
        admin_read_tokens=(SecretStr(SECRETS[2]),),
        waiting=WaitingRoom(wait=timedelta()),
    )
    request = Request({"type": "http", "method": "GET", "headers": [], "client": None})
    try:
        await Gate(parts)(request, HTTPAuthorizationCredentials(scheme="Bearer", credentials=token))
    except Refused:
        return False
    return True


async def signs_in(token: str) -> bool:
    return Sessions(SECRETS[:2], SECRETS[2:]).open(token, NOW) is not None


async def comes_back(cookie: str) -> bool:
    return Sessions(SECRETS[:2], SECRETS[2:]).read(cookie, NOW) is not None


async def sends_a_form(token: str) -> bool:
    async def receive() -> Message:
        form = urlencode({"form_token": token}, errors="surrogatepass").encode()
        return {"type": "http.request", "body": form, "more_body": False}

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    try:
        await read_own_form(request, Session(NOW, SECRETS[0], may_act=True))
    except Refused:
        return False
    return True


def sends_to(source: Source, headers: Callable[[str], dict[str, str]], *, path: bool = False) -> Door:
    async def opens(shown: str) -> bool:
        try:
            source.receive(Inbound(headers(shown), BODY, NOW, shown if path else None))
        except NotAuthentic:
            return False
        except RequestRefused:  # of the body: the door is behind it
            return True
        return True

    return Door(opens)


def key_of(secret: str) -> str:
    return "whsec_" + base64.b64encode(secret.encode()).decode()


def now() -> datetime:
    return NOW


CUSTOM = CustomSource(signing_secrets=[key_of(secret) for secret in SECRETS], api_keys=SECRETS, allowed_campaigns=[])
EVENTBRITE = EventbriteSource(path_secrets=SECRETS, actions=[], api=None, catalogue=Catalogue(), clock=now)
PENDO = PendoSource(secrets=SECRETS, track_event="x", api=None, catalogue=Catalogue(), clock=now)
SIGNED = sign_standard_webhook(key_of(SECRETS[0]), "msg_1", NOW, BODY)

DOORS = {
    "admin API": Door(asks_the_api),
    "console": Door(signs_in),
    "console's cookie": Door(comes_back, lambda secret: str(Sessions([secret]).open(secret, NOW))),
    "console's forms": Door(sends_a_form, secrets=SECRETS[:1]),
    "API key": sends_to(CUSTOM, lambda shown: {"authorization": f"Bearer {shown}"}),
    "Eventbrite's path": sends_to(EVENTBRITE, lambda _: {}, path=True),
    "Standard Webhooks": replace(
        sends_to(CUSTOM, lambda shown: SIGNED | {"webhook-signature": shown}),
        shown=lambda secret: sign_standard_webhook(key_of(secret), "msg_1", NOW, BODY)["webhook-signature"],
    ),
    "Pendo's signature": replace(
        sends_to(PENDO, lambda shown: {"x-pendo-signature": shown}), shown=lambda secret: sign_hmac_hex(secret, BODY)
    ),
}
every_door = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())


@every_door
async def test_every_secret_is_compared_whichever_fits(door: Door, scales: Scales) -> None:
    """To stop at the first that fits would tell which one it was, and that it was one."""
    asked = []
    for secret in (*door.secrets, WRONG):
        shown = door.shown(secret)
        scales.asked = 0
        assert await door.opens(shown) is (secret != WRONG)
        asked.append(scales.asked)
    assert len(set(asked)) == 1
    assert asked[0] >= len(door.secrets)


@every_door
@pytest.mark.parametrize("says", [True, False])
async def test_nothing_but_the_comparison_decides(door: Door, scales: Scales, says: bool) -> None:
    """Not a look at a prefix, a length or a set before it."""
    right, wrong = door.shown(door.secrets[0]), door.shown(WRONG)
    scales.says = says
    assert [await door.opens(right), await door.opens(wrong)] == [says, says]


@every_door
@pytest.mark.parametrize("shown", ODD, ids=ascii)
async def test_whatever_is_shown_is_refused_without_an_error(door: Door, shown: str) -> None:
    """`hmac.compare_digest` itself raises for texts that are not ASCII."""
    assert not await door.opens(shown)
