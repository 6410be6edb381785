"""Dead letters: what needs a person, webhooks and registrations alike, by cause. Reads only.

Their ids begin with `evt_` and `reg_`, so one order by id serves both: registrations first, each newest first. What
was blanked since, when its time was over or on somebody's wish, is none any more: nobody could take it up again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Select, Table, and_, func, literal, null, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.database import Database
from app.store.tables import events, registrations

_CURSOR = re.compile(r"(evt|reg)_[0-9a-z]{1,36}")


@dataclass(frozen=True, slots=True)
class DeadFilter:
    """Which dead letters to list; None means any. A webhook that was not understood belongs to no webinar."""

    cause: str | None = None
    source: str | None = None
    webinar_id: str | None = None


@dataclass(frozen=True, slots=True)
class DeadCount:
    """How many died of one cause."""

    cause: str
    registrations: int
    events: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One of them: a registration, or a webhook of which none could be made."""

    id: str
    source: str
    cause: str
    detail: str | None
    webinar_id: str | None
    email: str | None
    lead_id: int | None
    died_at: datetime


@dataclass(frozen=True, slots=True)
class DeadPage:
    """`causes` counts all dead letters, whatever the filter. `next_cursor` continues the items, None at the end."""

    causes: Sequence[DeadCount]
    items: Sequence[DeadLetter]
    next_cursor: str | None


class DeadLetters:
    """What an operator looks through."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, which: DeadFilter, *, limit: int, cursor: str | None = None) -> DeadPage:
        """Return how many there are of each cause, and a page of those that the filter wants.

        Raises:
            ValueError: the cursor is not one that this method gave.
        """
        if cursor is not None and not _CURSOR.fullmatch(cursor):
            raise ValueError("the cursor is not one that this list gave")
        async with self._database.read() as connection:
            causes = await count_dead(connection)
            found: list[DeadLetter] = []
            for statement in _listed(which, cursor):
                if len(found) <= limit:
                    page = await connection.execute(statement.limit(limit + 1 - len(found)))
                    found += [DeadLetter(*row) for row in page]
        items = found[:limit]
        return DeadPage(causes, items, items[-1].id if len(found) > limit else None)


def is_letter(table: Table) -> ColumnElement[bool]:
    """Return what is true of a dead registration, or webhook, that can still be taken up again."""
    c = table.c
    return and_(c.state == "dead", c.purged_at.is_(None) if table is registrations else c.body.is_not(None))


async def count_dead(connection: AsyncConnection) -> list[DeadCount]:
    """Return how many died of each cause, the most frequent first."""
    return _by_cause((await connection.execute(_counted())).all())


def _counted() -> CompoundSelect[tuple[Any, ...]]:
    return union_all(*(_counts(table, kind) for kind, table in enumerate((registrations, events))))


def _counts(table: Table, kind: int) -> Select[tuple[Any, ...]]:
    c = table.c
    return select(c.cause, literal(kind), func.count()).where(is_letter(table)).group_by(c.cause)


def _by_cause(rows: Sequence[Any]) -> list[DeadCount]:
    found: dict[str, list[int]] = {}
    for cause, kind, count in rows:
        found.setdefault(cause or "", [0, 0])[kind] = count
    counts = [DeadCount(cause, *both) for cause, both in found.items()]
    return sorted(counts, key=lambda one: (-one.registrations - one.events, one.cause))


def _listed(which: DeadFilter, cursor: str | None) -> list[Select[tuple[Any, ...]]]:
    r, e = registrations.c, events.c
    of_registrations = select(r.id, r.source, r.cause, r.detail, r.webinar_id, r.email, r.lead_id, r.updated_at)
    of_events = select(e.id, e.source, e.cause, e.detail, null(), null(), null(), e.settled_at)
    both = [(registrations, of_registrations), (events, of_events)]
    if which.webinar_id is not None:
        both = [(registrations, of_registrations.where(r.webinar_id == which.webinar_id))]
    return [_narrowed(table, statement, which, cursor) for table, statement in both]


def _narrowed(
    table: Table, statement: Select[tuple[Any, ...]], which: DeadFilter, cursor: str | None
) -> Select[tuple[Any, ...]]:
    c = table.c
    statement = statement.where(is_letter(table)).order_by(c.id.desc())
    if which.cause is not None:
        statement = statement.where(c.cause == which.cause)
    if which.source is not None:
        statement = statement.where(c.source == which.source)
    return statement if cursor is None else statement.where(c.id < cursor)
