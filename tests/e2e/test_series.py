"""A series of webinars whose source sends no ids: nobody who registers for a further date is passed over."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import StartRelay
from tests.e2e.harness import Relay, Sandbox, pendo_signature, until

ADDRESS = "week@example.com"
TITLE = "Weekly office hours"
Send = Callable[[Relay, str, str], httpx.Response]


@pytest.fixture
def store_url(database_url: str) -> str:
    return database_url


def custom(relay: Relay, link: str, starts_at: str) -> httpx.Response:
    return relay.send({"email": ADDRESS, "webinar": {"title": TITLE, "joinLink": link, "startsAt": starts_at}})


def pendo(relay: Relay, link: str, starts_at: str) -> httpx.Response:
    said = {"webinar_title": TITLE, "join_link": link, "starts_at": starts_at}
    event: dict[str, Any] = {
        "event": "trackEventReceived",
        "properties": {"trackEventName": "webinar_registered", "trackEventProperties": said},
        "visitorId": ADDRESS,
    }
    body = json.dumps(event).encode()
    headers = pendo_signature(body) | {"Content-Type": "application/json"}
    return httpx.post(f"{relay.url}/webhooks/pendo", content=body, headers=headers, timeout=15)


def mailed(sandbox: Sandbox) -> list[str]:
    return [email["tokens"]["JoinLink"] for email in sandbox.emails_to(ADDRESS)]


@pytest.mark.parametrize("send", [custom, pendo])
def test_each_date_is_reminded_of_once(relay: Relay, sandbox: Sandbox, send: Send) -> None:
    """The title is the same every week; the start is what tells the dates apart."""
    first, second = "https://meet.example.com/1", "https://meet.example.com/2"
    assert send(relay, first, "2036-12-01T10:00:00Z").status_code == 202
    relay.in_state(ADDRESS, "sent")
    assert send(relay, second, "2036-12-08T10:00:00Z").status_code == 202
    until(lambda: mailed(sandbox) == [first, second], what="both dates' reminders")
    again = send(relay, second, "2036-12-08T11:00:00+01:00").json()["id"]
    until(lambda: relay.api(f"events/{again}")["state"] == "mapped", what="the repeat")
    assert [one["timeline"][-1]["what"] for one in all_of(relay)] == ["repeated", "sent"]
    assert mailed(sandbox) == [first, second]


def all_of(relay: Relay) -> list[dict[str, Any]]:
    return [relay.api(f"registrations/{one['id']}") for one in relay.registrations(email=ADDRESS)]


def test_a_series_is_configured_by_its_title(start: StartRelay, sandbox: Sandbox, tmp_path: Path) -> None:
    """Once for all of its dates."""
    link = "https://meet.example.com/every-week"
    configured = tmp_path / "series.toml"
    configured.write_text(f'[webinars."{TITLE}"]\njoin_link = "{link}"\n')
    relay = start(RELAY_CONFIG=str(configured))
    for day, so_far in (("01", 1), ("08", 2)):
        body = {"email": ADDRESS, "webinar": {"title": TITLE, "startsAt": f"2036-12-{day}T10:00:00Z"}}
        assert relay.send(body).status_code == 202
        until(lambda count=so_far: mailed(sandbox) == [link] * count, what="this date's reminder")  # type: ignore[misc]
    ids = sorted(one["webinarId"] for one in relay.registrations(email=ADDRESS))
    assert ids == [f"{TITLE}, 2036-12-01 10:00 UTC", f"{TITLE}, 2036-12-08 10:00 UTC"]
