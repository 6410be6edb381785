"""Tell whether the store takes writes."""

import asyncio

from app.domain import Clock
from app.errors import StoreUnavailable
from app.store.database import Database
from app.store.tables import probes


async def probe(database: Database, *, clock: Clock, patience: float = 2.0) -> None:
    """Commit a tiny write, so that a full disk or a held lock shows.

    Raises:
        StoreUnavailable: it did not commit within `patience` seconds.
    """
    values = {"name": "readyz", "at": clock()}
    try:
        async with asyncio.timeout(patience), database.write() as connection:
            await connection.execute(database.insert_or_update(probes, values, on=["name"]))
    except TimeoutError as late:
        raise StoreUnavailable(f"no commit within {patience:g} s") from late
