"""Say what an Eventbrite order means: who takes part, and who no longer does. Pure, and never raises.

By default every attendee of an order carries the buyer's data: two tickets, one address, one registration. And an
attendee may still say 'Info Requested' where a name and an address will be; until then the buyer stands in.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.domain import Cancelled, Cause, Finding, Ignored, Json, Person, Registered, Unusable, Webinar
from app.sources.payload import as_list, as_object, as_text, as_time, text_at, value_at

_PLACEHOLDERS = ("info requested",)
_NOT_YET = frozenset({"started", "pending", "processing"})
_NO_MORE = frozenset({"cancelled", "canceled", "refunded", "deleted", "abandoned", "expired"})


@dataclass(frozen=True, slots=True)
class _Ticket:
    person: Person
    is_live: bool


def findings(fetched: Json, *, is_refund: bool) -> list[Finding]:
    """Return one finding for each person of the order, in the order's own sequence.

    `fetched` is `{"order", "join_link"}`, the order with its `attendees` and its `event` inside, as Eventbrite expands
    it; the vendor's fields may be absent or of any type. With `is_refund` and no ticket marked as given back, all of
    them are: the marks may lag behind the webhook.
    """
    order = value_at(fetched, "order")
    order_id = text_at(order, ["id"])
    webinar = _webinar(order, value_at(fetched, "join_link"))
    status = order_status(order)
    if order_id is None:
        return [Unusable(Cause.BAD_PAYLOAD, "no Eventbrite order was fetched for this event")]
    if webinar is None:
        return [Unusable(Cause.WEBINAR_MISSING, "the Eventbrite order names no event")]
    if status in _NOT_YET:
        return [Ignored(Cause.NOT_A_REGISTRATION, f"the Eventbrite order is still '{status}'")]
    tickets = list(_tickets(order))
    if status in _NO_MORE or (is_refund and all(ticket.is_live for ticket in tickets)):
        tickets = [_Ticket(ticket.person, is_live=False) for ticket in tickets]
    return _one_each(tickets, webinar, f"order:{order_id}")


def order_status(order: Json) -> str:
    return (text_at(order, ["status"]) or "").lower()


def is_unfinished(order: Json) -> bool:
    """Tell whether an order reads as if Eventbrite were still writing it: not placed, or without its tickets."""
    return order_status(order) in _NOT_YET or not as_list(value_at(order, "attendees"))


def _webinar(order: Json, join_link: Json) -> Webinar | None:
    event = value_at(order, "event")
    webinar_id = text_at(event, ["id"]) or text_at(order, ["event_id"])
    if webinar_id is None:
        return None
    return Webinar(
        id=webinar_id,
        title=text_at(event, ["name.text"]),
        join_link=as_text(join_link) or text_at(event, ["url"]),
        image=text_at(event, ["logo.original.url", "logo.url"]),
        starts_at=as_time(text_at(event, ["start.utc"])),
    )


def _tickets(order: Json) -> Iterator[_Ticket]:
    """Yield the order's tickets; an order without any counts as one ticket for its buyer."""
    buyer = _person(order)
    attendees = [as_object(one) for one in as_list(value_at(order, "attendees"))]
    for attendee in attendees or [{}]:
        is_live = attendee.get("cancelled") is not True and attendee.get("refunded") is not True
        yield _Ticket(_holder(_person(attendee.get("profile")), buyer), is_live)


def _person(node: Json) -> Person:
    email = text_at(node, ["email"], absent=_PLACEHOLDERS)
    return Person(
        email=email if email and "@" in email else None,
        first_name=text_at(node, ["first_name"], absent=_PLACEHOLDERS),
        last_name=text_at(node, ["last_name"], absent=_PLACEHOLDERS),
    )


def _holder(attendee: Person, buyer: Person) -> Person:
    """Return who holds a ticket: the attendee when they have an address of their own, else the buyer.

    An address and a name stay together: the name of a guest must not overwrite the buyer's in Marketo.
    """
    if attendee.email is None:
        return buyer
    if buyer.email and attendee.key == buyer.key:
        return Person(
            email=attendee.email,
            first_name=buyer.first_name or attendee.first_name,
            last_name=buyer.last_name or attendee.last_name,
        )
    return attendee


def _one_each(tickets: Iterable[_Ticket], webinar: Webinar, subject: str) -> list[Finding]:
    """Return one finding a person; who holds a live ticket beside a returned one still takes part."""
    known: dict[str, Finding] = {}
    for ticket in sorted(tickets, key=lambda one: not one.is_live):
        if ticket.person.email is None:
            known.setdefault("", Unusable(Cause.EMAIL_MISSING, "neither the attendee nor the buyer has an address"))
        elif ticket.is_live:
            known.setdefault(ticket.person.key, Registered(ticket.person, webinar, subject=subject))
        else:
            known.setdefault(ticket.person.key, Cancelled(ticket.person.key, webinar.id, subject))
    return list(known.values())
