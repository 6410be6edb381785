"""Migrating: to exactly the tables that the program knows, by one process at a time, whole or not at all."""

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

import app.store.migrate
from app.errors import StoreTooNew, StoreUnavailable
from app.store.database import Database, open_database
from app.store.migrate import HEAD, migrate, schema_version
from app.store.opening import prepare_store
from app.store.tables import metadata
from tests.tables import make_tables

_MIGRATES = """
import asyncio, sys
from datetime import timedelta
from app.store.database import open_database
from app.store.migrate import migrate
async def main():
    database = open_database(sys.argv[1], lock_wait=timedelta(seconds=30))
    print(await migrate(database))
    await database.close()
asyncio.run(main())
"""
_DIES_BEFORE_THE_COMMIT = """
import asyncio, os, sys
from app.store.database import open_database
from app.store.migrate import _upgrade
async def main():
    async with open_database(sys.argv[1]).write() as connection:
        assert await connection.run_sync(_upgrade)
        os._exit(9)
asyncio.run(main())
"""


@pytest.fixture
async def empty_database(database_url: str) -> AsyncIterator[Database]:
    opened = open_database(database_url, lock_wait=timedelta(seconds=20))
    yield opened
    await opened.close()


async def _run(program: str, url: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, url, stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": "."}
    )
    told, _ = await process.communicate()
    return process.returncode, told.decode().strip()


def _tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


async def tables_of(database: Database) -> set[str]:
    async with database.read() as connection:
        return await connection.run_sync(_tables)


async def test_the_second_migration_finds_nothing_to_do(empty_database: Database) -> None:
    """Each start migrates; only the first one has to."""
    assert await schema_version(empty_database) is None
    assert await migrate(empty_database)
    assert not await migrate(empty_database)
    assert await schema_version(empty_database) == HEAD


async def test_of_two_migrations_in_one_process_one_does_it(empty_database: Database) -> None:
    """A command beside the service shares the code, not the connection."""
    assert sorted(await asyncio.gather(migrate(empty_database), migrate(empty_database))) == [False, True]


async def test_of_several_processes_that_start_at_once_one_migrates(database_url: str) -> None:
    """Replicas are started together; the others wait and then find it done."""
    answers = await asyncio.gather(*(_run(_MIGRATES, database_url) for _ in range(4)))
    assert sorted(answers) == [(0, "False")] * 3 + [(0, "True")]


async def test_a_kill_in_the_middle_leaves_the_old_schema(database_url: str, empty_database: Database) -> None:
    """The next start must find either nothing or all of it."""
    code, _ = await _run(_DIES_BEFORE_THE_COMMIT, database_url)
    assert code == 9
    assert await tables_of(empty_database) == set()
    assert await migrate(empty_database)


async def test_a_failure_in_the_middle_leaves_the_old_schema(empty_database: Database) -> None:
    """Something has the name of one of the last indexes, so that the migration fails behind nearly all tables."""
    async with empty_database.write() as connection:
        await connection.execute(text("CREATE TABLE ix_timeline_event_id (id INTEGER)"))
    with pytest.raises(StoreUnavailable, match="already"):
        await migrate(empty_database)
    assert await tables_of(empty_database) == {"ix_timeline_event_id"}


async def test_a_newer_schema_is_left_alone(empty_database: Database) -> None:
    """After a roll-back of the program, an old relay must not write into tables that it does not understand."""
    await migrate(empty_database)
    async with empty_database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreTooNew, match=f"has schema 9999, this relay knows up to {HEAD}") as refused:
        await migrate(empty_database)
    assert refused.value.remedy.startswith("Start the newer relay")


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        (["events (id INTEGER)"], "events"),
        (["alembic_version (version_num VARCHAR(32))"], "alembic_version 4f8c1d92"),
        (["alembic_version (version_num VARCHAR(32))", "events (id INTEGER)"], "alembic_version 4f8c1d92"),
    ],
    ids=["a table of the same name", "migrated by the same tool", "both"],
)
@pytest.mark.parametrize("version", ["4f8c1d92", HEAD])
async def test_a_database_of_another_program_is_told_as_that(
    database_url: str, empty_database: Database, tables: list[str], told: str, version: str
) -> None:
    """No newer relay would help, and PostgreSQL runs well: the relay needs a database of its own."""
    async with empty_database.write() as connection:
        for table in tables:
            await connection.execute(text(f"CREATE TABLE {table}"))
        if "alembic_version" in told:
            await connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": version})
    before = await tables_of(empty_database)
    with pytest.raises(StoreUnavailable) as refused:
        await prepare_store(database_url)
    assert f"Another program's tables are in it ({told.replace('4f8c1d92', version)})." in str(refused.value)
    assert refused.value.remedy == "Give the relay a database of its own, and name that in DATABASE_URL."
    assert await tables_of(empty_database) == before


def _differences(connection: Connection) -> list[Any]:
    # Indexes are compared by `_schema`: Alembic takes a descending column for an expression, and gives up.
    opts = {"compare_type": True, "include_object": lambda _object, _name, kind, *_: kind != "index"}
    found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=opts), metadata)
    return found


def _index(found: Any) -> tuple[str, str]:
    options = {name: str(value) for name, value in found.pop("dialect_options", {}).items()}
    return found["name"], f"{found} {options}"


def _schema(connection: Connection) -> Mapping[str, Any]:
    """Return columns, keys and indexes as the database tells them, conditions of partial indexes included."""
    inspector = inspect(connection)
    names = sorted(set(inspector.get_table_names()) - {"alembic_version"})
    return {
        name: (
            [{**column, "type": str(column["type"])} for column in inspector.get_columns(name)],
            inspector.get_pk_constraint(name),
            sorted(_index(index) for index in inspector.get_indexes(name)),
        )
        for name in names
    }


async def test_the_migrations_make_the_tables_that_the_program_knows(empty_database: Database) -> None:
    """Somebody adds a column to tables.py and forgets the migration: this names it."""
    await migrate(empty_database)
    async with empty_database.read() as connection:
        assert await connection.run_sync(_differences) == []
        migrated = await connection.run_sync(_schema)
    async with empty_database.write() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
    async with empty_database.read() as connection:
        assert await connection.run_sync(_schema) == migrated


async def _without_tables(database: Database) -> None:
    async with database.write() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.execute(text("DROP TABLE alembic_version"))


async def test_the_tables_that_tests_make_are_those_of_a_migration(empty_database: Database) -> None:
    """Hundreds of tests replay what a migration wrote once: what they stand on must be the real thing."""
    await migrate(empty_database)
    async with empty_database.read() as connection:
        migrated = await connection.run_sync(_schema)
    for _ in ("perhaps the migration itself", "a replay for sure"):
        await _without_tables(empty_database)
        await make_tables(empty_database)
    async with empty_database.read() as connection:
        assert await connection.run_sync(_schema) == migrated
    assert await schema_version(empty_database) == HEAD


def test_the_newest_script_is_the_version_that_the_program_asks_for() -> None:
    """A further migration is run only when HEAD names it, and every older one must be known too."""
    config = Config()
    config.set_main_option("script_location", str(Path(app.store.migrate.__file__).with_name("migrations")))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    assert {script.revision for script in scripts.walk_revisions()} == app.store.migrate._KNOWN


async def test_a_migration_that_takes_too_long_is_not_waited_for_for_ever(database_url: str) -> None:
    """The start fails with a sentence, and whoever restarts processes tries again."""
    database = open_database(database_url, lock_wait=timedelta(milliseconds=50))
    holder: Any
    if database.is_sqlite:
        holder = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
    else:
        holder = psycopg.connect(database_url)
        holder.execute("SELECT pg_advisory_xact_lock(%s)", [app.store.migrate._ADVISORY_LOCK])
    with pytest.raises(StoreUnavailable, match=r"locked|lock timeout"):
        await migrate(database)
    holder.close()
    await database.close()
