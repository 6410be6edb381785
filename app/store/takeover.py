"""What a new leader finds half done: it is freed, or settled by policy where Marketo may have done it already."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Update, and_, case, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import CallId, Cause, EventId, EventState, RegistrationState
from app.store.database import Database
from app.store.events import GUILTY, LONG
from app.store.sharing import LONGEST_CALL, NO_TERM
from app.store.tables import calls, events, people, registrations, timeline
from app.store.unsettled import note_lost

OnAmbiguous = Literal["check", "retry", "hold"]
_SENTENCE = {
    "check": "The relay stopped during the campaign request. Marketo's activity log is asked whether it ran "
    "(MARKETO_ON_AMBIGUOUS=check).",
    "retry": "The relay stopped during the campaign request. It is requested again (MARKETO_ON_AMBIGUOUS=retry).",
    "hold": "The relay stopped during the campaign request. A person decides (MARKETO_ON_AMBIGUOUS=hold).",
}
_GUILTY = (
    f"The relay ended {GUILTY} times in a row while it read this webhook, the last times with nothing else in hand: it "
    "stood still, ran out of memory or crashed. Its log says where, if it could tell."
)
_REFUSED = "Marketo had refused the whole request, and the relay stopped before it asked for a part of it again."


@dataclass(frozen=True, slots=True)
class Found:
    """How much an earlier leader left: events and people to do again, campaign requests whose answer is unknown.

    And the events that it is not given to read again, since one leader after the other ended in their reading.
    """

    events: int
    people: int
    requests: int
    guilty: Sequence[EventId] = ()  # set aside


async def take_over(
    database: Database,
    *,
    fence: int,
    on_ambiguous: OnAmbiguous,
    now: datetime,
    activity_delay: timedelta = timedelta(minutes=1),
) -> Found:
    """Free or settle everything that is held under an earlier fence.

    `activity_delay` is after what time the activity log can tell.
    """
    async with database.write() as connection:
        await connection.execute(
            update(calls)
            .where(calls.c.finished_at.is_(None), calls.c.fence < fence, calls.c.started_at > now - timedelta(days=10))
            .where(or_(calls.c.fence != NO_TERM, calls.c.started_at < now - LONGEST_CALL))  # else it may be under way
            .values(finished_at=now, outcome="lost", message="The relay stopped before the answer came.")
        )
        freed_events = await _free_events(connection, fence, now)
        guilty = await _set_aside_guilty(connection, now)
        freed_people = await _free_people(connection, fence)
        requests = await _settle_requests(connection, fence, on_ambiguous, now, activity_delay)
    return Found(freed_events, freed_people, requests, guilty)


async def _free_events(connection: AsyncConnection, fence: int, now: datetime) -> int:
    """Free what an earlier leader was reading when it ended; one that stops properly frees it by itself."""
    c = events.c
    was_long = c.claimed_at <= now - LONG
    freed = await connection.execute(
        update(events)
        .where(c.state == EventState.WAITING, c.claimed_by < fence)
        .values(claimed_by=None, interrupted=case((was_long, c.interrupted + 1), else_=c.interrupted))
    )
    return freed.rowcount


async def _set_aside_guilty(connection: AsyncConnection, now: datetime) -> tuple[EventId, ...]:
    """Bury the events that would end every leader."""
    c = events.c
    guilty = await connection.execute(
        update(events)
        .where(c.state == EventState.WAITING, c.claimed_by.is_(None), c.interrupted >= GUILTY)
        .values(state=EventState.DEAD, cause=Cause.ADAPTER_FAILED, detail=_GUILTY, settled_at=now, interrupted=0)
        .returning(c.id)
    )
    return tuple(EventId(row.id) for row in guilty)


def _held(state: RegistrationState, fence: int) -> Update:
    c = registrations.c
    return update(registrations).where(c.state == state, c.claimed_by < fence)


async def _free_people(connection: AsyncConnection, fence: int) -> int:
    """Free who was being found, to be due when the upsert of an earlier leader is surely over."""
    c = registrations.c
    quiet_until = select(people.c.quiet_until).where(people.c.key_hash == c.person_hash).scalar_subquery()
    is_later = and_(c.lookup == 0, quiet_until > c.due_at)
    due_at = case((is_later, quiet_until), else_=c.due_at)
    freed = await connection.execute(_held(RegistrationState.NEW, fence).values(claimed_by=None, due_at=due_at))
    return freed.rowcount


_BECOMES = {
    "check": (RegistrationState.SENDING, None),
    "retry": (RegistrationState.KNOWN, None),
    "hold": (RegistrationState.DEAD, Cause.ANSWER_LOST),
}


async def _put_back_refused(connection: AsyncConnection, fence: int, now: datetime) -> None:
    """Free those of requests that Marketo had refused whole, and that were being asked for again in smaller parts."""
    c = registrations.c
    refused = select(calls.c.id).where(calls.c.id == c.call_id, calls.c.outcome == "refused").exists()
    put_back = await connection.execute(
        _held(RegistrationState.SENDING, fence)
        .where(refused)
        .values(state=RegistrationState.KNOWN, detail=_REFUSED, claimed_by=None, due_at=now, updated_at=now)
        .returning(c.id, c.call_id)
    )
    entry = {"at": now, "what": "waiting", "detail": _REFUSED}
    if entries := [entry | {"registration_id": row.id, "call_id": row.call_id} for row in put_back]:
        await connection.execute(insert(timeline), entries)


async def _settle_requests(
    connection: AsyncConnection, fence: int, on_ambiguous: OnAmbiguous, now: datetime, activity_delay: timedelta
) -> int:
    c = registrations.c
    await connection.execute(
        _held(RegistrationState.SENDING, fence)
        .where(c.cause == Cause.REFUNDED)
        .values(state=RegistrationState.CANCELLED, claimed_by=None, updated_at=now)
    )
    await _put_back_refused(connection, fence, now)
    state, cause = _BECOMES[on_ambiguous]
    detail = _SENTENCE[on_ambiguous]
    settled = await connection.execute(
        _held(RegistrationState.SENDING, fence)
        .values(state=state, cause=cause, detail=detail, claimed_by=None, due_at=now, updated_at=now)
        .returning(c.id, c.call_id)
    )
    entry = {"at": now, "what": "answer lost", "detail": detail}
    entries = [entry | {"registration_id": row.id, "call_id": row.call_id} for row in settled]
    if entries:
        await connection.execute(insert(timeline), entries)
    if on_ambiguous == "check":
        lost = {CallId(str(entry["call_id"])) for entry in entries}
        await note_lost(connection, lost, ended_at=now, look_at=now + activity_delay)
    return len(entries)
