"""Count what came and what became of it, for the console's overview. Reads only.

Everything is counted over a stretch of time by ranges of ids, which begin with the time. That costs in proportion to
what came in that time; whoever shows it keeps it for a while.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, case, func, literal, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import OPEN_STATES, EventState, RegistrationState
from app.store.database import Database
from app.store.dead import is_letter
from app.store.search import first_id, unindexed
from app.store.tables import calls, events, pauses, registrations
from app.store.tallies import Backlog, Bucket, CauseTally, Now, Pausing, Tally, Webinars, WebinarTally

MOST_WEBINARS = 200


class Overview:
    """Answers how things stand."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def now(
        self,
        sources: Sequence[str],
        at: datetime,
        *,
        since: datetime,
        until: datetime,
        buckets: int,
        day_began: datetime,
    ) -> Now:
        """Return how things stand at a moment, with what came between two times in so many buckets."""
        width = (until - since) / buckets
        edges = [since + n * width for n in range(buckets)]
        async with self._database.read() as connection:
            by_bucket = await _registrations_by_bucket(connection, edges)
            made = await _by_bucket(connection, calls, "call", edges)
            return Now(
                tallies=await _tallies(connection, sources, since),
                buckets=[Bucket(at, by_bucket.get(n, {}), made.get(n, 0)) for n, at in enumerate(edges)],
                backlog=await _backlog(connection),
                pauses=await _pauses(connection, at),
                calls_today=await _calls_since(connection, day_began),
            )

    async def pauses(self, at: datetime) -> list[Pausing]:
        """Return the pauses that are in force at a moment, whichever process sends."""
        async with self._database.read() as connection:
            return await _pauses(connection, at)

    async def webinars(self, since: datetime, *, most: int = MOST_WEBINARS) -> Webinars:
        """Return the webinars that somebody registered for since then."""
        c = registrations.c
        counted = (
            select(
                unindexed(c.source).label("source"),
                c.webinar_id,
                c.state,
                func.count().label("n"),
                func.max(c.id).label("last_id"),
            )
            .where(c.id >= first_id("reg", since))
            .group_by(unindexed(c.source), c.webinar_id, c.state)
        )
        async with self._database.read() as connection:
            found: dict[tuple[str, str], list[Any]] = {}
            for row in await connection.execute(counted):
                found.setdefault((row.source, row.webinar_id), []).append(row)
            latest = {key: max(row.last_id for row in rows) for key, rows in found.items()}
            shown = sorted(found, key=lambda key: latest[key], reverse=True)[:most]
            last = await _rows(connection, [latest[key] for key in shown])
        told = [_webinar(key, found[key], last[latest[key]]) for key in shown if latest[key] in last]
        return Webinars(told, len(found))

    async def causes(self) -> list[CauseTally]:
        """Return the causes of all that is dead, the most frequent first."""
        async with self._database.read() as connection:
            rows = await _dead(connection, registrations, registrations.c.updated_at)
            webhooks = await _dead(connection, events, events.c.settled_at)
            last = await _last_dead_events(connection)
        causes = sorted({*rows, *webhooks})
        tallies = [_cause(cause, rows.get(cause), webhooks.get(cause), last.get(cause, ())) for cause in causes]
        return sorted(tallies, key=lambda tally: tally.registrations + tally.webhooks, reverse=True)


async def _tallies(connection: AsyncConnection, sources: Sequence[str], since: datetime) -> list[Tally]:
    r, e = registrations.c, events.c
    made: dict[str, dict[RegistrationState, int]] = {}
    of_registrations = select(unindexed(r.source), r.state, func.count()).where(r.id >= first_id("reg", since))
    for source, state, n in await connection.execute(of_registrations.group_by(unindexed(r.source), r.state)):
        made.setdefault(source, {})[RegistrationState(state)] = n
    came: dict[str, dict[str, int]] = {}
    of_events = select(unindexed(e.source), e.state, func.count()).where(e.id >= first_id("evt", since))
    for source, state, n in await connection.execute(of_events.group_by(unindexed(e.source), e.state)):
        came.setdefault(source, {})[state] = n
    return [
        Tally(
            source,
            made.get(source, {}),
            received=sum(came.get(source, {}).values()),
            unread=came.get(source, {}).get(EventState.DEAD, 0),
            of_no_interest=came.get(source, {}).get(EventState.IGNORED, 0),
            last_at=await last_webhook(connection, source),
        )
        for source in sorted({*sources, *made, *came})
    ]


async def last_webhook(connection: AsyncConnection, source: str) -> datetime | None:
    """Return when this source's last webhook came."""
    e = events.c
    newest = select(e.id, e.received_at).limit(1)
    waiting = newest.where(waits(), unindexed(e.source) == source).order_by(unindexed(e.id).desc())
    settled = newest.where(~waits(), e.source == source).order_by(e.id.desc())
    rows = [(await connection.execute(one)).first() for one in (waiting, settled)]
    return max((row.received_at for row in rows if row), default=None)


def waits() -> ColumnElement[bool]:
    """Return what is true of the webhooks that wait, as the partial indexes word it.

    They are few: with it, `unindexed` columns let the planner read all that wait, and nothing of what is settled.
    """
    return events.c.state == literal_column("'waiting'")


def _bucket_of(column: ColumnElement[str], prefix: str, edges: Sequence[datetime]) -> ColumnElement[int]:
    """Return the number of the bucket that an id falls in."""
    later_first = reversed(list(enumerate(edges[1:], start=1)))
    return case(*((column >= first_id(prefix, at), literal(n)) for n, at in later_first), else_=literal(0))


async def _registrations_by_bucket(
    connection: AsyncConnection, edges: Sequence[datetime]
) -> dict[int, dict[RegistrationState, int]]:
    c = registrations.c
    bucket = _bucket_of(c.id, "reg", edges).label("bucket")
    counted = select(bucket, c.state, func.count()).where(c.id >= first_id("reg", edges[0]))
    found: dict[int, dict[RegistrationState, int]] = {}
    for n, state, count in await connection.execute(counted.group_by(literal_column("bucket"), c.state)):
        found.setdefault(n, {})[RegistrationState(state)] = count
    return found


async def _by_bucket(
    connection: AsyncConnection, table: Table, prefix: str, edges: Sequence[datetime]
) -> dict[int, int]:
    bucket = _bucket_of(table.c.id, prefix, edges).label("bucket")
    counted = select(bucket, func.count()).where(table.c.id >= first_id(prefix, edges[0]))
    rows = await connection.execute(counted.group_by(literal_column("bucket")))
    return {row[0]: row[1] for row in rows}


async def _backlog(connection: AsyncConnection) -> Backlog:
    c, e = registrations.c, events.c
    waiting, oldest = 0, []
    for state in OPEN_STATES:
        n, first = (
            await connection.execute(select(func.count(), func.min(c.created_at)).where(c.state == state))
        ).one()
        waiting += n
        oldest += [first] if first else []
    tried = (e.attempts > 0) & e.claimed_by.is_(None)
    unread = select(
        func.count(), func.min(e.received_at), func.count(case((tried, 1))), func.min(case((tried, e.due_at)))
    ).where(e.state == EventState.WAITING)
    webhooks, first, retried, next_try_at = (await connection.execute(unread)).one()
    return Backlog(waiting, webhooks, min([*oldest, *([first] if first else [])], default=None), retried, next_try_at)


async def _pauses(connection: AsyncConnection, now: datetime) -> list[Pausing]:
    rows = await connection.execute(select(pauses).where(pauses.c.until > now).order_by(pauses.c.scope))
    return [Pausing(row.scope, row.until, f"{row.code}: {row.reason}") for row in rows]


async def _calls_since(connection: AsyncConnection, since: datetime) -> int:
    counted = select(func.count()).select_from(calls).where(calls.c.started_at >= since)
    return await connection.scalar(counted) or 0


async def _rows(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, Any]:
    c = registrations.c
    rows = await connection.execute(select(c.id, c.tokens, c.starts_at, c.created_at).where(c.id.in_(ids)))
    return {row.id: row for row in rows}


def _webinar(key: tuple[str, str], rows: Sequence[Any], last: Any) -> WebinarTally:
    source, webinar_id = key
    counts = {RegistrationState(row.state): row.n for row in rows}
    return WebinarTally(webinar_id, Tally(source, counts, last_at=last.created_at), last.tokens, last.starts_at)


async def _dead(connection: AsyncConnection, table: Table, at: ColumnElement[datetime | None]) -> dict[str, Any]:
    c = table.c
    counted = select(
        c.cause, func.count().label("n"), func.max(at).label("last_at"), func.max(c.detail).label("detail")
    )
    rows = await connection.execute(counted.where(is_letter(table)).group_by(c.cause))
    return {row.cause or "unknown": row for row in rows}


async def _last_dead_events(connection: AsyncConnection, most: int = 200) -> dict[str, list[str]]:
    e = events.c
    dead = select(e.id, e.cause).where(is_letter(events)).order_by(e.id.desc())
    rows = await connection.execute(dead.limit(most))
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.cause or "unknown", []).append(row.id)
    return found


def _cause(cause: str, made: Any, came: Any, event_ids: Sequence[str]) -> CauseTally:
    some = [row for row in (made, came) if row is not None]
    last_at = max(row.last_at for row in some if row.last_at)
    return CauseTally(
        cause, made.n if made else 0, came.n if came else 0, last_at, some[0].detail, tuple(event_ids[:10])
    )
