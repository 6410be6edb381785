"""`relay forget`, on the store of a relay that runs."""

import json
from pathlib import Path

import pytest

from tests.e2e.harness import Relay, Sandbox, registration
from tests.e2e.test_command_line import run


@pytest.fixture
def store_url(database_url: str) -> str:
    return database_url


def test_a_person_is_forgotten_beside_a_running_relay(relay: Relay, store_url: str, tmp_path: Path) -> None:
    """First shown, then done and certified without the address; nobody else is touched."""
    store = {"DATABASE_URL": store_url}
    for address in ("ada@example.com", "bob@example.com"):
        relay.send(registration(address))
        relay.in_state(address, "sent")
    shown = run("forget", "Ada@example.com", folder=tmp_path, **store)
    assert "Nothing was removed" in shown.stdout, shown.stderr
    assert json.loads(run("forget", "ada@example.com", "--json", folder=tmp_path, **store).stdout)["registrations"] == 1
    done = run("forget", "ada@example.com", "--yes", "--json", folder=tmp_path, **store)
    certificate = json.loads(done.stdout)
    assert (certificate["registrationsRemoved"], certificate["webhooksBlanked"]) == (1, 1)
    assert "ada@" not in done.stdout
    assert relay.registrations(email="ada@example.com") == []
    assert relay.registrations(email="bob@example.com")
    again = run("forget", "ada@example.com", folder=tmp_path, **store)
    assert "Nothing is known" in again.stdout
    text = run("forget", "bob@example.com", "--yes", folder=tmp_path, **store).stdout
    assert "keyed hash" in text
    assert "registers and reminds them anew" in text


def test_who_is_forgotten_is_not_banned(relay: Relay, sandbox: Sandbox, store_url: str, tmp_path: Path) -> None:
    """A new webhook about them is a new registration; a list of those who are never to come would be data of theirs."""
    for times in (1, 2):
        assert relay.send(registration("ada@example.com")).status_code == 202
        relay.in_state("ada@example.com", "sent")
        assert len(sandbox.emails_to("ada@example.com")) == times
        done = run("forget", "ada@example.com", "--yes", "--json", folder=tmp_path, DATABASE_URL=store_url)
        assert json.loads(done.stdout)["registrationsRemoved"] == 1
