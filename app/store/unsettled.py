"""Campaign requests whose answer was lost: when to look whether they ran, what else was asked for, how they end.

Their registrations stay in the state `sending`, in nobody's hands, until they are settled; a restart or another leader
changes nothing about that. Each look is fenced by the time for which it was planned.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, delete, func, insert, literal, or_, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import CallId, CampaignId, Cause, LeadId, RegistrationId, RegistrationState
from app.store.database import Database
from app.store.tables import UtcDateTime, calls, registrations, timeline, unsettled

_MOST_TOGETHER = 100  # requests that are looked at together
_CLOSE = timedelta(minutes=30)  # and how far apart they may have begun: all activities since the first are read
_SENDING = RegistrationState.SENDING


@dataclass(frozen=True, slots=True)
class Undecided:
    """One registration whose campaign may have run."""

    id: RegistrationId
    source: str
    lead_id: LeadId
    attempts: int
    starts_at: datetime | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LostRequest:
    """One campaign request without an answer. `look_at` is when it is looked at next."""

    id: CallId
    campaign_id: CampaignId
    began_at: datetime
    ended_at: datetime
    look_at: datetime
    registrations: Sequence[Undecided]


@dataclass(frozen=True, slots=True)
class OtherRequest:
    """Another request of the same campaign for one of the same people. `is_done`: Marketo took it."""

    lead_id: LeadId
    call_id: CallId
    began_at: datetime
    is_done: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one registration. `sent_at` is when its campaign ran, `due_at` when it may be requested again."""

    registration: Undecided
    state: RegistrationState
    what: str
    detail: str
    cause: Cause | None = None
    sent_at: datetime | None = None
    due_at: datetime | None = None


async def note_lost(
    connection: AsyncConnection, call_ids: Collection[CallId], *, ended_at: datetime, look_at: datetime
) -> None:
    """Write down that these campaign requests have no answer, in the transaction that leaves their registrations."""
    for call_id in call_ids:
        lost = select(
            calls.c.id,
            calls.c.campaign_id,
            calls.c.started_at,
            literal(ended_at, UtcDateTime),
            literal(look_at, UtcDateTime),
        ).where(calls.c.id == call_id)
        await connection.execute(insert(unsettled).from_select(list(unsettled.c), lost))


class Unsettled:
    """The lost requests. Only the leader uses it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def next_look(self) -> datetime | None:
        """Return when the next lost request is to be looked at; None when there is none."""
        async with self._database.read() as connection:
            found: datetime | None = await connection.scalar(select(func.min(unsettled.c.look_at)))
            return found

    async def due(self, now: datetime | None) -> list[LostRequest]:
        """Return lost requests whose time has come, that began close together; with None, whatever their time."""
        u = unsettled.c
        which = select(unsettled).order_by(u.began_at, u.call_id).limit(_MOST_TOGETHER)
        async with self._database.read() as connection:
            rows = (await connection.execute(which if now is None else which.where(u.look_at <= now))).all()
            close = [row for row in rows if row.began_at <= rows[0].began_at + _CLOSE]
            return [await _lost(connection, row) for row in close]

    async def take_back(self, call_id: CallId, detail: str, *, now: datetime) -> None:
        """Let the people of a request wait as before, of which is known after all that it was not made."""
        async with self._database.read() as connection:
            found = (await connection.execute(select(unsettled).where(unsettled.c.call_id == call_id))).one_or_none()
            lost = await _lost(connection, found) if found else None
        if lost:
            back = [Decision(one, RegistrationState.KNOWN, "waiting", detail) for one in lost.registrations]
            await self.settle(lost, back, look_at=None, check_id=call_id, now=now)

    async def others(self, lost: LostRequest, leads: Collection[LeadId], *, since: datetime) -> list[OtherRequest]:
        """Return what else was asked of the campaign for these people since then: taken, under way, or lost as well.

        One that is held for a person may have run, and counts as lost.
        Ask after the activities were read: then no activity can belong to a request that is not among them.
        """
        r, t, k = registrations.c, timeline.c, calls.c
        asked = select(r.lead_id, k.id, k.started_at).where(
            r.lead_id.in_(leads), k.kind == "trigger", k.campaign_id == lost.campaign_id, k.id != lost.id
        )
        of_timeline = registrations.join(timeline, t.registration_id == r.id).join(calls, k.id == t.call_id)
        taken = asked.add_columns(literal(1)).select_from(of_timeline).where(t.what == "sent", k.started_at >= since)
        of_call = registrations.join(calls, k.id == r.call_id)
        is_open = or_(r.state == _SENDING, and_(r.cause == Cause.ANSWER_LOST, k.started_at >= since))
        running = asked.add_columns(literal(0)).select_from(of_call).where(is_open)
        async with self._database.read() as connection:
            rows = await connection.execute(union_all(taken, running))
            found = {OtherRequest(LeadId(row[0]), CallId(row[1]), row[2], bool(row[3])) for row in rows}
        return sorted(found, key=lambda other: (other.began_at, other.call_id))

    async def postpone(self, lost: Sequence[LostRequest], *, look_at: datetime) -> None:
        """Look at these later."""
        async with self._database.write() as connection:
            await connection.execute(
                update(unsettled).where(unsettled.c.call_id.in_([one.id for one in lost])).values(look_at=look_at)
            )

    async def settle(
        self,
        lost: LostRequest,
        decisions: Sequence[Decision],
        *,
        look_at: datetime | None,
        check_id: CallId | None,
        now: datetime,
    ) -> list[Decision]:
        """Write down what was decided, and when to look for the rest (None: there is none); return what took effect.

        Nothing does where somebody else has looked meanwhile. Who cancelled meanwhile is not mailed after all.
        """
        async with self._database.write() as connection:
            if not await _plan(connection, lost, look_at):
                return []
            undecided = {one.id for one in await _undecided(connection, lost.id)}
            ours = [one for one in decisions if one.registration.id in undecided]
            cancelled = await cancelled_late(connection, [one.registration.id for one in ours])
            ours = [_unless_cancelled(one, cancelled) for one in ours]
            for decision in ours:
                await connection.execute(
                    update(registrations)
                    .where(registrations.c.id == decision.registration.id)
                    .values(
                        state=decision.state,
                        cause=decision.cause,
                        detail=decision.detail,
                        due_at=decision.due_at or now,
                        sent_at=func.coalesce(literal(decision.sent_at, UtcDateTime), registrations.c.sent_at),
                        updated_at=now,
                    )
                )
            if ours:
                entries = [
                    {
                        "registration_id": one.registration.id,
                        "at": now,
                        "what": one.what,
                        "detail": one.detail,
                        "call_id": lost.id if one.state is RegistrationState.SENT else check_id,
                    }
                    for one in ours
                ]
                await connection.execute(insert(timeline), entries)
        return ours


async def _lost(connection: AsyncConnection, row: Row[Any]) -> LostRequest:
    return LostRequest(
        CallId(row.call_id),
        CampaignId(row.campaign_id),
        row.began_at,
        row.ended_at,
        row.look_at,
        await _undecided(connection, row.call_id),
    )


async def _undecided(connection: AsyncConnection, call_id: str) -> list[Undecided]:
    c = registrations.c
    rows = await connection.execute(
        select(c.id, c.source, c.lead_id, c.attempts, c.starts_at, c.expires_at)
        .where(c.call_id == call_id, c.state == _SENDING, c.claimed_by.is_(None))
        .order_by(c.id)
    )
    return [Undecided(*row) for row in rows]


async def _plan(connection: AsyncConnection, lost: LostRequest, look_at: datetime | None) -> bool:
    """Plan the next look, if this one was still the planned one."""
    u = unsettled.c
    this = (u.call_id == lost.id, u.look_at == lost.look_at)
    if look_at is None:
        planned = await connection.execute(delete(unsettled).where(*this))
    else:
        planned = await connection.execute(update(unsettled).where(*this).values(look_at=look_at))
    return planned.rowcount == 1


async def cancelled_late(connection: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """Find who cancelled when the e-mail was on its way, or may have been, and did not register again."""
    t = timeline.c
    rows = await connection.execute(
        select(t.registration_id, t.what)
        .where(t.registration_id.in_(ids), t.what.in_(("cancelled late", "repeated")))
        .order_by(t.id)
    )
    last = {row.registration_id: row.what for row in rows}
    return {registration for registration, what in last.items() if what == "cancelled late"}


def _unless_cancelled(decision: Decision, cancelled: Collection[str]) -> Decision:
    if decision.state is not RegistrationState.KNOWN or decision.registration.id not in cancelled:
        return decision
    detail = f"{decision.detail} But it was cancelled meanwhile, so that nothing is sent."
    return Decision(decision.registration, RegistrationState.CANCELLED, "cancelled", detail, Cause.REFUNDED)
