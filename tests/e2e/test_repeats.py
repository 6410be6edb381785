"""What 200 duplicate says is true: who is told so was stored before."""

import json

import httpx
import pytest

from tests.e2e.conftest import StartRelay
from tests.e2e.harness import Relay, Sandbox, registration, standard_webhook, until, web

APPS = ("app-one-Kq7vN2xR9sLw", "app-two-Bt4mZ8cH3dYp")


@pytest.fixture
def store_url(database_url: str) -> str:
    return database_url


@pytest.fixture
def relay(start: StartRelay) -> Relay:
    return start(CUSTOM_API_KEYS=",".join(APPS))


def send(relay: Relay, app: str, person: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {app}", "Idempotency-Key": "1001"}
    return relay.send(registration(person), headers=headers)


def test_two_apps_that_number_alike_lose_nobody(relay: Relay, sandbox: Sandbox) -> None:
    """Each is told of its own repeats only, and both people get their e-mail."""
    assert send(relay, APPS[0], "first@example.com").status_code == 202
    assert send(relay, APPS[1], "second@example.com").status_code == 202
    assert send(relay, APPS[1], "second@example.com").json()["status"] == "duplicate"
    for person in ("first@example.com", "second@example.com"):
        until(lambda to=person: sandbox.emails_to(to), within=60, what=f"{person}'s e-mail")  # type: ignore[misc]


def test_another_body_under_a_used_key_is_refused(relay: Relay) -> None:
    """As a duplicate it would be lost without a word; so it is said that it was not stored, and what to do."""
    assert send(relay, APPS[0], "first@example.com").status_code == 202
    refused = send(relay, APPS[0], "second@example.com")
    assert refused.status_code == 422
    assert "was not stored: send it with a key of its own" in refused.json()["detail"]
    assert send(relay, APPS[0], "first@example.com").json()["status"] == "duplicate"


def test_a_signed_message_is_no_repeat_of_another_one(relay: Relay) -> None:
    """Its webhook-id is as much its sender's word as an Idempotency-Key is."""
    answers = []
    for person in ("first@example.com", "second@example.com", "first@example.com"):
        body = json.dumps(registration(person)).encode()
        headers = {"content-type": "application/json"} | standard_webhook(body, "msg_1001")
        answers.append(web.post(f"{relay.url}/webhooks/custom", content=body, headers=headers))
    assert [answer.status_code for answer in answers] == [202, 422, 200]


def test_a_repeat_with_the_next_key_reminds_once(relay: Relay, sandbox: Sandbox) -> None:
    """While a key is changed, a repeat may come with the next one: it is taken anew, which costs no second e-mail."""
    assert [send(relay, app, "ada@example.com").status_code for app in APPS] == [202, 202]
    until(lambda: {e["state"] for e in relay.api("events")["items"]} == {"mapped"}, what="both webhooks to be read")
    relay.in_state("ada@example.com", "sent")
    assert len(sandbox.emails_to("ada@example.com")) == 1
