"""What a fault is tried on: a simulation, a store, and relays on fixed ports."""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.senders import Senders
from tests.e2e.harness import Process, Relay, Sandbox, environment, free_port, start_relay, until

# The simulation's activity log is nearly up to date, and is asked a little later; its upserts are over within a second,
# whether anybody waits for the answer or not. So what was cut off settles in seconds.
_ACTIVITY_DELAY = "0.3"
_SETTINGS = {"MARKETO_ACTIVITY_DELAY_SECONDS": "0.5", "MARKETO_UPSERT_RUNS_ON_SECONDS": "2"}
_WAITED_FOR = 0.12  # seconds that an answer may take on the average before fewer people register than should
# It admits what the relay's own budget allows, half of Marketo's: a budget that begins anew with each leader is seen.
_BUDGET = ("--calls-per-window", "50", "--max-in-flight", "5")


@dataclass
class Stage:
    """Relays are started on it, one a port, and all are stopped at its end.

    `store` is where the checks read; `relay_store` is what the relays are told, if that is somewhere else.
    `per_second` is how many people register meanwhile, `latency_ms` how long Marketo takes for an answer.
    """

    folder: Path
    store: str
    relay_store: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    per_second: float = 60.0
    latency_ms: int = 20
    running: dict[int, Relay] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)  # all that there ever were
    hits: Counter[str] = field(default_factory=Counter)  # how often what was meant to be hit was hit

    def __post_init__(self) -> None:
        self.sandbox = _start_sandbox(self.folder, self.latency_ms)

    @property
    def is_sqlite(self) -> bool:
        return self.store.startswith("sqlite")

    def port(self) -> int:
        return free_port()

    def environ(self, port: int) -> dict[str, str]:
        settings = {**_SETTINGS, "PORT": str(port), **self.settings}
        environ = environment(self.sandbox.url, self.relay_store or self.store, **settings)
        return {
            name: value for name, value in environ.items() if not name.startswith("COVERAGE")
        }  # it slows each start

    def senders(self, ports: Iterable[int]) -> Senders:
        """Return the load: people who register at these ports in turn."""
        threads = max(8, round(self.per_second * _WAITED_FOR))
        return Senders([f"http://127.0.0.1:{port}" for port in ports], per_second=self.per_second, threads=threads)

    def start(self, port: int) -> Relay:
        """Start a relay on this port and wait until it is ready."""
        self.running[port] = start_relay(self.environ(port), self.folder)
        self.processes.append(self.running[port].process)
        return self.running[port]

    def start_unseen(self, port: int) -> Process:
        """Start a relay and wait for nothing."""
        self.processes.append(Process([sys.executable, "-m", "app", "serve"], self.environ(port), self.folder))
        return self.processes[-1]

    def close(self) -> None:
        for relay in self.running.values():
            relay.process.stop()
        self.sandbox.process.stop()


def _start_sandbox(folder: Path, latency_ms: int) -> Sandbox:
    ready = folder / "sandbox.json"
    options = ["--port", "0", "--ready-file", str(ready), "--latency-ms", str(latency_ms), "--quiet"]
    command = [sys.executable, "-m", "app.sandbox", *options, *_BUDGET, "--activity-delay-seconds", _ACTIVITY_DELAY]
    process = Process(command, environment("", "") | {"MARKETO_BASE_URL": ""}, folder)
    until(lambda: ready.exists() or process.child.poll() is not None, within=60, what="the simulation to listen")
    assert process.child.poll() is None, process.output
    return Sandbox(process, json.loads(ready.read_text())["url"])
