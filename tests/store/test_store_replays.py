"""Replays are asked for once: a repeat with the same key begins none, from wherever it comes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from app.errors import ReplayRefused, StoreUnavailable
from app.store.database import Database, open_database
from app.store.replays import Asked, Replays, Selection
from tests.losing import losing
from tests.web.relay_server import NOW

WRONG_LINK = Asked(Selection(webinar_id="w-1", sent=True), "ada", "wrong link", resend=True)


@pytest.fixture
async def everywhere(database: Database, database_url: str) -> AsyncIterator[list[Replays]]:
    """The same store, as six processes have it open."""
    opened = [open_database(database_url, connections=1) for _ in range(6)]
    yield [Replays(one) for one in opened]
    for one in opened:
        await one.close()


async def test_a_key_begins_one_replay(everywhere: list[Replays]) -> None:
    """Asked for at the same moment in several processes, all are told of the same one."""
    asked = replace(WRONG_LINK, key="k-1")
    begun = await asyncio.gather(*(replays.ask(asked, now=NOW) for replays in everywhere))
    assert len({one.id for one in begun}) == 1
    assert len(await everywhere[0].latest(9)) == 1


async def test_a_repeat_after_an_unclear_commit_begins_none(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stored, and its answer never came."""
    replays, asked = Replays(database), replace(WRONG_LINK, key="k-1")
    async with losing(database, monkeypatch):
        with pytest.raises(StoreUnavailable):
            await replays.ask(asked, now=NOW)
    again = await replays.ask(asked, now=NOW)
    assert await replays.latest(9) == [again]
    await replays.stop(again.id, now=NOW)
    assert (await replays.ask(asked, now=NOW)).state == "stopped"


async def test_a_key_does_not_begin_something_else(database: Database) -> None:
    """Its asker would take the first one's progress for that of the second."""
    replays = Replays(database)
    first = await replays.ask(replace(WRONG_LINK, key="k-1"), now=NOW)
    other = Asked(Selection(webinar_id="w-2", sent=True), "ada", resend=True, key="k-1")
    with pytest.raises(ReplayRefused, match=f"began {first.id}, which replays something else"):
        await replays.ask(other, now=NOW)
    repeated = await replays.ask(replace(WRONG_LINK, by="bob", why="", key="k-1"), now=NOW)
    assert (repeated.id, repeated.asked.by) == (first.id, "ada")


async def test_the_same_people_are_mailed_again_by_one_at_a_time(everywhere: list[Replays]) -> None:
    """Two operators who see the same mistake, at the same moment and without any key."""
    asked = Asked(Selection(["reg_2", "reg_1"]), "ada", resend=True)
    begun = await asyncio.gather(*(replays.ask(asked, now=NOW) for replays in everywhere), return_exceptions=True)
    (only,) = await everywhere[0].latest(9)
    refused = [str(one) for one in begun if isinstance(one, ReplayRefused)]
    assert len(refused) == 5
    assert all(f"{only.id} mails the same people again" in said for said in refused)
    alike = Asked(Selection(["reg_1", "reg_2", "reg_1"]), "bob", resend=True, key="k-2")
    with pytest.raises(ReplayRefused):
        await everywhere[0].ask(alike, now=NOW)
    await everywhere[0].stop(only.id, now=NOW)
    assert (await everywhere[0].ask(alike, now=NOW)).state == "running"


async def test_what_mails_nobody_twice_may_be_asked_for_again(database: Database) -> None:
    """While the first runs, more may have died."""
    replays, asked = Replays(database), Asked(Selection(), "ada")
    for _ in range(2):
        await replays.ask(asked, now=NOW)
    assert len(await replays.latest(9)) == 2
