"""How much is still to be sent."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select, union_all

from app.domain import OPEN_STATES, WAITING_STATES, EventState, RegistrationState
from app.store.database import Database
from app.store.heads import MOST_LEADS
from app.store.tables import events, registrations, unsettled
from app.store.tables import people as people_table

_SENDING = RegistrationState.SENDING
_SPARE = 1000  # of those who wait longest, as many are asked whether they are held


@dataclass(frozen=True, slots=True)
class Ahead:
    """All that is not at its end, due or not: registrations, people to find, campaign requests, webhooks not yet read.

    A request that is under way is not counted among the requests. `held_until` is when the last of it may go: after its
    back-off, after an upsert whose answer was lost, or when a lost answer is looked for.
    """

    registrations: int = 0
    upserts: int = 0
    lookups: int = 0
    requests: int = 0
    webhooks: int = 0
    held_until: datetime | None = None


async def count_open(database: Database) -> tuple[int, datetime | None]:
    """Return how many registrations are not at their end, and since when the longest waiting one has been due."""
    c = registrations.c
    # State by state: an IN finds no partial index.
    each = [select(func.count(), func.min(c.due_at)).where(c.state == state) for state in OPEN_STATES]
    async with database.read() as connection:
        rows = (await connection.execute(union_all(*each))).all()
    return sum(row[0] for row in rows), min((row[1] for row in rows if row[1]), default=None)


async def look_ahead(database: Database, now: datetime, *, webhooks: int = 0) -> Ahead:
    """Return how much there is to do; this reads all that waits."""
    c = registrations.c
    people = select(c.lookup, func.count()).where(c.state == RegistrationState.NEW).group_by(c.lookup)
    each = [select(c.batch_key, c.due_at).where(c.state == state) for state in WAITING_STATES]
    keys = union_all(*each).subquery()
    sizes = (
        select(func.count().label("size"), func.max(keys.c.due_at).label("last_due"))
        .select_from(keys)
        .group_by(keys.c.batch_key)
        .subquery()
    )
    calls_of_each = (sizes.c.size + (MOST_LEADS - 1)) // MOST_LEADS
    told = select(func.sum(sizes.c.size), func.sum(calls_of_each), func.max(sizes.c.last_due))
    async with database.read() as connection:
        counts = {bool(row[0]): row[1] for row in await connection.execute(people)}
        total, requests, last_due = (await connection.execute(told)).one()
        sending = await connection.scalar(select(func.count()).where(c.state == _SENDING))
        held = [last_due, *[await connection.scalar(one) for one in (_last_quiet(now), _last_look(), _last_try(now))]]
    return Ahead(
        int(total or 0) + int(sending or 0),
        counts.get(False, 0),
        counts.get(True, 0),
        int(requests or 0),
        webhooks,
        max((at for at in held if at), default=None),
    )


def _last_quiet(now: datetime) -> Select[tuple[datetime | None]]:
    """Ask until when those who wait longest are held after another upsert."""
    c, p = registrations.c, people_table.c
    first = (
        select(c.person_hash)
        .where(c.state == RegistrationState.NEW, c.claimed_by.is_(None))
        .order_by(c.due_at, c.id)
        .limit(_SPARE)
        .subquery()
    )
    held = select(func.max(p.quiet_until)).select_from(first.join(people_table, p.key_hash == first.c.person_hash))
    return held.where(p.quiet_until > now)


def _last_try(now: datetime) -> Select[tuple[datetime | None]]:
    """Ask when the last of the webhooks that could not be read is tried again."""
    c = events.c
    return select(func.max(c.due_at)).where(c.state == EventState.WAITING, c.due_at > now)


def _last_look() -> Select[tuple[datetime | None]]:
    return select(func.max(unsettled.c.look_at))
