"""`relay stats`, in words."""

import asyncio

from typer.testing import CliRunner

from app.cli import app
from app.store.database import open_database
from tests.commands.conftest import Store
from tests.store.given import accept, new_event
from tests.web.relay_server import NOW


async def receive_one(url: str) -> None:
    async with open_database(url) as database:
        await accept(database, new_event(NOW))


def test_one_that_waits_is_one(at_hand: Store) -> None:
    asyncio.run(receive_one("sqlite:///left.db"))
    ended = CliRunner().invoke(app, ["stats"])
    assert "0 registrations, 1 webhook\n" in "".join(f"{line.rstrip()}\n" for line in ended.stdout.splitlines())
