"""A store that does not take writes: the sender hears 503 with Retry-After, and it goes on by itself."""

import resource
import sqlite3
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import StartRelay
from tests.e2e.harness import Relay, Sandbox, registration, until

pytestmark = pytest.mark.no_cover  # under a tracer it takes twice as long, and each part has tests of its own


def test_a_locked_store_is_a_503_and_heals(relay: Relay, tmp_path: Path, sandbox: Sandbox) -> None:
    """Another process holds the only write lock, for a backup, say."""
    holder = sqlite3.connect(tmp_path / "relay.db", isolation_level=None, timeout=10)
    holder.execute("BEGIN IMMEDIATE")
    refused = relay.send(registration("ada@example.com"))
    unready = httpx.get(f"{relay.url}/readyz", timeout=10)
    holder.execute("ROLLBACK")
    holder.close()
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert (unready.status_code, unready.json()["checks"]["store"]["status"]) == (503, "failing")
    assert relay.send(registration("ada@example.com")).status_code == 202
    relay.in_state("ada@example.com", "sent")
    assert len(sandbox.emails_to("ada@example.com")) == 1


def test_a_full_disk_is_a_503_and_heals(start: StartRelay, tmp_path: Path, sandbox: Sandbox) -> None:
    """The kernel refuses every write that makes a file longer; what was acknowledged before is kept."""
    sandbox.fault(match="sync", kind="code:608")  # nothing is sent, so that the file only grows
    relay = start()
    wal = tmp_path / "relay.db-wal"
    assert relay.send(registration("first@example.com")).status_code == 202
    limits = resource.prlimit(relay.process.child.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(relay.process.child.pid, resource.RLIMIT_FSIZE, (wal.stat().st_size, limits[1]))
    body = registration("full@example.com", tokens={"Filler": "x" * 100_000})
    refused = until(lambda: next((a for a in [relay.send(body)] if a.status_code != 202), None), what="a full disk")
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert httpx.get(f"{relay.url}/livez", timeout=5).status_code == 200
    resource.prlimit(relay.process.child.pid, resource.RLIMIT_FSIZE, limits)
    sandbox.heal()
    until(lambda: relay.send(registration("after@example.com")).status_code == 202, what="room again")
    for person in ("first@example.com", "after@example.com"):
        relay.in_state(person, "sent")
