"""`python -m app.sandbox.deliver`: the sample traffic of docker-compose.yml's demo, sent to a relay that runs."""

import subprocess
import sys

from app.sandbox import seed
from tests.e2e.conftest import StartRelay
from tests.e2e.harness import Relay, Sandbox, environment, until

KNOWN = {
    "EVENTBRITE_WEBHOOK_TOKEN": seed.EVENTBRITE_WEBHOOK_TOKEN,
    "PENDO_WEBHOOK_SECRET": seed.PENDO_WEBHOOK_SECRET,
    "CUSTOM_WEBHOOK_SECRETS": seed.CUSTOM_WEBHOOK_SECRET,
    "CUSTOM_API_KEYS": seed.CUSTOM_API_KEY,
}


def deliver(relay: Relay, sandbox: Sandbox) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "app.sandbox.deliver", "--relay", relay.url, "--sandbox", sandbox.url],
        env=environment("", ""),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_each_answer_is_told_and_the_e_mails_arrive(start: StartRelay, sandbox: Sandbox) -> None:
    ended = deliver(start(**KNOWN), sandbox)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = ended.stdout.splitlines()
    assert any(line.startswith("202 Pendo: a signed track event: ") for line in lines)
    assert any(line.startswith("422 Own app: a misspelt field: ") for line in lines)
    until(lambda: sandbox.emails_to(seed.PENDO_VISITOR[2]), what="the e-mail of Pendo's visitor")


def test_an_unexpected_answer_is_a_failure(relay: Relay, sandbox: Sandbox) -> None:
    """A relay with other secrets refuses everything, and whoever waits for e-mails has to learn why."""
    ended = deliver(relay, sandbox)
    assert ended.returncode == 1
    assert "401 Pendo: a signed track event: " in ended.stdout
