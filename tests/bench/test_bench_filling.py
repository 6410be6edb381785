"""What the console's figure searches in is like what the relay itself writes."""

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from app.store.database import open_database
from app.store.migrate import migrate
from app.store.search import Search
from app.web.console.asking import asked
from bench.filling import SEARCHES, fill

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("what", SEARCHES)
async def test_each_search_finds_somebody(tmp_path: Path, what: str) -> None:
    """A search that finds nobody would be quick, and say nothing."""
    path = tmp_path / "relay.db"
    database = open_database(f"sqlite:///{path}")
    await migrate(database)
    fill(path, 3000, NOW)
    search = asked(dict(parse_qsl(SEARCHES[what])), ["custom", "eventbrite"])
    found = await Search(database).registrations(search.wanted, limit=50)
    await database.close()
    assert search.problems == {}
    assert found.items
