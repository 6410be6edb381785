"""A form pressed twice: the presses may reach two processes, at the same moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from app.store.database import Database, open_database
from app.store.replays import Replays
from tests.store.given import ended
from tests.tables import make_tables
from tests.web.console.conftest import console_over
from tests.web.console.reading import hidden_fields, text_of
from tests.web.relay_server import ADMIN_TOKEN, NOW, Relay, Surroundings, serving

AGAIN = "/console/replay?webinar=w-1&sent=on&resend=on"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url) as opened:
        await make_tables(opened)
        yield opened


@pytest.fixture
async def two(around: Surroundings, database: Database, database_url: str) -> AsyncIterator[list[Relay]]:
    """Two processes' apps on one store, with somebody signed in; the store has one who was sent a reminder."""
    await ended(database, NOW, state="sent")
    async with AsyncExitStack() as stack:
        running = []
        for _ in range(2):
            own = await stack.enter_async_context(open_database(database_url))
            running.append(await stack.enter_async_context(serving(around.app(console=console_over(own)))))
        await running[0].client.post("/console/sign-in", data={"token": ADMIN_TOKEN, "next": "/console"})
        running[1].client.cookies = running[0].client.cookies
        yield running


async def test_a_button_pressed_twice_replays_once(two: list[Relay], database: Database) -> None:
    """Everybody would get a third e-mail."""
    form = hidden_fields(await two[0].client.get(AGAIN))
    answers = await asyncio.gather(*(relay.client.post("/console/replay", data=form) for relay in two * 3))
    (only,) = await Replays(database).latest(9)
    assert {answer.headers["location"] for answer in answers} == {f"/console/replays/{only.id}"}


async def test_of_two_who_mail_the_same_people_again_at_once_one_is_told_of_the_other(
    two: list[Relay], database: Database
) -> None:
    """Each has a page of their own, and neither knows of the other."""
    forms = [hidden_fields(await relay.client.get(AGAIN)) for relay in two]
    sent = (relay.client.post("/console/replay", data=form) for relay, form in zip(two, forms, strict=True))
    answers = sorted(await asyncio.gather(*sent), key=lambda answer: answer.status_code)
    (only,) = await Replays(database).latest(9)
    assert [answer.status_code for answer in answers] == [303, 409]
    assert f"{only.id} mails the same people again and is under way" in text_of(answers[1])


async def test_a_later_form_begins_a_replay_of_its_own(two: list[Relay], database: Database) -> None:
    """Once the first is at its end; whoever goes back to an old form of theirs is shown what it began."""
    first, second = [hidden_fields(await relay.client.get(AGAIN)) for relay in two]
    begun = await two[0].client.post("/console/replay", data=first)
    (only,) = await Replays(database).latest(9)
    await Replays(database).stop(only.id, now=NOW)
    later = await two[1].client.post("/console/replay", data=second)
    assert later.status_code == 303
    assert later.headers["location"] != begun.headers["location"]
    assert (await two[1].client.post("/console/replay", data=first)).headers["location"] == begun.headers["location"]
