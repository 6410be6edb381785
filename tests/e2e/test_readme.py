"""The README's examples run as they stand there."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from app.cli import app
from app.domain import utc_now
from app.sources.base import Inbound
from app.sources.custom import CustomSource
from tests.e2e.harness import API_KEY, ROOT, WEBHOOK_SECRET, Relay, Sandbox

pytestmark = pytest.mark.no_cover  # under a tracer it takes twice as long, and each part has tests of its own

README = (ROOT / "README.md").read_text(encoding="utf-8")
RUNNERS = {"py": [sys.executable, "-c"], "sh": ["sh", "-c"]}


def example(name: str) -> str:
    found = re.search(rf"<!-- example: {re.escape(name)} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no example {name}"
    return found[1]


@pytest.mark.parametrize("name", ["sign.py", "sign.sh", "bearer.sh"])
def test_an_example_registers_somebody(name: str, relay: Relay, sandbox: Sandbox, tmp_path: Path) -> None:
    """Whoever copies it gets a 202, and the registrant an e-mail."""
    settings = {"RELAY_URL": relay.url, "WEBHOOK_SECRET": WEBHOOK_SECRET, "API_KEY": API_KEY}
    ended = subprocess.run(
        [*RUNNERS[name.rpartition(".")[2]], example(name)],
        env={"PATH": os.environ["PATH"]} | settings,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert '"status":"accepted"' in ended.stdout
    relay.in_state("ada@example.com", "sent")
    assert len(sandbox.emails_to("ada@example.com")) == 1


def test_the_body_in_the_readme_is_accepted() -> None:
    """It is the first thing that an app's developer copies."""
    found = re.search(r"```json\n(\{.*?\})\n```", README, re.DOTALL)
    assert found
    source = CustomSource(signing_secrets=(), api_keys=[API_KEY], allowed_campaigns=())
    headers = {"authorization": f"Bearer {API_KEY}"}
    source.receive(Inbound(headers, json.dumps(json.loads(found[1])).encode(), utc_now()))


def test_the_webinar_in_the_readme_is_toml() -> None:
    """With the keys that the settings know."""
    found = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert found
    [webinar] = tomllib.loads(found[1])["webinars"].values()
    assert set(webinar) == {"title", "join_link", "image", "starts_at", "aliases"}


def test_every_file_that_the_readme_names_is_there() -> None:
    """A dead link is the first thing that a reader meets."""
    links = re.findall(r"\]\(((?!https?://|#)[^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link.partition("#")[0]).exists()] == []


def test_every_target_and_command_that_the_readme_names_exists() -> None:
    """`make …` and `relay …` as a reader would type them."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE)) <= targets
    commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    commands |= {group.name or "" for group in app.registered_groups}
    assert set(re.findall(r"(?:`|^)(?:\.venv/bin/)?relay ([a-z]+)", README, re.MULTILINE)) <= commands


def test_a_command_in_a_block_is_typed_where_it_is() -> None:
    """`relay` alone is found in the container only; from a clone it stands in `.venv/bin`."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    typed = [line for block in blocks for line in block.splitlines() if re.search(r"(^|/)relay ", line)]
    assert typed
    assert [line for line in typed if not line.startswith(".venv/bin/relay ")] == []
