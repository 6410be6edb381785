"""Search registrations as people do: by how a name, an address or a title begins. Reads only.

Each search is one or a few ranges of an index, read one after the other, in the index's order, and no further than the
page goes; so its cost does not grow with the table. What is found by one range is left out of the next: that is little,
since a range is only come to where the page still had room after those before it.
"""

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import NoneType
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal_column, not_, null, or_, select

from app.domain import RegistrationState
from app.store.database import Database
from app.store.lookup import registration_view
from app.store.people import People
from app.store.spelling import AFTER_ALL, GONE, spelt
from app.store.tables import registrations
from app.store.views import Page, RegistrationView, Wanted

_BY_TEXT = ("person_key", "name_key", "surname_key")
_BY_WEBINAR = ("webinar_key", "webinar_ref")
_RARE = frozenset({RegistrationState.DEAD, RegistrationState.IGNORED, RegistrationState.CANCELLED})
_A_BATCH = 1000  # rows of an export that are read at once


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page ended: in which range, at this key (None: nothing is sorted by) and this id."""

    range: int
    key: str | None
    id: str


@dataclass(frozen=True, slots=True)
class _Range:
    """One range of an index: rows whose `column` begins with `prefix`, or all of them by id, under conditions."""

    column: str | None
    prefix: str
    conditions: tuple[ColumnElement[bool], ...] = ()


@dataclass(frozen=True, slots=True)
class _Row:
    view: RegistrationView
    place: _Place


class Search:
    """Finds registrations for the console."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._people = People(database)

    async def registrations(self, wanted: Wanted, *, limit: int, cursor: str | None = None) -> Page[RegistrationView]:
        """Return a page of what was searched for: newest first, or in the order of what was searched by its beginning.

        Raises:
            ValueError: the cursor is none that this very search gave.
        """
        place = _read_cursor(wanted, cursor) if cursor is not None else None
        rows = await self._page(wanted, limit + 1, place)
        items = [row.view for row in rows[:limit]]
        more = len(rows) > limit
        return Page(items, _cursor(wanted, rows[limit - 1].place) if more else None)

    async def all(self, wanted: Wanted) -> AsyncIterator[RegistrationView]:
        """Yield everything that was searched for, a batch at a time, so that a large export holds no large memory."""
        place: _Place | None = None
        while rows := await self._page(wanted, _A_BATCH, place):
            for row in rows:
                yield row.view
            place = rows[-1].place

    async def _page(self, wanted: Wanted, limit: int, place: _Place | None) -> list[_Row]:
        gone = await self._gone(wanted.text)
        if _is_by_time(wanted):
            return await self._newest(wanted, gone, limit, place)
        rows: list[_Row] = []
        async with self._database.read() as connection:
            for n, one in enumerate(_ranges(wanted, gone)):
                if len(rows) < limit and (place is None or place.range <= n):
                    here = place if place and place.range == n else None
                    found = await connection.execute(_statement(one, wanted, here).limit(limit - len(rows)))
                    rows += [
                        _Row(registration_view(row), _Place(n, row["found_by"], row["id"])) for row in found.mappings()
                    ]
        return rows

    async def _gone(self, text: str | None) -> str | None:
        """Return what was left of a whole address when it was blanked, if that is what is searched for."""
        key = (text or "").strip().lower()
        return GONE + self._people.sealed(key) if "@" in key and await self._people.is_ready() else None

    async def _newest(self, wanted: Wanted, gone: str | None, limit: int, place: _Place | None) -> list[_Row]:
        """Merge ranges that are each sorted by time."""
        rows: list[_Row] = []
        async with self._database.read() as connection:
            for one in _ranges(wanted, gone):
                found = await connection.execute(_statement(one, wanted, place).limit(limit))
                rows += [_Row(registration_view(row), _Place(0, None, row["id"])) for row in found.mappings()]
        return sorted(rows, key=lambda row: row.place.id, reverse=True)[:limit]


def _is_by_time(wanted: Wanted) -> bool:
    """Tell whether the newest come first: nothing is searched by its beginning, or among few only."""
    among_few = bool(wanted.states) and wanted.states <= _RARE
    return among_few or not (spelt(wanted.text) or spelt(wanted.webinar))


def _ranges(wanted: Wanted, gone: str | None) -> Iterator[_Range]:
    text, webinar = spelt(wanted.text), spelt(wanted.webinar)
    columns = _BY_TEXT[:1] if text and "@" in text else _BY_TEXT
    is_gone = (unindexed(registrations.c.person_key) == gone,) if gone else ()
    of_text = (or_(_one_begins(columns, text), *is_gone),) if text else ()
    of_webinar = (_one_begins(_BY_WEBINAR, webinar),) if webinar else ()
    if _is_by_time(wanted) and wanted.states:  # one by one: an IN finds no partial index
        for state in sorted(wanted.states):
            yield _Range(None, "", (registrations.c.state == state, *of_text, *of_webinar))
    elif text:
        yield from _prefix_ranges(columns, text, of_webinar)
        if gone:
            yield _Range("person_key", gone, of_webinar)
    elif webinar:
        yield from _prefix_ranges(_BY_WEBINAR, webinar, ())
    else:
        yield _Range(None, "")


def _prefix_ranges(columns: Sequence[str], prefix: str, also: tuple[ColumnElement[bool], ...]) -> Iterator[_Range]:
    for n, column in enumerate(columns):
        found_before = (_does_not_begin(earlier, prefix) for earlier in columns[:n])
        yield _Range(column, prefix, (*found_before, *also))


def _begins(column: ColumnElement[str], prefix: str) -> ColumnElement[bool]:
    return and_(column >= prefix, column < prefix + AFTER_ALL)


def _one_begins(columns: Sequence[str], prefix: str) -> ColumnElement[bool]:
    return or_(*(_begins(unindexed(registrations.c[column]), prefix) for column in columns))


def _does_not_begin(column: str, prefix: str) -> ColumnElement[bool]:
    return not_(_begins(unindexed(registrations.c[column]), prefix))


def _statement(one: _Range, wanted: Wanted, place: _Place | None) -> Select[tuple[Any, ...]]:
    c = registrations.c
    limits = (*one.conditions, *_limits(wanted, is_sorted=one.column is not None))
    if one.column is None:
        statement = select(registrations, null().label("found_by")).where(*limits).order_by(c.id.desc())
        return statement.where(c.id < place.id) if place else statement
    key = c[one.column]
    behind = (key >= place.key, or_(key > place.key, c.id < place.id)) if place else ()
    begins = _begins(key, one.prefix)
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


def _cursor(wanted: Wanted, place: _Place) -> str:
    text = json.dumps([_digest(wanted), place.range, place.key, place.id], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(wanted: Wanted, cursor: str) -> _Place:
    try:
        digest, number, key, last_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError, RecursionError):
        raise ValueError("the cursor is none that this search gave") from None
    kinds = (int, NoneType if _is_by_time(wanted) else str, str)
    fits = all(isinstance(value, kind) for value, kind in zip((number, key, last_id), kinds, strict=True))
    if digest != _digest(wanted) or not fits or not (last_id + (key or "")).isprintable():
        raise ValueError("the cursor is none that this search gave")
    return _Place(number, key, last_id)


def _digest(wanted: Wanted) -> str:
    said = [wanted.text, wanted.webinar, wanted.source, sorted(wanted.states), wanted.cause]
    times = [at.isoformat() if at else None for at in (wanted.since, wanted.until)]
    return hashlib.sha256(json.dumps([*said, *times]).encode()).hexdigest()[:16]
