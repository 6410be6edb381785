"""The command as a stranger meets it: wrong settings are told at once, all of them, with exit code 2."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.sandbox import seed
from tests.e2e import forking
from tests.e2e.conftest import StartRelay
from tests.e2e.harness import ROOT, Sandbox, environment, free_port


def run(*arguments: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "HOME", "LANG", "COVERAGE"))}
    command = [sys.executable, "-m", "app", *arguments]
    return forking.run(command, environ=kept | {"PYTHONPATH": str(ROOT)} | environ, folder=folder, timeout=60)


def test_missing_settings_are_all_named_with_where_to_find_them(tmp_path: Path) -> None:
    """One round, not five; and never a fall-back to the simulation."""
    ended = run("serve", folder=tmp_path)
    assert ended.returncode == 2
    for name in ("MARKETO_BASE_URL", "MARKETO_CLIENT_ID", "MARKETO_CLIENT_SECRET", "MARKETO_CAMPAIGN_ID"):
        assert name in ended.stderr
    assert "LaunchPoint" in ended.stderr
    assert "EVENTBRITE_WEBHOOK_TOKEN" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "data").exists()


def test_wrong_addresses_and_weak_secrets_stop_the_start(tmp_path: Path) -> None:
    """Each with its reason, none with its value."""
    environ = environment("http://evil.example.com", "sqlite:///relay.db") | {"CUSTOM_API_KEYS": "hunter2"}
    environ |= {"MARKETO_CAMPAIGN_ID": "the reminder one", "PATH": os.environ["PATH"]}
    ended = run("serve", folder=tmp_path, **environ)
    assert ended.returncode == 2
    for name in ("MARKETO_BASE_URL", "MARKETO_CAMPAIGN_ID", "CUSTOM_API_KEYS"):
        assert name in ended.stderr
    assert "hunter2" not in ended.stderr + ended.stdout


def test_an_unusable_store_is_told(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "data").write_text("in the way")
    ended = run("migrate", folder=tmp_path, DATABASE_URL="sqlite:///data/relay.db")
    assert ended.returncode == 1
    assert "DATABASE_URL" in ended.stderr
    assert "data/relay.db" in ended.stderr
    assert "writable" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", ["migrate", "serve"])
@pytest.mark.parametrize(
    "address",
    [
        "postgresql://relay:pass-Zk3vB8xQ@127.0.0.1:{port}/relay",
        "postgresql://127.0.0.1:{port}/relay?user=relay&password=pass-Zk3vB8xQ",
        "postgresql://127.0.0.1:{port}/relay?user=relay&password=pass-Zk3vB8xQ&pass-Zk3vB8xQ=1",
    ],
)
def test_a_database_that_cannot_be_reached_is_named_by_its_setting(tmp_path: Path, command: str, address: str) -> None:
    """And what to look at; its password stays out, also where the driver would repeat it."""
    environ = environment("http://127.0.0.1:1", address.format(port=free_port()))
    ended = run(command, folder=tmp_path, **environ)
    assert ended.returncode == 1
    assert "DATABASE_URL" in ended.stderr
    assert "whether PostgreSQL runs" in ended.stderr
    assert "Zk3vB8xQ" not in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr + ended.stdout


def test_migrate_says_what_it_did(tmp_path: Path) -> None:
    """The second time there is nothing to do."""
    first = run("migrate", folder=tmp_path)
    second = run("migrate", folder=tmp_path)
    assert (first.returncode, second.returncode) == (0, 0)
    assert "now" in first.stdout
    assert "Nothing to do" in second.stdout
    assert (tmp_path / "data" / "relay.db").exists()


@pytest.mark.parametrize("command", ["migrate", "serve"])
def test_a_store_that_a_newer_relay_migrated_is_left_alone(tmp_path: Path, command: str) -> None:
    """Somebody rolled the program back; what it may do is told, and nothing is written."""
    assert run("migrate", folder=tmp_path).returncode == 0
    with closing(sqlite3.connect(tmp_path / "data" / "relay.db", isolation_level=None)) as store:
        store.execute("UPDATE alembic_version SET version_num = '9999'")
    ended = run(command, folder=tmp_path, **environment("http://127.0.0.1:1", "sqlite:///data/relay.db"))
    assert ended.returncode == 1
    assert "has schema 9999" in ended.stderr
    assert "Start the newer relay that migrated it, or restore the backup" in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout


def test_without_migrations_an_empty_store_refuses_the_start(tmp_path: Path) -> None:
    """With MIGRATE_ON_START off, it names the command to run."""
    environ = environment("http://127.0.0.1:1", "sqlite:///relay.db") | {"MIGRATE_ON_START": "false"}
    ended = run("serve", folder=tmp_path, **environ)
    assert ended.returncode == 1
    assert "relay migrate" in ended.stderr


def test_the_health_check_needs_no_other_program(start: StartRelay, tmp_path: Path) -> None:
    """It is what the container asks; exit code 0 or 1."""
    relay = start()
    port = relay.url.rpartition(":")[2]
    assert run("healthcheck", folder=tmp_path, PORT=port).returncode == 0
    assert run("healthcheck", "--ready", folder=tmp_path, PORT=port).returncode == 0
    gone = run("healthcheck", folder=tmp_path, PORT=str(free_port()))
    assert gone.returncode == 1
    assert "does not answer" in gone.stderr


def test_the_health_check_asks_where_the_relay_listens(tmp_path: Path) -> None:
    """HOST may name one address only, and a health check that asks another one would end the container."""
    with ThreadingHTTPServer(("127.0.0.2", 0), AlwaysWell) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asked = run("healthcheck", folder=tmp_path, HOST="127.0.0.2", PORT=str(server.server_port))
        server.shutdown()
    assert (asked.returncode, asked.stderr) == (0, "")


class AlwaysWell(BaseHTTPRequestHandler):
    """Answers everything with 200."""

    def do_GET(self) -> None:  # the base class's name
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as above
        pass


def test_a_taken_port_is_told_before_anything_else_starts(tmp_path: Path) -> None:
    """Exit code 1 and a sentence that says what to set; the store is not touched."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        environ = environment("http://127.0.0.1:1", "sqlite:///relay.db") | {"PORT": port}
        ended = run("serve", folder=tmp_path, **environ)
    assert ended.returncode == 1
    assert f"listens on port {port} of 127.0.0.1 already: stop it, or set PORT" in ended.stderr
    assert ended.stdout == ""
    assert not (tmp_path / "relay.db").exists()


def test_help_and_version_help(tmp_path: Path) -> None:
    """`relay` alone shows what there is."""
    assert "serve" in run("--help", folder=tmp_path).stdout
    assert run("--version", folder=tmp_path).stdout.startswith("relay 0.")
    assert "serve" in run(folder=tmp_path).stdout + run(folder=tmp_path).stderr


def test_the_doctor_goes_on_with_what_it_has(sandbox: Sandbox, tmp_path: Path) -> None:
    """One wrong setting is told, and Marketo is looked at all the same."""
    environ = environment(sandbox.url, f"sqlite:///{tmp_path / 'relay.db'}", MARKETO_LEAD_MODE="sometimes")
    ended = run("doctor", "--json", folder=tmp_path, **environ)
    report = json.loads(ended.stdout)
    assert (ended.returncode, report["exitCode"]) == (2, 2)
    verdicts = {(one["check"], one["subject"]): one["verdict"] for one in report["findings"]}
    assert verdicts["settings", "MARKETO_LEAD_MODE"] == "fail"
    assert verdicts["campaign_active", str(seed.CAMPAIGN_ID)] == "ok"


def test_the_doctor_names_settings_without_which_it_cannot_ask(tmp_path: Path) -> None:
    ended = run("doctor", folder=tmp_path)
    assert ended.returncode == 2
    assert "MARKETO_CLIENT_ID is missing" in " ".join(ended.stdout.split())
    assert "Traceback" not in ended.stderr


def test_the_doctor_shows_no_secret(sandbox: Sandbox, tmp_path: Path) -> None:
    environ = environment(sandbox.url, f"sqlite:///{tmp_path / 'relay.db'}")
    ended = run("doctor", folder=tmp_path, **environ)
    assert ended.returncode == 2, ended.stdout  # Eventbrite has no webhook yet
    secrets = [value for name, value in environ.items() if name.endswith(("SECRET", "SECRETS", "TOKEN", "KEY", "KEYS"))]
    assert secrets
    assert not [secret for secret in secrets if secret in ended.stdout + ended.stderr]


def test_the_doctor_mends_only_when_one_agrees(sandbox: Sandbox, tmp_path: Path) -> None:
    """First what would be done; without a person to ask, nothing."""
    environ = environment(sandbox.url, f"sqlite:///{tmp_path / 'relay.db'}", PUBLIC_URL="https://relay.example.com")
    offered = run("doctor", "--fix", folder=tmp_path, **environ)
    assert offered.returncode == 2
    assert "+ Eventbrite: create a webhook to https://relay.example.com/webhooks/eventbrite/…" in offered.stdout
    assert "Nothing was changed." in offered.stdout
    done = run("doctor", "--fix", "--yes", "--json", folder=tmp_path, **environ)
    report = json.loads(done.stdout)
    assert (done.returncode, report["exitCode"], report["fixes"]) == (1, 1, [])
    assert "done: Eventbrite" in done.stderr
    assert "Nothing that the APIs let one mend." in run("doctor", "--fix", folder=tmp_path, **environ).stdout


def test_the_doctor_says_what_a_fix_needs_that_was_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.fault(match="eventbrite_subscribe", kind="http:403")
    environ = environment(sandbox.url, f"sqlite:///{tmp_path / 'relay.db'}", PUBLIC_URL="https://relay.example.com")
    ended = run("doctor", "--fix", "--yes", folder=tmp_path, **environ)
    assert ended.returncode == 2
    assert "not done: Eventbrite" in ended.stdout
    assert "It needs a private token" in ended.stdout


def test_the_doctor_sends_one_reminder_and_follows_it(sandbox: Sandbox, tmp_path: Path) -> None:
    environ = environment(sandbox.url, f"sqlite:///{tmp_path / 'relay.db'}")
    ended = run("doctor", "--send", "ada@example.com", "--wait", "50", folder=tmp_path, **environ)
    assert "The reminder went all the way." in ended.stdout
    assert len(sandbox.emails_to("ada@example.com")) == 1


def test_the_doctor_sends_nothing_to_what_is_no_address(sandbox: Sandbox, tmp_path: Path) -> None:
    environ = environment(sandbox.url, f"sqlite:///{tmp_path / 'relay.db'}")
    ended = run("doctor", "--send", "ada", folder=tmp_path, **environ)
    assert ended.returncode == 2
    assert "no e-mail address" in ended.stderr
    assert sandbox.get("calls") == []
