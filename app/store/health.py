"""Tell whether the store takes writes."""

from app.domain import Clock
from app.store.database import Database
from app.store.tables import probes


async def probe(database: Database, *, clock: Clock) -> None:
    """Commit a tiny write, so that a full disk or a held lock shows.

    Raises:
        StoreUnavailable: it did not commit within the database's lock wait.
    """
    values: dict[str, object] = {"name": "readyz", "at": clock()}
    async with database.write() as connection:
        await connection.execute(database.insert_or_update(probes, values, on=["name"]))
