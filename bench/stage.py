"""Set the stage for a figure: the simulation and the relay as processes of their own, on a fresh database file."""

import json
import sqlite3
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from app.sandbox import seed
from bench.generator import Job, Load
from bench.processes import asked, free_port, running, until_ready

ADMIN_TOKEN = "bench-admin-Qw7xT2nV9kLm4c"


class NotAYardstick(Exception):
    """What should do nothing was refused, so that nothing can be measured beside it."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What runs: base URLs, the relay's port, pid and database, how long it took to become ready (seconds)."""

    relay: str
    sandbox: str
    port: int
    pid: int
    database: Path
    start_up: float

    async def seen(self, path: str) -> Any:
        async with httpx.AsyncClient(timeout=30) as client:
            return (await client.get(f"{self.sandbox}/sandbox/{path}")).json()

    def counted(self, table: str, column: str) -> dict[str, int]:
        """Return how many rows of the relay's database have each value of a column, without disturbing it."""
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            return dict(connection.execute(f"SELECT {column}, count(*) FROM {table} GROUP BY 1").fetchall())
        finally:
            connection.close()

    async def load(self, **job: Any) -> Load:
        return await load(port=self.port, watched=self.pid, **job)


async def load(**job: Any) -> Load:
    """Load a server from a process of its own and return what that process measured.

    Raises:
        NotAYardstick: the endpoint that does nothing answered something else than 200.
    """
    answer = json.loads(await asked("bench.generator", json.dumps(asdict(Job(**job)))))
    answer["statuses"] = {int(status): count for status, count in answer["statuses"].items()}
    if job["kind"] == "noop" and set(answer["statuses"]) != {200}:
        raise NotAYardstick(f"answers {answer['statuses']} of an endpoint that does nothing")
    return Load(**answer)


@asynccontextmanager
async def staged(*, latency_ms: int = 50, **settings: str) -> AsyncIterator[Stage]:
    """Start both, and stop both at the end of the block."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-bench-")))
        sandbox = await _sandbox(stack, folder, latency_ms)
        port = free_port()
        environment = relay_settings(sandbox, port, folder) | settings
        process: Process = await stack.enter_async_context(
            running("bench.server", folder=folder, log="relay.log", environment=environment)
        )
        url = f"http://127.0.0.1:{port}"
        start_up = await until_ready(process, f"{url}/readyz", log=folder / "relay.log")
        yield Stage(url, sandbox, port, process.pid, folder / "relay.db", start_up)


@asynccontextmanager
async def bare(which: str) -> AsyncIterator[tuple[int, int, float]]:
    """Start one of the bare yardsticks; give its port, its pid, and the seconds until it was ready."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-bench-")))
        port = free_port()
        process = await stack.enter_async_context(running("bench.bare", which, str(port), folder=folder, log="log"))
        path = "readyz" if which == "fastapi" else ""
        start_up = await until_ready(process, f"http://127.0.0.1:{port}/{path}", log=folder / "log")
        yield port, process.pid, start_up


async def _sandbox(stack: AsyncExitStack, folder: Path, latency_ms: int) -> str:
    port = free_port()
    options = ["--port", str(port), "--latency-ms", str(latency_ms), "--quiet"]
    process = await stack.enter_async_context(running("app.sandbox", *options, folder=folder, log="sandbox.log"))
    url = f"http://127.0.0.1:{port}"
    await until_ready(process, f"{url}/sandbox/stats", log=folder / "sandbox.log")
    return url


def relay_settings(sandbox: str, port: int, folder: Path) -> dict[str, str]:
    """Return the settings of a relay as it runs in earnest, but for the addresses and two that stand in a figure's way.

    The check at the start would be among the calls that a figure counts; the drain would only delay its end.
    """
    return {
        "MARKETO_BASE_URL": sandbox,
        "MARKETO_CLIENT_ID": seed.CLIENT_ID,
        "MARKETO_CLIENT_SECRET": seed.CLIENT_SECRET,
        "MARKETO_CAMPAIGN_ID": str(seed.CAMPAIGN_ID),
        "EVENTBRITE_WEBHOOK_TOKEN": seed.EVENTBRITE_WEBHOOK_TOKEN,
        "EVENTBRITE_API_TOKEN": seed.EVENTBRITE_API_TOKEN,
        "EVENTBRITE_API_URL": f"{sandbox}/eventbrite/v3",
        "CUSTOM_WEBHOOK_SECRETS": seed.CUSTOM_WEBHOOK_SECRET,
        "CUSTOM_API_KEYS": seed.CUSTOM_API_KEY,
        "ADMIN_TOKEN": ADMIN_TOKEN,
        "DATABASE_URL": f"sqlite:///{folder / 'relay.db'}",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "CHECK_AT_START": "false",
        "DRAIN_SECONDS": "0",
    }
