"""Connecting sources: the address with its secret masked, a payload tried out, a test sent as the real ones come."""

import json
from dataclasses import replace

import pytest

from app.domain import Cause
from app.errors import FieldProblem
from app.setup_watch import SetupWatch
from app.sources.trying import Tried, WouldBe
from app.store.database import Database
from app.store.lookup import Lookup
from app.web.console.guides import GUIDES
from tests.web.console.conftest import console_over, name_campaign, nothing_found, shared_over
from tests.web.console.reading import form_token, text_of
from tests.web.relay_server import ADMIN_TOKEN, NOW, PATH_SECRET, Relay, Surroundings, serving

WOULD = WouldBe("ada@example.com", None, "Ada", None, "w-1", 1234, {"WebinarTitle": "R&D <live>"}, NOW, None, None)
FLAWED = WouldBe(None, 7, None, None, "w-1", 1234, {}, None, Cause.TITLE_MISSING, "The webinar has no title.")


async def test_the_secret_is_shown_only_when_asked_for(signed_in: Relay) -> None:
    """Somebody may look over a shoulder, or share the screen."""
    page = await signed_in.client.get("/console/sources")
    assert PATH_SECRET not in page.text
    assert "/webhooks/eventbrite/•••" in page.text
    token = form_token(page)
    shown = await signed_in.client.post("/console/sources/eventbrite/address", data={"form_token": token})
    assert f"http://127.0.0.1:{signed_in.port}/webhooks/eventbrite/{PATH_SECRET}" in shown.text
    assert shown.headers["cache-control"] == "no-store"


async def test_the_address_to_paste_is_the_one_at_which_senders_reach_the_relay(
    around: Surroundings, database: Database
) -> None:
    """The console is often opened by another: behind the proxy, or through a tunnel."""
    console = replace(console_over(database), public_url="https://relay.example.com/in/")
    async with serving(around.app(console=console)) as relay:
        await relay.client.post("/console/sign-in", data={"token": ADMIN_TOKEN, "next": "/console"})
        page = await relay.client.get("/console/sources")
    assert "<code>https://relay.example.com/in/webhooks/eventbrite/•••</code>" in page.text


async def test_how_to_connect_stands_there(signed_in: Relay) -> None:
    text = text_of(await signed_in.client.get("/console/sources"))
    assert "Developer Links > Webhooks > Add Webhook" in text
    assert "Sign by Standard Webhooks" in text
    assert "Set PENDO_WEBHOOK_SECRET and restart the relay" in text


@pytest.mark.parametrize("path", ["eventbrite/address", "custom/try", "custom/test"])
async def test_no_form_works_without_its_token(signed_in: Relay, around: Surroundings, path: str) -> None:
    answer = await signed_in.client.post(f"/console/sources/{path}", data={"payload": "{}", "email": "a@example.com"})
    assert answer.status_code == 403
    assert PATH_SECRET not in answer.text
    assert around.inbox.events == []


@pytest.mark.parametrize("path", ["nobody/address", "nobody/try", "pendo/test"])
async def test_a_source_that_is_off_is_not_there(signed_in: Relay, path: str) -> None:
    token = form_token(await signed_in.client.get("/console/sources"))
    answer = await signed_in.client.post(f"/console/sources/{path}", data={"form_token": token})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("tried", "said"),
    [
        (Tried(refused="Some fields are wrong.", fields=[FieldProblem("webinar.joinlink", "did you mean joinLink?")]),
         "It would be refused. Some fields are wrong. webinar.joinlink did you mean joinLink?"),
        (Tried(ignored="It is a test."), "It would be ignored. It is a test."),
        (Tried(unusable=(Cause.SOURCE_REFUSED, "401")), "It could not be used. 401 What to do: The source refused"),
        (Tried(registrations=[WOULD]), "ada@example.com would get the reminder."),
        (Tried(registrations=[FLAWED]), "but nothing would be sent. The webinar has no title. What to do: Send a"),
        (Tried(cancelled=["ada@example.com"]), "It would cancel the registration of ada@example.com"),
    ],
)  # fmt: skip
async def test_a_payload_that_is_tried_says_what_it_would_become(
    around: Surroundings, database: Database, tried: Tried, said: str
) -> None:
    seen: list[tuple[str, bytes]] = []

    async def tries(source: str, body: bytes) -> Tried:
        seen.append((source, body))
        return tried

    console = console_over(database, tries)
    async with serving(around.app(lookup=Lookup(database), console=console)) as relay:
        await relay.client.post("/console/sign-in", data={"token": ADMIN_TOKEN})
        token = form_token(await relay.client.get("/console/sources"))
        payload = {"form_token": token, "payload": ' {"a": "é<script>"} '}
        page = await relay.client.post("/console/sources/custom/try", data=payload)
    assert said in text_of(page)
    assert seen == [("custom", '{"a": "é<script>"}'.encode())]
    assert "&lt;script&gt;" in page.text
    assert around.inbox.events == []


async def test_a_payload_that_is_tried_names_its_campaign(around: Surroundings, database: Database) -> None:
    """Nobody in marketing knows its number."""

    async def tries(_source: str, _body: bytes) -> Tried:
        return Tried(registrations=[WOULD])

    setup = SetupWatch(nothing_found, shared=shared_over(database), clock=lambda: NOW)
    await name_campaign(database, "Send <Webinar> Reminder")
    console = console_over(database, tries)
    async with serving(around.app(lookup=Lookup(database), console=console, setup=setup)) as relay:
        await relay.client.post("/console/sign-in", data={"token": ADMIN_TOKEN})
        token = form_token(await relay.client.get("/console/sources"))
        page = await relay.client.post("/console/sources/custom/try", data={"form_token": token, "payload": "{}"})
    assert "Smart campaign Send <Webinar> Reminder (1234)" in text_of(page)


async def test_what_is_no_payload_is_said(signed_in: Relay) -> None:
    token = form_token(await signed_in.client.get("/console/sources"))
    for payload, said in ((" ", "Paste a payload first."), ("x" * 5000, "larger than 4,096 bytes")):
        page = await signed_in.client.post(
            "/console/sources/custom/try", data={"form_token": token, "payload": payload}
        )
        assert page.status_code == 400
        assert said in text_of(page)


async def test_a_test_goes_the_way_of_the_real_ones(signed_in: Relay, around: Surroundings) -> None:
    """Through the source's own check, into the inbox; what became of it is linked."""
    token = form_token(await signed_in.client.get("/console/sources"))
    given = {"form_token": token, "email": "me@example.com"}
    page = await signed_in.client.post("/console/sources/custom/test", data=given)
    assert "The relay answered 202: accepted." in text_of(page)
    (event,) = around.inbox.events
    assert json.loads(event.body)["email"] == "me@example.com"
    assert f"/console/events/{event.id}" in page.text


async def test_a_test_needs_somebody_to_go_to(signed_in: Relay, around: Surroundings) -> None:
    token = form_token(await signed_in.client.get("/console/sources"))
    for email in ("", "nobody", "a@b"):
        page = await signed_in.client.post("/console/sources/custom/test", data={"form_token": token, "email": email})
        assert page.status_code == 400
        assert "Give an e-mail address" in text_of(page)
    assert around.inbox.events == []


async def test_a_test_that_cannot_be_stored_is_told(signed_in: Relay, around: Surroundings) -> None:
    around.inbox.broken = True
    token = form_token(await signed_in.client.get("/console/sources"))
    page = await signed_in.client.post("/console/sources/eventbrite/test", data={"form_token": token})
    assert "The relay answered 503: store_unavailable." in text_of(page)


@pytest.mark.parametrize("source", sorted(GUIDES))
def test_no_two_tests_are_the_same(source: str) -> None:
    """The second would be a duplicate, and show nothing; but for Eventbrite's ping, which is never stored."""
    one, other = (GUIDES[source].test("me@example.com", NOW) for _ in range(2))
    assert (one != other) is GUIDES[source].needs_email
