"""Put things into a store as the relay would: webhooks, registrations in any state, calls under way."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from app.domain import (
    CallId,
    CampaignId,
    Cancelled,
    Cause,
    Dedupe,
    Event,
    EventId,
    EventState,
    LeadId,
    NewEvent,
    RegistrationState,
    new_id,
)
from app.store.claims import Call, CallResult, Claimed
from app.store.database import Database
from app.store.drafts import Draft
from app.store.events import EventFate, EventQueue, settle_events
from app.store.fates import Fate
from app.store.heads import Backlog
from app.store.inbox import Inbox
from app.store.lookup import Lookup
from app.store.people import Memory, People
from app.store.registrations import Change, Meaning, Registrations
from app.store.sending import Sending
from app.store.views import RegistrationView
from tests.patience import PATIENT

FENCE = 1
CAMPAIGN = CampaignId(1234)
DONE = CallResult("done", request_id="r#1")
REFUSED = CallResult("refused", code="606", message="Max rate limit exceeded", request_id="r#2")


@asynccontextmanager
async def open_inbox(database: Database) -> AsyncIterator[Inbox]:
    inbox = Inbox(database, writes=PATIENT)
    running = asyncio.create_task(inbox.run())
    try:
        yield inbox
    finally:
        inbox.close()
        await running


def new_event(now: datetime, *, due_at: datetime | None = None, dedupe: Dedupe | None = None) -> NewEvent:
    return NewEvent(EventId(new_id("evt", now)), "custom", now, due_at or now, {}, b"{}", dedupe)


async def accept(database: Database, *new: NewEvent) -> list[EventId]:
    """Store these events and return their ids."""
    async with open_inbox(database) as inbox:
        receipts = await asyncio.gather(*(inbox.accept(event) for event in new))
    return [EventId(receipt.event_id) for receipt in receipts]


async def split(database: Database, call: Call, part: Sequence[Claimed], *, now: datetime) -> Call:
    """Write down a further call with this part of a refused one."""
    smaller = await Sending(database).split(call, part, again=CallId(new_id("call", now)), fence=FENCE, now=now)
    assert smaller is not None
    return smaller


async def claimed_event(database: Database, now: datetime, *, fence: int = FENCE) -> Event:
    """Store an event and take it into the leader's hands."""
    await accept(database, new_event(now))
    (event,) = await EventQueue(database).claim(now=now, fence=fence, limit=1)
    return event


async def tried_in_vain(database: Database, now: datetime, *, again_at: datetime) -> EventId:
    """Store an event that could not be read, and is tried again."""
    event = await claimed_event(database, now)
    cause, said = Cause.SOURCE_NOT_FOUND, "Eventbrite does not know order 17 yet."
    fate = EventFate(event, EventState.WAITING, cause, said, due_at=again_at)
    async with database.write() as connection:
        await settle_events(connection, [fate], fence=FENCE, now=now)
    return event.id


def draft(now: datetime, email: str = "ada@example.com", webinar: str = "w-1", **changes: Any) -> Draft:
    """Return a registration as a webhook wants it: new, and due at once."""
    made = Draft(
        id=new_id("reg", now),
        source="custom",
        webinar_id=webinar,
        person_key=email.lower(),
        subject=None,
        state=RegistrationState.NEW,
        lookup=False,
        cause=None,
        detail=None,
        email=email,
        lead_id=None,
        first_name="Ada",
        last_name=None,
        campaign_id=CAMPAIGN,
        tokens={"WebinarTitle": webinar},
        batch_key=f"key of {webinar}",
        starts_at=None,
        due_at=now,
        came_at=now,
        expires_at=now + timedelta(days=8),
    )
    return replace(made, **changes)


def mapped(event: Event) -> EventFate:
    return EventFate(event, EventState.MAPPED)


async def record(
    database: Database,
    now: datetime,
    *drafts: Draft,
    gone: Sequence[Cancelled] = (),
    fence: int = FENCE,
    hold: timedelta = timedelta(minutes=10),
    memory: Memory | None = None,
) -> list[Change]:
    """Let one webhook mean these registrations and cancellations."""
    event = await claimed_event(database, now, fence=fence)
    store = Registrations(database, people=People(database, memory), hold=hold)
    return await store.record([Meaning(mapped(event), drafts, gone)], fence=fence, now=now)


def fate(registration: Claimed, state: RegistrationState, **changes: Any) -> Fate:
    made = Fate(registration, state, what=f"to {state}", detail=f"It became {state}.")
    return replace(made, **changes)


def found(registration: Claimed, lead_id: int = 7) -> Fate:
    return fate(registration, RegistrationState.KNOWN, lead_id=LeadId(lead_id))


async def people(
    database: Database,
    now: datetime,
    *,
    lookup: bool = False,
    fence: int = FENCE,
    limit: int = 300,
) -> Call | None:
    return await Sending(database).claim_people(lookup=lookup, now=now, fence=fence, limit=limit)


async def batch(
    database: Database, now: datetime, webinar: str = "w-1", *, fence: int = FENCE, limit: int = 100
) -> Call | None:
    backlog = Backlog(f"key of {webinar}", CAMPAIGN, 1, now)
    return await Sending(database).claim_batch(backlog, now=now, fence=fence, limit=limit)


async def sending(database: Database, now: datetime, *, fence: int = FENCE, **changes: Any) -> Call:
    """Bring one registration as far as the campaign request that is under way, and return that call."""
    known = draft(now, state=RegistrationState.KNOWN, lead_id=7, **changes)
    await record(database, now, known, fence=fence)
    call = await batch(database, now, known.webinar_id, fence=fence)
    assert call is not None
    return call


async def ended(
    database: Database,
    now: datetime,
    *,
    state: Literal["sent", "answer lost", "dead", "ignored", "cancelled"],
    email: str = "ada@example.com",
) -> str:
    """Make a registration that has reached this end, and return its id."""
    if state in ("sent", "answer lost"):
        call = await sending(database, now, email=email)
        (registration,) = call.registrations
        end = fate(registration, RegistrationState.SENT)
        if state == "answer lost":
            end = fate(registration, RegistrationState.DEAD, cause=Cause.ANSWER_LOST)
        await Sending(database).settle(call, DONE, [end], fence=FENCE, now=now)
        return registration.id
    made = draft(now, email, state=RegistrationState(state), cause=Cause.BAD_PAYLOAD, detail="No title.")
    await record(database, now, made)
    return made.id


async def seen(database: Database, registration_id: str) -> RegistrationView:
    """Look the registration up."""
    view = await Lookup(database).registration(registration_id)
    assert view is not None
    return view


async def history(database: Database, registration_id: str) -> list[str]:
    """Return what happened to the registration, oldest first."""
    return [entry.what for entry in (await seen(database, registration_id)).timeline]
