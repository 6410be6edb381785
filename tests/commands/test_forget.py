"""`relay forget`: scripts read its exit code."""

import asyncio

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.store.database import open_database
from tests.store.given import ended, sending
from tests.tables import make_tables
from tests.web.relay_server import NOW

STORE = "sqlite:///left.db"


async def leave(*, is_under_way: bool) -> None:
    async with open_database(STORE) as database:
        await make_tables(database)
        await (sending(database, NOW) if is_under_way else ended(database, NOW, state="sent"))


@pytest.mark.parametrize(("is_under_way", "code"), [(False, 0), (True, 3)])
def test_who_is_not_wholly_forgotten_is_no_success(is_under_way: bool, code: int) -> None:
    """A script that takes 0 for done would never run it again, and the person stayed."""
    asyncio.run(leave(is_under_way=is_under_way))
    ended = CliRunner().invoke(app, ["forget", "ada@example.com", "--yes"], env={"DATABASE_URL": STORE})
    assert (ended.exit_code, "under way, left" in ended.stdout) == (code, is_under_way), ended.stderr


def test_the_help_names_its_exit_code() -> None:
    assert "Exit code 3" in CliRunner().invoke(app, ["forget", "--help"]).stdout
