"""Sample traffic as data: what really arrives at a relay, in the order and with the flaws in which it arrives.

Signing is a few lines of this module's own, so that a mistake in the relay's signing module cannot hide here.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

from app.sandbox import seed

Outcome = Literal["accepted", "ignored", "duplicate", "refused"]


@dataclass(frozen=True, slots=True)
class TrafficSecrets:
    """What the senders know. The defaults are those that the simulation prints."""

    eventbrite_webhook_token: str = seed.EVENTBRITE_WEBHOOK_TOKEN
    pendo_webhook_secret: str = seed.PENDO_WEBHOOK_SECRET
    custom_webhook_secret: str = seed.CUSTOM_WEBHOOK_SECRET
    custom_api_key: str = seed.CUSTOM_API_KEY


@dataclass(frozen=True, slots=True)
class Reminder:
    """One e-mail that must arrive exactly once, whatever number of deliveries speaks of it."""

    to: str
    greeting: str
    title: str
    join_link: str
    image: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What the relay should make of a delivery. `field` is the one that a refusal must name."""

    status: int
    outcome: Outcome
    why: str
    reminder: Reminder | None = None
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook request, ready to be sent."""

    title: str
    source: str
    method: str
    url: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    expect: Expected


@dataclass(frozen=True, slots=True)
class Sender:
    """Builds deliveries to one relay. `sandbox_url` is where the pictures are, `now` the moment of signing."""

    relay_url: str
    sandbox_url: str
    now: datetime
    secrets: TrafficSecrets = TrafficSecrets()

    def eventbrite(self, title: str, action: str, api_path: str, expect: Expected) -> Delivery:
        """Return one of Eventbrite's thin deliveries; `X-Eventbrite-Delivery` is the webhook's id on every one."""
        path = f"/webhooks/eventbrite/{self.secrets.eventbrite_webhook_token}"
        body = {
            "config": {
                "action": action,
                "user_id": seed.EVENTBRITE_USER_ID,
                "endpoint_url": f"{self.relay_url}{path}",
                "webhook_id": seed.EVENTBRITE_WEBHOOK_ID,
            },
            "api_url": f"https://www.eventbriteapi.com/{api_path}",
        }
        headers = {
            "Accept": "text/plain",
            "User-Agent": "Eventbrite Hookshot 12345c6",
            "X-Eventbrite-Delivery": seed.EVENTBRITE_WEBHOOK_ID,
            "X-Eventbrite-Event": action,
        }
        return self._delivery(title, path, body, headers, expect)

    def pendo(self, title: str, visitor_id: str, properties: Mapping[str, Any], expect: Expected) -> Delivery:
        """Return a track event signed as Pendo signs: HMAC-SHA256 of the body, in hexadecimal."""
        body = {
            "app": {"id": -323232, "name": "example_app", "platform": "web"},
            "accountId": "acme",
            "subscription": {"id": 4802463602049999, "name": "example_app"},
            "userAgent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)",
            "event": "trackEventReceived",
            "properties": {"trackEventName": "webinar_registered", "trackEventProperties": dict(properties)},
            "timestamp": int(self.now.timestamp()),
            "visitorId": visitor_id,
            "uniqueId": hashlib.sha1(visitor_id.encode(), usedforsecurity=False).hexdigest(),
        }
        secret = self.secrets.pendo_webhook_secret.encode()
        headers = {"X-Pendo-Signature": hmac.new(secret, _json(body), hashlib.sha256).hexdigest()}
        return self._delivery(title, "/webhooks/pendo", body, headers, expect)

    def signed(self, title: str, message_id: str, body: Mapping[str, Any], expect: Expected) -> Delivery:
        """Return a custom app's body signed after Standard Webhooks 1.0.0."""
        headers = standard_signature(self.secrets.custom_webhook_secret, message_id, self.now, _json(body))
        return self._delivery(title, "/webhooks/custom", body, headers, expect)

    def with_key(self, title: str, body: Mapping[str, Any], expect: Expected) -> Delivery:
        """Return a custom app's body with an API key."""
        headers = {"Authorization": f"Bearer {self.secrets.custom_api_key}"}
        return self._delivery(title, "/webhooks/custom", body, headers, expect)

    def picture(self, title: str) -> str:
        return f"{self.sandbox_url}{seed.BANNER_PATH}?title={quote(title, safe='')}"

    def _delivery(self, title: str, path: str, body: object, headers: Mapping[str, str], expect: Expected) -> Delivery:
        every = {"Content-Type": "application/json", **headers}
        return Delivery(title, path.split("/")[2], "POST", f"{self.relay_url}{path}", path, every, _json(body), expect)


def standard_signature(secret: str, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers of Standard Webhooks for a body."""
    timestamp = str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{signature}"}


def sample_traffic(
    relay_url: str, *, sandbox_url: str, now: datetime, secrets: TrafficSecrets | None = None
) -> list[Delivery]:
    """Return everything that the demonstration sends, in order: Eventbrite, Pendo, custom apps, a repeat, a mistake."""
    sender = Sender(relay_url.rstrip("/"), sandbox_url.rstrip("/"), now, secrets or TrafficSecrets())
    return [*_eventbrite_order(sender), _test_button(sender), _track_event(sender), *_custom_apps(sender)]


def expected_reminders(deliveries: Sequence[Delivery]) -> list[Reminder]:
    """Return the e-mails that these deliveries must lead to, each once."""
    return list(dict.fromkeys(d.expect.reminder for d in deliveries if d.expect.reminder is not None))


def load(
    count: int, relay_url: str, *, now: datetime, secrets: TrafficSecrets | None = None, webinars: int = 1
) -> Iterator[Delivery]:
    """Yield registrations of `count` different people, signed, spread evenly over some webinars."""
    sender = Sender(relay_url.rstrip("/"), "https://cdn.example.com", now, secrets or TrafficSecrets())
    for number in range(count):
        which = number % webinars
        title = f"Load webinar {which}"
        webinar = _webinar(sender, f"load-{which}", title, f"https://zoom.example.com/j/{90_000 + which}")
        body = {
            "email": f"load.{number:06d}@example.com",
            "firstName": f"Load{number}",
            "webinar": webinar,
            "registrationId": f"load-{number}",
        }
        reminder = Reminder(str(body["email"]), f"Load{number}", title, str(webinar["joinLink"]), str(webinar["image"]))
        expect = Expected(202, "accepted", "a new registration", reminder)
        yield sender.signed(f"Registration {number}", f"msg_load_{number}", body, expect)


def _eventbrite_order(sender: Sender) -> list[Delivery]:
    """Return the five deliveries that one order of two tickets makes within a second, order.updated first."""
    order = f"v3/orders/{seed.EVENTBRITE_ORDER_ID}/"
    first, second = (f"v3/events/{seed.EVENTBRITE_EVENT_ID}/attendees/{n}/" for n in seed.EVENTBRITE_ATTENDEE_IDS)
    title = seed.EVENTBRITE_TITLE
    picture = f"{sender.sandbox_url}{seed.BANNER_PATH}?title={quote(title)}"
    reminder = Reminder(
        to=seed.EVENTBRITE_BUYER[2],
        greeting=seed.EVENTBRITE_BUYER[0],
        title=title,
        join_link=seed.EVENTBRITE_JOIN_LINK,
        image=f"{picture}&auto=compress&s=8dc615282f4f7a2c83f8da7c734bd2e9",
    )
    dull = Expected(200, "ignored", "order.updated is not one of the actions that register somebody")
    poke = Expected(202, "accepted", "two tickets of one buyer: one reminder", reminder)
    return [
        sender.eventbrite("Eventbrite: order.updated, before the order was placed", "order.updated", order, dull),
        sender.eventbrite("Eventbrite: order.placed", "order.placed", order, poke),
        sender.eventbrite("Eventbrite: attendee.updated, first ticket", "attendee.updated", first, poke),
        sender.eventbrite("Eventbrite: attendee.updated, second ticket", "attendee.updated", second, poke),
        sender.eventbrite("Eventbrite: order.updated, once more", "order.updated", order, dull),
    ]


def _test_button(sender: Sender) -> Delivery:
    expect = Expected(200, "ignored", "the Test button: the connection works")
    return sender.eventbrite("Eventbrite: the Test button", "test", "{api-endpoint-to-fetch-object-details}/", expect)


def _track_event(sender: Sender) -> Delivery:
    """Return a registration in an app that uses Pendo; who the visitor is must be asked of Pendo's API."""
    title, link = "Product tour: dashboards that answer", "https://zoom.example.com/j/77120045518"
    first, _, email = seed.PENDO_VISITOR
    reminder = Reminder(email, first, title, link, sender.picture(title))
    properties = {"webinar_id": "w-17", "webinar_title": title, "join_link": link, "webinar_image": reminder.image}
    expect = Expected(202, "accepted", "Pendo's API knows the visitor's address", reminder)
    return sender.pendo("Pendo: a signed track event", seed.PENDO_VISITOR_ID, properties, expect)


def _custom_apps(sender: Sender) -> list[Delivery]:
    signed = {
        "email": "alan.turing@example.com",
        "firstName": "Alan",
        "lastName": "Turing",
        "webinar": _webinar(sender, "w-42", "Machines that answer", "https://zoom.example.com/j/42424242?pwd=Zm9v"),
        "registrationId": "r-1001",
    }
    keyed = {
        "email": "katherine.johnson@example.com",
        "webinar": _webinar(sender, "w-43", "R&D <live>: ask us anything", "https://zoom.example.com/j/43?a=1&b=2"),
    }
    mistaken = {
        "email": "edsger.dijkstra@example.com",
        "webinar": {"id": "w-42", "title": "Machines that answer", "joinlink": "https://zoom.example.com/j/42424242"},
    }
    new = Expected(202, "accepted", "a new registration", _reminder(signed))
    again = Expected(200, "duplicate", "the same webhook-id: the sender tried again", _reminder(signed))
    nameless = Expected(202, "accepted", "no first name: the template's default greets", _reminder(keyed))
    wrong = Expected(422, "refused", "joinlink should be joinLink", field="webinar.joinlink")
    return [
        sender.signed("Own app: signed (Standard Webhooks)", "msg_demo_1001", signed, new),
        sender.with_key("Own app: with an API key", keyed, nameless),
        sender.signed("Own app: the signed one, repeated", "msg_demo_1001", signed, again),
        sender.signed("Own app: a misspelt field", "msg_demo_1002", mistaken, wrong),
    ]


def _webinar(sender: Sender, webinar_id: str, title: str, join_link: str) -> dict[str, str]:
    starts = (sender.now + timedelta(days=7)).replace(microsecond=0)
    return {
        "id": webinar_id,
        "title": title,
        "joinLink": join_link,
        "image": sender.picture(title),
        "startsAt": starts.isoformat(),
    }


def _reminder(body: Mapping[str, Any]) -> Reminder:
    webinar = body["webinar"]
    greeting = body.get("firstName", "Customer")
    return Reminder(body["email"], greeting, webinar["title"], webinar["joinLink"], webinar["image"])


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
