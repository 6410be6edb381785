"""Several processes on one port: requests spread, one leads, whoever dies is replaced, all stop together."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.harness import Relay, Sandbox, environment, registration, start_relay, until, web


@contextmanager
def two_workers(sandbox: Sandbox, database_url: str, folder: Path) -> Iterator[Relay]:
    started = start_relay(environment(sandbox.url, database_url, WORKERS="2"), folder)
    try:
        until(lambda: len(workers(started)) == 2, what="two workers")
        yield started
    finally:
        started.process.stop()


@pytest.fixture
def relay(sandbox: Sandbox, database_url: str, tmp_path: Path) -> Iterator[Relay]:
    with two_workers(sandbox, database_url, tmp_path) as started:
        yield started


@pytest.fixture
def relay_on_sqlite(sandbox: Sandbox, tmp_path: Path) -> Iterator[Relay]:
    with two_workers(sandbox, f"sqlite:///{tmp_path / 'relay.db'}", tmp_path) as started:
        yield started


def facts(relay: Relay, event: str) -> list[dict[str, object]]:
    """Return the log lines that tell this."""
    lines = (json.loads(line) for line in relay.process.lines if f'"{event}"' in line)
    return [line for line in lines if line["event"] == event]


def workers(relay: Relay) -> list[int]:
    """Return the processes that have begun to listen, those that ended left out."""
    listening = len(facts(relay, "serving"))
    ever = [int(str(line["pid"])) for line in facts(relay, "worker started")]
    died = {line["pid"] for line in facts(relay, "worker died")}
    return [pid for pid in ever if pid not in died] if listening == len(ever) else []


def figure(relay: Relay, name: str, **labels: str) -> float:
    page = web.get(f"{relay.url}/metrics").text
    samples = (one for family in text_string_to_metric_families(page) for one in family.samples)
    return sum(one.value for one in samples if one.name == name and one.labels == labels)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def connections(relay: Relay, stack: ExitStack, count: int) -> list[socket.socket]:
    """Return idle connections, each of which a worker has answered once."""
    address = ("127.0.0.1", int(relay.url.rpartition(":")[2]))

    def connect(_number: int) -> socket.socket:
        made = socket.create_connection(address, timeout=15)
        made.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200" in made.recv(4096)
        return made

    with ThreadPoolExecutor(16) as pool:
        return [stack.enter_context(one) for one in pool.map(connect, range(count))]


def ends(connection: socket.socket) -> bool:
    """Tell whether the other side is gone."""
    connection.settimeout(0.5)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_a_worker_that_is_killed_is_replaced_and_the_others_go_on(relay: Relay) -> None:
    """Its own connections break, so both had some: requests spread."""
    victim, other = workers(relay)
    with ExitStack() as stack:
        open_ones = connections(relay, stack, 100)
        os.kill(victim, signal.SIGKILL)
        until(lambda: facts(relay, "worker died"), what="its death to be told")
        assert relay.send(registration("ada@example.com")).status_code == 202
        with ThreadPoolExecutor(50) as pool:
            broken = sum(pool.map(ends, open_ones))
    assert 0 < broken < 100
    replaced = until(lambda: workers(relay), what="a new worker")
    assert (len(replaced), victim in replaced, other in replaced) == (2, False, True)
    assert facts(relay, "worker died")[0]["exit_code"] == -signal.SIGKILL


def test_all_are_gone_ten_seconds_after_sigterm(relay_on_sqlite: Relay) -> None:
    pids = workers(relay_on_sqlite)
    began = time.monotonic()
    assert relay_on_sqlite.process.stop() == 0
    assert time.monotonic() - began < 10
    assert all(is_gone(pid) for pid in pids)
    assert facts(relay_on_sqlite, "worker died") == []


def test_orphans_stop_by_themselves(relay_on_sqlite: Relay) -> None:
    """Else they held the port, and the next start would fail."""
    pids = workers(relay_on_sqlite)
    relay_on_sqlite.process.kill()
    until(lambda: all(is_gone(pid) for pid in pids), what="the workers to end")


@pytest.mark.no_cover  # a tracer doubles what two processes take to start
def test_one_of_them_sends_and_whichever_is_asked_tells_the_figures_of_all(relay: Relay, sandbox: Sandbox) -> None:
    """The lease is one for all, whoever accepts; a scrape reaches any. The dead one's counts stay, its gauges go."""
    people = [f"p{number}@example.com" for number in range(40)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda person: relay.send(registration(person)).status_code, people))
    assert set(answers) == {202}
    seen = {figure(relay, "relay_webhooks_total", source="custom", result="accepted") for _ in range(20)}
    assert seen == {40.0}
    assert {figure(relay, "relay_ready") for _ in range(20)} == {1.0}, "also told by those who were not asked before"
    page = web.get(f"{relay.url}/metrics").text
    assert "# HELP relay_accept_seconds Time from a webhook's headers to its answer." in page
    until(lambda: len(sandbox.get("emails")) >= len(people), what="all e-mails")
    assert sorted(email["to"] for email in sandbox.get("emails")) == sorted(people)
    until(lambda: figure(relay, "relay_leader") == 1, what="one leader")
    assert len(facts(relay, "leading")) == 1
    for pid in workers(relay):
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(facts(relay, "leading")) == 2, within=40, what="another leader")
    until(lambda: figure(relay, "relay_leader") == 1, what="still one leader")
    assert figure(relay, "relay_webhooks_total", source="custom", result="accepted") == 40
