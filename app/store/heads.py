"""The heads of the queue: what is next, by source, at a cost that does not grow with what stands behind it.

Each source has its own line in an index, so that one with 100,000 waiting hides nobody else's; and a second line by
the webinars' starts, so that an urgent one is seen over all that came before it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from itertools import chain, zip_longest
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Select, Subquery, Table, bindparam, func, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import CampaignId, RegistrationState
from app.store.tables import registrations

MOST_PEOPLE = 300  # an upsert or look-up, Marketo's limit
MOST_LEADS = 100  # a trigger call, Marketo's limit
# People that a claim looks at beyond those it takes: some are in another upsert, or were so lately. If all of a
# source's are, as after calls that were lost under a crowd, it looks once more, far beyond them.
SPARE, MUCH_SPARE = 1000, 20_000
_One = TypeVar("_One")


@dataclass(frozen=True, slots=True)
class People:
    """People of one source that are to be upserted (or looked up); at most 300 are counted."""

    source: str
    lookup: bool
    size: int
    oldest: datetime
    starts_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """Registrations that may share a trigger call: equal campaign and tokens; at most 100 are counted.

    `oldest` is when the first of them was made, `starts_at` the soonest start of their webinars.
    """

    batch_key: str
    campaign_id: CampaignId
    size: int
    oldest: datetime
    source: str = ""
    starts_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is due now, and when the next thing will be."""

    people: Sequence[People]
    batches: Sequence[Backlog]
    next_due: datetime | None

    @property
    def upserts(self) -> int:
        return sum(some.size for some in self.people if not some.lookup)

    @property
    def lookups(self) -> int:
        return sum(some.size for some in self.people if some.lookup)


@dataclass(frozen=True, slots=True)
class Horizon:
    """Whose start is told apart: webinars that begin by then are looked for; with `only`, no others."""

    until: datetime
    only: bool = False


async def sources_of(connection: AsyncConnection, table: Table, state: str) -> list[str]:
    """Return the sources that have rows in this state, one probe of the index each."""
    return list((await connection.execute(_sources(table), {"state": state})).scalars())


@cache
def _sources(table: Table) -> Select[str]:
    c, state = table.c, bindparam("state", type_=table.c.state.type)
    first = select(func.min(c.source).label("source")).where(c.state == state)
    found = first.cte("found", recursive=True)
    after = select(func.min(c.source)).where(c.state == state, c.source > found.c.source).scalar_subquery()
    found = found.union_all(select(after).where(found.c.source.is_not(None)))
    return select(found.c.source).where(found.c.source.is_not(None))


async def people_heads(connection: AsyncConnection, now: datetime, horizon: Horizon) -> list[People]:
    """Return how many people each source has waiting, counted up to 300."""
    arms = [
        _people_head(source, lookup, now, until)
        for source in await sources_of(connection, registrations, RegistrationState.NEW)
        for lookup in (0, 1)
        for until in _lines(horizon)
    ]
    rows = (await connection.execute(union_all(*arms))).all() if arms else []
    found: dict[tuple[str, int], People] = {}
    for source, lookup, size, oldest, starts_at in rows:
        if size:
            one = People(source, bool(lookup), size, oldest, starts_at)
            found[source, lookup] = _joined(found.get((source, lookup)), one)
    return list(found.values())


def _joined(known: People | None, one: People) -> People:
    """Put both lines of a source together: who stands in both is one."""
    if known is None:
        return one
    starts = [at for at in (known.starts_at, one.starts_at) if at]
    size, oldest = max(known.size, one.size), min(known.oldest, one.oldest)
    return replace(one, size=size, oldest=oldest, starts_at=min(starts, default=None))


def _people_head(source: str, lookup: int, now: datetime, until: datetime | None) -> Select[*tuple[Any, ...]]:
    c = registrations.c
    head = _line(select(c.created_at, c.starts_at), source, until, now).where(
        c.state == RegistrationState.NEW, c.lookup == lookup, c.claimed_by.is_(None)
    )
    rows = head.limit(MOST_PEOPLE).subquery()
    told = (func.count(), func.min(rows.c.created_at), func.min(rows.c.starts_at))
    counted: Select[*tuple[Any, ...]] = select(literal(source), literal(lookup), *told).select_from(rows)
    return counted


async def batch_heads(
    connection: AsyncConnection, now: datetime, horizon: Horizon, paused: Collection[CampaignId]
) -> list[Backlog]:
    """Return the batches at the head of each source's line, each counted up to 100."""
    arms = [
        _batch_head(source, now, until, paused)
        for source in await sources_of(connection, registrations, RegistrationState.KNOWN)
        for until in _lines(horizon)
    ]
    rows = (await connection.execute(union_all(*arms))).all() if arms else []
    found: dict[tuple[str, str], Backlog] = {}
    for source, key, campaign, oldest, starts_at, size in rows:
        found.setdefault((source, key), Backlog(key, CampaignId(campaign), size, oldest, source, starts_at))
    return list(found.values())


def _batch_head(
    source: str, now: datetime, until: datetime | None, paused: Collection[CampaignId]
) -> Select[tuple[Any, ...]]:
    c = registrations.c
    columns = select(c.batch_key, c.campaign_id, c.created_at, c.starts_at)
    head = _line(columns, source, until, now).where(c.state == RegistrationState.KNOWN)
    if paused:
        head = head.where(c.campaign_id.not_in(sorted(paused)))
    rows = head.limit(MOST_PEOPLE).subquery()
    oldest, starts = func.min(rows.c.created_at).label("oldest"), func.min(rows.c.starts_at).label("starts")
    grouped = (
        select(rows.c.batch_key, rows.c.campaign_id, oldest, starts)
        .group_by(rows.c.batch_key, rows.c.campaign_id)
        .subquery()
    )
    return select(literal(source), *grouped.c, _size_of(grouped, now))


def _size_of(grouped: Subquery, now: datetime) -> ColumnElement[int]:
    same = registrations.alias()
    some = (
        select(literal(1))
        .where(same.c.state == RegistrationState.KNOWN, same.c.batch_key == grouped.c.batch_key, same.c.due_at <= now)
        .limit(MOST_LEADS)
        .correlate(grouped)
        .subquery()
    )
    return select(func.count()).select_from(some).correlate(grouped).scalar_subquery()


def _lines(horizon: Horizon) -> Iterable[datetime | None]:
    """Return the ends of the lines that are looked at: by start until then, and (None) by when they became due."""
    return (horizon.until,) if horizon.only else (horizon.until, None)


def _line(
    columns: Select[tuple[Any, ...]], source: str, until: datetime | None, now: datetime
) -> Select[tuple[Any, ...]]:
    c = registrations.c
    line = columns.where(c.source == source, c.due_at <= now)
    if until is None:
        return line.order_by(c.due_at, c.id)
    return line.where(c.starts_at <= until).order_by(c.starts_at, c.id)


class PersonNext(NamedTuple):
    """A registration whose person is next, and the person."""

    id: str
    person_key: str
    person_hash: str


async def people_next(
    connection: AsyncConnection, now: datetime, until: datetime, *, lookup: bool, most: int
) -> dict[str, list[PersonNext]]:
    """Return the head of each source's line, urgent ones first, then the oldest: `most` of each."""
    c = registrations.c
    lines: dict[str, list[PersonNext]] = {}
    for source in await sources_of(connection, registrations, RegistrationState.NEW):
        for end in (until, None):
            line = _line(select(c.id, c.person_key, c.person_hash), source, end, now).where(
                c.state == RegistrationState.NEW, c.lookup == int(lookup), c.claimed_by.is_(None)
            )
            rows = await connection.execute(line.limit(most))
            lines.setdefault(source, []).extend(PersonNext(*row) for row in rows)
    return lines


def fair(lines: Mapping[str, Sequence[_One]], limit: int) -> list[_One]:
    """Take from each line in turn, in its order, nobody twice, until there are `limit`."""
    once = [list(dict.fromkeys(line)) for line in lines.values()]
    rounds = zip_longest(*((([one]) for one in line) for line in once), fillvalue=[])
    return list(chain.from_iterable(chain.from_iterable(rounds)))[:limit]
