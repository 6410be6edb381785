"""The probe: it commits, or says within its patience why not."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy import event as listen

from app.errors import StoreUnavailable
from app.store.database import Database, open_database
from app.store.health import probe
from app.store.tables import probes
from tests.conftest import MovableClock
from tests.store.given import accept, new_event
from tests.tables import make_tables


async def test_a_probe_commits(database: Database, clock: MovableClock) -> None:
    """A write that is not committed shows neither a full disk nor a held lock. It may be repeated."""
    for _ in range(2):
        clock.move(timedelta(seconds=1))
        await probe(database, clock=clock)
    async with database.read() as connection:
        assert (await connection.execute(select(probes.c.name, probes.c.at))).all() == [("readyz", clock())]


async def test_a_held_lock_shows_and_is_not_kept(tmp_path: Path, clock: MovableClock) -> None:
    """It answers while the lock is still held, and holds none itself when it is free again."""
    database = open_database(f"sqlite:///{tmp_path / 'relay.db'}", lock_wait=timedelta(milliseconds=50))
    await make_tables(database)
    holder = sqlite3.connect(tmp_path / "relay.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="database is locked"):
        await probe(database, clock=clock)
    holder.close()
    await probe(database, clock=clock)
    await accept(database, new_event(clock()))
    await database.close()


async def test_a_full_disk_shows(tmp_path: Path, clock: MovableClock) -> None:
    """SQLite is told that its file may not grow: it says the same as on a full disk."""
    database = open_database(f"sqlite:///{tmp_path / 'relay.db'}")
    await make_tables(database)

    def fill(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    await database.close()
    listen.listen(Engine, "connect", fill)  # whichever connections the store makes
    try:
        with pytest.raises(StoreUnavailable, match="database or disk is full"):
            await accept(database, *(new_event(clock()) for _ in range(200)))
    finally:
        listen.remove(Engine, "connect", fill)
    await database.close()


async def test_a_database_without_tables_is_not_ready(database_url: str, clock: MovableClock) -> None:
    """Somebody dropped or forgot them; the sender must not hear yes."""
    database = open_database(database_url)
    with pytest.raises(StoreUnavailable, match="probes"):
        await probe(database, clock=clock)
    await database.close()
