"""The console over a real store, and somebody who is signed in."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.checkup import Examined
from app.dispatch.replaying import Replaying
from app.doctor.report import Report
from app.domain import Json
from app.setup_watch import InTheStore, SetupWatch
from app.sources.trying import Sender, Tried
from app.sources.webinars import Catalogue, ConfiguredWebinar
from app.store.database import Database, open_database
from app.store.dead import DeadLetters
from app.store.finding import Calls
from app.store.listing import Listing
from app.store.lookup import Lookup
from app.store.overview import Overview
from app.store.replays import Replays
from app.store.reports import SetupReports
from app.store.search import Search
from app.web.care_parts import CareParts
from app.web.console.parts import ConsoleParts, NoLetter, ReadLetter, TryOut
from app.web.masking import Masking
from tests.dispatch.stage import JUDGE
from tests.tables import make_tables
from tests.web.relay_server import ADMIN_TOKEN, NOW, PATH_SECRET, Relay, Surroundings, serving


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """SQLite is enough here: the store's own tests run on both."""
    opened = open_database(f"sqlite:///{tmp_path / 'relay.db'}")
    await make_tables(opened)
    yield opened
    await opened.close()


SENDERS = {
    "eventbrite": Sender("eventbrite", PATH_SECRET),
    "custom": Sender("custom", sign=lambda _body, _now: {"x-key": PATH_SECRET}),
}


async def nothing_tried(_source: str, _body: bytes) -> Tried:
    return Tried(ignored="Nobody registered.")


async def no_letter(_campaign: int) -> NoLetter:
    return NoLetter("It may not be read.")


async def nothing_found() -> Examined:
    return Examined(Report(()), ())


def shared_over(database: Database) -> InTheStore:
    return InTheStore(database.engine.url.render_as_string(), database, ())


def replaying_over(database: Database) -> Replaying:
    """What takes up again what died, an hour later, when a title is configured for the webinar that had none."""
    mended = replace(JUDGE, catalogue=Catalogue([ConfiguredWebinar(id="w-1", title="Configured")]))
    return Replaying(Replays(database), {}, mended, lambda: NOW + timedelta(hours=1))


def console_over(
    database: Database,
    tries: TryOut | None = None,
    letter: ReadLetter | None = None,
) -> ConsoleParts:
    return ConsoleParts(
        care=CareParts(DeadLetters(database), replaying_over(database), Replays(database)),
        search=Search(database),
        try_out=tries or nothing_tried,
        read_letter=letter or no_letter,
        senders=SENDERS,
        examples={"custom": '{"example": true}'},
        calls=Calls(database),
        overview=Overview(database),
        webhooks=Listing(database, clock=lambda: NOW),
    )


async def name_campaign(database: Database, name: str) -> None:
    """Keep a report on the set-up that saw the usual campaign under this name."""
    await keep_report(database, campaigns={"1234": name})


async def keep_report(database: Database, **parts: Any) -> None:
    """Keep a report on the set-up that found what these parts of it say."""
    report: dict[str, Json] = {"checkedAt": NOW.isoformat(), "exitCode": 0, "summary": "", "counts": {}}
    nothing: dict[str, Json] = {"findings": [], "fixes": [], "campaigns": {}}
    await SetupReports(database).keep(report | nothing | parts, at=NOW)


@pytest.fixture
async def relay(around: Surroundings, database: Database) -> AsyncIterator[Relay]:
    setup = SetupWatch(nothing_found, shared=shared_over(database), clock=lambda: around.now)
    async with serving(
        around.app(masking=Masking([PATH_SECRET]), lookup=Lookup(database), console=console_over(database), setup=setup)
    ) as running:
        yield running


@pytest.fixture
async def signed_in(relay: Relay) -> Relay:
    answer = await relay.client.post("/console/sign-in", data={"token": ADMIN_TOKEN, "next": "/console"})
    assert answer.status_code == 303
    return relay
