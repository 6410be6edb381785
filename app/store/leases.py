"""Leases: at most one process holds a name at a time, and a fence tells its writes from those of earlier holders.

No wall clock decides who holds one: a holder counts up its beats, and who sees no beat for long enough, by a clock of
its own, may take the lease. The machines' times may differ by hours, or jump. What time it is for the holder is noted
with each beat, for the next one to compare.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import LeadershipLost
from app.store.database import SHORTLY, Database, answered_within
from app.store.tables import leases

LEADER = "leader"
BESIDE = "beside"  # of whoever calls Marketo beside the leader, see app.store.sharing


@dataclass(frozen=True, slots=True)
class Seen:
    """What a lease looked like at one moment. While it does not change, its holder gives no sign of life."""

    holder: str = ""
    fence: int = 0
    beats: int = 0
    is_free: bool = True
    at: datetime | None = field(default=None, compare=False)


class Leases:
    """Look at, take, renew and give back leases. A fence grows with every change of holder.

    Each raises StoreUnavailable after `within`: a leader that is not heard must know before another takes over.
    """

    def __init__(self, database: Database, *, within: timedelta = SHORTLY) -> None:
        self._database = database
        self._within = within

    async def look(self, name: str) -> Seen:
        """Return what the lease looks like now."""
        c = leases.c
        async with answered_within(self._within), self._database.read() as connection:
            found = await connection.execute(
                select(c.holder, c.fence, c.beats, c.is_free, c.at).where(c.name == name),
            )
            row = found.one_or_none()
        return Seen() if row is None else Seen(row.holder, row.fence, row.beats, bool(row.is_free), row.at)

    async def take(self, name: str, *, holder: str, seen: Seen) -> int | None:
        """Return the new fence; None when the lease no longer looks as it was seen."""
        c = leases.c
        async with answered_within(self._within), self._database.write() as connection:
            for one in (name, BESIDE):  # the second, so that there is something for a leader to hold
                first = {"name": one, "holder": "", "fence": 0, "beats": 0, "is_free": 1}
                await connection.execute(self._database.insert_or_ignore(leases, on=["name"]).values(first))
            taken = await connection.execute(
                update(leases)
                .where(c.name == name, c.fence == seen.fence, c.beats == seen.beats, c.is_free == int(seen.is_free))
                .values(holder=holder, fence=c.fence + 1, beats=0, is_free=0)
                .returning(c.fence)
            )
            fence: int | None = taken.scalar_one_or_none()
            return fence

    async def renew(self, name: str, *, fence: int, at: datetime) -> bool:
        """Give a sign of life; False when the lease has gone to another."""
        return await self._change(name, fence, {"beats": leases.c.beats + 1, "at": at})

    async def give_back(self, name: str, *, fence: int) -> None:
        """End the lease, so that another can take it at once."""
        await self._change(name, fence, {"is_free": 1})

    async def _change(self, name: str, fence: int, values: dict[str, object]) -> bool:
        c = leases.c
        async with answered_within(self._within), self._database.write() as connection:
            changed = await connection.execute(update(leases).where(c.name == name, c.fence == fence).values(values))
            return changed.rowcount == 1


async def hold_on(connection: AsyncConnection, fence: int) -> None:
    """Make sure, until the end of this transaction, that no later leader has begun.

    A leader that was frozen may wake between its own check and its claim, when the next one has already freed what the
    earlier ones held: what it claimed then would be in nobody's hands.

    Raises:
        LeadershipLost: a later leader has begun.
    """
    latest = await connection.scalar(
        select(leases.c.fence).where(leases.c.name == LEADER).with_for_update(read=True),
    )
    if latest is not None and latest > fence:
        raise LeadershipLost("another process leads now")
