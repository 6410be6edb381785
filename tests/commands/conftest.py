"""The command line in a folder of its own, and a store that a relay left there."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.store.database import open_database
from tests.store.given import ended, seen
from tests.tables import make_tables
from tests.web.console.conftest import name_campaign
from tests.web.relay_server import NOW


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without .env, in which whatever would be written is seen."""
    monkeypatch.chdir(tmp_path)


@dataclass(frozen=True)
class Store:
    """Ids of what is in it: a registration that was sent, and the request to Marketo that it was part of."""

    registration: str
    call: str


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store that DATABASE_URL names, with a report on the set-up that knows campaign 1234 by its name."""
    url = "sqlite:///left.db"
    monkeypatch.setenv("DATABASE_URL", url)
    return asyncio.run(_left_at(url))


async def _left_at(url: str) -> Store:
    async with open_database(url) as database:
        await make_tables(database)
        registration = await ended(database, NOW, state="sent")
        await name_campaign(database, "Send Webinar Reminder")
        return Store(registration, (await seen(database, registration)).calls[0].id)
