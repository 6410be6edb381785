"""Move stored times along when the time of who leads has jumped, so that whoever waited goes on to wait as long."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Update, and_, case, or_, update

from app.domain import OPEN_STATES, EventState
from app.store.calls import QUOTA_USED_UP
from app.store.database import Database
from app.store.leases import LEADER, hold_on
from app.store.tables import calls, events, leases, pauses, people, registrations, unsettled

_CALLS_COUNT_FOR = timedelta(hours=1)  # calls tell the window, and whether a lost request was another's


async def follow_jump(
    database: Database, *, fence: int, by: timedelta, now: datetime, quota_day_ends: datetime
) -> None:
    """Move everything that is not at its end by so much, to where it is `now`, and note that the lease is at `now`.

    What is at its end stays as it was told, and so do the dates of webinars.
    """
    then = now - by
    async with database.write() as connection:
        await hold_on(connection, fence)
        for statement in _moves(database, by, then, now, quota_day_ends):
            await connection.execute(statement)
        await connection.execute(update(leases).where(leases.c.name == LEADER).values(at=now))


def _moves(database: Database, by: timedelta, then: datetime, now: datetime, quota_day_ends: datetime) -> list[Update]:
    def moved(column: ColumnElement[datetime]) -> ColumnElement[datetime]:
        return database.moved(column, by)

    earlier = min(then, now)  # what lies before is over by either time
    e, r, c, u, p = events.c, registrations.c, calls.c, unsettled.c, pauses.c
    # Who accepts has the machine's time all along: what came after the jump is in the new time already.
    came_before = or_(e.attempts > 0, e.received_at <= then if by > timedelta(0) else e.received_at > now)
    waiting = update(events).where(e.state == EventState.WAITING)
    expiry = case((r.expires_at == r.starts_at, r.expires_at), else_=moved(r.expires_at))
    moves = [
        waiting.where(e.due_at > earlier, came_before).values(due_at=moved(e.due_at)),
        waiting.where(came_before).values(received_at=moved(e.received_at), replayed_at=moved(e.replayed_at)),
        update(people).where(people.c.quiet_until > earlier).values(quiet_until=moved(people.c.quiet_until)),
        update(calls)
        .where(c.started_at > earlier - _CALLS_COUNT_FOR)
        .values(started_at=moved(c.started_at), finished_at=moved(c.finished_at)),
        update(unsettled).values(began_at=moved(u.began_at), ended_at=moved(u.ended_at), look_at=moved(u.look_at)),
        update(pauses).where(p.code != QUOTA_USED_UP).values(until=moved(p.until), since=moved(p.since)),
        update(pauses).where(and_(p.code == QUOTA_USED_UP, p.until > quota_day_ends)).values(until=quota_day_ends),
    ]
    for state in OPEN_STATES:  # asked one by one: an IN finds no partial index
        these = update(registrations).where(r.state == state)
        moves.append(these.where(r.due_at > earlier).values(due_at=moved(r.due_at)))
        moves.append(these.values(created_at=moved(r.created_at), expires_at=expiry))
    return moves
