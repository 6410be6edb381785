"""Fixtures of the dispatcher's tests: a database of the embedded kind where the kind does not matter, and a play's."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from app.store.database import Database, open_database
from tests.tables import make_tables


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'relay.db'}")
    await make_tables(opened)
    yield opened
    await opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """The settings that name the store of a play in virtual time; none for SQLite, whose file it makes in memory."""
    if request.param == "sqlite":
        return {}
    url: str = request.getfixturevalue("postgres_database_url")
    async with open_database(url) as database:
        await make_tables(database)
    return {"DATABASE_URL": url}


@pytest.fixture
async def impatient(tmp_path: Path) -> AsyncIterator[Database]:
    """A database that soon gives up waiting for a lock; `tests.dispatch.stage.locked` locks its file."""
    opened = open_database(f"sqlite:///{tmp_path / 'relay.db'}", lock_wait=timedelta(milliseconds=200))
    await make_tables(opened)
    yield opened
    await opened.close()
