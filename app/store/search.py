"""Search registrations as people do: by how a name, an address or a title begins. Reads only.

Each search is one or a few ranges of an index, read in the index's order and no further than the page goes; so its
cost does not grow with the table. What is found by one range is left out of the next.
"""

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from types import NoneType
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal_column, not_, null, or_, select

from app.store.database import Database
from app.store.lookup import registration_view
from app.store.spelling import AFTER_ALL, spelt
from app.store.tables import registrations
from app.store.views import Found, RegistrationView, Wanted

_BY_TEXT = ("person_key", "name_key", "surname_key")
_BY_WEBINAR = ("webinar_key", "webinar_ref")
_A_BATCH = 1000  # rows of an export that are read at once


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page ended: at this key (None: nothing is sorted by) and this id."""

    key: str | None
    id: str


@dataclass(frozen=True, slots=True)
class _Range:
    """One range of an index: rows whose `column` begins with `prefix`, or all of them by id, under conditions."""

    column: str | None
    prefix: str
    conditions: tuple[ColumnElement[bool], ...] = ()


class Search:
    """Finds registrations for the console."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def registrations(self, wanted: Wanted, *, limit: int, cursor: str | None = None) -> Found:
        """Return a page of what was searched for.

        Raises:
            ValueError: the cursor is none that this very search gave.
        """
        place = _read_cursor(wanted, cursor) if cursor is not None else None
        rows = await self._page(wanted, limit + 1, place)
        items = [registration_view(row) for row in rows[:limit]]
        more = len(rows) > limit
        return Found(items, _cursor(wanted, _place_of(rows[limit - 1])) if more else None)

    async def all(self, wanted: Wanted) -> AsyncIterator[RegistrationView]:
        """Yield everything that was searched for, a batch at a time, so that a large export holds no large memory."""
        place: _Place | None = None
        while rows := await self._page(wanted, _A_BATCH, place):
            for row in rows:
                yield registration_view(row)
            place = _place_of(rows[-1])

    async def _page(self, wanted: Wanted, limit: int, place: _Place | None) -> Sequence[Any]:
        rows: list[Any] = []
        async with self._database.read() as connection:
            for one in _ranges(wanted):
                rows += (await connection.execute(_statement(one, wanted, place).limit(limit))).mappings()
        rows.sort(key=lambda row: row["id"], reverse=True)
        rows.sort(key=lambda row: row["found_by"] or "")
        return list(islice(rows, limit))


def _ranges(wanted: Wanted) -> Iterator[_Range]:
    text, webinar = wanted.text and spelt(wanted.text), wanted.webinar and spelt(wanted.webinar)
    also = (or_(*(_begins(column, webinar) for column in _BY_WEBINAR)),) if text and webinar else ()
    if text:
        columns = _BY_TEXT[:1] if "@" in text else _BY_TEXT
        yield from _prefix_ranges(columns, text, also)
    elif webinar:
        yield from _prefix_ranges(_BY_WEBINAR, webinar, ())
    elif wanted.states:  # one by one: an IN finds no partial index
        yield from (_Range(None, "", (registrations.c.state == state,)) for state in sorted(wanted.states))
    else:
        yield _Range(None, "")


def _prefix_ranges(columns: Sequence[str], prefix: str, also: tuple[ColumnElement[bool], ...]) -> Iterator[_Range]:
    for n, column in enumerate(columns):
        found_before = (_does_not_begin(earlier, prefix) for earlier in columns[:n])
        yield _Range(column, prefix, (*found_before, *also))


def _begins(column: str, prefix: str) -> ColumnElement[bool]:
    c = registrations.c[column]
    return and_(c >= prefix, c < prefix + AFTER_ALL)


def _does_not_begin(column: str, prefix: str) -> ColumnElement[bool]:
    return or_(registrations.c[column].is_(None), not_(_begins(column, prefix)))


def _statement(one: _Range, wanted: Wanted, place: _Place | None) -> Select[tuple[Any, ...]]:
    c = registrations.c
    limits = (*one.conditions, *_limits(wanted, is_sorted=one.column is not None))
    if one.column is None:
        statement = select(registrations, null().label("found_by")).where(*limits).order_by(c.id.desc())
        return statement.where(c.id < place.id) if place else statement
    key = c[one.column]
    behind = (key >= place.key, or_(key > place.key, c.id < place.id)) if place else ()
    begins = _begins(one.column, one.prefix)
    return select(registrations, key.label("found_by")).where(begins, *limits, *behind).order_by(key, c.id.desc())


def _limits(wanted: Wanted, *, is_sorted: bool) -> Iterator[ColumnElement[bool]]:
    c = registrations.c
    state, source, row_id = (unindexed(x) if is_sorted else x for x in (c.state, c.source, c.id))
    if wanted.states:
        yield state.in_(sorted(wanted.states))
    if wanted.source:
        yield source == wanted.source
    if wanted.cause:
        yield c.cause == wanted.cause
    if wanted.since:  # ids begin with the time
        yield row_id >= first_id("reg", wanted.since)
    if wanted.until:
        yield row_id < first_id("reg", wanted.until)


def unindexed(column: ColumnElement[str]) -> ColumnElement[str]:
    """Keep the planner from another index than the sorted one: it would read all of that and sort it."""
    return func.coalesce(column, literal_column("''"))


def first_id(prefix: str, at: datetime) -> str:
    """Return what sorts before every id that was made at this moment or later, and behind all earlier ones."""
    return f"{prefix}_{max(0, int(at.timestamp() * 1000)):012x}"


def _place_of(row: Any) -> _Place:
    return _Place(row["found_by"], row["id"])


def _cursor(wanted: Wanted, place: _Place) -> str:
    text = json.dumps([_digest(wanted), place.key, place.id], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(wanted: Wanted, cursor: str) -> _Place:
    try:
        digest, key, last_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError, RecursionError):
        raise ValueError("the cursor is none that this search gave") from None
    is_sorted = bool(wanted.text and spelt(wanted.text)) or bool(wanted.webinar and spelt(wanted.webinar))
    fits = digest == _digest(wanted) and isinstance(last_id, str) and isinstance(key, str if is_sorted else NoneType)
    if not fits or not (last_id + (key or "")).isprintable():
        raise ValueError("the cursor is none that this search gave")
    return _Place(key, last_id)


def _digest(wanted: Wanted) -> str:
    said = [wanted.text, wanted.webinar, wanted.source, sorted(wanted.states), wanted.cause]
    times = [at.isoformat() if at else None for at in (wanted.since, wanted.until)]
    return hashlib.sha256(json.dumps([*said, *times]).encode()).hexdigest()[:16]
