"""The queue of registrations: claim those whose person or campaign is next, write the call down, settle its outcome.

A call is written before it is made and after it was answered, each time together with its registrations. All
writes are fenced: what another leader has taken over meanwhile is left alone.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import (
    CompoundSelect,
    Row,
    Select,
    bindparam,
    func,
    insert,
    select,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from app.domain import CallId, CampaignId, Cause, LeadId, RegistrationId, RegistrationState, new_id
from app.store import people
from app.store.batched import batched
from app.store.database import Database
from app.store.heads import (
    MOST_LEADS,
    Backlog,
    Horizon,
    PersonNext,
    Waiting,
    batch_heads,
    fair,
    people_heads,
    people_next,
)
from app.store.leases import hold_on
from app.store.links import Values, fall_back, field_values, passed_tokens
from app.store.tables import calls, registrations, timeline, unsettled
from app.store.tables import people as people_table
from app.store.unsettled import note_lost

CallKind = Literal["upsert", "lookup", "trigger", "check", "usage", "setup"]
_WAITING = (RegistrationState.NEW, RegistrationState.KNOWN)  # asked one by one: an IN finds no partial index
_SENDING = RegistrationState.SENDING
_AT_ONCE = 500  # keys in one statement
_SPARE = 1000  # of those who wait longest, as many are asked whether they are held


@dataclass(frozen=True, slots=True)
class Claimed:
    """One registration in the hands of a call."""

    id: RegistrationId
    source: str
    person_key: str
    email: str | None
    lead_id: LeadId | None
    first_name: str | None
    last_name: str | None
    campaign_id: CampaignId
    tokens: Mapping[str, str]
    attempts: int
    relooked: bool
    created_at: datetime
    came_at: datetime
    expires_at: datetime
    person_hash: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    by_field: bool = False
    traceparent: str | None = None

    @property
    def written(self) -> Values:
        """Return what its upsert writes to person fields beside the names."""
        return field_values(self.tokens, self.fields) if self.by_field else {}

    @property
    def passed(self) -> Mapping[str, str]:
        """Return the tokens that its campaign request passes."""
        return passed_tokens(self.tokens, self.fields, by_field=self.by_field)


@dataclass(frozen=True, slots=True)
class Call:
    """One request to Marketo, written down before it is made."""

    id: CallId
    kind: CallKind
    campaign_id: CampaignId | None
    registrations: Sequence[Claimed]


@dataclass(frozen=True, slots=True)
class CallResult:
    """How a call ended: `done`, `refused` (not executed), or `lost` (it may have been executed)."""

    outcome: Literal["done", "refused", "lost"]
    code: str | None = None
    message: str | None = None
    request_id: str | None = None


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


@dataclass(frozen=True, slots=True)
class Ahead:
    """All that is not at its end, due or not: registrations, people to find, campaign requests, webhooks not yet read.

    A request that is under way is not counted among the requests. `held_until` is when the last of the registrations
    may go: after its back-off, after an upsert whose answer was lost, or when a lost answer is looked for.
    """

    registrations: int = 0
    upserts: int = 0
    lookups: int = 0
    requests: int = 0
    webhooks: int = 0
    held_until: datetime | None = None


class Sending:
    """What waits for Marketo, and what is under way. Only the leader uses it.

    `runs_on` is how long Marketo may go on with an upsert whose answer never came.
    """

    def __init__(self, database: Database, *, runs_on: timedelta = people.RUNS_ON) -> None:
        self._database = database
        self._runs_on = runs_on

    async def waiting(
        self, now: datetime, horizon: Horizon | None = None, paused: Collection[CampaignId] = ()
    ) -> Waiting:
        """Return what is at the head of each source's lines, but for batches of campaigns that are paused."""
        horizon = horizon or Horizon(now)
        async with self._database.read() as connection:
            people = await people_heads(connection, now, horizon)
            batches = await batch_heads(connection, now, horizon, paused)
            later = (await connection.execute(_next_due(now))).scalars().all()
        return Waiting(people, batches, min((at for at in later if at), default=None))

    async def counted(self) -> tuple[int, datetime | None]:
        """Return how many registrations are not at their end, and since when the longest waiting one has been due."""
        c = registrations.c
        each = [select(func.count(), func.min(c.due_at)).where(c.state == state) for state in (*_WAITING, _SENDING)]
        async with self._database.read() as connection:
            rows = (await connection.execute(union_all(*each))).all()
        return sum(row[0] for row in rows), min((row[1] for row in rows if row[1]), default=None)

    async def ahead(self, now: datetime, *, webhooks: int = 0) -> Ahead:
        """Return how much there is to do; this reads all that waits."""
        c = registrations.c
        people = select(c.lookup, func.count()).where(c.state == RegistrationState.NEW).group_by(c.lookup)
        each = [select(c.batch_key, c.due_at).where(c.state == state) for state in _WAITING]
        keys = union_all(*each).subquery()
        sizes = (
            select(func.count().label("size"), func.max(keys.c.due_at).label("last_due"))
            .select_from(keys)
            .group_by(keys.c.batch_key)
            .subquery()
        )
        calls_of_each = (sizes.c.size + (MOST_LEADS - 1)) // MOST_LEADS
        told = select(func.sum(sizes.c.size), func.sum(calls_of_each), func.max(sizes.c.last_due))
        async with self._database.read() as connection:
            counts = {bool(row[0]): row[1] for row in await connection.execute(people)}
            total, requests, last_due = (await connection.execute(told)).one()
            sending = await connection.scalar(select(func.count()).where(c.state == _SENDING))
            held = [last_due, *[await connection.scalar(one) for one in (_last_quiet(now), _last_look())]]
        return Ahead(
            int(total or 0) + int(sending or 0),
            counts.get(False, 0),
            counts.get(True, 0),
            int(requests or 0),
            webhooks,
            max((at for at in held if at), default=None),
        )

    async def claim_people(
        self, *, lookup: bool, now: datetime, fence: int, limit: int, urgent_until: datetime | None = None
    ) -> Call | None:
        """Take registrations whose person is next and write the call down; None when there are none.

        Each source has an equal share of the call; of each, those whose webinar starts by `urgent_until` go first,
        then the oldest. Nobody is upserted who is in another upsert, or was so lately that Marketo would make a
        duplicate.
        """
        c = registrations.c
        values = {"claimed_by": fence}
        async with self._database.write() as connection:
            heads = await people_next(connection, now, urgent_until or now, lookup=lookup, limit=limit)
            ids = await _free(connection, heads, now, limit) if not lookup else fair(heads, limit)
            due = select(c.id).where(c.id.in_([one.id for one in ids]), c.state == RegistrationState.NEW)
            due = due.where(c.claimed_by.is_(None)).order_by(c.id)
            kind: CallKind = "lookup" if lookup else "upsert"
            return await self._claim(connection, due, kind=kind, campaign_id=None, values=values, fence=fence, now=now)

    async def claim_batch(self, backlog: Backlog, *, now: datetime, fence: int, limit: int) -> Call | None:
        """Take registrations of one batch, oldest first, mark them as sending, and write the call down."""
        c = registrations.c
        due = (
            select(c.id)
            .where(c.state == RegistrationState.KNOWN, c.batch_key == backlog.batch_key, c.due_at <= now)
            .order_by(c.due_at, c.id)
            .limit(limit)
        )
        values = {"claimed_by": fence, "state": RegistrationState.SENDING}
        campaign = backlog.campaign_id
        async with self._database.write() as connection:
            return await self._claim(
                connection, due, kind="trigger", campaign_id=campaign, values=values, fence=fence, now=now
            )

    async def _claim(
        self,
        connection: AsyncConnection,
        due: Select[tuple[Any]],
        *,
        kind: CallKind,
        campaign_id: CampaignId | None,
        values: Mapping[str, Any],
        fence: int,
        now: datetime,
    ) -> Call | None:
        await hold_on(connection, fence)
        call_id = CallId(new_id("call", now))
        due_ids = due.with_for_update(skip_locked=True, of=registrations).cte("due")
        claim = update(registrations).values(**values, call_id=call_id).returning(registrations)
        if kind == "upsert":
            claim = claim.where(registrations.c.id.in_(await self._asked(connection, due, now)))
        else:
            claim = claim.where(registrations.c.id.in_(select(due_ids.c.id)))
        claimed = sorted((_claimed(row) for row in await connection.execute(claim)), key=lambda r: r.created_at)
        if not claimed:
            return None
        row = {"id": call_id, "kind": kind, "campaign_id": campaign_id, "size": len(claimed)}
        await connection.execute(insert(calls).values(**row, fence=fence, started_at=now))
        return Call(call_id, kind, campaign_id, claimed)

    async def _asked(self, connection: AsyncConnection, due: Select[tuple[Any]], now: datetime) -> list[str]:
        """Note these people's upsert; return the registrations of those who were free."""
        locked = due.add_columns(registrations.c.person_hash).with_for_update(skip_locked=True, of=registrations)
        rows = (await connection.execute(locked)).all()
        free = await people.ask(self._database, connection, {row.person_hash for row in rows}, now, self._runs_on)
        return [row.id for row in rows if row.person_hash in free]

    async def free(self, *, fence: int, but: Collection[CallId], now: datetime) -> int:
        """Free what carries our fence and is in none of our calls; return how much.

        A claim may have been stored and its answer lost. Its call was never made, so that nothing is to be settled.
        """
        c = registrations.c
        loose = update(registrations).where(c.claimed_by == fence, c.call_id.not_in(but))
        waiting, sending = loose.where(c.state == RegistrationState.NEW), loose.where(c.state == _SENDING)
        values = {"claimed_by": None, "call_id": None}
        async with self._database.write() as connection:
            rows = (await connection.execute(waiting.values(values).returning(c.person_hash, c.lookup))).all()
            asked = {row.person_hash for row in rows if not row.lookup}
            await people.answered(connection, asked, "refused", now)
            refunded = sending.where(c.cause == Cause.REFUNDED)
            await connection.execute(refunded.values(**values, state=RegistrationState.CANCELLED, updated_at=now))
            again = sending.values(**values, state=RegistrationState.KNOWN, updated_at=now)
            requests = await connection.execute(again)
            await connection.execute(
                update(calls)
                .where(calls.c.finished_at.is_(None), calls.c.fence == fence, calls.c.size > 0, calls.c.id.not_in(but))
                .values(finished_at=now, outcome="refused", message="Not made: the store's answer was lost.")
            )
        return len(rows) + requests.rowcount

    async def split(self, call: Call, part: Sequence[Claimed], *, fence: int, now: datetime) -> Call:
        """Write down a further call with some registrations of a refused one."""
        again = Call(CallId(new_id("call", now)), call.kind, call.campaign_id, part)
        row = {"id": again.id, "kind": call.kind, "campaign_id": call.campaign_id, "size": len(part)}
        async with self._database.write() as connection:
            await hold_on(connection, fence)
            await connection.execute(insert(calls).values(**row, fence=fence, started_at=now))
            await connection.execute(
                update(registrations)
                .where(registrations.c.id.in_([r.id for r in part]), registrations.c.claimed_by == fence)
                .values(call_id=again.id)
            )
            if call.kind == "upsert":
                await people.ask_again(connection, {r.person_hash for r in part}, now, self._runs_on)
        return again

    async def settle(
        self, call: Call, result: CallResult, fates: Sequence[Fate], *, fence: int, now: datetime
    ) -> list[Fate]:
        """Write down how the call ended and what becomes of its registrations; return the fates that took effect."""
        async with self._database.write() as connection:
            await connection.execute(
                update(calls)
                .where(calls.c.id == call.id)
                .values(
                    finished_at=now,
                    outcome=result.outcome,
                    code=result.code,
                    message=result.message,
                    request_id=result.request_id,
                )
            )
            held = await _still_held(connection, call, fence)
            if call.kind == "upsert":
                asked = {r.person_hash for r in call.registrations if r.id in held}
                await people.answered(connection, asked, result.outcome, now, self._runs_on)
            ours = [_unless_refunded(fate, held) for fate in fates if fate.registration.id in held]
            if ours:
                await connection.execute(_SETTLE, [_settled(fate, now) for fate in ours])
                await connection.execute(insert(timeline), [_entry(fate, call, now) for fate in ours])
                await _note_lost(connection, call, ours, now)
                await fall_back(connection, [fate.registration.id for fate in ours if _falls_back(fate, call)])
                await _share_leads(connection, call, ours, now)
                await self._learn(connection, ours, now)
        return ours

    async def _learn(self, connection: AsyncConnection, fates: Sequence[Fate], now: datetime) -> None:
        """Remember who was found, and forget whom Marketo no longer knows."""
        known = [f for f in fates if f.state is RegistrationState.KNOWN and f.lead_id is not None]
        await people.remember(
            self._database, connection, {f.registration.person_hash: f.lead_id for f in known if f.lead_id}, now
        )
        gone = {f.registration.person_hash: f.registration.lead_id for f in fates if f.is_gone}
        await people.forget(connection, {key: lead for key, lead in gone.items() if lead})

    async def expire(self, now: datetime) -> list[tuple[str, str]]:
        """Bury what could not be sent in time; return (source, id) of each."""
        async with self._database.write() as connection:
            gone = [row for state in _WAITING for row in await connection.execute(_expired(state, now))]
            if gone:
                entry = {"at": now, "what": "dead"}
                texts = [
                    entry | {"registration_id": i, "detail": f"Not sent in time. Last: {detail or 'it waited.'}"}
                    for _, i, detail in gone
                ]
                await connection.execute(insert(timeline), texts)
        return [(source, i) for source, i, _ in gone]


def _last_quiet(now: datetime) -> Select[tuple[datetime | None]]:
    """Ask until when those who wait longest are held after another upsert."""
    c, p = registrations.c, people_table.c
    first = (
        select(c.person_hash)
        .where(c.state == RegistrationState.NEW, c.claimed_by.is_(None))
        .order_by(c.due_at, c.id)
        .limit(_SPARE)
        .subquery()
    )
    held = select(func.max(p.quiet_until)).select_from(first.join(people_table, p.key_hash == first.c.person_hash))
    return held.where(p.quiet_until > now)


def _last_look() -> Select[tuple[datetime | None]]:
    return select(func.max(unsettled.c.look_at))


async def _free(
    connection: AsyncConnection, heads: Mapping[str, Sequence[PersonNext]], now: datetime, limit: int
) -> list[PersonNext]:
    """Leave out who is in another upsert or was so lately.

    Asked by their keys: as a condition of the queue's own query it makes PostgreSQL compare each with each, as long as
    it has no statistics of a crowd that has just come.
    """
    once = {one.person_key: one.person_hash for line in heads.values() for one in line}
    p, c, busy = people_table.c, registrations.c, set[str]()
    for some in batched(once.values(), _AT_ONCE):
        quiet = select(p.key_hash).where(p.key_hash.in_(some), p.quiet_until > now)
        busy.update((await connection.execute(quiet)).scalars())
    held = select(c.person_key).where(c.state == RegistrationState.NEW, c.claimed_by.is_not(None), c.lookup == 0)
    upserted = set((await connection.execute(held)).scalars())
    free = {
        source: [one for one in line if one.person_hash not in busy and one.person_key not in upserted]
        for source, line in heads.items()
    }
    return fair(free, limit)


def _next_due(now: datetime) -> CompoundSelect[tuple[Any]]:
    c = registrations.c
    later = select(func.min(c.due_at)).where(c.due_at > now, c.claimed_by.is_(None))
    return union_all(*(later.where(c.state == state) for state in _WAITING))


def _expired(state: RegistrationState, now: datetime) -> ReturningUpdate[tuple[Any, ...]]:
    c = registrations.c
    return (
        update(registrations)
        .where(c.state == state, c.expires_at <= now, c.claimed_by.is_(None))
        .values(state=RegistrationState.DEAD, cause=Cause.EXPIRED, updated_at=now)
        .returning(c.source, c.id, c.detail)
    )


async def _still_held(connection: AsyncConnection, call: Call, fence: int) -> dict[str, str | None]:
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


def _unless_refunded(fate: Fate, held: Mapping[str, str | None]) -> Fate:
    """Return the fate, or the end of a registration that was cancelled during a request which was not taken."""
    if fate.state not in _WAITING or held[fate.registration.id] != Cause.REFUNDED:
        return fate
    detail = "Cancelled before the reminder was sent: Marketo had not taken the request."
    return replace(fate, state=RegistrationState.CANCELLED, cause=Cause.REFUNDED, what="cancelled", detail=detail)


async def _share_leads(connection: AsyncConnection, call: Call, fates: Sequence[Fate], now: datetime) -> None:
    """Give the leads that were found to these people's other registrations, which came while the call was made."""
    found = {fate.registration.person_key: fate for fate in fates if fate.state is RegistrationState.KNOWN}
    if call.kind == "trigger" or not found:
        return
    c = registrations.c
    others = select(registrations).where(
        c.person_key.in_(found), c.state == RegistrationState.NEW, c.claimed_by.is_(None), c.relooked == 0
    )
    rows = [_claimed(row) for row in await connection.execute(others.with_for_update())]
    written = [(r.person_key, r.written) for r in call.registrations if call.kind == "upsert"]
    there = [r for r in rows if not r.by_field or (r.person_key, r.written) in written]
    shared = [replace(found[r.person_key], registration=r) for r in there]
    if shared:
        await connection.execute(_SETTLE, [_settled(fate, now) for fate in shared])
        await connection.execute(insert(timeline), [_entry(fate, call, now) for fate in shared])


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
            "sent_at": bindparam("new_sent_at"),
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


def _claimed(row: Row[Any]) -> Claimed:
    return Claimed(
        id=RegistrationId(row.id),
        source=row.source,
        person_key=row.person_key,
        email=row.email,
        lead_id=row.lead_id,
        first_name=row.first_name,
        last_name=row.last_name,
        campaign_id=CampaignId(row.campaign_id),
        tokens=row.tokens,
        attempts=row.attempts,
        relooked=bool(row.relooked),
        created_at=row.created_at,
        came_at=row.came_at,
        expires_at=row.expires_at,
        person_hash=row.person_hash,
        fields=row.fields,
        by_field=bool(row.by_field),
        traceparent=row.traceparent,
    )
