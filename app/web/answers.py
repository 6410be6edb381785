"""What the admin API answers, in camelCase as the custom body has it. Read from the store's views by attribute."""

from collections.abc import Mapping
from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, computed_field
from pydantic.alias_generators import to_camel

from app.domain import ADVICE, Cause, EventState, RegistrationState
from app.store.tallies import Stats as StatsView
from app.store.views import ActivityPage, CallView, CallWithRegistrations, EventView, Page, RegistrationView
from app.store.views import EventLine as EventLineView
from app.web.masking import Masking


class Out(BaseModel):
    """An answer in camelCase, read by attribute."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class WithCause(Out):
    """Something that ended, or waits, for a cause."""

    cause: str | None = Field(description="Why it is where it is, as one word.")
    detail: str | None = Field(description="What was found, in a sentence.")

    @computed_field(description="What to do about the cause.")  # type: ignore[prop-decorator]  # pydantic's own way
    @property
    def advice(self) -> str | None:
        return advice_on(self.cause)


def advice_on(cause: str | None) -> str | None:
    """Return what to do about a cause; None for none, or one of a newer relay."""
    return ADVICE.get(Cause(cause)) if cause in set(Cause) else None


class TimelineEntry(Out):
    """One thing that happened to a registration."""

    at: datetime
    what: str
    detail: str
    event_id: str | None
    call_id: str | None


class Call(Out):
    """One request to Marketo. `requestId` is Marketo's own; its support asks for it."""

    id: str
    kind: str
    campaign_id: int | None
    size: int = Field(description="How many people were in it.")
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None = Field(description="null while no answer is known.")
    code: str | None
    message: str | None
    request_id: str | None


class Registration(WithCause):
    """One person for one webinar."""

    id: str
    source: str
    state: RegistrationState
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
    sent_at: datetime | None = Field(description="When Marketo took the latest request, whatever `state` says now.")


class RegistrationWithTimeline(Registration):
    """One registration with all that happened to it, oldest first, and the calls to Marketo that it was part of."""

    timeline: list[TimelineEntry]
    calls: list[Call]

    @classmethod
    def of(cls, view: RegistrationView) -> Self:
        return cls.model_validate(view)


class Registrations(Out):
    """A page of registrations, newest first. `nextCursor` continues it; null at the end."""

    items: list[Registration]
    next_cursor: str | None

    @classmethod
    def of(cls, page: Page[RegistrationView]) -> Self:
        return cls.model_validate(page)


class Event(WithCause):
    """One webhook as it came, secrets masked. Without any, the body is text, byte for byte where it is UTF-8."""

    id: str
    source: str
    state: EventState
    received_at: datetime
    due_at: datetime
    attempts: int
    headers: Mapping[str, str]
    body: str
    registrations: list[str] = Field(description="Ids of the registrations that it made or touched.")
    timeline: list[TimelineEntry] = Field(description="Who replayed it and why, oldest first.")

    @classmethod
    def of(cls, view: EventView, masking: Masking) -> Self:
        seen = {name: getattr(view, name) for name in cls.model_fields}
        return cls(**seen | {"headers": masking.headers(view.headers), "body": masking.body(view.body)})


class ProblemOut(Out):
    """Every error: RFC 9457, `application/problem+json`."""

    type: str = Field("about:blank", examples=["about:blank"])
    title: str = Field(examples=["Unauthorized"])
    status: int = Field(examples=[401])
    detail: str = Field(description="What to do about it.")
    errors: list[dict[str, str]] = Field([], description="The fields at fault: `field` and `problem`.")
    request_id: str = Field(description="The same as the X-Request-Id header and the log's request_id.")


class Backlog(Out):
    """What waits and what it comes to, if nothing else comes. A webhook not yet read is reckoned as one new person."""

    registrations: int
    webhooks: int
    calls: int = Field(description="How many calls to Marketo it takes, at least.")
    seconds: float = Field(description="In how many seconds it will be through.")
    through_at: datetime


class Allowed(Out):
    """What the relay allows itself now; less than its settings for a while after Marketo refused calls."""

    calls_per_window: int
    in_flight: int
    is_shrunk: bool


class Forecast(Out):
    """How far Marketo's limits are used, and what is ahead. Only the process that leads can tell."""

    leader: bool
    forecast: Backlog | None = None
    allowed: Allowed | None = None
    window_used: int = 0
    day_used: int | None = Field(None, description="Calls of Marketo's day, by all integrations as far as is known.")
    day_left: int | None = None
    day_state: str | None = Field(None, description="open, saving (only webinars that start before midnight) or spent.")
    paused: Mapping[str, str] = Field({}, description="What is paused, and why.")

    @classmethod
    def of(cls, status: Mapping[str, object]) -> Self:
        return cls.model_validate(dict(status))


class EventLine(WithCause):
    """One webhook as a list shows it; `/api/events/{id}` has its headers and body."""

    id: str
    source: str
    state: EventState
    received_at: datetime
    due_at: datetime
    attempts: int


class Events(Out):
    """A page of webhooks, newest first. `nextCursor` continues it; null at the end."""

    items: list[EventLine]
    next_cursor: str | None

    @classmethod
    def of(cls, page: Page[EventLineView]) -> Self:
        return cls.model_validate(page)


class Calls(Out):
    """A page of requests to Marketo, newest first. `nextCursor` continues it; null at the end."""

    items: list[Call]
    next_cursor: str | None

    @classmethod
    def of(cls, page: Page[CallView]) -> Self:
        return cls.model_validate(page)


class CallWithPeople(Call):
    """One request to Marketo with the registrations that it was about."""

    registrations: list[Registration]

    @classmethod
    def of(cls, found: CallWithRegistrations) -> Self:
        registrations = [Registration.model_validate(one) for one in found.registrations]
        return cls(**Call.model_validate(found.call).model_dump(), registrations=registrations)


class ActivityLine(Out):
    """One thing that happened. Of a webhook, `what` is its state; of a registration, what became of it."""

    at: datetime
    kind: str = Field(description="webhook or registration: what `id` is the id of.")
    id: str
    source: str
    what: str
    detail: str
    email: str | None
    webinar_id: str | None
    event_id: str | None
    call_id: str | None


class Activity(Out):
    """What happened, oldest first. Ask again with `nextCursor` for what happened since."""

    items: list[ActivityLine]
    next_cursor: str

    @classmethod
    def of(cls, page: ActivityPage) -> Self:
        return cls.model_validate(page)


class SourceStats(Out):
    """One source: webhooks received, those that could not be used, and its registrations by state."""

    source: str
    received: int
    unread: int
    last_at: datetime | None = Field(description="When its last webhook came, whenever that was.")
    registrations: Mapping[RegistrationState, int]


class Waits(Out):
    """What waits now, and since when the oldest."""

    registrations: int
    webhooks: int
    oldest: datetime | None
    retried: int = Field(description="Of the webhooks, those that were tried in vain; /api/events says why.")
    next_try_at: datetime | None = Field(description="When the first of these is tried again.")


class Paused(Out):
    """A pause in force: everything (`marketo`) or one campaign waits until then."""

    scope: str
    until: datetime
    reason: str


class DeadStats(WithCause):
    """How many registrations and webhooks need a person for one cause: all that are dead, and not blanked since."""

    registrations: int
    webhooks: int
    last_at: datetime


class Stats(Out):
    """What came between two times, and how things stand now."""

    since: datetime
    until: datetime
    sources: list[SourceStats]
    calls: int = Field(description="Requests that the relay made to Marketo; others' are not in it.")
    waiting: Waits
    paused: list[Paused]
    dead: list[DeadStats]

    @classmethod
    def of(cls, view: StatsView) -> Self:
        now = view.now
        seen = {"sources": now.tallies, "calls": now.calls_today, "waiting": now.backlog, "paused": now.pauses}
        return cls.model_validate({"since": view.since, "until": view.until, "dead": view.causes, **seen})
