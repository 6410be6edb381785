"""Lost answers over real sockets: with `check`, everybody gets exactly one e-mail, whatever stood in between."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.conftest import StartRelay
from tests.e2e.harness import Process, Relay, Sandbox, environment, registration, until

pytestmark = pytest.mark.no_cover  # under a tracer it takes three times as long, and each part has tests of its own

DELAY = {"MARKETO_ACTIVITY_DELAY_SECONDS": "0.4"}  # the simulation's activities can be read a little before


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A simulation whose activity log is nearly up to date, so that tests need no minutes."""
    ready = tmp_path / "sandbox.json"
    command = [sys.executable, "-m", "app.sandbox", "--port", "0", "--ready-file", str(ready), "--latency-ms", "5"]
    environ = environment("", "") | {"MARKETO_BASE_URL": ""}
    process = Process([*command, "--quiet", "--activity-delay-seconds", "0.3"], environ, tmp_path)
    until(lambda: ready.exists() or process.child.poll() is not None, what="the simulation to listen")
    yield Sandbox(process, json.loads(ready.read_text())["url"])
    process.stop()


def register(relay: Relay, count: int) -> list[str]:
    """Register so many people and wait until all are known, so that they go out together."""
    people = [f"p{number}@example.com" for number in range(count)]
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda person: relay.send(registration(person)).status_code, people)
        assert set(answers) == {202}

    def found() -> bool:
        states = [one["state"] for one in relay.registrations()]
        return len(states) == count and "new" not in states

    until(found, what="everybody to be found")
    return people


def everybody_got_one(relay: Relay, sandbox: Sandbox, people: list[str]) -> bool:
    """Wait until all are sent; then look at what the simulation delivered."""

    def sent() -> bool:
        page = relay.api("registrations?limit=100&state=sent")["items"]
        return len({one["email"] for one in page}) == len(people)

    until(sent, within=60, what="everybody to be sent")
    got = Counter(email["to"] for email in sandbox.get("emails?limit=1000"))
    assert got == Counter(people)
    return bool(sandbox.get("violations") == [])


@pytest.mark.parametrize(
    ("kind", "executes", "count"),
    [
        ("lost", True, 100),
        ("cut", False, 30),
        ("http:502", True, 60),
        ("http:502 html", False, 5),
        ("http:500", True, 5),
        ("garbage", True, 31),
        ("half", True, 5),
    ],
)
def test_everybody_gets_exactly_one_mail(
    start: StartRelay, sandbox: Sandbox, kind: str, executes: bool, count: int
) -> None:
    """Executed or not, the first answers are lost: the log tells which."""
    sandbox.fault(match="trigger", kind=kind, executes=executes, times=3)
    relay = start(**DELAY)
    assert everybody_got_one(relay, sandbox, register(relay, count))
    assert {call["kind"] for call in sandbox.get("calls?limit=1000")} >= {
        "activity_types",
        "paging_token",
        "activities",
    }


@pytest.mark.parametrize("executes", [True, False])
def test_a_timeout_is_settled(start: StartRelay, sandbox: Sandbox, executes: bool) -> None:
    """No answer for 35 s, which is longer than Marketo itself takes."""
    sandbox.fault(match="trigger", kind="timeout", executes=executes, times=1)
    relay = start(**DELAY)
    assert everybody_got_one(relay, sandbox, register(relay, 10))


@pytest.mark.parametrize("executes", [True, False])
def test_a_kill_during_the_request_is_settled(start: StartRelay, sandbox: Sandbox, executes: bool) -> None:
    """As a power cut: the next process finds the request written down, and asks the log."""
    sandbox.fault(match="trigger", kind="slow:30", executes=executes, times=1)
    relay = start(**DELAY)
    people = register(relay, 40)
    until(lambda: relay.registrations(state="sending"), what="a request under way")
    relay.process.kill()
    sandbox.heal()
    relay = start(**DELAY)
    assert everybody_got_one(relay, sandbox, people)


def test_a_kill_before_the_look_loses_nothing(start: StartRelay, sandbox: Sandbox) -> None:
    """What is to be looked at stands in the store."""
    sandbox.fault(match="trigger", kind="lost", times=1)
    relay = start(MARKETO_ACTIVITY_DELAY_SECONDS="4")
    people = register(relay, 10)
    until(lambda: any('"lost"' in line for line in relay.process.lines), what="a lost answer")
    relay.process.kill()
    assert everybody_got_one(start(**DELAY), sandbox, people)


def test_without_the_permission_the_relay_says_so_and_repeats(start: StartRelay, sandbox: Sandbox) -> None:
    """603 at the log: better one e-mail too many than none, and the log and the timeline say why."""
    sandbox.fault(match="activity_types", kind="code:603")
    sandbox.fault(match="trigger", kind="http:502", times=1)
    relay = start(**DELAY)
    relay.send(registration("ada@example.com"))
    found = relay.in_state("ada@example.com", "sent")
    whole = relay.api(f"registrations/{found['id']}")
    assert any("Read-Only Activity" in entry["detail"] for entry in whole["timeline"])
    assert relay.process.output.count("the activity log cannot be read") == 1
    assert len(sandbox.emails_to("ada@example.com")) == 1
