"""Tell whether the store takes writes."""

import asyncio
from datetime import datetime

from app.domain import Clock
from app.errors import StoreUnavailable
from app.store.database import Database
from app.store.tables import probes


async def probe(database: Database, *, clock: Clock, patience: float = 2.0) -> None:
    """Commit a tiny write, so that a full disk or a held lock shows.

    Raises:
        StoreUnavailable: it did not commit within `patience` seconds.
    """
    trying = asyncio.create_task(_write(database, clock()))
    try:
        # A thread that waits for SQLite's lock cannot be cancelled, so a time-out around the write would wait for it.
        done, _ = await asyncio.wait({trying}, timeout=patience)
    finally:
        if not trying.done():
            _late.add(trying)
            trying.add_done_callback(_forget)
            trying.cancel()
    if not done:
        raise StoreUnavailable(f"no commit within {patience:g} s")
    trying.result()


async def _write(database: Database, now: datetime) -> None:
    async with database.write() as connection:
        values: dict[str, object] = {"name": "readyz", "at": now}
        await connection.execute(database.insert_or_update(probes, values, on=["name"]))


_late: set["asyncio.Task[None]"] = set()  # the event loop itself keeps no hold of its tasks


def _forget(trying: "asyncio.Task[None]") -> None:
    _late.discard(trying)
    if not trying.cancelled():
        trying.exception()  # told already
