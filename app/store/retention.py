"""Blank what is kept of people once the retention time has passed, in small steps; what became of it stays.

In the place of the person's key stands a keyed hash of it, so that whoever asks to be forgotten can still be found.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import FINAL_STATES
from app.store.database import Database
from app.store.people import People
from app.store.search import first_id
from app.store.spelling import GONE
from app.store.tables import calls, events, registrations, timeline

A_STEP = 60  # webhooks, registrations and calls each
BLANK_EVENT: dict[str, Any] = {"body": None, "headers": {}, "fetched": null(), "detail": None}
_BLANK: dict[str, Any] = {
    "email": None,
    "lead_id": None,
    "first_name": None,
    "last_name": None,
    "name_key": None,
    "surname_key": None,
    "subject": None,
    "detail": None,
    "tokens": {},
    "fields": {},
    "shown_tokens": null(),
    "shown_fields": null(),
    "batch_key": "",
}


@dataclass(frozen=True, slots=True)
class Purged:
    """How much one step blanked."""

    events: int
    registrations: int
    calls: int

    def __bool__(self) -> bool:
        return bool(self.events or self.registrations or self.calls)


class Retention:
    """Blanks what ended longer ago than `keep`. Only the leader uses it."""

    def __init__(self, database: Database, *, keep: timedelta) -> None:
        self._database = database
        self._people = People(database)
        self._keep = keep

    async def step(self, now: datetime, *, limit: int = A_STEP) -> Purged:
        """Blank at most `limit` webhooks, registrations and calls, the oldest, each in a transaction of its own."""
        await self._people.prepare()
        until = now - self._keep
        async with self._database.write() as connection:
            blanked = await _blank_events(connection, until, limit)
        async with self._database.write() as connection:
            purged = await self._blank_registrations(connection, until, now, limit)
        async with self._database.write() as connection:
            silenced = await _blank_calls(connection, until, limit)
        return Purged(blanked, purged, silenced)

    async def _blank_registrations(
        self, connection: AsyncConnection, until: datetime, now: datetime, limit: int
    ) -> int:
        c = registrations.c
        old = (
            select(c.id, c.person_key)
            .where(c.purged_at.is_(None), c.id < first_id("reg", until))
            .where(c.updated_at < until, c.state.in_(sorted(FINAL_STATES)))
            .order_by(c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        rows: list[dict[str, Any]] = [
            {"this_id": row.id, "hashed": GONE + self._people.sealed(row.person_key), "at": now}
            for row in await connection.execute(old)
        ]
        if rows:
            await connection.execute(_PURGE, rows)
            await connection.execute(
                update(timeline)
                .where(timeline.c.registration_id.in_([row["this_id"] for row in rows]), timeline.c.detail != "")
                .values(detail="")
            )
        return len(rows)


_PURGE = (
    update(registrations)
    .where(registrations.c.id == bindparam("this_id"))
    .values({**_BLANK, "person_key": bindparam("hashed"), "purged_at": bindparam("at")})
)


async def _blank_events(connection: AsyncConnection, until: datetime, limit: int) -> int:
    c = events.c
    old = (
        select(c.id)
        .where(c.settled_at < until, c.settled_at.is_not(None), c.body.is_not(None))
        .order_by(c.settled_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return await blank_events(connection, list((await connection.execute(old)).scalars()))


async def blank_events(connection: AsyncConnection, ids: list[str]) -> int:
    """Blank these webhooks, whatever is in them."""
    if ids:
        await connection.execute(update(events).where(events.c.id.in_(ids)).values(BLANK_EVENT))
    return len(ids)


async def _blank_calls(connection: AsyncConnection, until: datetime, limit: int) -> int:
    """Blank what Marketo said in words: it may name people."""
    c = calls.c
    old = (
        select(c.id)
        .where(c.started_at < until, c.message.is_not(None))
        .order_by(c.started_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = list((await connection.execute(old)).scalars())
    if ids:
        await connection.execute(update(calls).where(c.id.in_(ids)).values(message=None))
    return len(ids)
