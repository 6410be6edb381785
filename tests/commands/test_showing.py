"""`relay show` says why something is not there, and what somebody waits for."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.domain import utc_now
from app.store.calls import CallLog, Pause
from app.store.database import Database, open_database
from app.store.forgetting import Forgetting
from app.store.retention import Retention
from tests.store.given import claimed_event, draft, ended, record, seen, sending
from tests.tables import make_tables
from tests.web.relay_server import NOW

MONTH = timedelta(days=30)


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Database], Awaitable[str]]], str]:
    """Make the store that DATABASE_URL names, as a relay left it; return what is asked for."""
    url = "sqlite:///left.db"
    monkeypatch.setenv("DATABASE_URL", url)

    async def leave(as_it_was: Callable[[Database], Awaitable[str]]) -> str:
        async with open_database(url) as database:
            await make_tables(database)
            return await as_it_was(database)

    return lambda as_it_was: asyncio.run(leave(as_it_was))


Left = Callable[[Callable[[Database], Awaitable[str]]], str]


def shown(what: str) -> str:
    """Return what is shown of it, on one line."""
    ended = CliRunner().invoke(app, ["show", what])
    assert ended.exit_code == 0, ended.stderr
    return " ".join(ended.stdout.split())


async def _purged(database: Database) -> str:
    one = await ended(database, NOW, state="sent")
    await Retention(database, keep=MONTH).step(NOW + MONTH + timedelta(days=1))
    return one


async def _forgotten(database: Database) -> str:
    one = await ended(database, NOW, state="dead")
    event = (await seen(database, one)).timeline[0].event_id
    await Forgetting(database).forget("ada@example.com", now=NOW)
    return str(event)


def test_of_somebody_who_was_blanked_it_is_said_why_data_is_missing(left: Left) -> None:
    page = shown(left(_purged))
    assert "Somebody whose data was removed, webinar w-1: sent" in page
    assert "removed after the retention time (RETENTION_DAYS)" in page
    assert "None" not in page


def test_of_a_webhook_that_was_blanked_too(left: Left) -> None:
    """Of somebody who was to be forgotten, nothing else is left."""
    event = left(_forgotten)
    page = shown(event)
    assert "Webhook of custom: mapped" in page
    assert "removed after the retention time, or because somebody in it was to be forgotten" in page


def test_a_blanked_webhook_cannot_be_tried_and_says_so(left: Left) -> None:
    """It is not its sender who sent nothing."""
    event = left(_forgotten)
    capture = CliRunner().invoke(app, ["show", event, "--json"]).stdout
    Path("capture.json").write_text(capture)
    tried = CliRunner().invoke(app, ["try", "capture.json"])
    assert (tried.exit_code, json.loads(capture)["body"]) == (1, "")
    assert "capture.json: refused: its body was removed" in tried.stdout


async def _paused(database: Database) -> str:
    made, now = draft(NOW), utc_now()
    await record(database, NOW, made)
    pause = Pause("marketo", now + timedelta(hours=1), now, "601", "Access token invalid.", 1)
    await CallLog(database, clock=utc_now).pause(pause)
    await CallLog(database, clock=utc_now).pause(Pause("campaign:99", now + timedelta(hours=2), now, "1013", "No.", 1))
    return made.id


def test_who_waits_for_a_pause_is_told_so(left: Left) -> None:
    """Before the next try, too: a registration that has just come knows of nothing yet."""
    page = shown(left(_paused))
    assert "Ada" in page
    assert "UTC: Marketo is paused. 601: Access token invalid." in page
    assert "what to do Somebody must mend this" in page
    assert "1013" not in page


def test_who_is_done_waits_for_nothing(left: Left) -> None:
    async def done(database: Database) -> str:
        await _paused(database)
        return await ended(database, NOW, state="sent", email="bob@example.com")

    assert "paused" not in shown(left(done))


def test_when_a_webinar_starts_is_said_in_utc(left: Left) -> None:
    async def dated(database: Database) -> str:
        made = draft(NOW, starts_at=NOW)
        await record(database, NOW, made)
        return made.id

    assert "starts (UTC) 2026-11-23 12:00:00" in shown(left(dated))


def test_one_person_is_one_person(left: Left) -> None:
    async def called(database: Database) -> str:
        return (await sending(database, NOW)).id

    assert "trigger with 1 person: no answer yet" in shown(left(called))


def test_a_webhook_that_is_kept_is_shown_whole(left: Left) -> None:
    async def kept(database: Database) -> str:
        return (await claimed_event(database, NOW)).id

    page = shown(left(kept))
    assert page.endswith("{}")
    assert "removed" not in page
