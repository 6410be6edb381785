"""The relay's words: events, people, webinars, registrations. Values only, no I/O."""

import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal, NewType
from urllib.parse import urlsplit

EventId = NewType("EventId", str)
RegistrationId = NewType("RegistrationId", str)
CallId = NewType("CallId", str)
LeadId = NewType("LeadId", int)
CampaignId = NewType("CampaignId", int)

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Clock = Callable[[], datetime]
Ticks = Callable[[], float]  # seconds of a clock that never jumps

MARKETO_WINDOW = timedelta(seconds=20)
"""The stretch of time of which Marketo counts the calls: 100 in any of it, of all integrations of an instance together.

Adobe documents it under *API limits* and in *Marketo Integration Best Practices*.
"""
LARGEST_LEAD_ID = 2**31 - 1  # Adobe's Swagger gives lead ids the format int32
_STEADY: int | None = getattr(time, "CLOCK_BOOTTIME", None)
_ID = re.compile(r"[0-9a-z]{1,36}")
_EMAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@(?=.{4,255}$)([A-Za-z0-9](-*[A-Za-z0-9])*\.)+[A-Za-z0-9-]{2,63}"
)


def utc_now() -> datetime:
    return datetime.now(UTC)


def steady_seconds() -> float:
    """Return the seconds of a clock that never jumps. Where the system can tell, it counts the time of sleep too."""
    return time.clock_gettime(_STEADY) if _STEADY is not None else time.monotonic()


def new_id(prefix: str, now: datetime) -> str:
    """Return an id that sorts by time, e.g. `evt_0199…`: 12 hex digits of milliseconds, then 16 random ones.

    It is unlike all others, but no secret: it opens nothing.
    """
    return f"{prefix}_{int(now.timestamp() * 1000):012x}{random.getrandbits(64):016x}"


def is_id(text: str, *prefixes: str) -> bool:
    """Tell whether this can be an id that begins so: it is safe in a path then."""
    prefix, _, rest = text.partition("_")
    return prefix in prefixes and _ID.fullmatch(rest) is not None


def is_email(text: str) -> bool:
    """Tell whether Marketo would take this address: ASCII, one @, a dotted domain (facts: 'Emails are ASCII only')."""
    return len(text) <= 255 and _EMAIL.fullmatch(text) is not None


def is_person(key: str) -> bool:
    """Tell whether this can name somebody in the store: `lead:` with a number, or an address.

    Also one that Marketo would refuse, since a source may have sent it and a webhook still hold it.
    """
    if (number := key.lower().removeprefix("lead:")) != key.lower():
        return number.isascii() and number.isdigit()
    name, _, host = key.rpartition("@")
    return bool(name and host) and not any(char.isspace() for char in key)


def is_web_link(text: str) -> bool:
    """Tell whether a value may stand in an e-mail as a link or image: http(s), a host, no white space or control."""
    if " " in text or not text.isprintable():  # no other white space is printable
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def campaign_name(campaign: int | str, names: Mapping[str, str]) -> str:
    """Return a campaign as people call it, with its number; the number alone where its name is not known."""
    name = names.get(str(campaign))
    return f"{name} ({campaign})" if name else str(campaign)


class EventState(StrEnum):
    """Where an event is: `waiting` until its registrations are made, then one of the ends."""

    WAITING = "waiting"
    MAPPED = "mapped"
    IGNORED = "ignored"
    DEAD = "dead"


class RegistrationState(StrEnum):
    """Where a registration is: new → known → sending → sent, or one of the other ends."""

    NEW = "new"  # its person must be found in Marketo
    KNOWN = "known"  # the lead id is there, the campaign must be requested
    SENDING = "sending"  # a campaign request has been written down and perhaps made
    SENT = "sent"
    IGNORED = "ignored"
    CANCELLED = "cancelled"
    DEAD = "dead"


WAITING_STATES = (RegistrationState.NEW, RegistrationState.KNOWN)
OPEN_STATES = (*WAITING_STATES, RegistrationState.SENDING)
FINAL_STATES = frozenset(RegistrationState) - frozenset(OPEN_STATES)


class Cause(StrEnum):
    """Why something is ignored, cancelled, waiting or dead. `ADVICE` holds the sentence of what to do."""

    # an event or registration that is of no interest
    TEST_PING = "test_ping"
    NOT_A_REGISTRATION = "not_a_registration"
    WEBINAR_OVER = "webinar_over"
    REFUNDED = "refunded"
    # what the source brought cannot be sent
    BAD_PAYLOAD = "bad_payload"
    ADAPTER_FAILED = "adapter_failed"
    EMAIL_MISSING = "email_missing"
    EMAIL_INVALID = "email_invalid"
    WEBINAR_MISSING = "webinar_missing"
    TITLE_MISSING = "title_missing"
    JOIN_LINK_MISSING = "join_link_missing"
    JOIN_LINK_INVALID = "join_link_invalid"
    IMAGE_INVALID = "image_invalid"
    CAMPAIGN_NOT_ALLOWED = "campaign_not_allowed"
    # the source's API
    SOURCE_NOT_FOUND = "source_not_found"
    SOURCE_REFUSED = "source_refused"
    SOURCE_UNAVAILABLE = "source_unavailable"
    SOURCE_CREDENTIALS_MISSING = "source_credentials_missing"
    VISITOR_WITHOUT_EMAIL = "visitor_without_email"
    # Marketo
    UNKNOWN_PERSON = "unknown_person"
    PERSON_REFUSED = "person_refused"
    SEVERAL_PEOPLE = "several_people"
    LEAD_NOT_FOUND = "lead_not_found"
    CAMPAIGN_REFUSED = "campaign_refused"
    RECORD_REFUSED = "record_refused"
    TOO_LARGE = "too_large"
    EXPIRED = "expired"
    ANSWER_LOST = "answer_lost"


_NOTHING_IS_WRONG = {Cause.TEST_PING, Cause.NOT_A_REGISTRATION, Cause.WEBINAR_OVER, Cause.REFUNDED}
DEADLY = tuple(cause for cause in Cause if cause not in _NOTHING_IS_WRONG)  # of the others nobody dies

ADVICE: Mapping[Cause, str] = {
    Cause.TEST_PING: "Nothing to do: the connection works.",
    Cause.NOT_A_REGISTRATION: ("Nothing to do, unless you expected a reminder: then look at the source's settings."),
    Cause.WEBINAR_OVER: "Nothing to do: the webinar had ended when the registration came.",
    Cause.REFUNDED: "Nothing to do: the ticket was refunded or cancelled before the reminder was sent.",
    Cause.BAD_PAYLOAD: (
        "The sender's data lacks what the relay needs; compare it with the README's example and send it again."
    ),
    Cause.ADAPTER_FAILED: ("A defect in the relay; the log has the traceback under this event's id. Please report it."),
    Cause.EMAIL_MISSING: "Make the sender pass the registrant's e-mail address.",
    Cause.EMAIL_INVALID: "Correct the address at the sender; Marketo takes plain ASCII addresses only.",
    Cause.WEBINAR_MISSING: "Make the sender name the webinar by id or title.",
    Cause.TITLE_MISSING: (
        "Send a title; or add it under [webinars.…] in relay.toml, or set DEFAULT_WEBINAR_TITLE, and restart the relay."
    ),
    Cause.JOIN_LINK_MISSING: (
        "Send a join link; or add it under [webinars.…] in relay.toml, or set DEFAULT_JOIN_LINK, and restart the relay."
    ),
    Cause.JOIN_LINK_INVALID: ("Correct the join link: it must start with https:// or http:// and hold no spaces."),
    Cause.IMAGE_INVALID: ("Correct the image's address: it must start with https:// or http:// and hold no spaces."),
    Cause.CAMPAIGN_NOT_ALLOWED: (
        "Add the campaign to MARKETO_ALLOWED_CAMPAIGN_IDS and restart the relay, or send another campaignId."
    ),
    Cause.SOURCE_NOT_FOUND: (
        "The source does not know the object that its webhook named; look there whether it was deleted."
    ),
    Cause.SOURCE_REFUSED: (
        "The source refused the relay's API token; renew it (EVENTBRITE_API_TOKEN, PENDO_INTEGRATION_KEY) and "
        "restart the relay."
    ),
    Cause.SOURCE_UNAVAILABLE: "The source's API did not answer in time; the relay kept trying until now.",
    Cause.SOURCE_CREDENTIALS_MISSING: (
        "Set the API token that this needs (EVENTBRITE_API_TOKEN, PENDO_INTEGRATION_KEY), and restart the relay."
    ),
    Cause.VISITOR_WITHOUT_EMAIL: (
        "Let pendo.initialize pass the visitor's e-mail, or set PENDO_PATH_VISITOR_EMAIL to where it is and restart "
        "the relay."
    ),
    Cause.UNKNOWN_PERSON: (
        "Create the person in Marketo; or set MARKETO_LEAD_MODE=upsert, so that the relay does, and restart it."
    ),
    Cause.PERSON_REFUSED: "Marketo would not save this person; its message says why.",
    Cause.SEVERAL_PEOPLE: "Merge the duplicate people in Marketo.",
    Cause.LEAD_NOT_FOUND: (
        "Marketo has no person with this lead id: it is wrong, or the person was deleted or merged. Look whether your "
        "app sends the right one, or let it send the e-mail address."
    ),
    Cause.CAMPAIGN_REFUSED: (
        "Marketo refused the campaign: it must be an active trigger campaign with 'Campaign is "
        "Requested', source Web Service API."
    ),
    Cause.RECORD_REFUSED: "Marketo refused this registration's data; its message says why.",
    Cause.TOO_LARGE: "The tokens of this one registration exceed Marketo's 1 MB; shorten them.",
    Cause.EXPIRED: (
        "It could not be sent in time (until the webinar's start, at most 8 days); the timeline says what held it up."
    ),
    Cause.ANSWER_LOST: (
        "Look in the person's activity log in Marketo whether it has 'Send Email' at the time of the campaign request. "
        "Only if it has not, replay it as one who may be mailed a second time."
    ),
}

_FIELDS: Mapping[Cause, tuple[str, ...]] = {
    Cause.EMAIL_MISSING: ("email",),
    Cause.EMAIL_INVALID: ("email",),
    Cause.VISITOR_WITHOUT_EMAIL: ("email",),
    Cause.UNKNOWN_PERSON: ("email",),
    Cause.PERSON_REFUSED: ("email",),
    Cause.SEVERAL_PEOPLE: ("email",),
    Cause.LEAD_NOT_FOUND: ("leadId",),
    Cause.WEBINAR_MISSING: ("webinar.id",),
    Cause.TITLE_MISSING: ("webinar.title",),
    Cause.JOIN_LINK_MISSING: ("webinar.joinLink",),
    Cause.JOIN_LINK_INVALID: ("webinar.joinLink",),
    Cause.IMAGE_INVALID: ("webinar.image",),
    Cause.CAMPAIGN_NOT_ALLOWED: ("campaignId",),
    Cause.CAMPAIGN_REFUSED: ("campaignId",),
    Cause.TOO_LARGE: ("tokens",),
}
_NAMED = re.compile(r"(?:^|; )([A-Za-z][\w.\[\]-]*): ")


def fields_at_fault(cause: Cause, detail: str | None) -> tuple[str, ...]:
    """Return which fields to mend, as a custom body names them; those that the detail itself names go first."""
    named = tuple(_NAMED.findall(detail or "")) if cause is Cause.BAD_PAYLOAD else ()
    return named or _FIELDS.get(cause, ())


@dataclass(frozen=True, slots=True)
class Dedupe:
    """How to know a webhook again: `forever` for a true event id, `pending` for a subject that is read when it is due.

    A `pending` key is forgotten as soon as work on the event begins, so that a later change is not swallowed.
    `content` is what a repeat must say too, where the key alone does not make it one: what comes with the same key and
    says something else is refused, and so never taken for stored.
    """

    key: str
    scope: Literal["forever", "pending"]
    content: str = ""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One webhook, authentic and of interest, about to be stored. `due_at` is when work on it may begin."""

    id: EventId
    source: str
    received_at: datetime
    due_at: datetime
    headers: Mapping[str, str]
    body: bytes
    dedupe: Dedupe | None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One stored webhook as it came, with what its source fetched for it (None: nothing yet)."""

    id: EventId
    source: str
    received_at: datetime
    headers: Mapping[str, str]
    body: bytes
    fetched: Json
    attempts: int
    replayed_at: datetime | None = None
    traceparent: str | None = None

    @property
    def counts_from(self) -> datetime:
        """Return when its time began: what is replayed has as long as what has just come."""
        return self.replayed_at or self.received_at


@dataclass(frozen=True, slots=True)
class Person:
    """Who registered. An e-mail address or a lead id is there; names may be."""

    email: str | None = None
    lead_id: LeadId | None = None
    first_name: str | None = None
    last_name: str | None = None

    @property
    def key(self) -> str:
        """Return what makes two registrations the same person's: the address in lower case, else the lead id.

        An address and a lead id are not compared: whose lead is whose is known only after the person was found.
        """
        return self.email.lower() if self.email else f"lead:{self.lead_id}"


@dataclass(frozen=True, slots=True)
class Webinar:
    """What a person registered for. `id` is the source's own; the rest may come from configuration."""

    id: str
    title: str | None = None
    join_link: str | None = None
    image: str | None = None
    starts_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Registered:
    """An adapter's finding: this person registered for this webinar.

    `subject` is the source's own object behind it (Eventbrite's order), so that only the same one can cancel it.
    """

    person: Person
    webinar: Webinar
    subject: str | None = None
    campaign_id: CampaignId | None = None
    tokens: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """An adapter's finding: this person no longer takes part in this webinar."""

    person_key: str
    webinar_id: str
    subject: str | None
    cause: Cause = Cause.REFUNDED


@dataclass(frozen=True, slots=True)
class Unusable:
    """An adapter's finding: somebody registered, but who or for what cannot be known. Ends as a dead event."""

    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """An adapter's finding: nothing to do, for this reason."""

    cause: Cause
    detail: str


Finding = Registered | Cancelled | Unusable | Ignored

GIVE_UP_AFTER = timedelta(days=8)
