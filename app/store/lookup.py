"""Look up what became of registrations and events. Reads only."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import EventState, RegistrationState
from app.store.database import Database
from app.store.people import People
from app.store.spelling import GONE
from app.store.tables import calls, events, registrations, timeline
from app.store.views import CallView, EventView, Page, RegistrationFilter, RegistrationView, TimelineEntry

_CURSOR = re.compile(r"reg_[0-9a-z]{1,36}")


class Lookup:
    """Answers the questions of the admin API."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._people = People(database)

    async def registrations(
        self, which: RegistrationFilter, *, limit: int, cursor: str | None = None
    ) -> Page[RegistrationView]:
        """Return registrations, newest first, from behind the cursor on.

        Raises:
            ValueError: the cursor is not one that this method gave.
        """
        if cursor is not None and not _CURSOR.fullmatch(cursor):
            raise ValueError("the cursor is not one that this list gave")
        keys = await self._keys_of(which.email)
        found: list[RegistrationView] = []
        async with self._database.read() as connection:
            for key in keys:  # one by one: of both at once, all would be read and sorted
                statement = _listed(which, key, cursor).limit(limit + 1)
                found += [registration_view(row) for row in (await connection.execute(statement)).mappings()]
        found.sort(key=lambda one: one.id, reverse=True)
        items = found[:limit]
        return Page(items, items[-1].id if len(found) > limit else None)

    async def _keys_of(self, email: str | None) -> list[str | None]:
        """Return what may stand where a person's key stands: the address, and what was left when it was blanked."""
        if email is None:
            return [None]
        key = email.lower()
        return [key, GONE + self._people.sealed(key)] if await self._people.is_ready() else [key]

    async def registration(self, registration_id: str) -> RegistrationView | None:
        """Return one registration with its timeline and calls, None when there is none."""
        async with self._database.read() as connection:
            statement = select(registrations).where(registrations.c.id == registration_id)
            row = (await connection.execute(statement)).mappings().one_or_none()
            if row is None:
                return None
            entries = await _timeline(connection, registration_id)
            made = await call_views(connection, {entry.call_id for entry in entries} | {row["call_id"]})
        return registration_view(row, entries, made)

    async def event(self, event_id: str) -> EventView | None:
        """Return one event with the registrations that it made or touched, None when there is none."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(events).where(events.c.id == event_id))).mappings().one_or_none()
            if row is None:
                return None
            touched = await connection.execute(
                select(timeline.c.registration_id).where(timeline.c.event_id == event_id).distinct()
            )
            return _event(row, sorted(touched.scalars()), await _timeline(connection, event_id))

    async def counts(self) -> Mapping[RegistrationState, int]:
        """Return how many registrations are in each state."""
        c = registrations.c
        async with self._database.read() as connection:
            rows = await connection.execute(select(c.state, func.count()).group_by(c.state))
            return {RegistrationState(row[0]): row[1] for row in rows}


def _listed(which: RegistrationFilter, person_key: str | None, cursor: str | None) -> Select[tuple[Any]]:
    c = registrations.c
    statement = select(registrations).order_by(c.id.desc())
    if cursor is not None:
        statement = statement.where(c.id < cursor)
    if person_key is not None:
        statement = statement.where(c.person_key == person_key)
    if which.source is not None:
        statement = statement.where(c.source == which.source)
    if which.state is not None:
        statement = statement.where(c.state == which.state)
    if which.webinar_id is not None:
        statement = statement.where(c.webinar_id == which.webinar_id)
    return statement


async def _timeline(connection: AsyncConnection, registration_id: str) -> list[TimelineEntry]:
    c = timeline.c
    rows = await connection.execute(select(timeline).where(c.registration_id == registration_id).order_by(c.id))
    return [TimelineEntry(row.at, row.what, row.detail, row.event_id, row.call_id) for row in rows]


async def call_views(connection: AsyncConnection, wanted: set[str | None]) -> list[CallView]:
    """Return these calls as others see them, oldest first."""
    ids = [call_id for call_id in wanted if call_id]
    rows = await connection.execute(select(calls).where(calls.c.id.in_(ids)).order_by(calls.c.started_at))
    names = CallView.__dataclass_fields__
    return [CallView(**{name: row[name] for name in names}) for row in rows.mappings()]


def registration_view(
    row: Mapping[Any, Any], entries: Sequence[TimelineEntry] = (), made: Sequence[CallView] = ()
) -> RegistrationView:
    """Return a row of the table as others see it."""
    names = set(RegistrationView.__dataclass_fields__) - {"timeline", "calls", "state"}
    values = {name: row[name] for name in names}
    return RegistrationView(**values, state=RegistrationState(row["state"]), timeline=entries, calls=made)


def _event(row: Mapping[Any, Any], touched: Sequence[str], entries: Sequence[TimelineEntry]) -> EventView:
    names = set(EventView.__dataclass_fields__) - {"registrations", "state", "body", "timeline"}
    values: dict[str, Any] = {name: row[name] for name in names} | {"registrations": touched, "timeline": entries}
    return EventView(**values, state=EventState(row["state"]), body=row["body"] or b"")
