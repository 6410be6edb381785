"""The simulated Eventbrite account: one organization, its events, orders and attendees, in the API's own shapes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from app.sandbox import seed
from app.sandbox.limits import SlidingWindow

API = "https://www.eventbriteapi.com/v3"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `join_link` stands in its digital content; None: that has none. `extra_modules` are further ones."""

    id: str
    title: str
    starts: datetime
    created: datetime
    join_link: str | None = None
    has_logo: bool = True
    status: str = "live"
    extra_modules: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Attendee:
    """One ticket of an order."""

    id: str
    first_name: str
    last_name: str
    email: str
    cancelled: bool = False
    refunded: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """One order: the buyer, and one attendee a ticket."""

    id: str
    event_id: str
    first_name: str
    last_name: str
    email: str
    created: datetime
    status: str = "placed"
    attendees: tuple[Attendee, ...] = ()

    def refunded(self) -> "Order":
        return replace(self, status="refunded", attendees=tuple(replace(a, refunded=True) for a in self.attendees))


@dataclass(slots=True)
class EventbriteAccount:
    """All events, orders and webhook subscriptions, and the hour's budget of calls."""

    budget: SlidingWindow
    events: dict[str, Event] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    webhooks: dict[str, dict[str, Any]] = field(default_factory=dict)
    organizations: list[str] = field(default_factory=lambda: [seed.EVENTBRITE_ORGANIZATION_ID])

    def attendee(self, event_id: str, attendee_id: str) -> tuple[Order, Attendee] | None:
        for order in self.orders.values():
            if order.event_id == event_id:
                for attendee in order.attendees:
                    if attendee.id == attendee_id:
                        return order, attendee
        return None


def seeded_account(now: datetime, calls_per_hour: int) -> EventbriteAccount:
    """Return an account with one webinar, in a week, and one order of two tickets that both carry the buyer's data."""
    account = EventbriteAccount(SlidingWindow(limit=calls_per_hour, length=timedelta(hours=1)))
    starts = (now + timedelta(days=7)).replace(hour=16, minute=0, second=0, microsecond=0)
    event = Event(seed.EVENTBRITE_EVENT_ID, seed.EVENTBRITE_TITLE, starts, now, seed.EVENTBRITE_JOIN_LINK)
    first, last, email = seed.EVENTBRITE_BUYER
    attendees = tuple(Attendee(number, first, last, email) for number in seed.EVENTBRITE_ATTENDEE_IDS)
    order = Order(seed.EVENTBRITE_ORDER_ID, event.id, first, last, email, now, attendees=attendees)
    account.events[event.id] = event
    account.orders[order.id] = order
    return account


def order_json(account: EventbriteAccount, order: Order, expand: set[str], base_url: str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "costs": _costs(),
        "resource_uri": f"{API}/orders/{order.id}/",
        "id": order.id,
        "changed": _utc(order.created),
        "created": _utc(order.created),
        "name": f"{order.first_name} {order.last_name}",
        "first_name": order.first_name,
        "last_name": order.last_name,
        "email": order.email,
        "status": order.status,
        "time_remaining": None,
        "event_id": order.event_id,
    }
    if "attendees" in expand:
        document["attendees"] = [attendee_json(order, attendee) for attendee in order.attendees]
    if expand & {"event", "event.logo"} and order.event_id in account.events:
        event = account.events[order.event_id]
        document["event"] = event_json(event, {"logo"} if "event.logo" in expand else set(), base_url)
    return document


def attendee_json(order: Order, attendee: Attendee) -> dict[str, Any]:
    return {
        "team": None,
        "costs": _costs(),
        "resource_uri": f"{API}/events/{order.event_id}/attendees/{attendee.id}/",
        "id": attendee.id,
        "changed": _utc(order.created),
        "created": _utc(order.created),
        "quantity": 1,
        "variant_id": None,
        "profile": {
            "first_name": attendee.first_name,
            "last_name": attendee.last_name,
            "addresses": {},
            "email": attendee.email,
            "name": f"{attendee.first_name} {attendee.last_name}",
        },
        "barcodes": [],
        "answers": [],
        "checked_in": False,
        "cancelled": attendee.cancelled,
        "refunded": attendee.refunded,
        "affiliate": "etckt",
        "guestlist_id": None,
        "invited_by": None,
        "status": "Not Attending" if attendee.cancelled or attendee.refunded else "Attending",
        "ticket_class_name": "Standard",
        "delivery_method": "electronic",
        "event_id": order.event_id,
        "order_id": order.id,
        "ticket_class_id": "117691903",
    }


def event_json(event: Event, expand: set[str], base_url: str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": {"text": event.title, "html": event.title},
        "description": {"text": "A live webinar.", "html": "A live webinar."},
        "id": event.id,
        "url": f"https://www.eventbrite.com/e/live-webinar-tickets-{event.id}",
        "start": _when(event.starts),
        "end": _when(event.starts + timedelta(hours=1)),
        "organization_id": seed.EVENTBRITE_ORGANIZATION_ID,
        "created": _utc(event.created),
        "changed": _utc(event.created),
        "status": event.status,
        "currency": "USD",
        "online_event": True,
        "is_free": True,
        "version": "3.7.0",
        "summary": "A live webinar.",
        "logo_id": "58811313" if event.has_logo else None,
        "resource_uri": f"{API}/events/{event.id}/",
    }
    if "logo" in expand:
        document["logo"] = _logo(event, base_url) if event.has_logo else None
    if "has_digital_content" in expand:
        page = {"digital_content_url": f"https://www.eventbrite.com/x/{event.id}"} if event.join_link else {}
        document["has_digital_content"] = {"has_digital_content": event.join_link is not None, **page}
    return document


def content_json(event: Event, purpose: str) -> dict[str, Any]:
    """Return an event's structured content; the webinar stands in that for `digital_content` alone."""
    modules: list[Mapping[str, Any]] = []
    if purpose == "digital_content" and event.join_link is not None:
        modules = [
            {"type": "text", "data": {"body": {"alignment": "left", "text": "<p>See you there</p>"}}},
            *event.extra_modules,
            {"type": "webinar", "data": {"webinar_url": {"text": "Join the webinar", "url": event.join_link}}},
        ]
    return {
        "access_type": "private" if purpose == "digital_content" else "public",
        "page_version_number": "3",
        "purpose": purpose,
        "pagination": page_json(len(modules)),
        "modules": [{"id": str(i), "semantic_purpose": None, "layout": None, **m} for i, m in enumerate(modules, 1)],
        "widgets": [],
        "resource_uris": {"self": f"{API}/events/{event.id}/structured_content/3/"},
    }


def webhook_json(
    number: str, created: datetime, endpoint: str, actions: list[str], event_id: str | None
) -> dict[str, Any]:
    return {
        "id": number,
        "resource_uri": f"{API}/webhooks/{number}/",
        "created": _utc(created),
        "actions": actions,
        "user_id": seed.EVENTBRITE_USER_ID,
        "event_id": event_id,
        "endpoint_url": endpoint,
    }


def page_json(count: int, size: int = 50, continuation: str | None = None) -> dict[str, Any]:
    return {
        "object_count": count,
        "continuation": continuation,
        "page_count": max(1, -(-count // size)),
        "page_size": size,
        "has_more_items": continuation is not None,
        "page_number": 1,
    }


def _logo(event: Event, base_url: str) -> dict[str, Any]:
    """Return the logo, drawn by the simulation; both addresses are signed as Eventbrite's are."""
    picture = f"{base_url}{seed.BANNER_PATH}?title={quote(event.title)}"
    return {
        "crop_mask": {"top_left": {"x": 0, "y": 0}, "width": 1120, "height": 300},
        "original": {
            "url": f"{picture}&auto=compress&s=8dc615282f4f7a2c83f8da7c734bd2e9",
            "width": 1120,
            "height": 300,
        },
        "id": "58811313",
        "url": f"{picture}&h=200&w=450&auto=compress&rect=0%2C0%2C1120%2C300&s=05b9340cab33f3561c59212169ec5998",
        "aspect_ratio": "2",
        "edge_color": "#4b4ee0",
        "edge_color_set": True,
    }


def _costs() -> dict[str, Any]:
    names = ("base_price", "eventbrite_fee", "gross", "payment_fee", "tax")
    return {name: {"display": "$0.00", "currency": "USD", "value": 0, "major_value": "0.00"} for name in names}


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _when(at: datetime) -> dict[str, str]:
    return {"timezone": "Etc/UTC", "local": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "utc": _utc(at)}
