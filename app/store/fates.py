"""What becomes of registrations after a call, written down with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import WAITING_STATES, Cause, LeadId, RegistrationState
from app.store.claims import Call, Claimed
from app.store.links import fall_back
from app.store.tables import UtcDateTime, registrations, timeline
from app.store.unsettled import note_lost

_SENDING = RegistrationState.SENDING


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one registration after a call. `what` and `detail` go into its timeline.

    `falls_back`: from now on it passes all its tokens itself. `is_gone`: Marketo no longer knows its lead.
    """

    registration: Claimed
    state: RegistrationState
    what: str
    detail: str
    cause: Cause | None = None
    due_at: datetime | None = None
    lead_id: LeadId | None = None
    lookup: bool = False
    relooked: bool = False
    counts: bool = False  # whether it was an attempt of this registration
    falls_back: bool = False
    is_gone: bool = False


async def still_held(connection: AsyncConnection, call: Call, fence: int) -> dict[str, str | None]:
    """Return the registrations that are still this call's, with the cause that was noted on them meanwhile."""
    c = registrations.c
    state = _SENDING if call.kind == "trigger" else RegistrationState.NEW
    ours = (c.claimed_by == fence, c.call_id == call.id, c.state == state)
    rows = await connection.execute(
        select(c.id, c.cause)
        .where(c.id.in_([r.id for r in call.registrations]), *ours)
        .order_by(c.id)
        .with_for_update()
    )
    return {row.id: row.cause for row in rows}


def unless_refunded(fate: Fate, held: Mapping[str, str | None]) -> Fate:
    """Return the fate, or the end of a registration that was cancelled during a request which was not taken."""
    if fate.state not in WAITING_STATES or held[fate.registration.id] != Cause.REFUNDED:
        return fate
    detail = "Cancelled before the reminder was sent: Marketo had not taken the request."
    return replace(fate, state=RegistrationState.CANCELLED, cause=Cause.REFUNDED, what="cancelled", detail=detail)


async def write(connection: AsyncConnection, call: Call, fates: Sequence[Fate], now: datetime) -> None:
    """Let these fates of a call's registrations take effect."""
    await _take_effect(connection, call, fates, now)
    await _note_lost(connection, call, fates, now)
    await fall_back(connection, [fate.registration.id for fate in fates if _falls_back(fate, call)])
    await _share_leads(connection, call, fates, now)


async def _share_leads(connection: AsyncConnection, call: Call, fates: Sequence[Fate], now: datetime) -> None:
    """Give the leads that were found to these people's other registrations, which came while the call was made."""
    found = {fate.registration.person_key: fate for fate in fates if fate.state is RegistrationState.KNOWN}
    if call.kind == "trigger" or not found:
        return
    c = registrations.c
    others = select(registrations).where(
        c.person_key.in_(found), c.state == RegistrationState.NEW, c.claimed_by.is_(None), c.relooked == 0
    )
    rows = [Claimed.of(row) for row in await connection.execute(others.with_for_update())]
    written = [(r.person_key, r.written) for r in call.registrations if call.kind == "upsert"]
    there = [r for r in rows if not r.by_field or (r.person_key, r.written) in written]
    shared = [replace(found[r.person_key], registration=r) for r in there]
    if shared:
        await _take_effect(connection, call, shared, now)


async def _take_effect(connection: AsyncConnection, call: Call, fates: Sequence[Fate], now: datetime) -> None:
    await connection.execute(_SETTLE, [_settled(fate, now) for fate in fates])
    await connection.execute(insert(timeline), [_entry(fate, call, now) for fate in fates])


async def _note_lost(connection: AsyncConnection, call: Call, fates: Sequence[Fate], now: datetime) -> None:
    """Plan when to look whether the campaign ran, for what stays in the state `sending`."""
    if looks := [fate.due_at for fate in fates if fate.state is _SENDING and fate.due_at]:
        await note_lost(connection, [call.id], ended_at=now, look_at=min(looks))


def _falls_back(fate: Fate, call: Call) -> bool:
    """Tell whether it passes its tokens from now on; the search that found a person has written nothing to fields."""
    return fate.falls_back or (call.kind == "lookup" and fate.state is RegistrationState.KNOWN)


_SETTLE = (
    update(registrations)
    .where(registrations.c.id == bindparam("settled_id"))
    .values(
        {
            "state": bindparam("new_state"),
            "cause": bindparam("new_cause"),
            "detail": bindparam("new_detail"),
            "due_at": bindparam("new_due_at"),
            "lead_id": bindparam("new_lead_id"),
            "lookup": bindparam("new_lookup"),
            "relooked": bindparam("new_relooked"),
            "sent_at": func.coalesce(bindparam("new_sent_at", type_=UtcDateTime), registrations.c.sent_at),
            "updated_at": bindparam("new_updated_at"),
            "attempts": registrations.c.attempts + bindparam("counted"),
            "claimed_by": None,
        }
    )
)


def _settled(fate: Fate, now: datetime) -> dict[str, Any]:
    return {
        "settled_id": fate.registration.id,
        "new_state": fate.state,
        "new_cause": fate.cause,
        "new_detail": fate.detail,
        "new_due_at": fate.due_at or now,
        "new_lead_id": fate.lead_id if fate.lead_id is not None else fate.registration.lead_id,
        "new_lookup": int(fate.lookup),
        "new_relooked": int(fate.relooked or fate.registration.relooked),
        "new_sent_at": now if fate.state is RegistrationState.SENT else None,
        "new_updated_at": now,
        "counted": int(fate.counts),
    }


def _entry(fate: Fate, call: Call, now: datetime) -> dict[str, Any]:
    row = {"registration_id": fate.registration.id, "at": now, "what": fate.what, "detail": fate.detail}
    return row | {"call_id": call.id}
