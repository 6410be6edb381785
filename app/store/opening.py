"""Make the database ready when a process starts, and say what to do when that cannot be done."""

from pathlib import Path

from sqlalchemy.engine import URL, make_url

from app.errors import StoreUnavailable
from app.store.database import open_database
from app.store.migrate import HEAD, MIGRATION_WAIT, migrate, schema_version
from app.store.network_files import network_file_system

_NO_TABLES = (
    "The database lacks this version's tables: run `relay migrate`, or start the relay with MIGRATE_ON_START=true."
)
_OF_SQLITE = (
    "Its folder must exist or be makeable, and file and folder be writable for the user who runs the relay; another "
    "program must not hold it locked."
)
_OF_POSTGRESQL = (
    "Look whether PostgreSQL runs and can be reached from here, whether the database exists, and whether user and "
    "password are right."
)


async def prepare_store(url: str, *, may_migrate: bool = True) -> bool:
    """Bring the tables up to date, patiently, since another process may be at it; return whether anything was done.

    Raises:
        StoreTooNew: the tables were made by a newer relay.
        StoreUnavailable: the database cannot be used; names the setting at fault and what to look at.
    """
    _refuse_network_files(make_url(url))
    if not may_migrate and (missing := _what_is_missing(url)):
        raise StoreUnavailable(missing)
    try:
        is_ready, changed = await _prepared(url, may_migrate=may_migrate)
    except StoreUnavailable as problem:
        raise _of_the_setting(make_url(url), problem) from problem
    if not is_ready:
        raise StoreUnavailable(_NO_TABLES)
    return changed


def _what_is_missing(url: str) -> str | None:
    """Say so if the file is not there: to open it would make an empty database where a path is misspelt."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or Path(parsed.database or "").expanduser().exists():
        return None
    return (
        f"There is no store at {parsed.database}. DATABASE_URL says where it is; a relay that starts makes it, and "
        "`relay migrate` does."
    )


def _refuse_network_files(url: URL) -> None:
    if url.get_backend_name() != "sqlite":
        return
    path = Path(url.database or "").expanduser()
    if kind := network_file_system(path):
        raise StoreUnavailable(
            f"The database that DATABASE_URL names (sqlite:///{url.database}) lies on a network file system ({kind}), "
            "whose locks SQLite cannot rely on: two processes would damage it.\n"
            "Put it on a disk of this machine, or use PostgreSQL (DATABASE_URL=postgresql://…)."
        )


def _of_the_setting(url: URL, problem: StoreUnavailable) -> StoreUnavailable:
    """Say which database it is, without its password, what is wrong with it, and what to look at."""
    return StoreUnavailable(
        f"The database that DATABASE_URL names ({shown_address(url)}) cannot be used.\n{problem}",
        remedy=problem.remedy or (_OF_SQLITE if url.get_backend_name() == "sqlite" else _OF_POSTGRESQL),
    )


def shown_address(url: URL | str) -> str:
    """Return where a store is, without user and password."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return f"sqlite:///{parsed.database}"
    return f"postgresql://{parsed.host or '(local)'}{f':{parsed.port}' if parsed.port else ''}/{parsed.database or ''}"


async def _prepared(url: str, *, may_migrate: bool) -> tuple[bool, bool]:
    async with open_database(url, lock_wait=MIGRATION_WAIT, statement_limit=None) as database:
        if may_migrate:
            return True, await migrate(database)
        return await schema_version(database) == HEAD, False
