"""Copy a SQLite store while it is in use, and look whether the copy is whole. PostgreSQL has pg_dump for that."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from app.errors import StoreUnavailable

_PATIENCE = 30.0  # seconds for a lock that another holds
_OF_THE_STORE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy that was looked at: its file, its bytes, and how many rows of each kind it has."""

    file: Path
    size: int
    events: int
    registrations: int


def back_up(url: str, file: Path) -> Backup:
    """Write a whole copy of the store as it is at one moment; accepting and sending go on meanwhile.

    Raises:
        StoreUnavailable: there is no such store or it cannot be read, the file is there already or cannot be written,
            or the copy is not whole.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        raise StoreUnavailable(
            "This store is a PostgreSQL: back it up with `pg_dump --format=custom --file FILE` and its address, while "
            "it runs; `pg_restore --clean --if-exists` brings it back."
        )
    source = Path(parsed.database or "").expanduser()
    if not source.is_file():
        raise StoreUnavailable(f"There is no store at {source}; DATABASE_URL says where it is.")
    if file.exists():
        raise StoreUnavailable(f"{file} is there already, and a backup overwrites nothing.")
    part = file.with_name(f"{file.name}.part")
    try:
        _remove(part)  # of a backup that was cut off
        part.touch(mode=0o600)  # it holds names and addresses
        return _copied(source, part, file)
    except StoreUnavailable:
        _remove(part)
        raise
    except (sqlite3.Error, OSError) as problem:
        _remove(part)
        raise StoreUnavailable(f"The backup could not be written to {file}: {problem}") from problem


def _remove(part: Path) -> None:
    """Remove what there is of a copy, with SQLite's journal of it, which stays where the disk was full."""
    for one in (part, part.with_name(f"{part.name}-journal")):
        one.unlink(missing_ok=True)


def _copied(source: Path, part: Path, file: Path) -> Backup:
    _vacuum(source, part)
    with closing(sqlite3.connect(part)) as copy:
        (verdict,) = copy.execute("PRAGMA integrity_check").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"the copy is not whole: {verdict}")
        (events,) = copy.execute("SELECT count(*) FROM events").fetchone()
        (registrations,) = copy.execute("SELECT count(*) FROM registrations").fetchone()
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.rename(file)
    return Backup(file, file.stat().st_size, events, registrations)


def _vacuum(source: Path, part: Path) -> None:
    """Copy the store; what is wrong with it is told apart from what is wrong with the place of the copy."""
    address = f"{source.absolute().as_uri()}?mode=rw"  # a path may hold what means something in an address
    with closing(sqlite3.connect(address, uri=True, timeout=_PATIENCE)) as store:
        try:
            store.execute("SELECT 1 FROM events").fetchone()
        except sqlite3.Error as problem:
            raise _unreadable(source, problem) from problem
        try:
            store.execute("VACUUM INTO ?", (str(part),))
        except sqlite3.Error as problem:
            if problem.sqlite_errorcode & 0xFF in _OF_THE_STORE:
                raise _unreadable(source, problem) from problem
            raise


def _unreadable(source: Path, problem: sqlite3.Error) -> StoreUnavailable:
    return StoreUnavailable(
        f"The store at {source} could not be read: {problem}. DATABASE_URL says where it is; if it is damaged, bring "
        "back the last backup."
    )
