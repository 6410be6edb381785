"""Read Eventbrite's thin webhook. Pure: a JSON document in, what it points to out.

`api_url` comes from outside and is never fetched: only the numbers in it are used, and only when the whole of it has
the one shape that Eventbrite documents. That is a match over the raw text, because two URL parsers can disagree.
"""

import re
from dataclasses import dataclass

from app.domain import Json
from app.errors import FieldProblem, Invalid
from app.sources.payload import value_at

TEST_PING = "test"
REFUND = "order.refunded"

_ORDER = re.compile(r"https://www\.eventbriteapi\.com/v3/orders/([0-9]{1,20})/?")
_ATTENDEE = re.compile(r"https://www\.eventbriteapi\.com/v3/events/([0-9]{1,20})/attendees/([0-9]{1,20})/?")


@dataclass(frozen=True, slots=True)
class OrderRef:
    """An order, by its number."""

    order_id: str

    @property
    def subject(self) -> str:
        return f"order:{self.order_id}"


@dataclass(frozen=True, slots=True)
class AttendeeRef:
    """An attendee (one ticket) of an event, by their numbers. Which order it belongs to must be asked."""

    event_id: str
    attendee_id: str

    @property
    def subject(self) -> str:
        return f"attendee:{self.event_id}:{self.attendee_id}"


Ref = OrderRef | AttendeeRef


def action_of(document: Json) -> str:
    """Return `config.action`. Raises Invalid, which names the field that is missing or no text."""
    if not isinstance(document, dict):
        raise Invalid([FieldProblem("body", "must be a JSON object with config and api_url")])
    if not isinstance(document.get("config"), dict):
        raise Invalid([FieldProblem("config", "must be an object with Eventbrite's action")])
    action = value_at(document, "config.action")
    if not isinstance(action, str) or not re.fullmatch(r"[a-z_.]{1,60}", action):
        raise Invalid([FieldProblem("config.action", "must name an action, such as order.placed")])
    return action


def ref_of(document: Json) -> Ref:
    """Return what `api_url` points to. Raises Invalid unless it is an order's or attendee's address at Eventbrite."""
    address = value_at(document, "api_url")
    text = address if isinstance(address, str) else ""
    if order := _ORDER.fullmatch(text):
        return OrderRef(order[1])
    if attendee := _ATTENDEE.fullmatch(text):
        return AttendeeRef(attendee[1], attendee[2])
    expected = "https://www.eventbriteapi.com/v3/orders/{id}/ or …/v3/events/{id}/attendees/{id}/"
    raise Invalid([FieldProblem("api_url", f"must be {expected}, with nothing around it")])
