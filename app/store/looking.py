"""Look at the database without making or changing anything but a probe's one row."""

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from app.domain import Clock
from app.errors import StoreTooNew, StoreUnavailable
from app.store.database import Database, answered_within, open_database
from app.store.health import probe
from app.store.migrate import HEAD, schema_version

_PATIENCE = timedelta(seconds=5)
_ANSWERS = timedelta(seconds=10)  # all in all


@dataclass(frozen=True, slots=True)
class StoreState:
    """What a database is like. `where` names it without its password; `problem` is why it takes no writes.

    `remedy` is what to do about that, where the trouble itself tells.
    `is_new`: there is none yet, and one can be made; `is_old`: its tables are not this version's.
    """

    where: str
    problem: str | None = None
    remedy: str = ""
    is_new: bool = False
    is_old: bool = False


async def look_at_store(url: str, *, clock: Clock) -> StoreState:
    """Return the state of the database behind a DATABASE_URL. Never raises for what it finds."""
    parsed = make_url(url)
    where = _shown(parsed)
    if parsed.get_backend_name() == "sqlite" and not (file := _file(parsed)).exists():
        return _of_new_file(file, where)
    try:
        database = open_database(url, lock_wait=_PATIENCE)
    except StoreUnavailable as problem:
        return StoreState(where, str(problem))
    try:
        async with answered_within(_ANSWERS):
            return await _state(database, where, clock)
    except (StoreUnavailable, StoreTooNew) as problem:
        return StoreState(where, str(problem), problem.remedy)
    finally:
        await database.close()


async def _state(database: Database, where: str, clock: Clock) -> StoreState:
    version = await schema_version(database)
    if version is None:
        return StoreState(where, is_new=True)
    if version != HEAD:
        return StoreState(where, is_old=True)
    await probe(database, clock=clock)
    return StoreState(f"{where} (schema {version})")


def _of_new_file(file: Path, where: str) -> StoreState:
    """Judge whether the file could be made: its nearest folder that exists must take writes."""
    folder = next(parent for parent in file.absolute().parents if parent.exists())
    if not folder.is_dir():
        return StoreState(where, f"{folder} is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        return StoreState(where, f"the folder {folder} is not writable for this user")
    return StoreState(where, is_new=True)


def _file(url: URL) -> Path:
    return Path(url.database or "").expanduser()


def _shown(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"SQLite, {url.database}"
    return f"PostgreSQL, {url.database} at {url.host or 'this machine'}{f':{url.port}' if url.port else ''}"
