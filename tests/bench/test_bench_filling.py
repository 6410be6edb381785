"""What figures fill a store with is like what the relay itself writes, on both databases."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import select

from app.domain import EventState
from app.sources.base import Accepted, Inbound
from app.sources.custom import CustomSource
from app.store.database import Database, open_database
from app.store.events import EventQueue
from app.store.listing import Listing
from app.store.lookup import Lookup
from app.store.search import Search
from app.store.tables import events
from app.store.views import EventFilter, RegistrationFilter
from app.web.console.asking import asked
from bench.filling import SEARCHES, fill, fill_events, fill_timelines, fill_untitled
from bench.inserting import Insert, into_postgresql, into_sqlite
from tests.tables import make_tables

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def insert(database_url: str) -> Insert:
    """What fills the database of the test, of either kind."""
    if database_url.startswith("sqlite"):
        return into_sqlite(Path(database_url.removeprefix("sqlite:///")))
    return into_postgresql(database_url)


async def test_the_webhooks_of_an_aged_store_are_settled(database: Database, insert: Insert) -> None:
    """None of them is due any more, and each is known again by its key."""
    fill_events(insert, 300, NOW, blank=100)
    assert (await EventQueue(database).waiting())[0] == 0
    page = await Listing(database, clock=lambda: NOW).events(EventFilter(), limit=200)
    assert {one.state for one in page.items} == {EventState.MAPPED}


async def test_an_aged_store_tells_what_happened_to_each(database: Database, insert: Insert) -> None:
    """Both stores hold the same, to the microsecond; the timeline belongs to its registration and its webhook."""
    fill(insert, 20, NOW)
    fill_events(insert, 20, NOW)
    fill_timelines(insert, 20, NOW)
    page = await Lookup(database).registrations(RegistrationFilter(email="alan.lovelace.2@example.com"), limit=9)
    one = await Lookup(database).registration(page.items[0].id)
    assert one
    assert one.created_at == NOW - timedelta(days=90) + 2 * (timedelta(days=90) / 20)
    assert [entry.what for entry in one.timeline] == ["registered", "person found", "sent"]
    assert await Lookup(database).event(one.timeline[0].event_id or "")


async def test_only_the_oldest_webhooks_are_blank(database: Database, insert: Insert) -> None:
    """Blanked day by day, as the retention does it: the others are what the purge would find."""
    fill_events(insert, 10, NOW, blank=4)
    async with database.read() as connection:
        bodies = list((await connection.execute(select(events.c.body).order_by(events.c.id))).scalars())
    assert [body is None for body in bodies] == [True] * 4 + [False] * 6


async def test_webhooks_without_a_title_wait_to_be_mapped(database: Database, insert: Insert) -> None:
    """They die as in earnest: a registration of each is made, and lacks what an e-mail needs."""
    fill_untitled(insert, 30, NOW)
    page = await Listing(database, clock=lambda: NOW).events(EventFilter(state=EventState.WAITING), limit=100)
    event = await Lookup(database).event(page.items[0].id)
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
    fill(into_sqlite(path), 3000, NOW)
    search = asked(dict(parse_qsl(SEARCHES[what])), ["custom", "eventbrite"])
    found = await Search(database).registrations(search.wanted, limit=50)
    await database.close()
    assert search.problems == {}
    assert found.items
