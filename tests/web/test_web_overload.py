"""More webhooks than the store takes, over real connections: each is answered, and none is lost or there twice."""

import asyncio
import itertools
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import httpx
import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.engine import make_url

from app.backroom import Backroom
from app.domain import NewEvent
from app.store.database import Database, open_database
from app.store.inbox import Inbox
from app.store.tables import events
from app.store.views import Receipt
from tests.web.relay_server import Relay, Surroundings, serving

SENDERS = 60
MOST_WAITING, MOST_BYTES, TOGETHER = 12, 300_000, 4
WAITS, LOCK_WAIT = timedelta(seconds=1), timedelta(milliseconds=200)
LARGEST = 65_536


@dataclass
class WatchedInbox:
    """An inbox that notes how much ever waited in it."""

    inbox: Inbox
    most: tuple[int, int] = (0, 0)

    @property
    def waiting(self) -> tuple[int, int]:
        return self.inbox.waiting

    async def accept(self, event: NewEvent) -> Receipt:
        asyncio.get_running_loop().call_soon(self._note)  # it is in the queue by then, if there was room
        return await self.inbox.accept(event)

    def _note(self) -> None:
        waiting, size = self.inbox.waiting
        self.most = max(self.most[0], waiting), max(self.most[1], size)


@asynccontextmanager
async def overloaded(database_url: str) -> AsyncIterator[tuple[Relay, WatchedInbox]]:
    """Serve with an inbox that writes in a thread of its own, as in earnest, and takes less than all that is sent."""
    database = open_database(database_url, lock_wait=LOCK_WAIT)
    inbox = Inbox(database, most_waiting=MOST_WAITING, most_bytes=MOST_BYTES, most_together=TOGETHER, waits=WAITS)
    watched = WatchedInbox(inbox)

    async def work(end: asyncio.Event) -> None:
        async with database:
            writing = asyncio.create_task(inbox.run())
            await end.wait()
            inbox.close()
            await writing

    backroom = Backroom(work)
    await backroom.open()
    try:
        async with serving(Surroundings().app(inbox=watched, max_body=LARGEST)) as relay:
            yield relay, watched
    finally:
        await backroom.close()


@contextmanager
def held(database_url: str) -> Iterator[None]:
    """Let nobody write webhooks meanwhile."""
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(str(url.database), isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            yield
    else:
        with psycopg.connect(database_url) as holder:
            holder.execute("LOCK TABLE events")
            yield


async def send(relay: Relay, number: int, size: int) -> httpx.Response:
    return await relay.post("/webhooks/custom", {"id": f"w-{number}", "filler": "x" * size})


async def accepted(relay: Relay, number: int, size: int, refused: asyncio.Event) -> str:
    """Send one until it is stored, as senders do, and return the id that it was told."""
    for _ in itertools.count():
        answer = await send(relay, number, size)
        if answer.status_code != 503:
            break
        refused.set()
        await asyncio.sleep(0.05)
    assert answer.status_code in (200, 202)  # a repeat of what was stored after all is told to be a duplicate
    return str(answer.json()["id"])


async def waiting_are_shown(relay: Relay) -> None:
    """Look at the figures until they tell of those who wait: at any one moment all may just be being written."""
    for _ in range(200):
        if re.search(r"^relay_inbox_waiting [1-9]", (await relay.client.get("/metrics")).text, re.MULTILINE):
            return
        await asyncio.sleep(0.02)
    pytest.fail("nobody was ever shown to wait")


async def stored(database: Database) -> list[str]:
    async with database.read() as connection:
        return sorted(await connection.scalars(select(events.c.id)))


@pytest.mark.parametrize("size", [10, 60_000], ids=["many", "large"])
async def test_past_what_the_store_takes_senders_hear_503_in_time_and_come_again(
    database: Database, database_url: str, size: int
) -> None:
    """However many there are: the queue is bounded in number and bytes, and so is the wait, though nothing is stored.

    Nobody is answered because the store takes writes again: it does not until all have been. (A few seconds: waits.)
    """
    async with overloaded(database_url) as (relay, inbox):
        with held(database_url):
            answers = await asyncio.gather(*(send(relay, number, size) for number in range(SENDERS)))
            refused = asyncio.Event()
            senders = [asyncio.create_task(accepted(relay, number, size, refused)) for number in range(SENDERS)]
            await refused.wait()  # others fill the queue, again and again
            await waiting_are_shown(relay)
        told = await asyncio.gather(*senders)
    assert {answer.status_code for answer in answers} == {503}
    for answer in answers:
        assert int(answer.headers["retry-after"]) > 0
        assert answer.headers["content-type"] == "application/problem+json"
        assert json.loads(answer.content)["detail"] == "It could not be stored; send it again later."
    assert inbox.most[0] <= MOST_WAITING
    assert inbox.most[1] <= MOST_BYTES
    assert inbox.most[0] == MOST_WAITING or inbox.most[1] > MOST_BYTES - size - 100, "it was full"
    assert await stored(database) == sorted(told)
    assert len(set(told)) == SENDERS
