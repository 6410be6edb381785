"""A simulation and a relay of one's own for each test that asks for them."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Process, Relay, Sandbox, environment, start_relay, until

StartRelay = Callable[..., Relay]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    ready = tmp_path / "sandbox.json"
    command = [sys.executable, "-m", "app.sandbox", "--port", "0", "--ready-file", str(ready), "--latency-ms", "5"]
    environ = environment("", "") | {"MARKETO_BASE_URL": ""}
    process = Process([*command, "--quiet"], environ, tmp_path)
    until(lambda: ready.exists() or process.child.poll() is not None, what="the simulation to listen")
    assert process.child.poll() is None, process.output
    yield Sandbox(process, json.loads(ready.read_text())["url"])
    process.stop()


@pytest.fixture
def start(sandbox: Sandbox, tmp_path: Path) -> Iterator[StartRelay]:
    """Start relays on one SQLite file, with further settings as keywords; all are stopped at the end."""
    started: list[Relay] = []

    def start_one(**more: str) -> Relay:
        url = f"sqlite:///{tmp_path / 'relay.db'}"
        environ = environment(sandbox.url, url) | more
        started.append(start_relay(environ, tmp_path))
        return started[-1]

    yield start_one
    for relay in started:
        relay.process.stop()


@pytest.fixture
def relay(start: StartRelay) -> Relay:
    return start()
