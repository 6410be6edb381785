"""`relay demo`, the first thing that a stranger sees: it ends by itself, and well only when each e-mail came once."""

import contextlib
import os
import pty
import re
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from app.sandbox import demo, seed
from app.sandbox.traffic import Reminder, expected_reminders, sample_traffic
from tests.e2e.harness import demo_command, demo_environment, free_port, until

REMINDERS = expected_reminders(
    sample_traffic("http://relay.test", sandbox_url="http://sandbox.test", now=datetime(2026, 11, 23, tzinfo=UTC))
)


def test_without_a_terminal_it_tells_the_whole_way_and_ends(tmp_path: Path) -> None:
    """What came in, what was made of it, each call, and every expected e-mail once, as a file too."""
    ended = subprocess.run(
        demo_command(),
        cwd=tmp_path,
        env=demo_environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    told = ended.stdout
    assert ended.returncode == 0, told + ended.stderr
    assert "Nothing leaves this machine" in told
    for fact in ("order.placed", "Test button", "Pendo", "duplicate", "ignored", "webinar.joinlink", seed.TITLE_TOKEN):
        assert fact in told, fact
    written = [path.read_text(encoding="utf-8") for path in sorted((tmp_path / "mails").glob("*.html"))]
    assert len(written) == len(REMINDERS) >= 4
    assert all(path.name in told for path in (tmp_path / "mails").iterdir())
    assert all(re.search(r'<img [^>]*src="data:image/', html) for html in written), "the pictures are inside"
    for reminder in REMINDERS:
        assert reminder.to in told


def lose_one_email(sandbox: str) -> httpx.Response | None:
    """Let the simulation refuse one campaign request for good, as soon as it can be told so."""
    with contextlib.suppress(httpx.TransportError):
        fault = {"match": "trigger", "kind": "code:709", "contains": "Machines that answer"}
        return httpx.post(f"{sandbox}/sandbox/faults", json=fault, trust_env=False).raise_for_status()
    return None


def test_a_demo_in_which_an_e_mail_is_lost_ends_badly_and_names_it(tmp_path: Path) -> None:
    """It is also how a pipeline learns that the way is broken; it does not wait for what cannot come any more."""
    port = free_port()
    demonstrating = subprocess.Popen(
        demo_command(sandbox_port=port),
        cwd=tmp_path,
        env=demo_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        until(lambda: lose_one_email(f"http://127.0.0.1:{port}"), what="the simulation to take the fault")
        told, _ = demonstrating.communicate(timeout=100)
    finally:
        demonstrating.kill()
        demonstrating.wait()
    assert demonstrating.returncode == 1, told
    assert "alan.turing@example.com: the reminder arrived 0 times" in told
    assert len(list((tmp_path / "mails").glob("*.html"))) == len(REMINDERS) - 1


def read_until(screen: int, fact: str) -> str:
    """Return what a terminal shows until the text is there, without its colours."""
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while fact.encode() not in shown and (more := os.read(screen, 65_536)):
            shown += more
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode(errors="replace")).replace("\r", "")


def test_in_a_terminal_it_stays_and_its_two_lines_work_until_ctrl_c(tmp_path: Path) -> None:
    """They are copied as they stand."""
    screen, terminal = pty.openpty()
    shown = subprocess.Popen(
        demo_command(),
        cwd=tmp_path,
        env=demo_environment() | {"TERM": "xterm", "COLUMNS": "120"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    try:
        told = read_until(screen, "/readyz")
        register, ask = re.findall(r"^curl .*$", told, re.MULTILINE)
        for command, fact in ((register, '"accepted"'), (ask, '"items"')):
            answer = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=20, check=True)
            assert fact in answer.stdout
        shown.send_signal(signal.SIGINT)
        assert shown.wait(20) == 0
    finally:
        shown.kill()
        shown.wait()
        os.close(screen)


def email(reminder: Reminder) -> dict[str, Any]:
    return {"to": reminder.to, "tokens": {seed.TITLE_TOKEN: reminder.title, seed.JOIN_LINK_TOKEN: reminder.join_link}}


def test_a_lost_a_doubled_and_an_unasked_e_mail_are_each_a_failure() -> None:
    """A demo that shows three of four e-mails and ends well would be believed."""
    every = [email(reminder) for reminder in REMINDERS]
    assert demo._not_once(every, REMINDERS) == []
    assert demo._not_once(every[1:], REMINDERS) == [f"{REMINDERS[0].to}: the reminder arrived 0 times"]
    assert demo._not_once([*every, every[0]], REMINDERS) == [f"{REMINDERS[0].to}: the reminder arrived 2 times"]
    [unasked] = demo._not_once([*every, {"to": "nobody@example.com", "tokens": {}}], REMINDERS)
    assert unasked == "nobody@example.com: an e-mail that nobody asked for"
