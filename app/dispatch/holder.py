"""Name this process so that others on its machine can tell whether it still lives.

From elsewhere, and on systems other than Linux, nobody can: there the lease must fall silent first.
"""

import os
import socket
from pathlib import Path

_PROC = Path("/proc")
_ENDED = ("Z", "X")  # a process that was killed and not yet waited for
_START = 18  # the start time's place in /proc/<pid>/stat after the state


def name_of_this_process() -> str:
    """Return host, boot and PID namespace, process id and its start: together they never come again."""
    return f"{socket.gethostname()[:64]} {_machine() or '-'} {os.getpid()} {_started(os.getpid()) or '-'}"


def has_died(holder: str) -> bool:
    """Tell whether this is surely a process of the past; False where that cannot be known."""
    parts = holder.split(" ")
    machine = _machine()
    if len(parts) != 4 or machine is None or parts[1] != machine or not parts[2].isdigit():
        return False
    return parts[3] != "-" and _started(int(parts[2])) != parts[3]


def _machine() -> str | None:
    """Return which run of which kernel this is, and in which PID namespace."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """Return when a process began, in the kernel's ticks since the boot; None when there is none."""
    try:
        state, *rest = (_PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return None if state in _ENDED else rest[_START]
