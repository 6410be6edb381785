"""Start the real relay and the real simulation as processes of their own, and talk to them over sockets."""

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx

from app.sandbox import seed
from tests.e2e.forking import launch

ROOT = Path(__file__).parents[2]
API_KEY = "e2e-api-key-Zk3vB8xQ1pLw"
ADMIN_TOKEN = "e2e-admin-token-Tr7yW2mN9c"
EVENTBRITE_TOKEN = "e2e-eventbrite-path-Jd6sK0aG"
PENDO_SECRET = "e2e-pendo-secret-Xn5uH4eV8r"
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwq1Zb"
Headers = dict[str, str]
Result = TypeVar("Result")
web = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))  # reads the TLS authorities once


def demo_command(*, sandbox_port: int = 0) -> list[str]:
    """Return what runs the demo; it leaves the e-mails in `mails` where it is started."""
    ports = ["--port", "0", "--sandbox-port", str(sandbox_port)]
    return [sys.executable, "-m", "app", "demo", "--folder", "mails", *ports]


def demo_environment() -> dict[str, str]:
    """Return an environment for it that holds none of this machine's settings."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "HOME", "LANG", "COVERAGE"))}
    return kept | {"PYTHONPATH": str(ROOT)}


def until(fact: Callable[[], Result | None], *, within: float = 20.0, what: str = "a fact") -> Result:
    """Return what `fact` returns once it is truthy; fail when it does not become so in time."""
    deadline = time.monotonic() + within
    while True:
        if found := fact():
            return found
        assert time.monotonic() < deadline, f"waited {within:g} s in vain for {what}"
        time.sleep(0.02)


@dataclass
class Process:
    """A child process whose standard output is kept, line by line."""

    command: list[str]
    environ: Mapping[str, str]
    folder: Path
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        reading, writing = os.pipe()
        try:
            self.child = launch(self.command, environ=self.environ, folder=self.folder, out=writing, err=writing)
        finally:
            os.close(writing)
        self._written = os.fdopen(reading, errors="replace")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._written:
            self.lines.append(line)

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def kill(self) -> None:
        """As a power cut: nothing is said good-bye to."""
        self.child.kill()
        self._end()

    def stop(self, within: float = 15.0) -> int:
        """Ask it to end, and return its exit code."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(within)
            except subprocess.TimeoutExpired:
                self.child.kill()
        return self._end()

    def _end(self) -> int:
        code = self.child.wait()
        self._reader.join(5)
        self._written.close()
        return code


@dataclass
class Sandbox:
    """The simulated Marketo, Eventbrite and Pendo."""

    process: Process
    url: str

    def get(self, path: str) -> Any:
        return web.get(f"{self.url}/sandbox/{path}").json()

    def post(self, path: str, body: object = None) -> httpx.Response:
        return web.post(f"{self.url}/sandbox/{path}", json=body).raise_for_status()

    def fault(self, **fault: object) -> None:
        self.post("faults", {"times": None, **fault})

    def heal(self) -> None:
        web.delete(f"{self.url}/sandbox/faults").raise_for_status()

    def emails_to(self, address: str) -> list[dict[str, Any]]:
        return [email for email in self.get("emails") if email["to"] == address]


@dataclass
class Relay:
    """A running `relay serve`."""

    process: Process
    url: str

    def send(self, body: object, *, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Post a custom registration with the API key."""
        own = {"Authorization": f"Bearer {API_KEY}", **(headers or {})}
        return web.post(f"{self.url}/webhooks/custom", json=body, headers=own)

    def api(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        return web.get(f"{self.url}/api/{path}", headers=headers).raise_for_status().json()

    def post(self, path: str, body: object) -> httpx.Response:
        """Ask the admin API to do something."""
        return web.post(f"{self.url}/api/{path}", json=body, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})

    def registrations(self, **which: str) -> list[dict[str, Any]]:
        query = "&".join(f"{name}={value}" for name, value in which.items())
        items: list[dict[str, Any]] = self.api(f"registrations?limit=100&{query}")["items"]
        return items

    def readiness(self) -> tuple[int, str]:
        """Return the status of /readyz, and what it says of Marketo."""
        answer = web.get(f"{self.url}/readyz")
        return answer.status_code, answer.json()["checks"]["marketo"].get("detail", "")

    def in_pause(self, *, at_least: float) -> None:
        """Wait until Marketo is paused for so many seconds to come, and the last call to it is settled.

        After a kill during an upsert its people would be left alone for 95 s, as it may still run in Marketo.
        """

        def is_at_rest() -> bool:
            until_then = datetime.now(UTC) + timedelta(seconds=at_least)
            is_long = any(datetime.fromisoformat(one["until"]) >= until_then for one in self.api("stats")["paused"])
            return is_long and all(call["finishedAt"] for call in self.api("calls?limit=100")["items"])

        until(is_at_rest, within=60, what=f"a pause of {at_least:g} s")

    def exchange(self, *chunks: bytes) -> bytes:
        """Send bytes as they are, and return all that comes until the relay closes the connection."""
        with socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2])), timeout=15) as connection:
            for chunk in chunks:
                connection.sendall(chunk)
            return b"".join(iter(lambda: connection.recv(65_536), b""))

    def in_state(self, address: str, state: str) -> dict[str, Any]:
        """Wait until this person's only registration has the state, and return it."""

        def found() -> dict[str, Any] | None:
            return next((r for r in self.registrations(email=address) if r["state"] == state), None)

        return until(found, what=f"{address} to be {state}")


def leads(relay: Relay) -> bool:
    """Tell, by its log, whether this process leads."""
    turns = [line for line in relay.process.lines if '"leading"' in line or "not leading any more" in line]
    return relay.process.child.poll() is None and bool(turns) and '"leading"' in turns[-1]


def leader(relays: Collection[Relay]) -> Relay:
    """Wait until one leads, and return it; there are never two."""

    def one() -> Relay | None:
        found = [relay for relay in relays if leads(relay)]
        assert len(found) < 2
        return found[0] if found else None

    return until(one, within=30, what="a leader")


def registration(address: str, **more: object) -> dict[str, object]:
    """Return a custom app's body."""
    webinar = {"id": "w-1", "title": "Scaling Engagement", "joinLink": "https://meet.example.com/j/1"}
    return {"email": address, "webinar": webinar, **more}


def standard_webhook(body: bytes, message_id: str, *, secret: str = WEBHOOK_SECRET, at: int | None = None) -> Headers:
    """Return what signs a body by Standard Webhooks, at this second unless another is given."""
    sent_at = int(time.time()) if at is None else at
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{message_id}.{sent_at}.".encode() + body, hashlib.sha256)
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": message_id, "webhook-timestamp": str(sent_at), "webhook-signature": signature}


def pendo_signature(body: bytes, secret: str = PENDO_SECRET) -> Headers:
    """Return what signs a body as Pendo does."""
    return {"X-Pendo-Signature": hmac.digest(secret.encode(), body, hashlib.sha256).hex()}


def environment(sandbox_url: str, database_url: str, **more: str) -> dict[str, str]:
    """Return the settings of a relay that talks to a simulation."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
    kept |= {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
    return kept | {
        "PYTHONPATH": str(ROOT),
        "MARKETO_BASE_URL": sandbox_url,
        "MARKETO_CLIENT_ID": seed.CLIENT_ID,
        "MARKETO_CLIENT_SECRET": seed.CLIENT_SECRET,
        "MARKETO_CAMPAIGN_ID": str(seed.CAMPAIGN_ID),
        "EVENTBRITE_API_TOKEN": seed.EVENTBRITE_API_TOKEN,
        "PENDO_INTEGRATION_KEY": seed.PENDO_INTEGRATION_KEY,
        "CUSTOM_API_KEYS": API_KEY,
        "CUSTOM_WEBHOOK_SECRETS": WEBHOOK_SECRET,
        "PENDO_WEBHOOK_SECRET": PENDO_SECRET,
        "PENDO_API_URL": f"{sandbox_url}/pendo",
        "EVENTBRITE_WEBHOOK_TOKEN": EVENTBRITE_TOKEN,
        "EVENTBRITE_API_URL": f"{sandbox_url}/eventbrite/v3",
        "ADMIN_TOKEN": ADMIN_TOKEN,
        "DATABASE_URL": database_url,
        "HOST": "127.0.0.1",
        "PORT": "0",
        "CHECK_AT_START": "false",
        "DRAIN_SECONDS": "0",
        **more,
    }


def start_sandbox(folder: Path) -> Sandbox:
    """Start the simulation and wait until it listens."""
    ready = folder / "sandbox.json"
    command = [sys.executable, "-m", "app.sandbox", "--port", "0", "--ready-file", str(ready), "--latency-ms", "5"]
    process = Process([*command, "--quiet"], environment("", "") | {"MARKETO_BASE_URL": ""}, folder)
    until(lambda: ready.exists() or process.child.poll() is not None, within=60, what="the simulation to listen")
    assert process.child.poll() is None, process.output
    return Sandbox(process, json.loads(ready.read_text())["url"])


def start_relay(environ: Mapping[str, str], folder: Path) -> Relay:
    """Start `relay serve` and wait until it is ready."""
    process = Process([sys.executable, "-m", "app", "serve"], environ, folder)
    try:
        port = until(lambda: _serving_on(process), within=60, what="the relay to serve")
        relay = Relay(process, f"http://127.0.0.1:{port}")
        until(lambda: _is_ready(relay), within=60, what="the relay to be ready")
    except BaseException:
        process.kill()
        raise
    return relay


def _is_ready(relay: Relay) -> bool:
    try:
        return web.get(f"{relay.url}/readyz", timeout=5).status_code == 200
    except httpx.TimeoutException:
        return False  # so is an answer for which a loaded machine has no time yet


def _serving_on(process: Process) -> int | None:
    assert process.child.poll() is None, process.output
    for line in process.lines:
        if '"serving"' in line:
            return int(json.loads(line)["port"])
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
