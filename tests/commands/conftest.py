"""The command line in a folder of its own, and a store that a relay left there."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.domain import Json
from app.store.database import open_database
from tests.store.given import ended, seen
from tests.tables import make_tables
from tests.web.console.conftest import keep_report
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
        found: dict[str, Json] = {"title": "Active", "verdict": "fail", "found": "inactive", "advice": "Activate it."}
        finding = found | {"section": "", "check": "campaign_active", "subject": "1234"}
        await keep_report(database, campaigns={"1234": "Send Webinar Reminder"}, findings=[finding])
        return Store(registration, (await seen(database, registration)).calls[0].id)
