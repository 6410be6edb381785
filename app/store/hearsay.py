"""Find and blank the sentences that name one person and are not that person's: what calls were told, others' timelines.

Marketo's words are stored without addresses (see `app.marketo.failures`); a name or a lead's number can stand in them,
and a request that fails tells all whom it was for the same. What is read: every call with a message, which the
retention time bounds; by index, the timelines of whoever was in a failed call of the person's, or in one that names it.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, or_, select, union, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.batched import batched
from app.store.database import Database
from app.store.tables import calls, registrations, timeline

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Hearsay:
    """The calls whose message goes, and of others the entries of timelines and the registrations whose detail goes."""

    calls: Sequence[str] = ()
    entries: Sequence[int] = ()
    registrations: Sequence[str] = ()

    def __len__(self) -> int:
        """Return how many sentences there are; a registration only repeats the last of its timeline."""
        return len(self.calls) + len(self.entries)


def marks(keys: Iterable[str], lead_ids: Iterable[int], names: Iterable[str]) -> re.Pattern[str]:
    """Return what finds the person in a sentence: an address, a lead's number, a name, of which part is no mark."""
    numbers = [rf"(?<!\w){lead_id}(?!\w)" for lead_id in sorted(set(lead_ids))]
    words = [rf"(?<!\w){re.escape(name)}(?!\w)" for name in sorted(set(names)) if name]
    return re.compile("|".join([*map(re.escape, sorted(set(keys))), *numbers, *words]), re.IGNORECASE)


async def hear(database: Database, ids: Sequence[str], mark: re.Pattern[str]) -> Hearsay:
    """Return what was said of the person to whom these registrations belong, and change nothing."""
    saying = await _calls_saying(database, mark)
    async with database.read() as connection:
        own = (await connection.execute(_calls_of(ids))).all()
        failed = {row.id for row in own if row.outcome != "done"}
        others = await _in_calls(connection, failed | saying, but=set(ids))
        entries, told = await _details(connection, others, mark)
    return Hearsay(sorted({row.id for row in own if row.message is not None} | saying), entries, told)


async def hush(connection: AsyncConnection, said: Hearsay, ids: Sequence[str]) -> int:
    """Blank it, and whatever the calls of these registrations were told meanwhile; return how many sentences."""
    own = [row.id for row in await connection.execute(_calls_of(ids)) if row.message is not None]
    blanked = 0
    for some in batched(sorted({*said.calls, *own}), _AT_ONCE):
        silence = update(calls).where(calls.c.id.in_(some), calls.c.message.is_not(None)).values(message=None)
        blanked += (await connection.execute(silence)).rowcount
    for numbers in batched(said.entries, _AT_ONCE):
        blank = update(timeline).where(timeline.c.id.in_(numbers), timeline.c.detail != "").values(detail="")
        blanked += (await connection.execute(blank)).rowcount
    c = registrations.c
    for some in batched(said.registrations, _AT_ONCE):
        await connection.execute(select(c.id).where(c.id.in_(some)).order_by(c.id).with_for_update())
        await connection.execute(update(registrations).where(c.id.in_(some)).values(detail=None))
    return blanked


def _calls_of(ids: Sequence[str]) -> Select[tuple[Any, ...]]:
    t, r, c = timeline.c, registrations.c, calls.c
    told = select(t.call_id).where(t.registration_id.in_(ids), t.call_id.is_not(None))
    last = select(r.call_id).where(r.id.in_(ids), r.call_id.is_not(None))
    return select(c.id, c.outcome, c.message).where(c.id.in_(union(told, last)))


async def _calls_saying(database: Database, mark: re.Pattern[str]) -> set[str]:
    """Return the calls whose message names the person: also those that were halved, which no timeline names."""
    c, found = calls.c, set()
    page = select(c.id, c.started_at, c.message).where(c.message.is_not(None)).order_by(c.started_at, c.id)
    rest = page
    while True:
        async with database.read() as connection:
            rows = (await connection.execute(rest.limit(_AT_ONCE))).all()
        found |= {row.id for row in rows if mark.search(row.message)}
        if len(rows) < _AT_ONCE:
            return found
        at, last = rows[-1].started_at, rows[-1].id
        rest = page.where(c.started_at >= at, or_(c.started_at > at, and_(c.started_at == at, c.id > last)))


async def _in_calls(connection: AsyncConnection, call_ids: Collection[str], *, but: Collection[str]) -> list[str]:
    """Return the other registrations whose timelines name one of these calls."""
    t, found = timeline.c, set()
    for some in batched(sorted(call_ids), _AT_ONCE):
        found |= {
            *(await connection.execute(select(t.registration_id).where(t.call_id.in_(some)).distinct())).scalars()
        }
    return sorted(found.difference(but))


async def _details(
    connection: AsyncConnection, ids: Sequence[str], mark: re.Pattern[str]
) -> tuple[list[int], list[str]]:
    """Return the entries and the registrations of these whose detail names the person."""
    t, r = timeline.c, registrations.c
    entries: list[int] = []
    told: list[str] = []
    for some in batched(ids, _AT_ONCE):
        said = await connection.execute(select(t.id, t.detail).where(t.registration_id.in_(some), t.detail != ""))
        entries += [row.id for row in said if mark.search(row.detail)]
        last = await connection.execute(select(r.id, r.detail).where(r.id.in_(some), r.detail.is_not(None)))
        told += [row.id for row in last if mark.search(row.detail)]
    return sorted(entries), sorted(told)
