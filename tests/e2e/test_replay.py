"""`relay replay` as an operator uses it: on the store, over HTTP, and with a kill in the middle."""

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import StartRelay
from tests.e2e.harness import ADMIN_TOKEN, Relay, Sandbox, environment, registration, until, web
from tests.e2e.test_command_line import run

pytestmark = pytest.mark.no_cover  # under a tracer it takes three times as long, and each part has tests of its own

_PEOPLE = 600


def untitled(address: str) -> dict[str, object]:
    return registration(address, webinar={"id": "w-9", "joinLink": "https://meet.example.com/j/9"})


def dead(relay: Relay) -> int:
    return sum(cause["registrations"] for cause in relay.api("dead")["causes"])


def test_a_kill_in_the_middle_of_a_replay_mails_each_once(start: StartRelay, sandbox: Sandbox, tmp_path: Path) -> None:
    """600 died for want of a title. It is configured, a replay begins, the relay is killed; the next one ends it."""
    relay = start()
    people = [f"p{n}@example.com" for n in range(_PEOPLE)]
    for address in people:
        assert relay.send(untitled(address)).status_code == 202
    until(lambda: dead(relay) == _PEOPLE, what="all to be dead")
    relay.process.stop()
    mended = {"DEFAULT_WEBINAR_TITLE": "Found again", "MARKETO_MAX_IN_FLIGHT": "1"}
    relay = start(**mended)
    told = run("replay", "--cause", "title_missing", folder=tmp_path, RELAY_URL=relay.url, ADMIN_TOKEN=ADMIN_TOKEN)
    assert f"{_PEOPLE}" in told.stdout, told.stderr
    assert "Nothing was done" in told.stdout
    assert sandbox.get("emails") == []
    sandbox.fault(match="sync", kind="code:603")
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    body = {"all": True, "confirm": True, "by": "ada", "why": "title set"}
    begun = web.post(f"{relay.url}/api/replay", json=body, headers=headers).json()["replay"]
    until(lambda: relay.api(f"replays/{begun['id']}")["done"] > 0, what="the replay to be under way")
    relay.in_pause(at_least=5)
    relay.process.kill()
    sandbox.heal()
    relay = start(**mended)
    ended = run(
        "replay", "--follow", begun["id"], "--json", folder=tmp_path, RELAY_URL=relay.url, ADMIN_TOKEN=ADMIN_TOKEN
    )
    assert json.loads(ended.stdout)["counts"] == {"again": _PEOPLE}, ended.stderr
    until(lambda: len({email["to"] for email in sandbox.get("emails")}) == _PEOPLE, within=60, what="600 e-mails")
    assert sorted(email["to"] for email in sandbox.get("emails")) == sorted(people)
    one = relay.api(f"registrations/{relay.registrations(email=people[0])[0]['id']}")
    assert f"Replayed by ada: title set ({begun['id']})." in [entry["detail"] for entry in one["timeline"]]
    assert sandbox.get("violations") == []


def test_a_resend_that_cannot_be_made_forgets_nobody(
    start: StartRelay, sandbox: Sandbox, database_url: str, tmp_path: Path
) -> None:
    """The title is gone when a second e-mail is asked for, and back later: who was mailed still needs `--resend`."""
    relay = start(DATABASE_URL=database_url, DEFAULT_WEBINAR_TITLE="There")
    relay.send(untitled("carol@example.com"))
    one = relay.in_state("carol@example.com", "sent")
    relay.process.stop()
    relay = start(DATABASE_URL=database_url)
    ask = {"RELAY_URL": relay.url, "ADMIN_TOKEN": ADMIN_TOKEN}
    twice = ("replay", "--webinar", "w-9", "--sent", "--resend")
    assert "title_missing 1" in run(*twice, folder=tmp_path, **ask).stdout
    assert "not sent a second time" in run(*twice, "--yes", folder=tmp_path, **ask).stdout
    shown = run("show", one["id"], folder=tmp_path, **ask).stdout
    assert "not sent again" in shown
    assert "sent (UTC)" in shown
    relay.process.stop()
    relay = start(DATABASE_URL=database_url, DEFAULT_WEBINAR_TITLE="There again")
    ask["RELAY_URL"] = relay.url
    told = json.loads(run("replay", one["id"], "--json", folder=tmp_path, **ask).stdout)
    assert (told["wouldSend"], told["alreadySentTo"]) == (0, ["carol@example.com"])
    for chosen in (["--all"], ["--cause", "title_missing"], [one["id"]]):
        run("replay", *chosen, "--yes", folder=tmp_path, **ask)
    relay.send(untitled("carol@example.com"))
    until(lambda: relay.api(f"registrations/{one['id']}")["timeline"][-1]["what"] == "repeated", what="the webhook")
    assert len(sandbox.emails_to("carol@example.com")) == 1
    run(*twice, "--yes", folder=tmp_path, **ask)
    until(lambda: len(sandbox.emails_to("carol@example.com")) == 2, what="the second e-mail")


@pytest.fixture
def died(start: StartRelay) -> Relay:
    relay = start()
    relay.send(untitled("ada@example.com"))
    relay.in_state("ada@example.com", "dead")
    return relay


def test_on_the_store_the_next_relay_does_it(died: Relay, start: StartRelay, sandbox: Sandbox, tmp_path: Path) -> None:
    """Nobody leads when it is asked for, and that is said."""
    died.process.stop()
    environ = environment(sandbox.url, f"sqlite:///{tmp_path / 'relay.db'}") | {"DEFAULT_WEBINAR_TITLE": "Mended"}
    environ.pop("PATH")
    shown = run("replay", "--all", "--json", folder=tmp_path, **environ)
    assert json.loads(shown.stdout)["wouldSendTo"] == ["ada@example.com"], shown.stderr
    asked = run("replay", "--all", "--yes", "--by", "ada", "--why", "mended", folder=tmp_path, **environ)
    assert "The next one that starts does it" in asked.stdout
    relay = start(DEFAULT_WEBINAR_TITLE="Mended")
    assert relay.in_state("ada@example.com", "sent")


def test_a_relay_that_was_not_restarted_still_lacks_what_was_mended(died: Relay, tmp_path: Path) -> None:
    """The settings here have the title; the relay that does it has not, and a script must not take that for done."""
    environ = environment("http://127.0.0.1:1", f"sqlite:///{tmp_path / 'relay.db'}") | {
        "DEFAULT_WEBINAR_TITLE": "Mended"
    }
    environ.pop("PATH")
    shown = run("replay", "--all", folder=tmp_path, **environ)
    assert "a relay that runs does it with those with which it started" in shown.stdout, shown.stderr
    done = run("replay", "--all", "--yes", folder=tmp_path, RELAY_URL=died.url, ADMIN_TOKEN=ADMIN_TOKEN)
    assert (done.returncode, "title_missing 1" in done.stdout) == (3, True), done.stderr
    assert "mend them, restart it" in done.stdout


def test_what_is_wrong_with_a_replay_is_said(died: Relay, tmp_path: Path) -> None:
    """Exit code 1 or 2, and no traceback."""
    ask = {"RELAY_URL": died.url, "ADMIN_TOKEN": ADMIN_TOKEN}
    told = run("replay", folder=tmp_path, **ask)
    assert (told.returncode, "Say which" in told.stderr) == (2, True), told.stderr
    wrong = run("replay", "--all", folder=tmp_path, **ask | {"ADMIN_TOKEN": "not-the-token-Kq7xB2"})
    assert (wrong.returncode, "not the ADMIN_TOKEN of the relay" in wrong.stderr) == (1, True)
    assert run("replay", "--all", folder=tmp_path, RELAY_URL=died.url).returncode == 2
    assert run("replay", "--all", folder=tmp_path, **ask | {"RELAY_URL": "relay.example.com"}).returncode == 2
    stopped = run("replay", "--stop", "rpl_9", folder=tmp_path, **ask)
    assert (stopped.returncode, "Traceback" in stopped.stderr) == (1, False)
