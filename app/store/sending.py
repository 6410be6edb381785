"""The queue of registrations: claim those whose person or campaign is next, write the call down, settle its outcome.

A call is written before it is made and after it was answered, each time together with its registrations. All
writes are fenced: what another leader has taken over meanwhile is left alone.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Select,
    func,
    insert,
    select,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from app.domain import WAITING_STATES, CallId, CampaignId, Cause, RegistrationState, new_id
from app.store import fates, people
from app.store.claims import Call, CallKind, CallResult, Claimed
from app.store.database import Database
from app.store.fates import Fate
from app.store.heads import (
    MUCH_SPARE,
    SPARE,
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
from app.store.links import SHOWN
from app.store.sharing import Heed, enter
from app.store.tables import calls, registrations, timeline
from app.store.unsettled import Unsettled

_SENDING = RegistrationState.SENDING
NOT_MADE = CallResult("refused", message="Not made: the relay had lost its lease.")


class Sending:
    """What waits for Marketo, and what is under way. Only the leader uses it.

    `runs_on` is how long Marketo may go on with an upsert whose answer never came. `heed` is what each call must pass
    before it is written down, and may raise WindowTaken then.
    """

    def __init__(self, database: Database, *, runs_on: timedelta = people.RUNS_ON, heed: Heed | None = None) -> None:
        self._database = database
        self._heed = heed
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

    async def may_go_at(self, now: datetime, urgent_until: datetime, *, limit: int) -> datetime | None:
        """Return when somebody may be upserted, after a claim found nobody; None if that may be at once.

        The next of those who are held may be asked for again then, or somebody else's turn comes.
        """
        async with self._database.read() as connection:
            heads = await people_next(connection, now, urgent_until, lookup=False, most=limit + SPARE)
            hashes = {one.person_hash for line in heads.values() for one in line}
            held = (await people.held_until(connection, hashes, now)).values()
            later = (await connection.execute(_next_due(now))).scalars().all()
        return min([*held, *(at for at in later if at)]) if held else None

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
            await enter(connection, now, self._heed)
            until = urgent_until or now
            ids = await (_to_look_up if lookup else _to_upsert)(connection, now, until, limit)
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
        values = {"claimed_by": fence, "state": RegistrationState.SENDING, **SHOWN}
        campaign = backlog.campaign_id
        async with self._database.write() as connection:
            await enter(connection, now, self._heed)
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
        claimed = sorted((Claimed.of(row) for row in await connection.execute(claim)), key=lambda r: r.created_at)
        if not claimed:
            return None
        call = Call(call_id, kind, campaign_id, claimed)
        await _write_down(connection, call, fence, now)
        return call

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

    async def split(
        self, call: Call, part: Sequence[Claimed], *, again: CallId, fence: int, now: datetime
    ) -> Call | None:
        """Write down a further call, `again`, with those of a refused one's registrations that it still holds.

        None when it holds none of them. It may be repeated: the answer to the first time may have been lost.
        """
        c = registrations.c
        async with self._database.write() as connection:
            await enter(connection, now, self._heed)
            await hold_on(connection, fence)
            held = await connection.execute(
                update(registrations)
                .where(c.id.in_([r.id for r in part]), c.claimed_by == fence, c.call_id.in_([call.id, again]))
                .values(call_id=again)
                .returning(c.id)
            )
            ids = set(held.scalars())
            smaller = Call(again, call.kind, call.campaign_id, [r for r in part if r.id in ids])
            if not ids:
                return None
            first = self._database.insert_or_ignore(calls, on=["id"])
            await connection.execute(first.values(**_row(smaller), fence=fence, started_at=now))
            if call.kind == "upsert":
                await people.ask_again(connection, {r.person_hash for r in smaller.registrations}, now, self._runs_on)
        return smaller

    async def settle(
        self, call: Call, result: CallResult, told: Sequence[Fate], *, fence: int, now: datetime
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
            held = await fates.still_held(connection, call, fence)
            if call.kind == "upsert":
                asked = {r.person_hash for r in call.registrations if r.id in held}
                until = await people.answered(connection, asked, result.outcome, now, self._runs_on)
                told = [_left_alone(fate, until) for fate in told]
            ours = [fates.unless_refunded(fate, held) for fate in told if fate.registration.id in held]
            if ours:
                await fates.write(connection, call, ours, now)
                await self._learn(connection, ours, now)
        return ours

    async def not_made(self, call: Call, back: Sequence[Fate], *, fence: int, now: datetime) -> None:
        """Write down that nothing of this call was sent, and put its registrations back.

        Also those of a request that a later leader found, and counts as one whose answer was lost.
        """
        held = await self.settle(call, NOT_MADE, back, fence=fence, now=now)
        if call.kind == "trigger" and len(held) < len(back):
            await Unsettled(self._database).take_back(call.id, back[0].detail, now=now)

    async def _learn(self, connection: AsyncConnection, settled: Sequence[Fate], now: datetime) -> None:
        """Remember who was found, and forget whom Marketo no longer knows."""
        known = [f for f in settled if f.state is RegistrationState.KNOWN and f.lead_id is not None]
        await people.remember(
            self._database, connection, {f.registration.person_hash: f.lead_id for f in known if f.lead_id}, now
        )
        gone = {f.registration.person_hash: f.registration.lead_id for f in settled if f.is_gone}
        await people.forget(connection, {key: lead for key, lead in gone.items() if lead})

    async def expire(self, now: datetime) -> list[tuple[str, str]]:
        """Bury what could not be sent in time; return (source, id) of each."""
        async with self._database.write() as connection:
            gone = [row for state in WAITING_STATES for row in await connection.execute(_expired(state, now))]
            if gone:
                entry = {"at": now, "what": "dead"}
                texts = [
                    entry | {"registration_id": i, "detail": f"Not sent in time. Last: {detail or 'it waited.'}"}
                    for _, i, detail in gone
                ]
                await connection.execute(insert(timeline), texts)
        return [(source, i) for source, i, _ in gone]


def _left_alone(fate: Fate, until: datetime) -> Fate:
    """Let whoever is to be upserted again not be due before; else it would slow the others down and not go itself."""
    is_upserted_again = fate.state is RegistrationState.NEW and not fate.lookup
    return replace(fate, due_at=max(fate.due_at or until, until)) if is_upserted_again else fate


async def _write_down(connection: AsyncConnection, call: Call, fence: int, now: datetime) -> None:
    await connection.execute(insert(calls).values(**_row(call), fence=fence, started_at=now))


def _row(call: Call) -> dict[str, Any]:
    return {"id": call.id, "kind": call.kind, "campaign_id": call.campaign_id, "size": len(call.registrations)}


async def _to_look_up(connection: AsyncConnection, now: datetime, until: datetime, limit: int) -> list[PersonNext]:
    return fair(await people_next(connection, now, until, lookup=True, most=limit + SPARE), limit)


async def _to_upsert(connection: AsyncConnection, now: datetime, until: datetime, limit: int) -> list[PersonNext]:
    for most in (limit + SPARE, limit + MUCH_SPARE):
        heads = await people_next(connection, now, until, lookup=False, most=most)
        free = await _free(connection, heads, now)
        if all(free[source] or len(line) < most for source, line in heads.items()):
            break
    return fair(free, limit)


async def _free(
    connection: AsyncConnection, heads: Mapping[str, Sequence[PersonNext]], now: datetime
) -> dict[str, list[PersonNext]]:
    """Leave out who is in another upsert or was so lately."""
    c = registrations.c
    busy = await people.held_until(connection, {one.person_hash for line in heads.values() for one in line}, now)
    held = select(c.person_key).where(c.state == RegistrationState.NEW, c.claimed_by.is_not(None), c.lookup == 0)
    upserted = set((await connection.execute(held)).scalars())
    return {
        source: [one for one in line if one.person_hash not in busy and one.person_key not in upserted]
        for source, line in heads.items()
    }


def _next_due(now: datetime) -> CompoundSelect[tuple[Any]]:
    c = registrations.c
    later = select(func.min(c.due_at)).where(c.due_at > now, c.claimed_by.is_(None))
    # State by state: an IN finds no partial index.
    return union_all(*(later.where(c.state == state) for state in WAITING_STATES))


def _expired(state: RegistrationState, now: datetime) -> ReturningUpdate[tuple[Any, ...]]:
    c = registrations.c
    return (
        update(registrations)
        .where(c.state == state, c.expires_at <= now, c.claimed_by.is_(None))
        .values(state=RegistrationState.DEAD, cause=Cause.EXPIRED, updated_at=now)
        .returning(c.source, c.id, c.detail)
    )
