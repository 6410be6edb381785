"""The commands with which one looks after a relay: over HTTP against a running one, and on its store."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from tests.e2e.harness import (
    ADMIN_TOKEN,
    API_KEY,
    EVENTBRITE_TOKEN,
    PENDO_SECRET,
    ROOT,
    WEBHOOK_SECRET,
    Process,
    Relay,
    environment,
    free_port,
    start_relay,
    start_sandbox,
    until,
)

Environ = dict[str, str]

ADA = "ada@example.com"
GRACE = "grace@example.com"
JOAN = "joan@example.com"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the relay of these tests has its store."""
    return tmp_path_factory.mktemp("operating")


@pytest.fixture(scope="module")
def relay(folder: Path) -> Iterator[Relay]:
    """One relay for all these tests: what they send is about different people."""
    sandbox = start_sandbox(folder)
    relay = start_relay(environment(sandbox.url, f"sqlite:///{folder / 'relay.db'}"), folder)
    yield relay
    relay.process.stop()
    sandbox.process.stop()


@pytest.fixture
def of_relay(relay: Relay) -> Environ:
    """The environment of a command that asks the running relay."""
    return {"RELAY_URL": relay.url, "ADMIN_TOKEN": ADMIN_TOKEN, "CUSTOM_WEBHOOK_SECRETS": WEBHOOK_SECRET}


@pytest.fixture
def on_store(relay: Relay, folder: Path) -> Environ:
    """The environment of a command that reads the relay's store."""
    return {"DATABASE_URL": f"sqlite:///{folder / 'relay.db'}"}


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, **environ: str) -> Result:
    """Run a command in this process, which spares it its start."""
    return CliRunner().invoke(app, list(arguments), env=environ)


def told(ended: Result) -> Any:
    assert ended.exit_code == 0, ended.stderr
    return json.loads(ended.stdout)


def test_a_test_webhook_is_sent_and_followed_to_its_end(relay: Relay, of_relay: Environ, on_store: Environ) -> None:
    """Both ways of asking answer alike."""
    sent = run("send", "custom", "--email", ADA, **of_relay)
    assert sent.exit_code == 0, sent.stderr
    assert "202 accepted" in sent.stdout
    registration = relay.in_state(ADA, "sent")
    for environ in (of_relay, on_store):
        listed = told(run("events", "--json", **environ))["items"]
        (event,) = [one for one in listed if one["id"] in sent.stdout]
        (found,) = told(run("show", ADA, "--json", **environ))["items"]
        assert (found["id"], found["state"]) == (registration["id"], "sent")
        assert told(run("stats", "--json", **environ))["sources"][0]["source"] == "custom"
        assert "calls of the relay to Marketo" in run("stats", **environ).stdout
        page = run("show", registration["id"], **environ).stdout
        assert ADA in page
        assert "{{my.JoinLink}}" in page
        (call_id,) = {one["id"] for one in found["calls"] if one["kind"] == "trigger"}
        assert ADA in run("show", call_id, **environ).stdout
        assert '"email":' in run("show", event["id"], **environ).stdout.replace("\u00a0", " ")
        assert event["id"] in run("events", "--source", "custom", "--hours", "1", **environ).stdout


def test_pendos_webhook_is_signed_as_pendo_does(relay: Relay) -> None:
    """And Eventbrite's Test ping, whose secret is the address."""
    environ = {"PENDO_WEBHOOK_SECRET": PENDO_SECRET, "EVENTBRITE_WEBHOOK_TOKEN": EVENTBRITE_TOKEN}
    pendo = run("send", "pendo", "--url", relay.url, "--email", GRACE, "--json", **environ)
    assert told(pendo)["answer"]["status"] == "accepted"
    relay.in_state(GRACE, "sent")
    ping = run("send", "eventbrite", "--url", relay.url, "--json", **environ)
    assert told(ping)["answer"]["status"] == "ignored"


def test_a_captured_body_is_sent_as_it_is(of_relay: Environ, tmp_path: Path) -> None:
    """A refusal names the fields, and the exit code is 1."""
    (tmp_path / "body.json").write_text('{"email": "ada@example.com", "webinar": {"id": "w", "joinlink": "x"}}')
    ended = run("send", "custom", "--file", "body.json", **of_relay)
    assert ended.exit_code == 1
    assert "webinar.joinlink" in ended.stdout


def test_what_happens_is_watched_as_it_happens(of_relay: Environ, tmp_path: Path) -> None:
    """Filtered by person; the line of a later registration comes by itself."""
    watching = run("tail", "--no-follow", "--json", **of_relay)
    assert watching.exit_code == 0, watching.stderr
    command = [sys.executable, "-m", "app", "tail", "--json", "--email", JOAN, "--what", "sent"]
    process = Process(command, _environment(of_relay), tmp_path)
    try:
        for address in ("bob@example.com", JOAN):
            assert run("send", "custom", "--email", address, **of_relay).exit_code == 0
        line = until(lambda: next((json.loads(x) for x in process.lines if "sent" in x), None), what="a line")
        assert (line["email"], line["what"]) == (JOAN, "sent")
        assert "bob@" not in process.output
    finally:
        process.kill()
    shown = run("tail", "--no-follow", "-n", "50", **of_relay).stdout
    sent = run("tail", "--no-follow", "--json", "-n", "1", "--what", "sent", **of_relay).stdout.splitlines()
    assert [json.loads(line)["what"] for line in sent] == ["sent"]  # however much came after it
    assert "bob@example.com (relay-test)" in shown


def _environment(more: Environ) -> Environ:
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "HOME", "LANG", "COVERAGE"))}
    return kept | {"PYTHONPATH": str(ROOT)} | more


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["events"], {"RELAY_URL": "http://127.0.0.1:{port}", "ADMIN_TOKEN": ADMIN_TOKEN}, "RELAY_URL"),
        (["events"], {"RELAY_URL": "http://127.0.0.1:{port}"}, "ADMIN_TOKEN"),
        (["show", ADA], {"DATABASE_URL": "sqlite:///nowhere.db"}, "DATABASE_URL"),
        (["send", "custom", "--email", ADA], {"PORT": "{port}", "CUSTOM_API_KEYS": API_KEY}, "--url"),
        (["send", "custom", "--email", ADA], {}, "CUSTOM_WEBHOOK_SECRETS"),
        (["send", "custom"], {}, "--email"),
    ],
)
def test_what_goes_wrong_says_what_to_do(tmp_path: Path, arguments: list[str], environ: Environ, said: str) -> None:
    port = str(free_port())
    ended = run(*arguments, **{name: value.format(port=port) for name, value in environ.items()})
    assert ended.exit_code in (1, 2)
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_wrong_questions_are_answered_in_words(of_relay: Environ) -> None:
    """A wrong token, unknown people and ids, and cursors of another list."""
    for arguments, said in (
        (["show", "nobody@example.com"], "relay events"),
        (["show", "reg_9"], "There is no reg_9"),
        (["events", "--cursor", "x"], "cursor"),
    ):
        ended = run(*arguments, **of_relay)
        assert (ended.exit_code, said in ended.stderr) == (1, True), ended.stderr
    nobody = run("show", "whatever", **of_relay)
    assert (nobody.exit_code, "reg_" in nobody.stderr) == (2, True)
    stranger = run("events", **(of_relay | {"ADMIN_TOKEN": "not-that-token-aaBB77"}))
    assert (stranger.exit_code, "ADMIN_TOKEN" in stranger.stderr) == (1, True)


def test_the_settings_are_checked_without_a_start(tmp_path: Path) -> None:
    """All mistakes at once with exit code 2; else what is set, without any secret."""
    wrong = run("config", "check", "--json")
    assert wrong.exit_code == 2
    assert "MARKETO_BASE_URL" in {one["field"] for one in json.loads(wrong.stdout)["problems"]}
    assert "LaunchPoint" in run("config", "check").stderr
    environ = environment("http://127.0.0.1:1", "sqlite:///relay.db")
    right = run("config", "check", **environ)
    assert right.exit_code == 0
    assert "eventbrite, pendo, custom" in right.stdout
    assert PENDO_SECRET not in right.stdout
    assert told(run("config", "check", "--json", **environ))["settings"]["ADMIN_TOKEN"] == "***"
    risky = environ | {"MARKETO_ACTIVITY_DELAY_SECONDS": "0.1"}
    assert "! MARKETO_ACTIVITY_DELAY_SECONDS is 0.1: " in run("config", "check", **risky).stdout
    [doubt] = told(run("config", "check", "--json", **risky))["doubts"]
    assert doubt["field"] == "MARKETO_ACTIVITY_DELAY_SECONDS"
    assert not (tmp_path / "relay.db").exists()


def test_the_shell_can_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands and the sources that one can send as; whatever runs the tests need not be a shell."""
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "true")
    shown = run("--show-completion", "bash")
    assert "_RELAY_COMPLETE" in shown.stdout + shown.stderr
