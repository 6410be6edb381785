"""The probe: it commits, or says within its patience why not."""

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy import event as listen

from app.errors import StoreUnavailable
from app.store.database import Database, open_database
from app.store.health import probe
from app.store.migrate import migrate
from app.store.tables import probes
from tests.conftest import MovableClock
from tests.store.given import accept, new_event


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[Database]:
    """A SQLite database that waits a minute for its lock: longer than any test."""
    opened = open_database(f"sqlite:///{tmp_path / 'relay.db'}", lock_wait=timedelta(minutes=1))
    await migrate(opened)
    yield opened
    await opened.close()


@pytest.fixture
def holder(tmp_path: Path, patient: Database) -> sqlite3.Connection:
    """Another process that may lock the database."""
    return sqlite3.connect(tmp_path / "relay.db", isolation_level=None)


async def test_a_probe_commits(database: Database, clock: MovableClock) -> None:
    """A write that is not committed shows neither a full disk nor a held lock. It may be repeated."""
    for _ in range(2):
        clock.move(timedelta(seconds=1))
        await probe(database, clock=clock)
    async with database.read() as connection:
        assert (await connection.execute(select(probes.c.name, probes.c.at))).all() == [("readyz", clock())]


async def test_a_probe_does_not_wait_for_the_lock(
    patient: Database, holder: sqlite3.Connection, clock: MovableClock
) -> None:
    """It answers while the lock is still held, which a thread waits for that nobody can cancel."""
    holder.execute("BEGIN IMMEDIATE")
    async with asyncio.timeout(20):
        with pytest.raises(StoreUnavailable, match=r"no commit within 0.05 s"):
            await probe(patient, clock=clock, patience=0.05)
    holder.close()


async def test_a_probe_that_is_cancelled_ends_at_once(
    patient: Database, holder: sqlite3.Connection, clock: MovableClock
) -> None:
    """Whoever asked has gone."""
    holder.execute("BEGIN IMMEDIATE")
    async with asyncio.timeout(20):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await probe(patient, clock=clock, patience=60)
    holder.close()


async def test_a_late_probe_keeps_no_lock(patient: Database, holder: sqlite3.Connection, clock: MovableClock) -> None:
    """The thread gets the lock after all when it is free; it must not be held from then on."""
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        await probe(patient, clock=clock, patience=0.05)
    holder.close()
    await probe(patient, clock=clock, patience=20)
    await accept(patient, new_event(clock()))


async def test_a_full_disk_shows(tmp_path: Path, clock: MovableClock) -> None:
    """SQLite is told that its file may not grow: it says the same as on a full disk."""
    database = open_database(f"sqlite:///{tmp_path / 'relay.db'}")
    await migrate(database)

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


_STOPS_WHILE_IT_PROBES = """
import asyncio, sqlite3, sys
from datetime import timedelta
from app.domain import utc_now
from app.store.database import open_database
from app.store.health import probe

async def main():
    database = open_database(f"sqlite:///{sys.argv[1]}", lock_wait=timedelta(seconds=5))
    holder = sqlite3.connect(sys.argv[1], isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    trying = asyncio.create_task(probe(database, clock=utc_now, patience=0.05))
    await asyncio.wait({trying})
    for _ in range(5):
        await asyncio.sleep(0)
    holder.close()
    print(repr(trying.exception()))

asyncio.run(main())
"""


async def test_a_process_ends_while_its_probe_still_waits(patient: Database, tmp_path: Path) -> None:
    """A stop cancels the late probe a second time, which the driver's thread never answered: the process hung."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _STOPS_WHILE_IT_PROBES,
        str(tmp_path / "relay.db"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": "."},
    )
    async with asyncio.timeout(60):
        told, _ = await process.communicate()
    assert (process.returncode, told.decode().strip()) == (0, "StoreUnavailable('no commit within 0.05 s')")
