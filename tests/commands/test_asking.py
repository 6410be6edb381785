"""Which relay is asked: every command reads it from the same places."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.commands.kinds import SourceName
from app.making import make_senders
from app.settings import load_settings
from tests.commands.conftest import Store
from tests.e2e.harness import environment

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
def test_the_relay_that_the_settings_name_is_asked(command: list[str], place: str, nobody: str, tmp_path: Path) -> None:
    """One that listened to the environment alone looked into an empty store here, and found nothing."""
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


@pytest.mark.parametrize("command", [*ASKING, ["send", "custom", "--email", "ada@example.com"]], ids=" ".join)
@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:99999",
        "http://127.0.0.1:0",
        "http://127.0.0.1:abc",
        "http://ä..b",
        "http://a..b",
        "https://relay.example.com/?x",
        "https://ada:pw-Kq7xB2@relay.example.com",
    ],
)
def test_an_address_at_which_nothing_can_be_is_refused_when_it_is_read(command: list[str], address: str) -> None:
    environ = {"RELAY_URL": address, "ADMIN_TOKEN": "adm-Kq7xB2vT9mZ4", "CUSTOM_API_KEYS": "key-Kq7xB2vT9mZ4pW3c"}
    ended = CliRunner().invoke(app, command, env=environ)
    assert ended.exit_code == 2
    assert "RELAY_URL\n      must be like https://relay.example.com" in ended.stderr
    assert "pw-Kq7xB2" not in ended.stderr


@pytest.mark.parametrize("address", ["http://[::1]:1", "http://127.0.0.1:1/relay/", "http://ä.invalid"])
def test_an_address_at_which_something_could_be_is_asked(address: str) -> None:
    ended = CliRunner().invoke(app, ["events"], env={"RELAY_URL": address, "ADMIN_TOKEN": "adm-Kq7xB2vT9mZ4"})
    assert (ended.exit_code, "does not answer" in ended.stderr) == (1, True), ended.stderr


@pytest.mark.parametrize("what", ["reg_a b/../x?y", "reg_ä", "reg_", "evt_1/x", "call_\n"])
def test_what_can_be_no_id_is_refused_before_anything_is_asked(what: str, nobody: str) -> None:
    """It would stand in the path of another request."""
    ended = CliRunner().invoke(app, ["show", what, "--relay", f"http://{nobody}"])
    assert (ended.exit_code, "is no e-mail address and no id" in ended.stderr) == (2, True), ended.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["show", "reg_\udcff"],
        ["forget", "a\udcff@example.com"],
        ["events", "--cursor", "\udcff"],
        ["replay", "--follow", "\udcff"],
    ],
)
def test_what_is_typed_in_another_encoding_is_told(command: list[str]) -> None:
    """The system hands it over as it is, and nothing could store it or send it."""
    ended = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert (ended.exit_code, "is not UTF-8" in ended.stderr) == (2, True), ended.stderr


def test_a_replay_that_may_not_ask_says_what_it_needs(nobody: str, tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["replay", "--all", "--relay", f"http://{nobody}"])
    assert (ended.exit_code, "Set ADMIN_TOKEN" in ended.stderr) == (2, True)


def test_a_backup_is_told_as_json_for_scripts(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["migrate"]).exit_code == 0
    told = json.loads(CliRunner().invoke(app, ["backup", "copy.db", "--json"]).stdout)
    assert told == {"file": "copy.db", "size": Path("copy.db").stat().st_size, "events": 0, "registrations": 0}


@pytest.mark.parametrize("command", [["forget", "ada@example.com"], ["backup", "copy.db"]], ids=" ".join)
def test_what_works_on_the_store_alone_says_so(command: list[str], nobody: str, tmp_path: Path) -> None:
    """Whoever set RELAY_URL would take the answer for that relay's."""
    assert CliRunner().invoke(app, ["migrate"]).exit_code == 0
    ended = CliRunner().invoke(app, command, env={"RELAY_URL": f"http://{nobody}"})
    assert ended.exit_code == 0
    assert "RELAY_URL is not asked" in ended.stderr
    assert "(sqlite:///data/relay.db)" in ended.stderr
    (tmp_path / "copy.db").unlink(missing_ok=True)
    assert not CliRunner().invoke(app, command).stderr


@pytest.mark.parametrize("command", [["forget", "ada@example.com"], ["replay", "--all"], ["stats"]], ids=" ".join)
def test_a_store_that_is_not_there_is_not_made(command: list[str], tmp_path: Path) -> None:
    """Where its path is misspelt, an empty one would answer that nothing is known of anybody."""
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
    ],
)
def test_what_is_not_there_says_where_to_look(what: str, said: str, tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["migrate"]).exit_code == 0
    ended = CliRunner().invoke(app, ["show", what])
    assert (ended.exit_code, said in ended.stderr) == (1, True), ended.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["eventbrite", "--email", "you@example.com"], "nobody's address: leave --email out"),
        (["eventbrite", "--webinar", "w-1", "--title", "T"], "leave --webinar and --title out"),
        (["custom", "--email", "you@example.com", "--order", "7"], "--order is for eventbrite alone"),
        (["custom", "--file", "body.json", "--email", "you@example.com"], "leave --email out, or write it there"),
    ],
)
def test_nothing_that_was_given_is_left_out_of_a_test_webhook_in_silence(
    given: list[str], said: str, tmp_path: Path
) -> None:
    """Whoever gives an address waits for the e-mail."""
    (tmp_path / "body.json").write_text("{}")
    ended = CliRunner().invoke(app, ["send", *given])
    assert (ended.exit_code, said in ended.stderr) == (2, True), ended.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["stats", "--hours", "nan"], "must be a number."),
        (["events", "--limit", "0"], "must be at least 1."),
        (["send", "nonsense"], "'nonsense' is not one of 'eventbrite', 'pendo', 'custom'."),
    ],
)
def test_a_wrong_value_is_told_in_our_words(given: list[str], said: str, tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, given, env={"COLUMNS": "200"})
    assert (ended.exit_code, said in ended.stderr) == (2, True), ended.stderr
    assert "Value error" not in ended.stderr


def test_help_does_not_look_as_if_a_word_followed_a_flag() -> None:
    for command in ([], ["forget"], ["demo"], ["config", "check"]):
        assert "bool" not in CliRunner().invoke(app, [*command, "--help"]).stdout


@pytest.mark.parametrize(
    ("command", "whom"),
    [
        *(("show", whom) for whom in ("something", "lead:abc")),
        *(("forget", whom) for whom in ("something", "lead:abc", "lead:", "ada@", "@example.com", "ada @example.com")),
    ],
)
def test_what_can_be_nobody_is_refused(command: str, whom: str, tmp_path: Path) -> None:
    """Of an erasure that was asked for with a slip, "nothing is known" would be filed as done."""
    assert CliRunner().invoke(app, ["migrate"]).exit_code == 0
    ended = CliRunner().invoke(app, [command, whom])
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert whom in ended.stderr


@pytest.mark.parametrize("whom", ["ada@example.com", "lead:7", "LEAD:7", " jürgen@müller.example "])
def test_of_whom_nothing_is_known_that_is_said(whom: str, tmp_path: Path) -> None:
    """Also of an address that Marketo would refuse: a webhook may have brought it."""
    assert CliRunner().invoke(app, ["migrate"]).exit_code == 0
    ended = CliRunner().invoke(app, ["forget", whom])
    assert (ended.exit_code, ended.stdout) == (0, "Nothing is known of this person.\n")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "Say which: ids alone"),
        (["reg_1", "--all"], "Say which"),
        (["nonsense"], "is no id"),
    ],
)
def test_a_replay_that_does_not_say_of_what_is_refused_before_anything_is_asked(
    given: list[str], said: str, nobody: str, tmp_path: Path
) -> None:
    ended = CliRunner().invoke(app, ["replay", *given, "--relay", f"http://{nobody}"])
    assert (ended.exit_code, said in ended.stderr) == (2, True), ended.stderr
    assert "Value error" not in ended.stderr


def test_ids_that_the_store_has_not_are_named(at_hand: Store) -> None:
    """One that was pasted without its last letter would look as if there were nothing to do."""
    needed = {"MARKETO_CLIENT_ID": "4f8c1d92-6a37", "MARKETO_CLIENT_SECRET": "vQ7mLzR2xKc9TnWb4HsYdE6u"}
    needed |= {"MARKETO_BASE_URL": "http://127.0.0.1:1", "MARKETO_CAMPAIGN_ID": "1"}
    needed |= {"CUSTOM_API_KEYS": "key-Kq7xB2vT9mZ4pW3c"}
    neither = CliRunner().invoke(app, ["replay", "reg_x", "evt_y", "--yes"], env=needed)
    assert (neither.exit_code, "Nothing in this store has this id: reg_x, evt_y." in neither.stderr) == (1, True)
    one = CliRunner().invoke(app, ["replay", "reg_x", at_hand.registration], env=needed)
    assert (one.exit_code, "Nothing here has these ids: reg_x." in one.stderr) == (0, True), one.stderr
    assert "not known here 1" in one.stdout


def test_a_word_that_nothing_is_told_in_is_refused(tmp_path: Path) -> None:
    """It would be waited for in vain."""
    assert CliRunner().invoke(app, ["migrate"]).exit_code == 0
    refused = CliRunner().invoke(app, ["tail", "--no-follow", "--what", "dead", "--what", "died"])
    assert (refused.exit_code, "--what died: there is no such word" in refused.stderr) == (2, True)
    assert "answer lost, cancelled" in refused.stderr
    assert CliRunner().invoke(app, ["tail", "--no-follow", "--what", "dead", "--what", "sent"]).exit_code == 0


def test_a_cause_is_completed(tmp_path: Path) -> None:
    """Nobody knows them by heart."""
    asked = {"_RELAY_COMPLETE": "complete_bash", "COMP_WORDS": "relay replay --cause title_", "COMP_CWORD": "3"}
    assert "title_missing" in CliRunner().invoke(app, [], env=asked, prog_name="relay").stdout


IN_VAIN = [
    ("events", "No webhooks are listed"),
    ("show ada@example.com", "Nothing is looked up"),
    ("stats", "Nothing is counted"),
    ("tail", "Nothing is watched"),
    ("replay --all", "Nothing is replayed"),
    ("forget ada@example.com", "Nobody is forgotten"),
    ("backup copy.db", "No copy is made"),
    ("migrate", "The database is not migrated"),
    ("healthcheck", "The relay is not asked"),
    ("send custom --email ada@example.com", "Nothing is sent"),
    ("config check", "The relay would not start"),
    ("serve", "The relay does not start"),
]


@pytest.mark.parametrize(("command", "said"), IN_VAIN)
def test_wrong_settings_say_what_was_not_done_for_them(command: str, said: str) -> None:
    """All that the command needs, at once. Only for `serve` is it a start of the relay that fails."""
    wrong = {"DATABASE_URL": "mysql://db", "RELAY_URL": "relay", "ADMIN_TOKEN": "a", "PORT": "http", "HOST": " a b"}
    wrong |= {"CUSTOM_API_KEYS": "k"}
    ended = CliRunner().invoke(app, command.split(), env=wrong)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"{said}: "), ended.stderr
    assert ("setting needs attention" in ended.stderr) == (command in ("migrate", "healthcheck"))
    Path("relay.toml").write_text("port = ")
    assert "relay.toml\n      cannot be read" in CliRunner().invoke(app, command.split()).stderr


@pytest.mark.parametrize("command", [["tail"], ["events"], ["replay"]], ids=" ".join)
def test_a_source_that_does_not_exist_is_refused_with_those_that_do(command: list[str]) -> None:
    """It would be waited for in vain."""
    ended = CliRunner().invoke(app, [*command, "--source", "evenbrite"])
    assert ended.exit_code == 2
    assert all(name in ended.stderr for name in SourceName)


def test_the_sources_of_the_command_line_are_those_of_the_relay() -> None:
    every = load_settings(environ=environment("http://127.0.0.1:1", "sqlite:///relay.db"))
    assert list(SourceName) == list(make_senders(every))


def test_a_campaign_is_shown_by_the_name_that_the_last_check_saw(at_hand: Store) -> None:
    """Nobody knows its number."""
    for one in (at_hand.registration, at_hand.call, "ada@example.com"):
        page = " ".join(CliRunner().invoke(app, ["show", one]).stdout.split())
        assert "campaign Send Webinar Reminder (1234)" in page


def test_what_is_wrong_with_the_campaign_of_whoever_was_sent_a_reminder_is_shown(at_hand: Store) -> None:
    """Marketo takes the requests of an inactive campaign, and sends nothing."""
    page = " ".join(CliRunner().invoke(app, ["show", at_hand.registration]).stdout.split())
    assert "its campaign Active: inactive. Activate it." in page


@pytest.mark.parametrize(
    ("command", "option"),
    [(["send", "custom", "--email", "a@example.com", "--url"], "--url"), (["stats", "--relay"], "--relay")],
)
def test_an_address_of_the_command_line_is_not_blamed_on_a_setting(command: list[str], option: str) -> None:
    """Whoever has no RELAY_URL looks for it in vain."""
    ended = CliRunner().invoke(app, [*command, "127.0.0.1:18080"])
    assert (ended.exit_code, f"  {option}\n" in ended.stderr, "RELAY_URL" in ended.stderr) == (2, True, False)


def test_wrong_settings_say_where_they_were_looked_for(tmp_path: Path) -> None:
    """Started in another folder, a relay misses what stands in the .env that one has open."""
    ended = CliRunner().invoke(app, ["config", "check"])
    assert f".env and relay.toml in {tmp_path}" in ended.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["doctor", "--yes"], "--fix"),
        (["doctor", "--wait", "9"], "--send"),
        (["tail", "--email", "foo"], "nobody can have this address"),
        (["tail", "--what", "lost"], "there is no such word"),
        (["replay", "ada@example.com"], "'ada@example.com' is no id"),
        (["replay", "--sent"], "sent needs a webinar"),
        (["replay", "--cause", "title_missing", "--all"], "one or several of cause, source and webinar"),
        (["replay", "--all", "--why", "x" * 501], "500"),
    ],
    ids=lambda one: " ".join(one)[:30] if isinstance(one, list) else "",
)
def test_what_would_do_nothing_is_refused(given: list[str], said: str) -> None:
    """Passed over in silence, one takes it for done."""
    ended = CliRunner().invoke(app, given)
    assert (ended.exit_code, said.lower() in ended.stderr.lower()) == (2, True), ended.stderr
