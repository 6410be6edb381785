"""Say how each source is connected, in its own menu's words, and what a test of it is. Values and words only."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain import new_id

TestBody = Callable[[str, datetime], bytes]
_TEST_TITLE = "Test of the webinar relay"
_TEST_LINK = "https://example.com/webinar-relay-test"


@dataclass(frozen=True, slots=True)
class Guide:
    """How to connect one source. `turned_on_by` names the settings; `test` makes the body of a test webhook."""

    turned_on_by: str
    steps: Sequence[str]
    signing: str
    test: TestBody
    test_says: str
    needs_email: bool = True
    try_says: str = ""


def _custom_test(email: str, now: datetime) -> bytes:
    webinar = {"id": "relay-test", "title": _TEST_TITLE, "joinLink": _TEST_LINK}
    return _json({"email": email, "webinar": webinar, "registrationId": new_id("test", now)})


def _pendo_test(email: str, now: datetime) -> bytes:
    webinar = {"webinar_id": "relay-test", "webinar_title": _TEST_TITLE, "join_link": _TEST_LINK}
    event = {
        "event": "trackEventReceived",
        "properties": {"trackEventName": "webinar_registered", "trackEventProperties": webinar},
        "timestamp": int(now.timestamp()),
        "visitorId": email,
        "uniqueId": new_id("test", now).removeprefix("test_").rjust(40, "0"),
    }
    return _json(event)


def _eventbrite_test(_email: str, _now: datetime) -> bytes:
    url = "https://www.eventbriteapi.com/{api-endpoint-to-fetch-object-details}/"
    return _json({"config": {"action": "test", "webhook_id": "0"}, "api_url": url})


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


GUIDES: Mapping[str, Guide] = {
    "eventbrite": Guide(
        turned_on_by="EVENTBRITE_WEBHOOK_TOKEN and EVENTBRITE_API_TOKEN",
        steps=(
            "In Eventbrite: Account Settings > Developer Links > Webhooks > Add Webhook.",
            "Paste this address as Payload URL.",
            "Choose the actions order.placed, attendee.updated and order.refunded, and Add Webhook.",
        ),
        signing="Eventbrite does not sign. The last part of the address is the secret: share it with nobody else.",
        test=_eventbrite_test,
        test_says="It is what Eventbrite's own Test button sends: nobody gets an e-mail.",
        needs_email=False,
        try_says="The relay asks Eventbrite for what api_url names. The example's order is none of yours, so "
        "Eventbrite will say that it does not know it: write the number of an order of yours instead.",
    ),
    "pendo": Guide(
        turned_on_by="PENDO_WEBHOOK_SECRET",
        steps=(
            "In Pendo: Settings > Integrations > Webhooks > Add Webhook.",
            "Paste this address, and choose the category Track Events.",
            "Let your app send the track event with the webinar's id, title and join link as properties.",
        ),
        signing="Pendo signs the body with a secret: X-Pendo-Signature, HMAC-SHA256. Enter the value of "
        "PENDO_WEBHOOK_SECRET as the webhook's secret there.",
        test=_pendo_test,
        test_says="It is a real registration: Marketo sends the reminder to this address.",
    ),
    "custom": Guide(
        turned_on_by="CUSTOM_WEBHOOK_SECRETS or CUSTOM_API_KEYS",
        steps=(
            "Let your app POST each registration as JSON to this address.",
            "The README has the body's fields, and examples in Python and shell to copy.",
        ),
        signing="Sign by Standard Webhooks (webhook-id, webhook-timestamp, webhook-signature) with a secret of "
        "CUSTOM_WEBHOOK_SECRETS, or send Authorization: Bearer with a key of CUSTOM_API_KEYS.",
        test=_custom_test,
        test_says="It is a real registration: Marketo sends the reminder to this address.",
    ),
}
