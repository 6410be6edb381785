"""The simulated APIs of Eventbrite and Pendo."""

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from app.sandbox import seed
from tests.sandbox.account import Account, opened

EVENT, ORDER = f"/events/{seed.EVENTBRITE_EVENT_ID}/", f"/orders/{seed.EVENTBRITE_ORDER_ID}/"
ORGANIZATION = f"/organizations/{seed.EVENTBRITE_ORGANIZATION_ID}"


async def ask(account: Account, path: str, *, token: str | None = seed.EVENTBRITE_API_TOKEN, **query: str) -> Any:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return await account.http.get(f"/eventbrite/v3{path}", params=query, headers=headers)


async def test_one_call_brings_the_order_its_attendees_and_the_event(account: Account) -> None:
    """Two tickets, both with the buyer's data; the webinar lies ahead; the logo is drawn by the simulation."""
    order = (await ask(account, ORDER, expand="attendees,event,event.logo")).json()
    assert order["email"] == seed.EVENTBRITE_BUYER[2]
    assert {attendee["profile"]["email"] for attendee in order["attendees"]} == {order["email"]}
    assert [attendee["id"] for attendee in order["attendees"]] == list(seed.EVENTBRITE_ATTENDEE_IDS)
    assert datetime.fromisoformat(order["event"]["start"]["utc"]) > account.clock()
    picture = await account.http.get(order["event"]["logo"]["original"]["url"])
    assert picture.headers["content-type"].startswith("image/svg+xml")


async def test_nothing_is_expanded_unasked(account: Account) -> None:
    bare = (await ask(account, ORDER)).json()
    assert bare.keys() & {"attendees", "event"} == set()
    assert "logo" not in (await ask(account, EVENT)).json()
    assert (await ask(account, ORDER, expand="event")).json()["event"].get("logo") is None


async def test_the_join_link_stands_in_the_digital_content_only(account: Account) -> None:
    content = (await ask(account, f"{EVENT}structured_content/", purpose="digital_content")).json()
    [webinar] = [module for module in content["modules"] if module["type"] == "webinar"]
    assert webinar["data"]["webinar_url"]["url"] == seed.EVENTBRITE_JOIN_LINK
    assert (await ask(account, f"{EVENT}structured_content/")).json()["modules"] == []
    event = (await ask(account, EVENT, expand="has_digital_content")).json()
    assert event["has_digital_content"]["has_digital_content"] is True


async def test_attendees_are_read_one_by_one_or_in_pages(account: Account) -> None:
    number = seed.EVENTBRITE_ATTENDEE_IDS[1]
    one = (await ask(account, f"{EVENT}attendees/{number}/")).json()
    assert (one["id"], one["order_id"]) == (number, seed.EVENTBRITE_ORDER_ID)
    tickets = [{"email": f"p{n}@example.com"} for n in range(60)]
    await account.http.post("/sandbox/eventbrite/orders", json={"id": "7", "email": "b@e.io", "attendees": tickets})
    first = (await ask(account, f"{EVENT}attendees/")).json()
    assert (len(first["attendees"]), first["pagination"]["has_more_items"]) == (50, True)
    second = (await ask(account, f"{EVENT}attendees/", continuation=first["pagination"]["continuation"])).json()
    assert (len(second["attendees"]), second["pagination"]["has_more_items"]) == (12, False)


@pytest.mark.parametrize(
    ("path", "token", "expected"),
    [
        (ORDER, None, (401, "NO_AUTH")),
        (ORDER, "made-up", (400, "INVALID_AUTH")),
        (f"{ORDER}?expand=everything", seed.EVENTBRITE_API_TOKEN, (400, "ARGUMENTS_ERROR")),
        ("/orders/1/", seed.EVENTBRITE_API_TOKEN, (404, "NOT_FOUND")),
        ("/events/1/", seed.EVENTBRITE_API_TOKEN, (404, "NOT_FOUND")),
        (f"{EVENT}attendees/1/", seed.EVENTBRITE_API_TOKEN, (404, "NOT_FOUND")),
        ("/organizations/1/orders/", seed.EVENTBRITE_API_TOKEN, (404, "NOT_FOUND")),
        ("/users/9/", seed.EVENTBRITE_API_TOKEN, (404, "NOT_FOUND")),
    ],
)
async def test_eventbrites_errors_are_its_own(
    account: Account, path: str, token: str | None, expected: tuple[int, str]
) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    answer = await account.http.get(f"/eventbrite/v3{path}", headers=headers)
    assert answer.json().keys() == {"status_code", "error", "error_description"}
    assert (answer.status_code, answer.json()["error"]) == expected
    assert answer.json()["status_code"] == expected[0]


async def test_a_path_without_its_slash_is_a_redirect(account: Account) -> None:
    answer: httpx.Response = await ask(account, ORDER.rstrip("/"))
    assert answer.status_code == 301
    assert answer.headers["location"].endswith(ORDER)


async def test_the_hours_budget_ends_with_429_without_a_retry_after() -> None:
    async with opened(eventbrite_calls_per_hour=2) as account:
        answers = [await ask(account, EVENT) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert "retry-after" not in answers[2].headers
        account.clock.move(timedelta(hours=1, seconds=1))
        assert (await ask(account, EVENT)).status_code == 200


async def test_a_read_shortly_after_the_write_can_be_404(account: Account) -> None:
    """Nearly always under 15 s: who buries the event at once loses a registration."""
    await account.fault(match="eventbrite_order", kind="http:404", seconds=15)
    assert (await ask(account, ORDER)).json()["error"] == "NOT_FOUND"
    account.clock.move(timedelta(seconds=15))
    assert (await ask(account, ORDER)).status_code == 200


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("http:429", 429, "HIT_RATE_LIMIT"),
        ("code:EXPANSION_FAILED", 500, "EXPANSION_FAILED"),
        ("code:ORDER_EXPIRED", 400, "ORDER_EXPIRED"),
    ],
)
async def test_eventbrites_documented_errors_can_be_ordered(
    account: Account, kind: str, status: int, error: str
) -> None:
    await account.fault(match="eventbrite", kind=kind)
    answer = await ask(account, ORDER)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


async def test_a_limit_can_say_when_to_come_again(account: Account) -> None:
    """Undocumented, so that only a fault says it; a gateway before Eventbrite may, in either form."""
    await account.fault(match="eventbrite", kind="http:429 after 90")
    await account.fault(match="eventbrite", kind="http:429 until 90")
    first, second = [await ask(account, ORDER) for _ in range(2)]
    assert (first.status_code, first.headers["retry-after"]) == (429, "90")
    until = parsedate_to_datetime(second.headers["retry-after"])
    assert until - parsedate_to_datetime(second.headers["date"]) == timedelta(seconds=90)


async def test_a_gateways_error_is_html(account: Account) -> None:
    await account.fault(match="eventbrite", kind="http:502")
    assert (await ask(account, ORDER)).text.startswith("<h1>")


async def test_events_and_orders_can_be_made_changed_and_refunded(account: Account) -> None:
    event = {
        "id": "42",
        "title": "Own event",
        "logo": False,
        "joinLink": "https://x.example/1",
        "modules": [{"type": "?"}],
    }
    assert (await account.http.post("/sandbox/eventbrite/events", json=event)).status_code == 201
    order = {"id": "77", "eventId": "42", "email": "b@e.io", "attendees": [{"id": "5", "email": "c@e.io"}, {}]}
    made = await account.http.post("/sandbox/eventbrite/orders", json=order)
    assert made.json() == {"id": "77", "attendees": ["5", "7702"]}
    read = (await ask(account, "/orders/77/", expand="attendees,event,event.logo")).json()
    assert [attendee["profile"]["email"] for attendee in read["attendees"]] == ["c@e.io", "b@e.io"]
    assert read["event"]["logo"] is None
    modules = (await ask(account, "/events/42/structured_content/", purpose="digital_content")).json()["modules"]
    assert [module["type"] for module in modules] == ["text", "?", "webinar"]
    await account.http.post("/sandbox/eventbrite/orders/77/refund")
    read = (await ask(account, "/orders/77/", expand="attendees")).json()
    assert (read["status"], {attendee["refunded"] for attendee in read["attendees"]}) == ("refunded", {True})
    assert (await account.http.post("/sandbox/eventbrite/orders/1/refund")).status_code == 404


async def test_an_attendee_belongs_to_one_event(account: Account) -> None:
    for number, event in (("42", "Own"), ("43", "Other")):
        await account.http.post("/sandbox/eventbrite/events", json={"id": number, "title": event})
    order = {"id": "77", "eventId": "43", "email": "b@e.io", "attendees": [{"id": "5"}, {"id": "6"}]}
    await account.http.post("/sandbox/eventbrite/orders", json=order)
    assert (await ask(account, "/events/43/attendees/6/")).status_code == 200
    assert (await ask(account, "/events/42/attendees/6/")).status_code == 404


async def test_an_event_without_digital_content_says_so(account: Account) -> None:
    await account.http.post("/sandbox/eventbrite/events", json={"id": "42", "title": "In a room"})
    event = (await ask(account, "/events/42/", expand="has_digital_content")).json()
    assert event["has_digital_content"] == {"has_digital_content": False}
    content = (await ask(account, "/events/42/structured_content/", purpose="digital_content")).json()
    assert content["modules"] == []


async def test_lost_webhooks_are_found_among_the_orders(account: Account) -> None:
    since = account.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
    assert len((await ask(account, f"{ORGANIZATION}/orders/", changed_since=since)).json()["orders"]) == 1
    assert (await ask(account, f"{ORGANIZATION}/orders/", changed_since="2027-01-01T00:00:00Z")).json()["orders"] == []


async def test_webhooks_can_be_subscribed(account: Account) -> None:
    headers = {"Authorization": f"Bearer {seed.EVENTBRITE_API_TOKEN}"}
    path = f"/eventbrite/v3{ORGANIZATION}/webhooks/"
    form = {"endpoint_url": "https://relay.example.com/x", "actions": "order.placed,attendee.updated"}
    made = (await account.http.post(path, data=form, headers=headers)).json()
    assert made["actions"] == ["order.placed", "attendee.updated"]
    own = {"endpoint_url": "https://relay.example.com/y", "actions": ["order.placed"], "event_id": "42"}
    assert (await account.http.post(path, json=own, headers=headers)).json()["event_id"] == "42"
    assert len((await ask(account, f"{ORGANIZATION}/webhooks/")).json()["webhooks"]) == 2
    assert (await account.http.post(path, json={}, headers=headers)).status_code == 400


async def visitor(account: Account, number: str, key: str = seed.PENDO_INTEGRATION_KEY) -> httpx.Response:
    return await account.http.get(f"/pendo/api/v1/visitor/{number}", headers={"x-pendo-integration-key": key})


async def test_pendo_knows_a_visitors_address(account: Account) -> None:
    document = (await visitor(account, seed.PENDO_VISITOR_ID)).json()
    assert document["id"] == seed.PENDO_VISITOR_ID
    assert document["metadata"]["agent"]["email"] == seed.PENDO_VISITOR[2]


async def test_pendo_refuses_a_wrong_key_and_unknown_visitors(account: Account) -> None:
    assert (await visitor(account, seed.PENDO_VISITOR_ID, "wrong")).status_code == 403
    assert (await visitor(account, "nobody")).status_code == 404
    good = {"x-pendo-integration-key": seed.PENDO_INTEGRATION_KEY}
    assert (await account.http.get("/pendo/api/v1/account/1", headers=good)).status_code == 404
    assert (await account.http.post("/pendo/api/v1/visitor/x", headers=good)).status_code == 405


async def test_a_new_visitor_is_unknown_for_a_while(account: Account) -> None:
    await account.http.post("/sandbox/pendo/visitors", json={"id": "a b/ü", "email": "new@example.com"})
    await account.fault(match="pendo_visitor", kind="http:404", times=2)
    await account.fault(match="pendo", kind="http:429")
    await account.fault(match="pendo", kind="code:whatever")
    answers = [await visitor(account, "a%20b%2F%C3%BC") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [404, 404, 429, 400, 200]
