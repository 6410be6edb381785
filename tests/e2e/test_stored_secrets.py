"""A secret that a webhook holds is neither stored nor shown to who may only look."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import StartRelay
from tests.e2e.harness import API_KEY, EVENTBRITE_TOKEN, Relay, registration, web
from tests.e2e.test_command_line import run
from tests.sources.eventbrite_server import sample

READ_TOKEN = "e2e-read-token-Vb5nM8sQ2z"


@pytest.fixture
def relay(start: StartRelay) -> Relay:
    return start(ADMIN_READ_TOKEN=READ_TOKEN)


@pytest.fixture
def console(relay: Relay) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{relay.url}/console") as client:
        client.post("/sign-in", data={"token": READ_TOKEN, "next": "/console"}, headers={"Origin": relay.url})
        yield client


def everywhere(relay: Relay, console: httpx.Client, event_id: str, store: Path) -> list[str]:
    """Return a webhook as the API, the command line (which asks, or reads the store) and the console show it."""
    api = web.get(f"{relay.url}/api/events/{event_id}", headers={"Authorization": f"Bearer {READ_TOKEN}"})
    asked = {"RELAY_URL": relay.url, "ADMIN_READ_TOKEN": READ_TOKEN}
    read = {**relay.process.environ, "DATABASE_URL": f"sqlite:///{store}"}
    shown = [run("show", event_id, folder=store.parent, **environ) for environ in (asked, read)]
    assert [one.returncode for one in shown] == [0, 0], [one.stderr for one in shown]
    page = console.get(f"/events/{event_id}").raise_for_status()
    return [api.raise_for_status().json()["body"], *(one.stdout.replace("\u00a0", "") for one in shown), page.text]


def test_the_address_that_eventbrite_repeats_is_blanked(relay: Relay, console: httpx.Client, tmp_path: Path) -> None:
    """As it was captured: config.endpoint_url is the address with the token. The rest says where it came to."""
    sent = json.dumps(sample("order_placed__captured")).replace("SECRET", EVENTBRITE_TOKEN)
    assert EVENTBRITE_TOKEN in sent
    answer = web.post(f"{relay.url}/webhooks/eventbrite/{EVENTBRITE_TOKEN}", content=sent)
    assert answer.status_code == 202
    for text in everywhere(relay, console, answer.json()["id"], tmp_path / "relay.db"):
        assert EVENTBRITE_TOKEN not in text
        assert "https://relay.example.com/webhooks/eventbrite/***" in text
    with closing(sqlite3.connect(tmp_path / "relay.db")) as store:
        assert EVENTBRITE_TOKEN not in "".join(store.iterdump())
        assert EVENTBRITE_TOKEN.encode() not in b"".join(body for (body,) in store.execute("SELECT body FROM events"))


def test_a_key_that_an_app_sends_along_is_shown_nowhere(relay: Relay, console: httpx.Client, tmp_path: Path) -> None:
    """It stands where any text may stand, spelt by the numbers of its characters."""
    body = json.dumps(registration("ada@example.com", registrationId="!")).replace('"!"', f'"{escaped(API_KEY)}"')
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    answer = web.post(f"{relay.url}/webhooks/custom", content=body, headers=headers)
    assert answer.status_code == 202
    for text in everywhere(relay, console, answer.json()["id"], tmp_path / "relay.db"):
        assert "ada@example.com" in text
        assert API_KEY not in text
        assert escaped(API_KEY) not in text


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(one):04x}" for one in text)
