"""A webhook at which the adapter never comes back costs some restarts, and then nothing but itself."""

import sys
from pathlib import Path

import pytest

from app.store.events import GUILTY
from tests.e2e.harness import ROOT, Process, Relay, Sandbox, environment, free_port, registration, until

pytestmark = pytest.mark.no_cover  # under a tracer it takes twice as long, and each part has tests of its own

_RELAY = """
import sys, time
from datetime import timedelta
from functools import partial
import app.backroom
import app.store.takeover
from app.cli import main
from app.sources.custom.adapter import CustomSource

understood = CustomSource.map

def map_or_hang(self, event, fetched):
    while b"poison" in event.body:
        time.sleep(0.1)
    return understood(self, event, fetched)

CustomSource.map = map_or_hang
app.store.takeover.LONG = timedelta(seconds=1)
app.backroom.watched_loop = partial(app.backroom.watched_loop, most=2.0, every=0.2)
sys.argv = ["relay", "serve"]
main()
"""


def test_a_blocking_adapter_costs_its_event_only(sandbox: Sandbox, database_url: str, tmp_path: Path) -> None:
    """The process that stands still ends itself, whoever keeps it running starts it, and the event is set aside."""
    environ = environment(sandbox.url, database_url, PORT=str(free_port()), PYTHONPATH=str(ROOT))
    relay = started(environ, tmp_path)
    try:
        for address in ("ada@example.com", "poison@example.com", "grace@example.com"):
            assert relay.send(registration(address)).status_code == 202
        for _ in range(GUILTY):
            relay.process.child.wait(60)
            assert "in map_or_hang" in relay.process.output
            relay.process.kill()
            relay = started(environ, tmp_path)
        assert relay.send(registration("after@example.com")).status_code == 202
        relay.in_state("after@example.com", "sent")
        for address in ("ada@example.com", "grace@example.com"):  # sent, or left alone for an upsert that was cut off
            [beside] = relay.registrations(email=address)
            assert beside["state"] != "dead"
        [dead] = until(lambda: relay.api("events?state=dead")["items"], what="the event to be set aside")
        assert dead["cause"] == "adapter_failed"
    finally:
        relay.process.kill()


def started(environ: dict[str, str], folder: Path) -> Relay:
    process = Process([sys.executable, "-c", _RELAY], environ, folder)
    until(lambda: '"serving"' in process.output or process.child.poll() is not None, within=60, what="a start")
    return Relay(process, f"http://127.0.0.1:{environ['PORT']}")
