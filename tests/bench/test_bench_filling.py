"""What the console's figure searches in is like what the relay itself writes."""

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from app.domain import EventState
from app.sources.base import Accepted, Inbound
from app.sources.custom import CustomSource
from app.store.database import open_database
from app.store.events import EventQueue
from app.store.listing import Listing
from app.store.lookup import Lookup
from app.store.search import Search
from app.store.views import EventFilter
from app.web.console.asking import asked
from bench.filling import SEARCHES, fill, fill_events, fill_untitled
from tests.tables import make_tables

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


async def test_the_webhooks_of_an_aged_store_are_settled(tmp_path: Path) -> None:
    """None of them is due any more, and each is known again by its key."""
    path = tmp_path / "relay.db"
    database = open_database(f"sqlite:///{path}")
    await make_tables(database)
    fill_events(path, 300, NOW)
    assert (await EventQueue(database).waiting())[0] == 0
    page = await Listing(database, clock=lambda: NOW).events(EventFilter(), limit=200)
    await database.close()
    assert {one.state for one in page.items} == {EventState.MAPPED}


async def test_webhooks_without_a_title_wait_to_be_mapped(tmp_path: Path) -> None:
    """They die as in earnest: a registration of each is made, and lacks what an e-mail needs."""
    path = tmp_path / "relay.db"
    database = open_database(f"sqlite:///{path}")
    await make_tables(database)
    fill_untitled(path, 30, NOW)
    page = await Listing(database, clock=lambda: NOW).events(EventFilter(state=EventState.WAITING), limit=100)
    event = await Lookup(database).event(page.items[0].id)
    await database.close()
    assert len(page.items) == 30
    assert event
    source = CustomSource(signing_secrets=[], api_keys=["k" * 20], allowed_campaigns=[])
    verdict = source.receive(Inbound({"authorization": "Bearer " + "k" * 20, "content-type": "x"}, event.body, NOW))
    assert isinstance(verdict, Accepted)


@pytest.mark.parametrize("what", SEARCHES)
async def test_each_search_finds_somebody(tmp_path: Path, what: str) -> None:
    """A search that finds nobody would be quick, and say nothing."""
    path = tmp_path / "relay.db"
    database = open_database(f"sqlite:///{path}")
    await make_tables(database)
    fill(path, 3000, NOW)
    search = asked(dict(parse_qsl(SEARCHES[what])), ["custom", "eventbrite"])
    found = await Search(database).registrations(search.wanted, limit=50)
    await database.close()
    assert search.problems == {}
    assert found.items
