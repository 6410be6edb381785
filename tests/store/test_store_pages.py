"""A table is read in pages: each row once, in the order of the ids, wherever a page ends."""

import pytest
from sqlalchemy import select

from app.store import batched
from app.store.batched import in_pages
from app.store.database import Database
from app.store.tables import events
from tests.conftest import MovableClock
from tests.store.given import accept, new_event


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
async def test_each_row_is_read_once(
    database: Database, clock: MovableClock, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(batched, "_A_PAGE", 2)
    stored = await accept(database, *(new_event(clock()) for _ in range(count))) if count else []
    found = [row.id async for row in in_pages(database, select(events.c.id), events)]
    assert found == sorted(stored)
