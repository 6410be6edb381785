"""A simulation and a relay of one's own for each test that asks for them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Relay, Sandbox, environment, start_relay, start_sandbox

StartRelay = Callable[..., Relay]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    running = start_sandbox(tmp_path)
    yield running
    running.process.stop()


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """Where the relays of a test store; a module that wants PostgreSQL too returns `database_url` instead."""
    return f"sqlite:///{tmp_path / 'relay.db'}"


@pytest.fixture
def start(sandbox: Sandbox, store_url: str, tmp_path: Path) -> Iterator[StartRelay]:
    """Start relays on one store, with further settings as keywords; all are stopped at the end."""
    started: list[Relay] = []

    def start_one(**more: str) -> Relay:
        environ = environment(sandbox.url, store_url) | more
        started.append(start_relay(environ, tmp_path))
        return started[-1]

    yield start_one
    for relay in started:
        relay.process.stop()


@pytest.fixture
def relay(start: StartRelay) -> Relay:
    return start()
