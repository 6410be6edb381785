"""The log of a relay that has seen good, bad and ugly traffic: facts with ids, and nobody's data or secret."""

import base64
import json
import re
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest

from app.sandbox import seed
from tests.e2e.harness import (
    EVENTBRITE_TOKEN,
    WEBHOOK_SECRET,
    Relay,
    Sandbox,
    environment,
    pendo_signature,
    registration,
    start_relay,
    start_sandbox,
    until,
    web,
)

pytestmark = pytest.mark.no_cover  # under a tracer it takes twice as long, and each part has tests of its own

# Allowed in a header, and spelt differently in URLs, JSON and Python: what is masked must be masked in each of them.
API_KEY = 'log/api+key="Zk3%20vB8xQ\\1p&Lw'
ADMIN_TOKEN = "log/admin+token='Tr7%40yW2m\\N9c"
PENDO_SECRET = "log pendo/secret+Xn5=uH4%eV8r"
SECRETS = (
    API_KEY,
    ADMIN_TOKEN,
    PENDO_SECRET,
    EVENTBRITE_TOKEN,
    WEBHOOK_SECRET,
    WEBHOOK_SECRET.removeprefix("whsec_"),
    seed.CLIENT_SECRET,
    seed.EVENTBRITE_API_TOKEN,
    seed.PENDO_INTEGRATION_KEY,
)
MARK = "Zwiebelkuchen"  # stands in every body, wrong path, query and header that is sent here
ADDRESS = re.compile(r"[^\s\"'<>]+(?:@|%40|\\+u0040)[^\s\"'<>]+", re.IGNORECASE)
ACCESS_TOKEN = re.compile(r"[0-9a-f]{32}:ab")
EMAIL = f"ada.{MARK}@example.com"


def spellings(secret: str) -> set[str]:
    """Return a secret as it might stand in a line: plain, in a URL, JSON, Python, base64 and hexadecimal."""
    plain = secret.encode()
    spelt = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1], repr(plain)[2:-1]}
    spelt |= {json.dumps(text)[1:-1] for text in set(spelt)}
    encoded = {base64.b64encode(plain), base64.urlsafe_b64encode(plain), plain.hex().encode()}
    return spelt | {text.decode().rstrip("=") for text in encoded}


class Sender:
    """Sends traffic of every kind, and keeps the request ids of the answers."""

    def __init__(self, relay: Relay, sandbox: Sandbox, store: Path) -> None:
        self.relay = relay
        self.sandbox = sandbox
        self.store = store
        self.request_ids: list[str] = []

    def everything(self) -> None:
        self.accepted()
        self.refused()
        self.dead()
        self.asked_for()
        self.marketo_down()
        self.store_locked()

    def accepted(self) -> None:
        self.custom(self.body(EMAIL), 202)
        self.pendo(track(email=f"grace.{MARK}@example.com"), 202)
        self.pendo(track() | {"visitorId": seed.PENDO_VISITOR_ID}, 202)
        self.eventbrite("order.placed", f"orders/{seed.EVENTBRITE_ORDER_ID}/", 202)
        self.eventbrite("test", MARK, 200)
        until(lambda: len(self.sandbox.get("emails?html=false")) == 4, within=60, what="four e-mails")

    def refused(self) -> None:
        self.custom(f'{{"email": "{EMAIL}", {MARK}', 400)
        self.custom(json.dumps({"email": EMAIL, MARK: MARK, "joinlink": API_KEY}), 422)
        self.custom(self.body(EMAIL), 401, Authorization=f"Bearer {API_KEY}{MARK}")
        self.custom(self.body(EMAIL), 415, **{"Content-Type": f"text/{MARK}"})
        self.custom(self.body(EMAIL + "x" * 300_000), 413)
        self.ask("POST", f"/webhooks/eventbrite/{EVENTBRITE_TOKEN}{MARK}", 401)
        self.ask("POST", f"/webhooks/{MARK}/{EVENTBRITE_TOKEN}", 404)
        self.ask("GET", f"/webhooks/eventbrite/{EVENTBRITE_TOKEN}", 405)
        self.eventbrite("order.placed", f"orders/{MARK}", 422)
        for odd in (MARK.encode(), f"GET /{MARK}\xff?email={EMAIL} HTTP/1.1\r\nX: {API_KEY}\r\n\r\n".encode("latin-1")):
            assert b" 400 " in self.relay.exchange(odd, b"\r\n\r\n")

    def dead(self) -> None:
        """What an adapter can only choke on, or find nobody in."""
        self.pendo(track(email=f"{MARK} at example", join_link=f"javascript:{MARK}"), 202)
        self.pendo(track() | {"visitorId": f"unknown.{MARK}@localhost"}, 202)
        self.pendo(track(webinar_title=f"{MARK}\0{EMAIL}", starts_at=MARK, join_link=[EMAIL]), 202)
        self.pendo([track(email=EMAIL) | {"uniqueId": EMAIL * 9}, None, MARK, [[EMAIL]]], 202)
        self.custom(json.dumps({"leadId": 2**31 - 1, "webinar": WEBINAR}), 202)
        self.eventbrite("order.placed", "orders/404404404/", 202)
        until(lambda: self.dead_ones() >= 2, within=60, what="dead registrations")
        until(lambda: self.relay.process.output.count('"not resolved"') >= 2, within=60, what="what is not found")

    def asked_for(self) -> None:
        own = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        self.ask("GET", f"/api/registrations?email={EMAIL}", 200, **own)
        self.ask("GET", f"/api/registrations?email={quote(EMAIL, safe='')}&state={MARK}", 422, **own)
        self.ask("GET", f"/api/registrations?e-mail={EMAIL}&token={quote(ADMIN_TOKEN)}", 422, **own)
        self.ask("GET", f"/api/registrations?cursor={MARK}", 400, **own)
        self.ask("GET", f"/api/registrations/{MARK}", 404, **own)
        self.ask("GET", f"/api/events/{EMAIL}", 422, **own)
        self.ask("GET", f"/api/registrations?email={EMAIL}", 401, Authorization=f"Bearer {MARK}")
        self.ask("GET", f"/{MARK}/{EMAIL}?{quote(API_KEY)}", 404, **own)
        self.ask("DELETE", f"/readyz?{MARK}", 405, **own)
        self.ask("GET", f"/metrics?{MARK}", 200, **{"User-Agent": EMAIL, "X-Request-Id": EMAIL, "Cookie": API_KEY})

    def marketo_down(self) -> None:
        """Each fault with a neighbour who is sent afterwards; the refused credentials come last."""
        for kind in ("http:500 html", "garbage", "lost", "half", "code:601", "code:719"):
            person = f"{kind.partition(':')[0]}.{len(self.request_ids)}.{MARK}@example.com"
            self.sandbox.fault(match="trigger", kind=kind, times=1, contains=person)
            self.custom(self.body(person, webinar=WEBINAR | {"id": person, "title": person}), 202)
            until(lambda: all(f["hits"] for f in self.sandbox.get("faults")), within=60, what=kind)
            after = f"after.{person}"
            self.custom(self.body(after), 202)
            until(lambda to=after: self.sandbox.emails_to(to), within=60, what=f"{after}'s e-mail")  # type: ignore[misc]
        self.sandbox.post("marketo/credentials/revoke")
        self.custom(self.body(f"last.{MARK}@example.com"), 202)
        until(lambda: '"paused"' in self.relay.process.output and "401" in self.relay.readiness()[1], what="the pause")

    def store_locked(self) -> None:
        """Drivers like to put the values that they could not write into their messages."""
        holder = sqlite3.connect(self.store, isolation_level=None, timeout=10)
        holder.execute("BEGIN IMMEDIATE")
        self.custom(self.body(EMAIL), 503)
        self.ask("GET", "/readyz", 503)
        holder.execute("ROLLBACK")
        holder.close()

    def dead_ones(self) -> int:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        return len(web.get(f"{self.relay.url}/api/registrations?state=dead", headers=headers).json()["items"])

    def body(self, person: str, **more: object) -> str:
        return json.dumps(registration(person, firstName=MARK, tokens={"Speaker": MARK}, **more))

    def custom(self, body: str, status: int, **headers: str) -> None:
        own = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"} | headers
        self.note(web.post(f"{self.relay.url}/webhooks/custom", content=body, headers=own), status)

    def pendo(self, event: object, status: int) -> None:
        body = json.dumps(event).encode()
        self.note(
            web.post(f"{self.relay.url}/webhooks/pendo", content=body, headers=pendo_signature(body, PENDO_SECRET)),
            status,
        )

    def eventbrite(self, action: str, path: str, status: int) -> None:
        body = {"config": {"action": action, "note": MARK}, "api_url": f"https://www.eventbriteapi.com/v3/{path}"}
        headers = {"X-Eventbrite-Event": MARK, "X-Eventbrite-Delivery": EMAIL}
        address = f"{self.relay.url}/webhooks/eventbrite/{EVENTBRITE_TOKEN}"
        self.note(web.post(address, json=body, headers=headers), status)

    def ask(self, method: str, path: str, status: int, **headers: str) -> None:
        self.note(web.request(method, self.relay.url + path, headers=headers), status)

    def note(self, answer: httpx.Response, status: int) -> None:
        assert answer.status_code == status, (answer.request.url, answer.text)
        self.request_ids.append(answer.headers["X-Request-Id"])


WEBINAR = {"id": "w-1", "title": f"About {MARK}", "joinLink": f"https://meet.example.com/{MARK}"}


def track(**properties: object) -> dict[str, Any]:
    inner = {"webinar_title": MARK, "join_link": f"https://meet.example.com/{MARK}"} | properties
    outer = {"trackEventName": "webinar_registered", "trackEventProperties": inner}
    return {"event": "trackEventReceived", "visitorId": MARK, "accountId": MARK, "properties": outer}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Sender]:
    """The whole output of a relay, from its start to its end, at the level that says most; and who sent to it."""
    folder = tmp_path_factory.mktemp("log")
    sandbox = start_sandbox(folder)
    own = {"CUSTOM_API_KEYS": API_KEY, "ADMIN_TOKEN": ADMIN_TOKEN, "PENDO_WEBHOOK_SECRET": PENDO_SECRET}
    environ = environment(sandbox.url, f"sqlite:///{folder / 'relay.db'}", LOG_LEVEL="debug", **own)
    relay = start_relay(environ, folder)
    sender = Sender(relay, sandbox, folder / "relay.db")
    try:
        sender.everything()
    finally:
        relay.process.stop()
        sandbox.process.stop()
    return relay.process.output, sender


@pytest.fixture
def output(seen: tuple[str, Sender]) -> str:
    return seen[0]


@pytest.fixture
def lines(output: str) -> Sequence[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_every_line_is_json_with_a_level_and_a_time(lines: Sequence[dict[str, Any]]) -> None:
    """From the first line to the last, everybody's: uvicorn's, the libraries', tracebacks."""
    assert len(lines) > 50
    for line in lines:
        assert line["level"] in ("debug", "info", "warning", "error", "critical"), line
        assert datetime.fromisoformat(line["at"]).utcoffset() is not None, line
        assert line["event"], line


def test_every_answer_has_its_line_under_the_id_that_its_sender_got(
    lines: Sequence[dict[str, Any]], seen: tuple[str, Sender]
) -> None:
    """Whoever reports a failure has the id."""
    answered = [line for line in lines if line["event"] in ("webhook_answered", "request_answered")]
    assert all(line["request_id"] and line["route"] and line["status"] for line in answered)
    assert set(seen[1].request_ids) <= {line["request_id"] for line in answered}


def test_lines_about_registrations_and_calls_name_them(lines: Sequence[dict[str, Any]]) -> None:
    """So that one can follow somebody through the log without knowing who it is."""
    about = [line for line in lines if line["event"].startswith("registration")]
    assert {"registration recorded", "registration sent", "registration dead"} <= {line["event"] for line in about}
    assert all(line["registration_id"].startswith("reg_") for line in about)
    assert all(line["event_id"].startswith("evt_") for line in about if line["event"] == "registration recorded")
    sent = [line for line in about if line["event"] == "registration sent"]
    assert all(line["call_id"].startswith("call_") and line["request_id"] for line in sent)
    assert len(sent) == len({line["registration_id"] for line in sent})
    calls = [line for line in lines if line["event"] == "call answered"]
    assert all(line["call_id"].startswith("call_") for line in calls)
    assert {line["outcome"] for line in calls} == {"done", "refused", "lost"}
    assert all(line["event_id"].startswith("evt_") for line in lines if line["event"] == "not resolved")


def test_an_ignored_webhook_has_its_reason(lines: Sequence[dict[str, Any]]) -> None:
    """Its event is not stored: the line is all there is."""
    ignored = [line for line in lines if line.get("result") == "ignored"]
    assert "test_ping" in {line["reason"] for line in ignored}
    assert all(line["reason"] for line in ignored)


def test_no_address_is_logged(output: str) -> None:
    """Neither of a registrant, nor of anything that looks like one, in any encoding."""
    assert ADDRESS.findall(output) == []


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_is_logged(output: str, secret: str) -> None:
    """In no spelling, and no access token either."""
    assert [spelt for spelt in spellings(secret) if spelt in output] == []
    assert ACCESS_TOKEN.findall(output) == []


def test_nothing_of_bodies_paths_queries_or_headers_is_logged(output: str) -> None:
    """What was sent here held the same word everywhere; a route's template stands for a path."""
    assert [line for line in output.splitlines() if MARK.lower() in line.lower()] == []
    assert set(re.findall(r"/(?:webhooks|api)/[^\"\s]*", output)) <= {
        "/webhooks/{source}",
        "/api/registrations",
        "/api/registrations/{registration_id}",
        "/api/events/{event_id}",
    }
