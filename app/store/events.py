"""The queue of events: claim what is due, settle it, or put it back."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, bindparam, case, func, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import Cause, Event, EventId, EventState, Json
from app.store.database import Database
from app.store.heads import fair, sources_of
from app.store.leases import hold_on
from app.store.tables import events


@dataclass(frozen=True, slots=True)
class EventFate:
    """How one claimed event is settled. `fetched` is kept, so that a replay need not fetch again."""

    event: Event
    state: EventState
    cause: Cause | None = None
    detail: str | None = None
    fetched: Json = None
    due_at: datetime | None = None  # for `waiting`: when to try again


SUSPECT, GUILTY = 2, 4  # leaders that ended while they read an event: then it is read alone; then no more
LONG = timedelta(seconds=5)  # in hand when the next leader comes; what is read in no time is there by chance


class EventQueue:
    """The events that wait to be mapped. Only the leader claims; its fence marks what is in its hands."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self, *, now: datetime, fence: int, limit: int, held: Mapping[str, int] | None = None, most: int | None = None
    ) -> list[Event]:
        """Take up to `limit` due events: an equal share a source, the oldest of each.

        Of a source of which `held` are in hand, at most so many more that there are `most`.
        Keys that count only while an event is pending are forgotten. Suspects are left to `claim_suspect`.
        """
        async with self._database.read() as connection:
            lines = {
                source: list((await connection.execute(_line(source, now, room))).scalars())
                for source in await sources_of(connection, events, EventState.WAITING)
                if (room := limit if most is None else min(limit, most - (held or {}).get(source, 0))) > 0
            }
        return await self._take(fair(lines, limit), fence, now)

    async def claim_suspect(self, *, now: datetime, fence: int) -> Event | None:
        """Take one event in whose reading several leaders ended, to be read with nothing else in hand."""
        c = events.c
        async with self._database.read() as connection:
            one = (
                select(c.id)
                .where(c.state == EventState.WAITING, c.claimed_by.is_(None), c.interrupted >= SUSPECT)
                .order_by(c.due_at, c.id)
                .limit(1)
            )
            ids = list((await connection.execute(one)).scalars())
        return next(iter(await self._take(ids, fence, now)), None)

    async def _take(self, ids: Sequence[str], fence: int, now: datetime) -> list[Event]:
        c = events.c
        due = (
            select(c.id)
            .where(c.id.in_(ids), c.state == EventState.WAITING, c.claimed_by.is_(None))
            .order_by(c.id)
            .with_for_update(skip_locked=True)  # SQLite has one writer: no-op there
            .cte("due")
        )
        claim = (
            update(events)
            .where(c.id.in_(select(due.c.id)))
            .values(
                claimed_by=fence,
                claimed_at=now,
                attempts=c.attempts + 1,
                dedupe_key=case((c.dedupe_scope == "pending", null()), else_=c.dedupe_key),
            )
            .returning(events)
        )
        if not ids:
            return []
        async with self._database.write() as connection:
            await hold_on(connection, fence)
            rows = (await connection.execute(claim)).all()
        return sorted((event_of(row) for row in rows), key=lambda event: (event.received_at, event.id))

    async def free(self, *, fence: int, but: Collection[EventId]) -> int:
        """Free what carries our fence and is not in our hands: a claim may have been stored and its answer lost."""
        c = events.c
        loose = update(events).where(c.state == EventState.WAITING, c.claimed_by == fence, c.id.not_in(but))
        async with self._database.write() as connection:
            return (await connection.execute(loose.values(claimed_by=None))).rowcount

    async def next_due(self) -> datetime | None:
        """Return when the next unclaimed event becomes due; None when none waits."""
        c = events.c
        async with self._database.read() as connection:
            found: datetime | None = await connection.scalar(
                select(c.due_at)
                .where(c.state == EventState.WAITING, c.claimed_by.is_(None))
                .order_by(c.due_at)
                .limit(1)
            )
            return found

    async def waiting(self) -> tuple[int, datetime | None]:
        """Return how many events wait, and when the oldest of them came."""
        c = events.c
        async with self._database.read() as connection:
            row = (
                await connection.execute(
                    select(func.count(), func.min(c.received_at)).where(c.state == EventState.WAITING)
                )
            ).one()
            return row[0], row[1]


def _line(source: str, now: datetime, limit: int) -> Select[str]:
    c = events.c
    return (
        select(c.id)
        .where(c.source == source, c.state == EventState.WAITING, c.due_at <= now, c.claimed_by.is_(None))
        .where(c.interrupted < SUSPECT)
        .order_by(c.due_at, c.id)
        .limit(limit)
    )


async def settle_events(
    connection: AsyncConnection, fates: Sequence[EventFate], *, fence: int, now: datetime
) -> set[EventId]:
    """Write these fates in the caller's transaction; return the events that were ours to settle.

    An event that another leader holds by now, or that was claimed again meanwhile, is left alone.
    """
    c = events.c
    ids = [fate.event.id for fate in fates]
    held = await connection.execute(
        select(c.id, c.attempts).where(c.id.in_(ids), c.claimed_by == fence).with_for_update()
    )
    attempts = {row.id: row.attempts for row in held}
    ours = [fate for fate in fates if attempts.get(fate.event.id) == fate.event.attempts]
    by_shape: dict[frozenset[str], list[dict[str, Any]]] = {}
    for fate in ours:
        row = _settled(fate, now)
        by_shape.setdefault(frozenset(row), []).append(row)
    for shape, rows in by_shape.items():  # rows of one shape are one statement: the time here is every accept's
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in shape if name != "id"}
        statement = update(events).where(c.id == bindparam("new_id")).values(values)
        await connection.execute(statement, [{f"new_{name}": value for name, value in row.items()} for row in rows])
    return {fate.event.id for fate in ours}


def _settled(fate: EventFate, now: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {"id": fate.event.id, "state": fate.state, "cause": fate.cause, "detail": fate.detail}
    row |= {"claimed_by": None, "interrupted": 0}
    if fate.fetched is not None:
        row["fetched"] = fate.fetched
    if fate.state is EventState.WAITING:
        return row | {"due_at": fate.due_at or now}
    return row | {"settled_at": now}


def event_of(row: Row[Any]) -> Event:
    """Return a row of the table as sources and the judge read it."""
    return Event(
        id=EventId(row.id),
        source=row.source,
        received_at=row.received_at,
        headers=row.headers,
        body=row.body or b"",
        fetched=row.fetched,
        attempts=row.attempts,
        replayed_at=row.replayed_at,
        traceparent=row.traceparent,
    )
