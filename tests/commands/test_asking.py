"""Which relay is asked: every command reads it from the same places."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app

ASKING = [
    ["events"],
    ["show", "ada@example.com"],
    ["stats"],
    ["tail"],
    ["replay", "--all"],
    ["replay", "--stop", "rpl_1"],
]


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nothing listens, as long as it is held."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.mark.parametrize("command", ASKING, ids=" ".join)
@pytest.mark.parametrize("place", [".env", "relay.toml", "--relay"])
def test_the_relay_that_the_settings_name_is_asked(
    command: list[str], place: str, nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that listened to the environment alone looked into an empty store here, and found nothing."""
    monkeypatch.chdir(tmp_path)
    token, given = "adm-Kq7xB2vT9mZ4", list(command)
    (tmp_path / ".env").write_text(
        f"ADMIN_TOKEN={token}\n" + (f"RELAY_URL=http://{nobody}\n" if place == ".env" else "")
    )
    if place == "relay.toml":
        (tmp_path / "relay.toml").write_text(f'relay_url = "http://{nobody}"\n')
    if place == "--relay":
        given += ["--relay", f"http://{nobody}"]
    ended = CliRunner().invoke(app, given)
    assert ended.exit_code == 1
    assert nobody in ended.stderr
    assert "does not answer" in ended.stderr


def test_a_replay_that_may_not_ask_says_what_it_needs(
    nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(app, ["replay", "--all", "--relay", f"http://{nobody}"])
    assert (ended.exit_code, "Set ADMIN_TOKEN" in ended.stderr) == (2, True)


def test_a_backup_is_told_as_json_for_scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["migrate"]).exit_code == 0
    told = json.loads(CliRunner().invoke(app, ["backup", "copy.db", "--json"]).stdout)
    assert told == {"file": "copy.db", "size": Path("copy.db").stat().st_size, "events": 0, "registrations": 0}


@pytest.mark.parametrize("command", [["forget", "ada@example.com"], ["backup", "copy.db"]], ids=" ".join)
def test_what_works_on_the_store_alone_says_so(
    command: list[str], nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever set RELAY_URL would take the answer for that relay's."""
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["migrate"]).exit_code == 0
    ended = CliRunner().invoke(app, command, env={"RELAY_URL": f"http://{nobody}"})
    assert ended.exit_code == 0
    assert "RELAY_URL is not asked" in ended.stderr
    assert "(sqlite:///data/relay.db)" in ended.stderr
    (tmp_path / "copy.db").unlink(missing_ok=True)
    assert not CliRunner().invoke(app, command).stderr


@pytest.mark.parametrize("command", [["forget", "ada@example.com"], ["replay", "--all"], ["stats"]], ids=" ".join)
def test_a_store_that_is_not_there_is_not_made(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its path is misspelt, an empty one would answer that nothing is known of anybody."""
    monkeypatch.chdir(tmp_path)
    needed = {"MARKETO_CLIENT_ID": "4f8c1d92-6a37", "MARKETO_CLIENT_SECRET": "vQ7mLzR2xKc9TnWb4HsYdE6u"}
    needed |= {"MARKETO_BASE_URL": "http://127.0.0.1:1", "MARKETO_CAMPAIGN_ID": "1"}
    needed |= {"CUSTOM_API_KEYS": "key-Kq7xB2vT9mZ4pW3c", "DATABASE_URL": "sqlite:///nothing.db"}
    ended = CliRunner().invoke(app, command, env=needed)
    assert (ended.exit_code, "There is no store at nothing.db" in ended.stderr) == (1, True), ended.stderr
    assert not list(tmp_path.glob("nothing*"))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("reg_1", "There is no reg_1 in the store. Look whether the id is whole"),
        ("nobody@example.com", "Nobody registered with this address."),
        ("something", "no e-mail address and no id"),
    ],
)
def test_what_is_not_there_says_where_to_look(
    what: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["migrate"]).exit_code == 0
    ended = CliRunner().invoke(app, ["show", what])
    assert (ended.exit_code, said in ended.stderr) == (1, True), ended.stderr


def test_a_word_that_nothing_is_told_in_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be waited for in vain."""
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["migrate"]).exit_code == 0
    refused = CliRunner().invoke(app, ["tail", "--no-follow", "--what", "dead", "--what", "died"])
    assert (refused.exit_code, "--what died: nothing is told in this word" in refused.stderr) == (2, True)
    assert "answer lost, cancelled" in refused.stderr
    assert CliRunner().invoke(app, ["tail", "--no-follow", "--what", "dead", "--what", "sent"]).exit_code == 0


def test_a_cause_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows them by heart."""
    monkeypatch.chdir(tmp_path)
    asked = {"_RELAY_COMPLETE": "complete_bash", "COMP_WORDS": "relay replay --cause title_", "COMP_CWORD": "3"}
    assert "title_missing" in CliRunner().invoke(app, [], env=asked, prog_name="relay").stdout
