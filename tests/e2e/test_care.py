"""What an operator does on the file of a relay that runs: back up, restore."""

import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.conftest import StartRelay
from tests.e2e.harness import Sandbox, registration, until
from tests.e2e.test_command_line import run


def test_a_backup_under_load_is_restored_with_all_that_was_acknowledged(
    start: StartRelay, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Whatever was answered 202 before the backup began is in it, and is sent from it."""
    sandbox.fault(match="sync", kind="code:603")  # no attempt of anybody's, so that nobody's next one is far off
    relay = start()
    people = [f"p{n}@example.com" for n in range(120)]
    assert {relay.send(registration(person)).status_code for person in people[:60]} == {202}
    relay.in_pause(at_least=8)
    copy = tmp_path / "copy.db"
    with ThreadPoolExecutor(4) as pool:
        later = [pool.submit(relay.send, registration(person)) for person in people[60:]]
        made = run("backup", str(copy), folder=tmp_path, DATABASE_URL=f"sqlite:///{tmp_path / 'relay.db'}")
        assert {answer.result().status_code for answer in later} == {202}
    assert (made.returncode, "It is whole" in made.stdout) == (0, True), made.stderr
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    relay.process.kill()
    for left in tmp_path.glob("relay.db*"):
        left.unlink()
    shutil.copy(copy, tmp_path / "relay.db")
    sandbox.heal()
    start()
    until(lambda: {email["to"] for email in sandbox.get("emails")} >= set(people[:60]), within=60, what="the e-mails")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///nothing.db", "There is no store at nothing.db"),
        ("postgresql://relay@127.0.0.1/relay", "pg_dump"),
    ],
)
def test_a_backup_that_cannot_be_is_told(tmp_path: Path, url: str, said: str) -> None:
    ended = run("backup", "copy.db", folder=tmp_path, DATABASE_URL=url)
    assert (ended.returncode, said in ended.stderr, "Traceback" in ended.stderr) == (1, True, False)
    assert not list(tmp_path.glob("copy*"))


def test_a_backup_overwrites_nothing_and_leaves_no_half(tmp_path: Path) -> None:
    """Neither an older backup nor, where nothing can be written, a part of one."""
    store = {"DATABASE_URL": "sqlite:///relay.db"}
    assert run("migrate", folder=tmp_path, **store).returncode == 0
    (tmp_path / "old.db").write_text("precious")
    told = run("backup", "old.db", folder=tmp_path, **store)
    assert (told.returncode, "there already" in told.stderr) == (1, True)
    assert (tmp_path / "old.db").read_text() == "precious"
    told = run("backup", "no/such/folder/copy.db", folder=tmp_path, **store)
    assert (told.returncode, "could not be written" in told.stderr) == (1, True)
    (tmp_path / "broken.db").write_text("no database" * 1000)
    told = run("backup", "copy.db", folder=tmp_path, DATABASE_URL="sqlite:///broken.db")
    assert (told.returncode, "store at broken.db could not be read" in told.stderr) == (1, True), told.stderr
    assert not list(tmp_path.glob("copy*"))
