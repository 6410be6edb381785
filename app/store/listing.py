"""List what came and what happened: webhooks, requests to Marketo, and the activity of all. Reads only.

Ids begin with the time, so that every list is read from the end of a primary key, no further than the page goes.
"""

import re
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import Clock, EventState
from app.store.database import Database
from app.store.finding import Calls
from app.store.overview import Overview, waits
from app.store.search import first_id, unindexed
from app.store.tables import calls, events, registrations, timeline
from app.store.tallies import Stats
from app.store.views import (
    ActivityFilter,
    ActivityLine,
    ActivityPage,
    CallFilter,
    CallView,
    CallWithRegistrations,
    EventFilter,
    EventLine,
    Page,
)

_EVENT = re.compile(r"evt_[0-9a-z]{1,36}")
_CALL = re.compile(r"call_[0-9a-z]{1,35}")
_PLACE = re.compile(r"([0-9]{1,18})\.((?:evt_[0-9a-z]{1,36})?)")
# PostgreSQL's transactions end in another order than their ids were given: what is so young is left for the next page.
_SETTLES = timedelta(seconds=1)
_LOOKED_THROUGH = 20_000  # entries of all timelines at once, for those of one source
_NO_CURSOR = "the cursor is none that this list gave"


class Listing:
    """Answers what came and what happened, a page at a time."""

    def __init__(self, database: Database, *, clock: Clock, looked_through: int = _LOOKED_THROUGH) -> None:
        self._database = database
        self._clock = clock
        self._looked_through = looked_through

    async def events(self, which: EventFilter, *, limit: int, cursor: str | None = None) -> Page[EventLine]:
        """Return webhooks, newest first, from behind the cursor on.

        Raises:
            ValueError: the cursor is none that this list gave.
        """
        c = events.c
        within = [*_between(c.id, "evt", which.since, which.until), *_behind(c.id, cursor, _EVENT)]
        columns = [c[field.name] for field in fields(EventLine)]
        found: list[Any] = []
        async with self._database.read() as connection:
            for one, key in _event_ranges(which):
                statement = select(*columns).where(*one, *within).order_by(key.desc()).limit(limit + 1)
                found += (await connection.execute(statement)).mappings()
        found.sort(key=lambda row: row["id"], reverse=True)
        items = [EventLine(**{**row, "state": EventState(row["state"])}) for row in found[:limit]]
        return Page(items, items[-1].id if len(found) > limit else None)

    async def calls(self, which: CallFilter, *, limit: int, cursor: str | None = None) -> Page[CallView]:
        """Return requests to Marketo, newest first, from behind the cursor on.

        Raises:
            ValueError: the cursor is none that this list gave.
        """
        c = calls.c
        limits = [*_between(c.id, "call", which.since, which.until), *_behind(c.id, cursor, _CALL)]
        limits += [c.kind == which.kind] if which.kind else []
        limits += [c.outcome == which.outcome] if which.outcome else []
        columns = [c[field.name] for field in fields(CallView)]
        async with self._database.read() as connection:
            statement = select(*columns).where(*limits).order_by(c.id.desc()).limit(limit + 1)
            found = (await connection.execute(statement)).mappings().all()
        items = [CallView(**row) for row in found[:limit]]
        return Page(items, items[-1].id if len(found) > limit else None)

    async def call(self, call_id: str) -> CallWithRegistrations | None:
        """Return one request to Marketo with its registrations, None when there is none."""
        return await Calls(self._database).call(call_id)

    async def stats(self, sources: Sequence[str], *, since: datetime) -> Stats:
        """Return what came since then and how things stand now; it costs in proportion to what came."""
        now, overview = self._clock(), Overview(self._database)
        stand = await overview.now(sources, now, since=since, until=now, buckets=2, day_began=since)
        return Stats(since, now, stand, await overview.causes())

    async def activity(self, which: ActivityFilter, *, limit: int, cursor: str | None = None) -> ActivityPage:
        """Return what happened since the cursor; without one, the latest. What is younger than a second comes later.

        The latest of one source are those among the last 20,000 entries of all timelines; where they are too few, those
        of its newest registrations.

        It is for watching: on PostgreSQL, what a transaction of more than a second did may be left out.

        Raises:
            ValueError: the cursor is none that this list gave.
        """
        entry, event = _read_place(cursor) if cursor is not None else (None, None)
        settled = self._clock() - _SETTLES
        async with self._database.read() as connection:
            stretch = await _stretch(connection, entry, settled, self._looked_through)
            told, last_entry = await _entries(connection, which, stretch, limit, is_first=entry is None)
            came = [] if which.email else await _webhooks(connection, which, event, settled, limit)
        lines = [*(_webhook_line(row) for row in came), *(_entry_line(row) for row in told)]
        last_event = came[-1]["id"] if came else event or ""
        return ActivityPage(sorted(lines, key=lambda line: line.at), f"{last_entry}.{last_event}")


def _event_ranges(which: EventFilter) -> list[tuple[list[ColumnElement[bool]], ColumnElement[str]]]:
    """Return the ranges that are read one by one, each with what it is ordered by, so that it finds its own index."""
    c = events.c
    of_source = [c.source == which.source] if which.source else []
    some_waiting = [waits(), unindexed(c.source) == which.source] if which.source else [waits()]
    waiting, settled = (some_waiting, unindexed(c.id)), ([~waits(), *of_source], c.id)
    if which.state is EventState.WAITING:
        return [waiting]
    if which.state:
        return [([c.state == literal_column(f"'{which.state.value}'"), *settled[0]], c.id)]
    return [waiting, settled] if which.source else [([], c.id)]


def _between(
    column: ColumnElement[str], prefix: str, since: datetime | None, until: datetime | None
) -> list[ColumnElement[bool]]:
    limits = [column >= first_id(prefix, since)] if since else []
    return [*limits, column < first_id(prefix, until)] if until else limits


def _behind(column: ColumnElement[str], cursor: str | None, shape: re.Pattern[str]) -> list[ColumnElement[bool]]:
    if cursor is None:
        return []
    if not shape.fullmatch(cursor):
        raise ValueError(_NO_CURSOR)
    return [column < cursor]


def _read_place(cursor: str) -> tuple[int, str]:
    read = _PLACE.fullmatch(cursor)
    if read is None:
        raise ValueError(_NO_CURSOR)
    return int(read[1]), read[2]


async def _stretch(connection: AsyncConnection, after: int | None, settled: datetime, most: int) -> tuple[int, int]:
    """Return behind which entry and up to which one to look: the next behind a place, or the last; none too young."""
    t = timeline.c
    some = select(t.id, t.at).limit(most)
    read = (some.order_by(t.id.desc()) if after is None else some.where(t.id > after).order_by(t.id)).subquery()
    young = case((read.c.at > settled, read.c.id))
    ends = select(func.min(read.c.id), func.max(read.c.id), func.min(young))
    first, last, first_young = (await connection.execute(ends)).one()
    if first is None:
        return after or 0, after or 0
    return first - 1, last if first_young is None else first_young - 1


async def _entries(
    connection: AsyncConnection, which: ActivityFilter, stretch: tuple[int, int], limit: int, *, is_first: bool
) -> tuple[Sequence[Any], int]:
    """Return entries of timelines, oldest first, and the last one that was looked at with them.

    The next page begins behind it: behind the last of a quiet source's own, each page would read more of the others'.
    """
    t = timeline.c
    behind, until = stretch
    statement = _wanted(which).where(t.id <= until)
    if not is_first:
        rows = await _mapped(connection, statement.where(t.id > behind).order_by(t.id).limit(limit))
        return rows, rows[-1]["id"] if len(rows) == limit else until
    is_found_anywhere = which.source is None or which.email is not None
    latest = statement if is_found_anywhere else statement.where(t.id > behind)
    rows = await _mapped(connection, latest.order_by(t.id.desc()).limit(limit))
    if which.source and not is_found_anywhere and len(rows) < limit:
        rows += await _mapped(connection, _of_newest(which.source, behind, limit))
    return rows[:limit][::-1], until


def _wanted(which: ActivityFilter) -> Select[Any]:
    t, r = timeline.c, registrations.c
    joined = select(
        t.id, t.registration_id, t.at, t.what, t.detail, t.event_id, t.call_id, r.source, r.email, r.webinar_id
    ).join_from(timeline, registrations, t.registration_id == r.id)
    joined = joined.where(r.source == which.source) if which.source else joined
    return joined.where(r.person_key == which.email.lower()) if which.email else joined


def _of_newest(source: str, before: int, limit: int) -> Select[Any]:
    """Return the older entries of a source's newest registrations, which its own index finds."""
    t, r = timeline.c, registrations.c
    newest = select(r.id).where(r.source == source).order_by(r.id.desc()).limit(limit)
    older = _wanted(ActivityFilter()).where(t.registration_id.in_(newest.scalar_subquery()), t.id <= before)
    return older.order_by(t.id.desc()).limit(limit)


async def _mapped(connection: AsyncConnection, statement: Select[Any]) -> list[Any]:
    return list((await connection.execute(statement)).mappings())


async def _webhooks(
    connection: AsyncConnection, which: ActivityFilter, after: str | None, settled: datetime, limit: int
) -> Sequence[Any]:
    c = events.c
    statement = select(c.id, c.source, c.received_at, c.state, c.cause, c.detail)
    found: list[Any] = []
    for one, key in _event_ranges(EventFilter(source=which.source)):
        of_these = statement.where(*one)
        found += await _read(connection, of_these, (key, c.received_at), after=after, settled=settled, limit=limit)
    found.sort(key=lambda row: row["id"])
    return found[-limit:] if after is None else found[:limit]


async def _read(
    connection: AsyncConnection,
    statement: Select[Any],
    columns: tuple[ColumnElement[Any], ColumnElement[datetime]],
    *,
    after: object,
    settled: datetime,
    limit: int,
) -> Sequence[Any]:
    """Return the next rows behind a place, or the last ones; oldest first either way, none that is too young."""
    key, at = columns
    if after is None:
        rows = await connection.execute(statement.where(at <= settled).order_by(key.desc()).limit(limit))
        return list(rows.mappings())[::-1]
    rows = await connection.execute(statement.where(key > after).order_by(key).limit(limit))
    return list(takewhile(lambda row: row[at] <= settled, rows.mappings()))


def _entry_line(row: Any) -> ActivityLine:
    return ActivityLine(
        at=row["at"],
        kind="registration",
        id=row["registration_id"],
        source=row["source"],
        what=row["what"],
        detail=row["detail"],
        email=row["email"],
        webinar_id=row["webinar_id"],
        event_id=row["event_id"],
        call_id=row["call_id"],
    )


def _webhook_line(row: Any) -> ActivityLine:
    detail = row["detail"] or row["cause"] or ""
    return ActivityLine(
        row["received_at"], "webhook", row["id"], row["source"], row["state"], detail, event_id=row["id"]
    )
