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


def test_a_cause_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows them by heart."""
    monkeypatch.chdir(tmp_path)
    asked = {"_RELAY_COMPLETE": "complete_bash", "COMP_WORDS": "relay replay --cause title_", "COMP_CWORD": "3"}
    assert "title_missing" in CliRunner().invoke(app, [], env=asked, prog_name="relay").stdout
