"""From a webhook on a socket to the rendered reminder, with what the senders really send."""

import json
from typing import Any

import httpx

from tests.e2e.conftest import StartRelay
from tests.e2e.harness import (
    API_KEY,
    EVENTBRITE_TOKEN,
    Relay,
    Sandbox,
    pendo_signature,
    registration,
    standard_webhook,
    until,
)

BUYER = "ada.lovelace@example.com"


def eventbrite(relay: Relay, action: str, path: str) -> httpx.Response:
    config = {"action": action, "user_id": "311783287832", "endpoint_url": "https://x.example", "webhook_id": "1806556"}
    body = {"config": config, "api_url": f"https://www.eventbriteapi.com{path}"}
    return httpx.post(f"{relay.url}/webhooks/eventbrite/{EVENTBRITE_TOKEN}", json=body, timeout=15)


def pendo(relay: Relay, **changed: object) -> httpx.Response:
    event: dict[str, Any] = {
        "event": "trackEventReceived",
        "properties": {
            "trackEventName": "webinar_registered",
            "trackEventProperties": {
                "webinar_title": "Product Hour",
                "join_link": "https://meet.example.com/p",
                "webinar_image": "https://cdn.example.com/p.png",
            },
        },
        "timestamp": 1626803876,
        "visitorId": "grace@example.com",
        "uniqueId": "0000000000000000000000000000000000000001",
    } | changed
    body = json.dumps(event).encode()
    headers = pendo_signature(body) | {"Content-Type": "application/json"}
    return httpx.post(f"{relay.url}/webhooks/pendo", content=body, headers=headers, timeout=15)


def signed(relay: Relay, body: object, message_id: str) -> httpx.Response:
    content = json.dumps(body).encode()
    headers = {"content-type": "application/json"} | standard_webhook(content, message_id)
    return httpx.post(f"{relay.url}/webhooks/custom", content=content, headers=headers, timeout=15)


def test_an_own_app_registration_becomes_one_email(relay: Relay, sandbox: Sandbox) -> None:
    """The main promise, with its values byte for byte and a timeline that names webhook and request."""
    title, link = "Köln & <Friends>: \u201cscaling\u201d", "https://meet.example.com/j/1?a=1&b=%20x#y"
    body = registration("ada@example.com", firstName="Ada", tokens={"Speaker": "Grace"})
    body["webinar"] = {"id": "w-9", "title": title, "joinLink": link}
    accepted = relay.send(body)
    assert accepted.status_code == 202
    found = relay.in_state("ada@example.com", "sent")
    [email] = sandbox.emails_to("ada@example.com")
    whole = relay.api(f"registrations/{found['id']}")
    assert email["tokens"]["WebinarTitle"] == title
    assert email["tokens"]["JoinLink"] == link
    assert "Hi Ada" in email["html"]
    assert [entry["what"] for entry in whole["timeline"]] == ["registered", "person found", "sent"]
    assert whole["timeline"][0]["eventId"] == accepted.json()["id"]
    assert all(call["requestId"] for call in whole["calls"])


def test_a_repeat_is_known_and_mails_nobody_twice(relay: Relay, sandbox: Sandbox) -> None:
    """Senders repeat when an answer was lost on its way."""
    first = signed(relay, registration("ada@example.com"), "msg_1")
    again = signed(relay, registration("ada@example.com"), "msg_1")
    other = signed(relay, registration("ada@example.com"), "msg_2")  # a second event about the same registration
    assert (first.status_code, again.status_code, other.status_code) == (202, 200, 202)
    assert again.json() == {"id": first.json()["id"], "status": "duplicate"}
    relay.in_state("ada@example.com", "sent")
    until(lambda: relay.api(f"events/{other.json()['id']}")["state"] == "mapped", what="the second event")
    assert len(sandbox.emails_to("ada@example.com")) == 1


def test_five_deliveries_of_an_order_are_one_fetch_and_one_email(relay: Relay, sandbox: Sandbox) -> None:
    """Eventbrite sends five webhooks in about a second for two tickets, the update before the order."""
    order, attendees = "/v3/orders/985359169/", "/v3/events/64592778740/attendees"
    answers = [
        eventbrite(relay, "order.updated", order),
        eventbrite(relay, "order.placed", order),
        eventbrite(relay, "attendee.updated", f"{attendees}/1261812597/"),
        eventbrite(relay, "attendee.updated", f"{attendees}/1261812598/"),
        eventbrite(relay, "order.updated", order),
    ]
    assert [answer.status_code for answer in answers] == [200, 202, 202, 202, 200]
    relay.in_state(BUYER, "sent")
    for answer in answers[1:4]:
        event = f"events/{answer.json()['id']}"
        until(lambda path=event: relay.api(path)["state"] == "mapped", what="every delivery")  # type: ignore[misc]
    reads = [call["kind"] for call in sandbox.get("calls") if call["kind"].startswith("eventbrite")]
    assert sorted(reads) == ["eventbrite_content", "eventbrite_order"]
    assert len(sandbox.emails_to(BUYER)) == 1
    assert len(relay.registrations(source="eventbrite")) == 1


def test_a_test_ping_and_events_of_no_interest_are_ignored(relay: Relay, sandbox: Sandbox) -> None:
    """They are answered with 200 and a reason, or the sender would repeat them or unsubscribe."""
    ping = eventbrite(relay, "test", "/{api-endpoint-to-fetch-object-details}/")
    guide = pendo(relay, event="guideDisplayed")
    assert (ping.status_code, ping.json()) == (200, {"status": "ignored", "reason": "test_ping"})
    assert (guide.status_code, guide.json()["status"]) == (200, "ignored")
    assert sandbox.get("emails") == []


def test_a_pendo_track_event_becomes_one_email(relay: Relay, sandbox: Sandbox) -> None:
    """The visitor's id is an e-mail address here."""
    assert pendo(relay).status_code == 202
    relay.in_state("grace@example.com", "sent")
    [email] = sandbox.emails_to("grace@example.com")
    assert email["tokens"]["WebinarImage"] == "https://cdn.example.com/p.png"


def test_nobody_is_mailed_a_reminder_without_a_link(relay: Relay, sandbox: Sandbox) -> None:
    """It ends as dead, with the reason and what to do."""
    body = registration("ada@example.com")
    body["webinar"] = {"id": "w-2", "title": "No link yet"}
    assert relay.send(body).status_code == 202
    found = relay.in_state("ada@example.com", "dead")
    assert found["cause"] == "join_link_missing"
    assert "DEFAULT_JOIN_LINK" in found["advice"]
    assert sandbox.get("emails") == []


def test_in_lookup_mode_nobody_is_created(start: StartRelay, sandbox: Sandbox) -> None:
    """Some teams let nobody but their own forms create people."""
    relay = start(MARKETO_LEAD_MODE="lookup")
    relay.send(registration("stranger@example.com"))
    assert relay.in_state("stranger@example.com", "dead")["cause"] == "unknown_person"
    assert not [person for person in sandbox.get("people") if person["email"] == "stranger@example.com"]


def test_a_person_can_be_found_by_another_field_that_holds_the_address(start: StartRelay, sandbox: Sandbox) -> None:
    """The e-mail goes to Marketo's address of that person, which stays as it is."""
    sandbox.post("marketo/people", {"email": "ada@work.example.com", "externalId": "ada@example.com"})
    relay = start(MARKETO_LEAD_MODE="lookup", MARKETO_LOOKUP_FIELD="externalId")
    relay.send(registration("ada@example.com"))
    relay.in_state("ada@example.com", "sent")
    until(lambda: sandbox.emails_to("ada@work.example.com"), what="the e-mail")
    assert [call["kind"] for call in sandbox.get("calls") if call["kind"] in ("sync", "filter")] == ["filter"]


def test_a_burst_is_batched_and_breaks_no_rule_of_marketo(relay: Relay, sandbox: Sandbox) -> None:
    """250 people of one webinar cost a handful of calls; the simulation counts every violation."""
    with httpx.Client(headers={"Authorization": f"Bearer {API_KEY}"}, timeout=15) as client:
        for n in range(250):
            sent = client.post(f"{relay.url}/webhooks/custom", json=registration(f"p{n}@example.com"))
            assert sent.status_code == 202
    until(lambda: len(sandbox.get("emails")) == 250, within=60, what="250 e-mails")
    assert len({email["to"] for email in sandbox.get("emails")}) == 250
    calls = [call for call in sandbox.get("calls") if call["kind"] in ("sync", "trigger")]
    assert len(calls) <= 50
    assert sandbox.get("violations") == []
