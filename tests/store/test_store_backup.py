"""A backup is of the store that is named, and says which of the two files is at fault."""

import asyncio
import resource
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from app.errors import StoreUnavailable
from app.store.backup import back_up
from app.store.database import open_database
from tests.tables import make_tables


def made(folder: Path) -> tuple[str, Path]:
    """Return the address of an empty store in this folder, and its file."""
    folder.mkdir()
    file = folder / "relay.db"
    url = f"sqlite:///{quote(str(file))}"
    asyncio.run(make_store(url))
    return url, file


async def make_store(url: str) -> None:
    database = open_database(url)
    await make_tables(database)
    await database.close()


@pytest.mark.parametrize("name", ["a#b", "a%41", "a?b", "a b", "é"])
def test_a_path_may_hold_what_means_something_in_an_address(tmp_path: Path, name: str) -> None:
    """Else another file is opened, and made where there is none."""
    url, file = made(tmp_path / name)
    back_up(url, tmp_path / "copy.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["copy.db", name])
    assert file.exists()


def test_a_store_within_which_something_is_damaged_is_told_to_be_so(tmp_path: Path) -> None:
    """It is found by copying; the place of the copy has no part in it."""
    url, file = made(tmp_path / "store")
    with closing(sqlite3.connect(file)) as store:
        store.execute("INSERT INTO probes VALUES ('x', '2026-01-01')")
        store.commit()
        ((page,),) = store.execute("SELECT rootpage FROM sqlite_master WHERE name = 'probes'")
        ((size,),) = store.execute("PRAGMA page_size")
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as bytes_of_it:
        bytes_of_it.seek((page - 1) * size)
        bytes_of_it.write(b"\xff" * size)
    with pytest.raises(StoreUnavailable, match=r"The store at .* could not be read: database disk image is malformed"):
        back_up(url, tmp_path / "copy.db")
    assert not list(tmp_path.glob("copy*"))


def test_a_disk_that_becomes_full_keeps_nothing_of_the_copy(tmp_path: Path) -> None:
    """Nor the journal that SQLite leaves beside it: there is no room to spare."""
    url, file = made(tmp_path / "store")
    with closing(sqlite3.connect(file)) as store:
        store.execute("CREATE TABLE filler AS SELECT randomblob(9000000)")  # with less, SQLite writes all at the end
        store.commit()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size // 2, before[1]))
    try:
        with pytest.raises(StoreUnavailable, match="could not be written"):
            back_up(url, tmp_path / "copy.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.glob("copy*"))


def test_a_file_of_something_else_is_no_store(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE other (id)")
    with pytest.raises(StoreUnavailable, match="could not be read: no such table: events"):
        back_up(f"sqlite:///{tmp_path / 'other.db'}", tmp_path / "copy.db")
    assert not list(tmp_path.glob("copy*"))


def test_a_place_that_takes_no_copy_is_told_to_be_so(tmp_path: Path) -> None:
    url, _ = made(tmp_path / "store")
    with pytest.raises(StoreUnavailable, match="could not be written to"):
        back_up(url, tmp_path / "none" / "copy.db")
