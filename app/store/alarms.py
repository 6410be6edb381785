"""Which troubles people were told of, so that a new leader does not tell them again."""

from collections.abc import Collection, Mapping

from sqlalchemy import delete, insert, select

from app.store.database import Database
from app.store.tables import alarms


class Alarms:
    """The troubles that were told, by name, with what was said."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def told(self) -> dict[str, str]:
        async with self._database.read() as connection:
            rows = await connection.execute(select(alarms.c.name, alarms.c.said))
            return {row.name: row.said for row in rows}

    async def tell(self, new: Mapping[str, str], over: Collection[str]) -> None:
        """Write down what was told, and forget what people were told is over."""
        async with self._database.write() as connection:
            if over:
                await connection.execute(delete(alarms).where(alarms.c.name.in_(sorted(over))))
            if new:
                await connection.execute(insert(alarms), [{"name": name, "said": said} for name, said in new.items()])
