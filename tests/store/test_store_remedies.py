"""What to do about a store in trouble: the error names its cause, and not what else may be."""

from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli import app
from app.errors import StoreUnavailable
from app.store.database import Database, open_database
from app.store.opening import prepare_store
from app.store.remedies import remedy_for
from tests.tables import make_tables


async def with_tables(path: Path) -> Database:
    database = open_database(f"sqlite:///{path}")
    await make_tables(database)
    return database


def damage(path: Path) -> None:
    """Overwrite all pages but the first, which says that it is a SQLite."""
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))


async def test_a_damaged_file_is_to_be_restored(tmp_path: Path) -> None:
    """Nothing is wrong with its folder, with who may write, or with another program."""
    path = tmp_path / "relay.db"
    await (await with_tables(path)).close()
    damage(path)
    with pytest.raises(StoreUnavailable, match="malformed") as refused:
        await prepare_store(f"sqlite:///{path}")
    assert "damaged" in refused.value.remedy
    assert "docs/runbook.md, Restore" in refused.value.remedy
    assert "writable" not in refused.value.remedy


async def test_a_file_of_something_else_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "relay.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreUnavailable, match="not a database") as refused:
        await prepare_store(f"sqlite:///{tmp_path}/relay.db")
    assert "no store of the relay's" in refused.value.remedy


async def fill(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("PRAGMA max_page_count = 1"))  # fewer than there are: no further one
        await connection.execute(text("CREATE TABLE filler AS SELECT zeroblob(1000000)"))


async def test_a_full_disk_needs_room(tmp_path: Path) -> None:
    database = await with_tables(tmp_path / "relay.db")
    with pytest.raises(StoreUnavailable, match="disk is full") as refused:
        await fill(database)
    assert "Make room" in refused.value.remedy
    await database.close()


def test_a_full_disk_of_postgresql_needs_room_too() -> None:
    assert "Make room" in remedy_for(psycopg.errors.DiskFull())


async def test_what_no_error_tells_has_no_remedy_of_its_own(tmp_path: Path) -> None:
    """What may be is said then, where the store is opened."""
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(StoreUnavailable) as refused:
        await prepare_store(f"sqlite:///{tmp_path}/data/relay.db")
    assert "writable" in refused.value.remedy


def test_the_command_line_tells_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "relay.db").write_bytes(b"no database" * 1000)
    ended = CliRunner().invoke(
        app, ["forget", "ada@example.com", "--yes"], env={"DATABASE_URL": f"sqlite:///{tmp_path}/relay.db"}
    )
    assert ended.exit_code == 1
    assert "docs/runbook.md, Restore" in ended.stderr
