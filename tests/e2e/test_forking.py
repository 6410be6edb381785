"""A fork behaves as the command that it stands for, or the tests that start one would prove nothing."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.e2e.forking import ROOT, Fork, run
from tests.e2e.harness import Process, start_sandbox, until

COMMAND = [sys.executable, "-m", "app"]
ENVIRON = {"PYTHONPATH": str(ROOT), "MARKETO_CLIENT_ID": "set here only"}


@pytest.mark.parametrize("arguments", [["--version"], ["serve", "--nonsense"], ["config", "check"]])
def test_it_ends_as_the_command_does(tmp_path: Path, arguments: list[str]) -> None:
    """The same exit code and the same words on both outputs as a Python of its own."""
    command = [*COMMAND, *arguments]
    forked = run(command, environ=ENVIRON, folder=tmp_path, timeout=60)
    alone = subprocess.run(command, env=ENVIRON, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (forked.returncode, forked.stdout, forked.stderr) == (alone.returncode, alone.stdout, alone.stderr)


def test_it_is_a_process_of_its_own(tmp_path: Path) -> None:
    """Stopped, let go on, and killed like any other; nobody else is."""
    folders = [Path(tempfile.mkdtemp(dir=tmp_path)) for _ in range(2)]
    one, other = (start_sandbox(folder) for folder in folders)
    assert isinstance(one.process.child, Fork)
    assert Path(f"/proc/{one.process.child.pid}/cwd").resolve() == folders[0]
    one.process.child.send_signal(signal.SIGSTOP)
    until(lambda: _state(one.process) == "T", what="the process to stop")
    one.process.child.send_signal(signal.SIGCONT)
    assert one.get("calls") == []
    one.process.kill()
    assert one.process.child.returncode == -signal.SIGKILL
    assert other.get("calls") == []
    other.process.stop()


def _state(process: Process) -> str:
    return Path(f"/proc/{process.child.pid}/stat").read_text().rpartition(")")[2].split()[0]
