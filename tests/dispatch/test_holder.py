"""Names of processes: the dead of this machine are known as such, and nobody else is taken for dead."""

import os
import subprocess
import sys

import pytest

from app.dispatch.holder import has_died, name_of_this_process

_ASK = "from app.dispatch.holder import name_of_this_process as name; print(name(), flush=True); input()"


def test_this_process_lives() -> None:
    """It would take its own lease away from itself."""
    assert not has_died(name_of_this_process())


def test_a_killed_process_is_known_as_dead() -> None:
    """Also before its parent has asked how it ended; what takes its number later is another process."""
    child = subprocess.Popen([sys.executable, "-c", _ASK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdin is not None
    name = child.stdout.readline().strip()
    assert not has_died(name)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert has_died(name)
    child.wait()
    assert has_died(name)
    child.stdin.close()
    child.stdout.close()


def test_a_process_that_got_the_number_of_a_dead_one_does_not_stand_for_it() -> None:
    """In a container, each is number 1."""
    host, machine, pid, started = name_of_this_process().split(" ")
    assert has_died(f"{host} {machine} {pid} {int(started) - 1}")


@pytest.mark.parametrize("part", range(1, 4))
def test_of_what_cannot_be_known_nobody_is_taken_for_dead(part: int) -> None:
    """Another machine's or container's processes are not seen here, nor is anything told on other systems."""
    parts = name_of_this_process().split(" ")
    parts[part] = "-"
    assert not has_died(" ".join(parts))


@pytest.mark.parametrize("name", ["", "a", "web-1:17"])
def test_other_names_say_nothing(name: str) -> None:
    """Those of an earlier version, and of a lease that nobody held."""
    assert not has_died(name)
