"""Look-ups: who may ask, and what they hear."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain import EventState, RegistrationState
from app.store.views import CallView, EventView, RegistrationFilter, RegistrationView, TimelineEntry
from tests.web.log_capture import Lines
from tests.web.relay_server import NOW, Relay, Surroundings, serving

REGISTRATION = RegistrationView(
    id="reg_1",
    source="custom",
    state=RegistrationState.DEAD,
    cause="several_people",
    detail="Marketo 1007",
    webinar_id="w-42",
    email="ada@example.com",
    lead_id=None,
    first_name="Ada",
    last_name="Lovelace",
    campaign_id=1234,
    tokens={"WebinarTitle": "Ünïcode <b>"},
    starts_at=None,
    due_at=NOW,
    created_at=NOW,
    updated_at=NOW,
    sent_at=None,
    timeline=[
        TimelineEntry(NOW, "received", "from an event", "evt_1", None),
        TimelineEntry(NOW, "dead", "", None, "c1"),
    ],
    calls=[
        CallView("c1", "upsert", None, 3, NOW, NOW + timedelta(seconds=1), "refused", "1007", "Multiple", "e42b#14")
    ],
)
EVENT = EventView(
    id="evt_1",
    source="custom",
    state=EventState.MAPPED,
    cause=None,
    detail=None,
    received_at=NOW,
    due_at=NOW,
    attempts=1,
    headers={"webhook-id": "msg_1", "X-Api-Key": "k-1", "webhook-signature": "v1,abc"},
    body='{"email": "ada@example.com", "x": "é"}'.encode() + b"\xff",
    registrations=["reg_1"],
)


@pytest.mark.parametrize(
    "path", ["/api/registrations", "/api/registrations/reg_1", "/api/events/evt_1", "/api/forecast"]
)
@pytest.mark.parametrize("token", [None, "wrong", "adm-0123456789abcde", "ädm"])
async def test_nobody_asks_without_the_token(relay: Relay, around: Surroundings, path: str, token: str | None) -> None:
    around.lookup.all, around.lookup.seen = [REGISTRATION], [EVENT]
    sent = [] if token is None else [(b"authorization", b"Bearer " + token.encode())]
    answer = await relay.client.get(path, headers=sent)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "ada@" not in answer.text


async def test_the_token_is_checked_before_the_parameters(relay: Relay) -> None:
    """A stranger must not learn what the API takes."""
    assert (await relay.get("/api/registrations?limit=nonsense", token="wrong")).status_code == 401


@pytest.mark.parametrize("scheme", ["Basic", "Token", ""])
async def test_only_bearer_counts(relay: Relay, scheme: str) -> None:
    answer = await relay.client.get(
        "/api/registrations", headers={"authorization": f"{scheme} adm-0123456789abcdef".strip()}
    )
    assert answer.status_code == 401


async def test_each_token_works_while_rotating(relay: Relay) -> None:
    assert (await relay.get("/api/registrations", token="adm-the-old-one-000000")).status_code == 200
    assert (await relay.get("/api/registrations")).status_code == 200


async def test_without_a_token_configured_the_api_is_off_and_says_how_to_turn_it_on(around: Surroundings) -> None:
    async with serving(around.app(admin_tokens=(), admin_read_tokens=())) as relay:
        answer = await relay.get("/api/registrations", token="")
        assert answer.status_code == 404
        assert "ADMIN_TOKEN" in answer.json()["detail"]


async def test_a_registration_is_told_with_timeline_calls_and_advice(relay: Relay, around: Surroundings) -> None:
    """What somebody needs who was asked why no e-mail came."""
    around.lookup.all = [REGISTRATION]
    found = (await relay.get("/api/registrations/reg_1")).json()
    assert (found["state"], found["cause"]) == ("dead", "several_people")
    assert found["advice"] == "Merge the duplicate people in Marketo."
    assert (found["webinarId"], found["firstName"], found["campaignId"]) == ("w-42", "Ada", 1234)
    assert found["tokens"] == {"WebinarTitle": "Ünïcode <b>"}
    assert [entry["what"] for entry in found["timeline"]] == ["received", "dead"]
    assert found["timeline"][0] == {
        "at": "2026-11-23T12:00:00Z",
        "what": "received",
        "detail": "from an event",
        "eventId": "evt_1",
        "callId": None,
    }
    assert found["calls"][0]["requestId"] == "e42b#14"


@pytest.mark.parametrize("cause", [None, "a_cause_of_a_newer_relay"])
async def test_an_unknown_cause_has_no_advice(relay: Relay, around: Surroundings, cause: str | None) -> None:
    around.lookup.all = [replace(REGISTRATION, cause=cause)]
    assert (await relay.get("/api/registrations/reg_1")).json()["advice"] is None


async def test_registrations_are_paged_by_cursor(relay: Relay, around: Surroundings) -> None:
    around.lookup.all = [replace(REGISTRATION, id=f"reg_{n}") for n in range(5)]
    first = (await relay.get("/api/registrations?limit=3")).json()
    rest = (await relay.get(f"/api/registrations?limit=3&cursor={first['nextCursor']}")).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == [f"reg_{n}" for n in range(5)]
    assert rest["nextCursor"] is None
    assert "timeline" not in first["items"][0]


async def test_every_filter_reaches_the_store(relay: Relay, around: Surroundings) -> None:
    query = "email=Ada%2Bx@example.com&source=pendo&state=dead&webinar=w%2042"
    assert (await relay.get(f"/api/registrations?{query}")).status_code == 200
    wanted = RegistrationFilter("Ada+x@example.com", "pendo", RegistrationState.DEAD, "w 42")
    assert around.lookup.asked == [wanted]


async def test_an_address_with_a_plus_is_found_as_it_is_typed(relay: Relay, around: Surroundings) -> None:
    """In a query a + means a space; who looks somebody up with curl would be told that there is nobody."""
    assert (await relay.get("/api/registrations?email=ada+x@example.com")).status_code == 200
    assert around.lookup.asked == [RegistrationFilter(email="ada+x@example.com")]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("emial=ada@example.com", "emial"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=1e9999", "limit"),
        ("state=gone", "state"),
        ("email=%00", "email"),
        ("webinar=" + "x" * 600, "webinar"),
    ],
)
async def test_a_wrong_parameter_is_named_and_not_repeated(relay: Relay, query: str, field: str) -> None:
    """A misspelt filter that is passed over would list everybody."""
    answer = await relay.get(f"/api/registrations?{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert "ada@" not in answer.text


async def test_a_cursor_of_somebody_elses_making_is_400(relay: Relay) -> None:
    answer = await relay.get("/api/registrations?cursor=nonsense")
    assert (answer.status_code, answer.json()["title"]) == (400, "Bad Request")
    assert "nonsense" not in answer.text


@pytest.mark.parametrize("path", ["/api/registrations/reg_9", "/api/events/evt_9"])
async def test_what_is_not_there_is_404(relay: Relay, path: str) -> None:
    assert (await relay.get(path)).status_code == 404


@pytest.mark.parametrize("path", ["/api/registrations/%00", "/api/events/a%27%20b", "/api/events/" + "e" * 65])
async def test_what_cannot_be_an_id_never_reaches_the_store(relay: Relay, path: str) -> None:
    """PostgreSQL refuses a NUL in a text with an error of its own."""
    assert (await relay.get(path)).status_code == 422


async def test_a_store_that_does_not_answer_is_503(relay: Relay, around: Surroundings, log: Lines) -> None:
    """Who asks has sent nothing that could be stored; why it does not answer is in the log only."""
    around.lookup.broken = True
    answer = await relay.get("/api/registrations")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "ask again" in answer.json()["detail"]
    assert "stored" not in answer.text
    assert [line["reason"] for line in log.facts("store_unavailable")] == ["locked"]


async def test_an_event_is_shown_as_it_came_with_its_secrets_hidden(relay: Relay, around: Surroundings) -> None:
    around.lookup.seen = [EVENT]
    found = (await relay.get("/api/events/evt_1")).json()
    assert found["body"] == '{"email": "ada@example.com", "x": "é"}\ufffd'
    assert found["headers"] == {"webhook-id": "msg_1", "X-Api-Key": "***", "webhook-signature": "***"}
    assert found["registrations"] == ["reg_1"]
    assert found["receivedAt"] == "2026-11-23T12:00:00Z"


async def test_the_forecast_tells_what_is_ahead(relay: Relay, around: Surroundings) -> None:
    """How far the limits are used, what waits, how many calls it costs, when it is through: as the leader knows it."""
    around.status = {
        "leader": True,
        "window_used": 17,
        "allowed": {"calls_per_window": 35, "in_flight": 5, "is_shrunk": True},
        "day_used": 48_000,
        "day_left": 2_000,
        "day_state": "saving",
        "forecast": {"registrations": 300, "webhooks": 2, "calls": 6, "seconds": 20.0, "through_at": NOW.isoformat()},
        "paused": {"day": "48000 of the day's 50000 calls are used."},
    }
    told = (await relay.get("/api/forecast")).json()
    assert told["forecast"] == {
        "registrations": 300,
        "webhooks": 2,
        "calls": 6,
        "seconds": 20.0,
        "throughAt": "2026-11-23T12:00:00Z",
    }
    assert told["allowed"] == {"callsPerWindow": 35, "inFlight": 5, "isShrunk": True}
    assert (told["dayUsed"], told["dayLeft"], told["dayState"], told["windowUsed"]) == (48_000, 2_000, "saving", 17)
    assert list(told["paused"]) == ["day"]


async def test_a_process_that_does_not_lead_has_no_forecast(relay: Relay, around: Surroundings) -> None:
    """It says so instead of guessing."""
    around.status = {"leader": False, "in_flight": 0, "window_used": 0, "paused": {}}
    told = (await relay.get("/api/forecast")).json()
    assert (told["leader"], told["forecast"], told["dayUsed"]) == (False, None, None)
