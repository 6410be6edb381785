"""The admin API's lists, over a real store."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from app.main import create_app
from app.store.database import Database
from app.store.listing import Listing
from app.store.lookup import Lookup
from tests.conftest import MovableClock
from tests.store.given import ended
from tests.web.relay_server import Relay, Surroundings, serving


@pytest.fixture
async def relay(around: Surroundings, database: Database, clock: MovableClock) -> AsyncIterator[Relay]:
    """A relay in whose store one registration was sent, and another is dead."""
    await ended(database, clock(), state="sent")
    clock.move(timedelta(seconds=5))
    await ended(database, clock(), state="dead", email="bob@example.com")
    clock.move(timedelta(seconds=5))
    parts = replace(around.parts(), lookup=Lookup(database), lists=Listing(database, clock=clock))
    async with serving(create_app(parts)) as running:
        yield running


async def test_webhooks_are_listed_without_what_they_hold(relay: Relay) -> None:
    told = (await relay.get("/api/events?limit=1&state=mapped&source=custom&since=2026-11-23T12:00:00Z")).json()
    assert set(told["items"][0]) == {
        *("id", "source", "state", "cause", "detail", "advice", "receivedAt", "dueAt", "attempts"),
    }
    cursor = told["nextCursor"]
    more = (await relay.get(f"/api/events?state=mapped&source=custom&cursor={cursor}")).json()
    assert (len(more["items"]), more["nextCursor"]) == (1, None)


async def test_a_cursor_of_another_question_is_none(relay: Relay) -> None:
    """The answer would begin in its middle, and nobody would know. Times may move on: 'of the last hour' does."""
    cursor = (await relay.get("/api/events?limit=1&source=custom&since=2026-11-23T12:00:00Z")).json()["nextCursor"]
    assert (await relay.get(f"/api/events?limit=9&source=custom&cursor={cursor}")).status_code == 200
    for other in ("events?source=pendo", "events?state=dead&source=custom", "calls?limit=1", "registrations?limit=1"):
        refused = await relay.get(f"/api/{other}&cursor={cursor}")
        assert (refused.status_code, "same parameters" in refused.json()["detail"]) == (400, True), other


async def test_a_call_is_told_with_the_people_in_it(relay: Relay) -> None:
    (listed,) = (await relay.get("/api/calls?kind=trigger&outcome=done")).json()["items"]
    told = (await relay.get(f"/api/calls/{listed['id']}")).json()
    assert (told["requestId"], told["registrations"][0]["email"]) == ("r#1", "ada@example.com")
    missing = await relay.get("/api/calls/call_9")
    assert (missing.status_code, "look whether it is whole" in missing.json()["detail"]) == (404, True)


async def test_activity_tells_what_happened_and_goes_on(relay: Relay) -> None:
    told = (await relay.get("/api/activity")).json()
    assert [(line["kind"], line["what"]) for line in told["items"]][-3:] == [
        ("webhook", "mapped"),
        ("registration", "registered"),
        ("registration", "dead"),
    ]
    assert (await relay.get(f"/api/activity?cursor={told['nextCursor']}")).json()["items"] == []
    of_bob = (await relay.get("/api/activity?email=bob@example.com")).json()["items"]
    assert {line["email"] for line in of_bob} == {"bob@example.com"}


async def test_how_things_stand_is_told_in_figures(relay: Relay) -> None:
    told = (await relay.get("/api/stats?hours=1")).json()
    (custom,) = [one for one in told["sources"] if one["source"] == "custom"]
    assert (custom["received"], custom["registrations"]) == (2, {"sent": 1, "dead": 1})
    assert (told["calls"], told["waiting"], told["paused"]) == (
        1,
        {"registrations": 0, "webhooks": 0, "oldest": None, "retried": 0, "nextTryAt": None},
        [],
    )
    (dead,) = told["dead"]
    assert (dead["cause"], dead["registrations"]) == ("bad_payload", 1)
    assert "README" in dead["advice"]


@pytest.mark.parametrize("path", ["events", "calls", "calls/call_1", "activity", "stats"])
async def test_nobody_lists_without_the_token(relay: Relay, path: str) -> None:
    answer = await relay.get(f"/api/{path}", token="wrong")
    assert answer.status_code == 401
    assert "ada@" not in answer.text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("events?state=gone", 422),
        ("events?sauce=custom", 422),
        ("events?since=yesterday", 422),
        ("events?since=2026-11-23T12:00:00", 422),
        ("calls?limit=0", 422),
        ("activity?email=%00", 422),
        ("events?cursor=call_1", 400),
        ("calls?cursor=evt_1", 400),
        ("activity?cursor=evt_1", 400),
        ("calls/%00", 422),
        ("stats?hours=0", 422),
        ("stats?hours=nan", 422),
    ],
)
async def test_nonsense_is_told_never_a_5xx(relay: Relay, query: str, status: int) -> None:
    answer = await relay.get(f"/api/{query}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
