"""Eventbrite's API v3 as far as webhooks need it: Bearer token, trailing slash, 2,000 calls an hour, its own errors."""

import json
import re
from collections.abc import Callable
from typing import Any

from app.sandbox import seed
from app.sandbox.eventbrite_objects import (
    Event,
    Order,
    attendee_json,
    content_json,
    event_json,
    order_json,
    page_json,
    webhook_json,
)
from app.sandbox.wire import Answer, Request, html_answer, json_answer
from app.sandbox.world import Work

Handler = Callable[[Work], Any]
_EXPANSIONS = frozenset(
    {"attendees", "event", "event.logo", "event.venue", "event.organizer", "logo", "venue", "organizer", "category"}
    | {"has_digital_content", "contact_list_preferences", "attendees.contact_list_preferences", "refund_requests"}
    | {"ticket_classes", "promotional_code", "order", "answers", "attendees.answers", "attendees.promotional_code"}
)
_ERRORS = {
    400: ("ARGUMENTS_ERROR", "There are errors with your arguments."),
    401: ("NO_AUTH", "The OAuth token you provided was missing."),
    403: ("NOT_AUTHORIZED", "You are not authorized to access this resource."),
    404: ("NOT_FOUND", "The resource you requested does not exist."),
    405: ("METHOD_NOT_ALLOWED", "The method is not allowed here."),
    429: (
        "HIT_RATE_LIMIT",
        "Hourly rate limit has been reached for this token. Default rate limits are 2,000 calls per hour.",
    ),
    500: ("INTERNAL_ERROR", "Internal error."),
}


class Problem(Exception):  # Eventbrite's answer, as a value on its way
    """A refused call: the HTTP status, and the error's name where the status has several."""

    def __init__(self, status: int, error: str | None = None, description: str | None = None) -> None:
        super().__init__(status, error)
        self.status = status
        usual = _ERRORS.get(status, ("ERROR", "Error."))
        self.error = error or usual[0]
        self.description = description or usual[1]


class Eventbrite:
    """`/eventbrite/v3`."""

    name = "eventbrite"

    def operation(self, request: Request) -> str:
        found = _find(request)
        return found[0] if found else "eventbrite_unknown"

    async def answer(self, work: Work) -> Answer:
        await work.world.config.sleep(work.world.config.latency.total_seconds())
        if not work.request.path.endswith("/"):
            return Answer(301, b"", {"location": f"{work.request.base_url}/eventbrite/v3{work.request.path}/"})
        try:
            _check(work)
            return json_answer(200, _handler(work)(work))
        except Problem as problem:
            return _refused(work, problem)

    def error(self, work: Work, code: str) -> Answer:
        """Answer `http 404` and the like in Eventbrite's words; `code:EXPANSION_FAILED` is the documented 500."""
        if code.startswith("http "):
            status = int(code.removeprefix("http "))
            return _refused(work, Problem(status)) if status in _ERRORS else html_answer(status, f"<h1>{status}</h1>")
        return _refused(work, Problem(400 if code in ("INVALID_AUTH", "ORDER_EXPIRED") else 500, code))


def _check(work: Work) -> None:
    """Refuse a missing, wrong or exhausted token, and an expansion that Eventbrite does not have."""
    scheme, _, token = work.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Problem(401)
    if token != work.world.config.eventbrite_token:
        raise Problem(400, "INVALID_AUTH", "The authorization header provided was invalid.")
    if not work.world.eventbrite.budget.admits(work.world.now()):
        raise Problem(429)
    if unknown := _expand(work) - _EXPANSIONS:
        raise Problem(400, description=f"Unknown expansion: {min(unknown)[:40]}")


def _find(request: Request) -> tuple[str, Handler, dict[str, str]] | None:
    for method, pattern, name, handler in _ENDPOINTS:
        found = pattern.fullmatch(request.path)
        if found and method == request.method:
            return name, handler, found.groupdict()
    return None


def _handler(work: Work) -> Handler:
    found = _find(work.request)
    if found is None:
        raise Problem(404)
    work.params = found[2]
    return found[1]


def _expand(work: Work) -> set[str]:
    return {name for name in work.request.query.get("expand", "").split(",") if name}


def _order_of(work: Work) -> Order:
    order = work.world.eventbrite.orders.get(work.params["order"])
    if order is None:
        raise Problem(404, description="The order you requested does not exist.")
    return order


def _event_of(work: Work) -> Event:
    event = work.world.eventbrite.events.get(work.params["event"])
    if event is None:
        raise Problem(404, description="The event you requested does not exist")
    return event


def _order(work: Work) -> Any:
    return order_json(work.world.eventbrite, _order_of(work), _expand(work), work.request.base_url)


def _event(work: Work) -> Any:
    return event_json(_event_of(work), _expand(work), work.request.base_url)


def _attendee(work: Work) -> Any:
    found = work.world.eventbrite.attendee(_event_of(work).id, work.params["attendee"])
    if found is None:
        raise Problem(404, description="The attendee you requested does not exist.")
    return attendee_json(*found)


def _attendees(work: Work) -> Any:
    event = _event_of(work)
    found = [
        attendee_json(order, attendee)
        for order in work.world.eventbrite.orders.values()
        if order.event_id == event.id
        for attendee in order.attendees
    ]
    return _paged(work, "attendees", found)


def _content(work: Work) -> Any:
    return content_json(_event_of(work), work.request.query.get("purpose", "listing"))


def _orders(work: Work) -> Any:
    """Return the organization's orders, those changed since `changed_since` when it is given."""
    _check_organization(work)
    account, since = work.world.eventbrite, work.request.query.get("changed_since", "")
    found = [order_json(account, order, _expand(work), work.request.base_url) for order in account.orders.values()]
    return _paged(work, "orders", [order for order in found if order["changed"] >= since])


def _check_organization(work: Work) -> None:
    if work.params["organization"] not in work.world.eventbrite.organizations:
        raise Problem(404)


def _paged(work: Work, name: str, found: list[Any], size: int = 50) -> Any:
    text = work.request.query.get("continuation", "0")
    start = int(text) if text.isascii() and text.isdigit() else 0
    following = str(start + size) if start + size < len(found) else None
    return {"pagination": page_json(len(found), size, following), name: found[start : start + size]}


def _me(work: Work) -> Any:
    emails = [{"email": "host@example.com", "verified": True, "primary": True}]
    return {"id": seed.EVENTBRITE_USER_ID, "name": "Host", "first_name": "Host", "last_name": "", "emails": emails}


def _organizations(work: Work) -> Any:
    found = [
        {"_type": "organization", "id": one, "name": "Example Events"} for one in work.world.eventbrite.organizations
    ]
    return _paged(work, "organizations", found)


def _webhooks(work: Work) -> Any:
    _check_organization(work)
    return _paged(work, "webhooks", list(work.world.eventbrite.webhooks.values()))


def _subscribe(work: Work) -> Any:
    """Create a webhook subscription from `endpoint_url`, `actions` and perhaps `event_id`."""
    _check_organization(work)
    try:
        asked = json.loads(work.request.body or b"") if "json" in work.request.content_type else work.request.form()
        endpoint, actions = str(asked["endpoint_url"]), asked["actions"]
    except (ValueError, KeyError, TypeError):
        raise Problem(400, description="endpoint_url and actions are needed.") from None
    hooks = work.world.eventbrite.webhooks
    number = str(int(seed.EVENTBRITE_WEBHOOK_ID) + len(hooks))
    chosen = actions.split(",") if isinstance(actions, str) else actions
    hooks[number] = webhook_json(number, work.world.now(), endpoint, chosen, str(asked.get("event_id") or "") or None)
    return hooks[number]


def _refused(work: Work, problem: Problem) -> Answer:
    work.call.code, work.call.message = f"http {problem.status}", problem.error
    body = {"status_code": problem.status, "error": problem.error, "error_description": problem.description}
    return json_answer(problem.status, body)


_ORGANIZATION = r"/organizations/(?P<organization>\d+)"
_ENDPOINTS: tuple[tuple[str, re.Pattern[str], str, Handler], ...] = (
    ("GET", re.compile(r"/orders/(?P<order>\d+)/"), "eventbrite_order", _order),
    ("GET", re.compile(r"/events/(?P<event>\d+)/"), "eventbrite_event", _event),
    ("GET", re.compile(r"/events/(?P<event>\d+)/attendees/"), "eventbrite_attendees", _attendees),
    ("GET", re.compile(r"/events/(?P<event>\d+)/attendees/(?P<attendee>\d+)/"), "eventbrite_attendee", _attendee),
    ("GET", re.compile(r"/events/(?P<event>\d+)/structured_content/"), "eventbrite_content", _content),
    ("GET", re.compile(r"/users/me/"), "eventbrite_me", _me),
    ("GET", re.compile(r"/users/me/organizations/"), "eventbrite_organizations", _organizations),
    ("GET", re.compile(_ORGANIZATION + "/orders/"), "eventbrite_orders", _orders),
    ("GET", re.compile(_ORGANIZATION + "/webhooks/"), "eventbrite_webhooks", _webhooks),
    ("POST", re.compile(_ORGANIZATION + "/webhooks/"), "eventbrite_subscribe", _subscribe),
)
