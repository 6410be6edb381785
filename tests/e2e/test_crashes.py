"""Stops of every kind: what was accepted is sent, and nobody hears of it."""

import signal
import socket
import time

import httpx
import pytest

from tests.e2e.conftest import StartRelay
from tests.e2e.harness import Sandbox, registration, until

pytestmark = pytest.mark.no_cover  # under a tracer it takes twice as long, and each part has tests of its own


@pytest.fixture
def store_url(database_url: str) -> str:
    return database_url


def test_a_kill_between_accept_and_trigger_loses_nothing(start: StartRelay, sandbox: Sandbox) -> None:
    """202 means stored: also for a process that never gets to send."""
    sandbox.fault(match="sync", kind="code:603")  # the pause after it is the next leader's no more
    relay = start()
    people = [f"p{n}@example.com" for n in range(20)]
    assert {relay.send(registration(person)).status_code for person in people} == {202}
    relay.in_pause(at_least=5)
    relay.process.kill()
    sandbox.heal()
    start()
    until(lambda: len(sandbox.get("emails")) >= 20, within=40, what="20 e-mails")
    assert sorted(email["to"] for email in sandbox.get("emails")) == sorted(people)
    assert sandbox.get("violations") == []


def test_a_kill_during_the_campaign_request_is_settled_by_policy(start: StartRelay, sandbox: Sandbox) -> None:
    """The campaign may have run. With `hold` a person decides, and the timeline says so."""
    sandbox.fault(match="trigger", kind="slow:20", times=1)
    relay = start(MARKETO_ON_AMBIGUOUS="hold")
    relay.send(registration("ada@example.com"))
    relay.in_state("ada@example.com", "sending")
    relay.process.kill()
    relay = start(MARKETO_ON_AMBIGUOUS="hold")
    found = relay.in_state("ada@example.com", "dead")
    assert found["cause"] == "answer_lost"
    whole = relay.api(f"registrations/{found['id']}")
    assert whole["timeline"][-1]["what"] == "answer lost"
    assert [call["outcome"] for call in whole["calls"] if call["kind"] == "trigger"] == ["lost"]


def test_a_kill_during_the_campaign_request_with_retry_mails_again(start: StartRelay, sandbox: Sandbox) -> None:
    """With `retry`, one e-mail too many is better than none."""
    sandbox.fault(match="trigger", kind="http:500", times=1)
    sandbox.fault(match="trigger", kind="slow:20", times=1)
    relay = start(MARKETO_ON_AMBIGUOUS="retry")
    relay.send(registration("ada@example.com"))
    relay.in_state("ada@example.com", "sending")
    relay.process.kill()
    sandbox.heal()
    relay = start(MARKETO_ON_AMBIGUOUS="retry")
    relay.in_state("ada@example.com", "sent")
    assert sandbox.emails_to("ada@example.com")


def test_sigterm_finishes_what_runs_within_ten_seconds(start: StartRelay, sandbox: Sandbox) -> None:
    """Unready at once, still accepting, the running call ended and settled, the lease given back.

    Even with the longest drain, and a sender that never ends its body.
    """
    sandbox.fault(match="trigger", kind="slow:2", times=1)
    relay = start(DRAIN_SECONDS="4")
    relay.send(registration("ada@example.com"))
    relay.in_state("ada@example.com", "sending")
    began = time.monotonic()
    relay.process.child.send_signal(signal.SIGTERM)
    until(lambda: httpx.get(f"{relay.url}/readyz", timeout=5).status_code == 503, what="unready")
    assert httpx.get(f"{relay.url}/livez", timeout=5).status_code == 200
    assert relay.send(registration("late@example.com")).status_code == 202
    with socket.create_connection(("127.0.0.1", int(relay.url.rpartition(":")[2]))) as endless:
        endless.sendall(
            b"POST /webhooks/custom HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n"
        )
        assert relay.process.stop(within=10) == 0
        assert endless.recv(4096).startswith(b"HTTP/1.1 503 ")
    assert time.monotonic() - began < 10
    assert "Traceback" not in relay.process.output
    relay = start()
    assert relay.in_state("ada@example.com", "sent")
    assert relay.in_state("late@example.com", "sent")
    assert len(sandbox.emails_to("ada@example.com")) == 1
