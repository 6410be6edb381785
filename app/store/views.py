"""What one can look up: registrations with their timelines, events, calls. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from app.domain import EventState, RegistrationState

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """A part of a list, in the list's order; `next_cursor` continues it, None at the end."""

    items: Sequence[_Item]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an accepted webhook: its id, or, for a repeat, the id under which it came first.

    One that says something else than the one with its key `is_other`, and is not stored.
    """

    event_id: str
    is_new: bool
    is_other: bool = False


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened to a registration, oldest first; `event_id` or `call_id` say where it came from."""

    at: datetime
    what: str
    detail: str
    event_id: str | None
    call_id: str | None


@dataclass(frozen=True, slots=True)
class CallView:
    """One request to Marketo: `kind` is upsert, lookup or trigger; `outcome` is None while no answer is known."""

    id: str
    kind: str
    campaign_id: int | None
    size: int
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    code: str | None
    message: str | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class RegistrationView:
    """One registration as a person wants to read it. `cause` has its sentence in `app.domain.ADVICE`.

    `sent_at` is of the latest e-mail, whatever became of it since; `lost_at` of one that may have gone out.
    """

    id: str
    source: str
    state: RegistrationState
    cause: str | None
    detail: str | None
    webinar_id: str
    email: str | None
    lead_id: int | None
    first_name: str | None
    last_name: str | None
    campaign_id: int
    tokens: Mapping[str, str]
    starts_at: datetime | None
    due_at: datetime
    created_at: datetime
    updated_at: datetime
    sent_at: datetime | None
    lost_at: datetime | None = None
    timeline: Sequence[TimelineEntry] = ()
    calls: Sequence[CallView] = ()


@dataclass(frozen=True, slots=True)
class EventView:
    """One webhook as it came. `body` is the sender's; `registrations` are the ids that it made or touched.

    `timeline` has who replayed it, and why.
    """

    id: str
    source: str
    state: EventState
    cause: str | None
    detail: str | None
    received_at: datetime
    due_at: datetime
    attempts: int
    headers: Mapping[str, str]
    body: bytes
    registrations: Sequence[str] = ()
    timeline: Sequence[TimelineEntry] = ()


@dataclass(frozen=True, slots=True)
class RegistrationFilter:
    """Which registrations to list; None means any. `email` is compared without regard to case."""

    email: str | None = None
    source: str | None = None
    state: RegistrationState | None = None
    webinar_id: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person searches for; None or empty means any.

    `text` is how an e-mail address, a name or a surname begins, `webinar` how a title or a webinar's id does. `since`
    and `until` are about when the registration was made, `until` not included.
    """

    text: str | None = None
    webinar: str | None = None
    source: str | None = None
    states: frozenset[RegistrationState] = frozenset()
    cause: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class CallWithRegistrations:
    """One request to Marketo and the registrations that it was about, as far as they are shown."""

    call: CallView
    registrations: Sequence[RegistrationView]


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which webhooks to list; None means any. `until` is not included."""

    source: str | None = None
    state: EventState | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventLine:
    """One webhook as a list shows it: without what it holds."""

    id: str
    source: str
    state: EventState
    cause: str | None
    detail: str | None
    received_at: datetime
    due_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which requests to Marketo to list; None means any. `until` is not included."""

    kind: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ActivityFilter:
    """Whose activity to list; None means any. With an `email`, webhooks are left out: they are nobody's yet."""

    source: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class ActivityLine:
    """One thing that happened: a webhook came (`kind` webhook), or something became of a registration."""

    at: datetime
    kind: str
    id: str
    source: str
    what: str
    detail: str
    email: str | None = None
    webinar_id: str | None = None
    event_id: str | None = None
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """Oldest first. `next_cursor` is there always: asked with it later, the list goes on."""

    items: Sequence[ActivityLine]
    next_cursor: str
