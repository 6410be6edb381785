"""Bring the database to this program's schema, one process at a time."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from app.errors import StoreTooNew, StoreUnavailable
from app.store.database import Database
from app.store.tables import metadata

HEAD = "0001"
MIGRATION_WAIT = timedelta(seconds=30)  # for the database to be opened with: others migrate it first
_ADVISORY_LOCK = 0x52454C4159  # 'RELAY': PostgreSQL's lock that makes other processes wait here
_KNOWN = {HEAD}
_OF_EVERY_RELAY = {"events", "registrations", "timeline", "leases"}  # of each version, a newer one's too


async def migrate(database: Database) -> bool:
    """Run the migrations that are missing; return whether there were any.

    All of them are one transaction, so that a kill in the middle leaves the old schema. Others wait for it.

    Raises:
        StoreTooNew: the schema was made by a newer relay.
        StoreUnavailable: the database cannot be reached, or another migration holds it for too long.
    """
    if await schema_version(database) == HEAD:
        return False
    import alembic.command  # noqa: F401, PLC0415  # the slow import, before others have to wait for our lock

    async with database.write() as connection:
        return await connection.run_sync(_upgrade)


async def schema_version(database: Database) -> str | None:
    """Return the schema's version, None for an empty database.

    Raises:
        StoreTooNew: the version is one that this program does not know.
        StoreUnavailable: another program's tables are in the database.
    """
    async with database.read() as connection:
        return await connection.run_sync(_version)


def _version(connection: Connection) -> str | None:
    there = set(inspect(connection).get_table_names())
    found: str | None = None
    if "alembic_version" in there:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    _refuse_foreign(there, found)
    if found is not None and found not in _KNOWN:
        raise StoreTooNew(
            f"The database has schema {found}, this relay knows up to {HEAD}.",
            remedy="Start the newer relay that migrated it, or restore the backup taken before.",
        )
    return found


def _refuse_foreign(there: set[str], version: str | None) -> None:
    """Raise StoreUnavailable for a database whose tables no relay made."""
    if version is None:
        foreign = ", ".join(sorted(there & metadata.tables.keys()))
    else:
        foreign = "" if there >= _OF_EVERY_RELAY else f"alembic_version {version}"
    if foreign:
        raise StoreUnavailable(
            f"Another program's tables are in it ({foreign}).",
            remedy="Give the relay a database of its own, and name that in DATABASE_URL.",
        )


def _upgrade(connection: Connection) -> bool:
    from alembic import command  # noqa: PLC0415  # costs 0.2 s of every start, needed at the first only
    from alembic.config import Config  # noqa: PLC0415  # as above

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    if _version(connection) == HEAD:
        return False  # another process was quicker
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return True
