"""Keep of Eventbrite's answers only what a reminder needs: people's phone numbers and answers are not stored. Pure."""

from app.domain import Json
from app.sources.payload import JsonObject, as_list, kept_texts, value_at

_PERSON = ("email", "first_name", "last_name")
_ATTENDEE = ("id", *(f"profile.{name}" for name in _PERSON))
_ORDER = ("id", "event_id", "status", *_PERSON)
_EVENT = ("id", "name.text", "url", "start.utc", "logo.url", "logo.original.url")


def trimmed_order(order: Json) -> JsonObject:
    attendees: list[Json] = [trimmed_attendee(one) for one in as_list(value_at(order, "attendees"))]
    return {**kept_texts(order, _ORDER), "attendees": attendees, "event": trimmed_event(value_at(order, "event"))}


def trimmed_attendee(attendee: Json) -> Json:
    marks: JsonObject = {name: value_at(attendee, name) is True for name in ("cancelled", "refunded")}
    return {**kept_texts(attendee, _ATTENDEE), **marks}


def trimmed_event(event: Json) -> Json:
    return kept_texts(event, _EVENT) if isinstance(event, dict) else None
