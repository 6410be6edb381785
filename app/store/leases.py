"""Leases: at most one process holds a name at a time, and a fence tells its writes from those of earlier holders."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update

from app.domain import Clock
from app.store.database import Database
from app.store.tables import leases

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Leases:
    """Take, renew and give back leases. A fence grows with every change of holder."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def take(self, name: str, *, holder: str, lasting: timedelta) -> int | None:
        """Return the new fence, or None while another holds the lease."""
        now, c = self._clock(), leases.c
        async with self._database.write() as connection:
            first = {"name": name, "holder": "", "fence": 0, "until": _LONG_AGO}
            await connection.execute(self._database.insert_or_ignore(leases, on=["name"]).values(first))
            taken = await connection.execute(
                update(leases)
                .where(c.name == name, c.until < now)
                .values(holder=holder, fence=c.fence + 1, until=now + lasting)
                .returning(c.fence)
            )
            fence: int | None = taken.scalar_one_or_none()
            return fence

    async def renew(self, name: str, *, fence: int, lasting: timedelta) -> bool:
        """Prolong the lease from now; False when it has gone to another."""
        return await self._set_until(name, fence, self._clock() + lasting)

    async def give_back(self, name: str, *, fence: int) -> None:
        """End the lease, so that another can take it at once."""
        await self._set_until(name, fence, _LONG_AGO)

    async def holder(self, name: str) -> str | None:
        """Return who holds the lease now, None when nobody does."""
        async with self._database.read() as connection:
            found: str | None = await connection.scalar(
                select(leases.c.holder).where(leases.c.name == name, leases.c.until >= self._clock())
            )
            return found

    async def _set_until(self, name: str, fence: int, until: datetime) -> bool:
        c = leases.c
        async with self._database.write() as connection:
            changed = await connection.execute(
                update(leases).where(c.name == name, c.fence == fence).values(until=until)
            )
            return changed.rowcount == 1
