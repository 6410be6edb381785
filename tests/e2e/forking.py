"""Start programs of `app` as forks of one process that has imported them already; that takes longer than most tests.

What comes out is a process like any other: with its own pid, environment, folder and files, and it runs the same entry
point. Only the imports are shared, so a test that is about them (or about what is installed) starts Python by itself.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

ROOT = Path(__file__).parents[2]
_SLOW = ("alembic.command", "alembic.config", "coverage", "uvloop")  # imported by a function, or by the machinery
_LONGEST = 1 << 20  # bytes of a request: arguments and an environment
_UNFORKABLE = ("app.otel", "app.__main__", "app.sandbox.__main__")  # an extra, and what does something


class Fork:
    """A running `python -m app…`, with as much of `subprocess.Popen`'s interface as tests use."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str], folder: Path, out: int, err: int) -> None:
        with Path(os.devnull).open() as nothing:
            self.pid = _server().start(arguments, environ, folder, [nothing.fileno(), out, err])
        self._handle = os.pidfd_open(self.pid)  # it is not reaped yet, so the pid is nobody else's
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def send_signal(self, sign: int) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, sign)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._handle, select.POLLIN)
            if not poll.poll(None if timeout is None else timeout * 1000):
                return None
            self.returncode = _server().reap(self.pid)
            os.close(self._handle)
        return self.returncode


Child = Fork | subprocess.Popen[bytes]


def launch(command: Sequence[str], *, environ: Mapping[str, str], folder: Path, out: int, err: int) -> Child:
    """Start a command; `out` and `err` are the descriptors that it writes to."""
    if command[:2] == [sys.executable, "-m"] and command[2].split(".")[0] == "app" and hasattr(os, "pidfd_open"):
        return Fork(command[2:], environ, folder, out, err)
    return subprocess.Popen(command, env=dict(environ), cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err)


def run(
    command: Sequence[str], *, environ: Mapping[str, str], folder: Path, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Return how a command ended, and what it wrote."""
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        child = launch(command, environ=environ, folder=folder, out=out.fileno(), err=err.fileno())
        try:
            code = child.wait(timeout)
        finally:
            child.kill()
        for written in (out, err):
            written.seek(0)
        return subprocess.CompletedProcess(command, code, out.read(), err.read())


class ForkServer:
    """The process that has imported everything and does nothing but fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._socket, its):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LONGEST)
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(its.fileno())],
                env=kept | {"PYTHONPATH": str(ROOT)},
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def start(self, arguments: Sequence[str], environ: Mapping[str, str], folder: Path, files: Sequence[int]) -> int:
        """Run `python -m arguments…` with these three standard files, and return its pid."""
        wanted = {"arguments": list(arguments), "environ": dict(environ), "folder": str(folder)}
        return self._ask(wanted, files)

    def reap(self, pid: int) -> int:
        """Return the exit code of one that has ended, as `subprocess` puts it."""
        return self._ask({"reap": pid}, [])

    def _ask(self, wanted: Mapping[str, Any], files: Sequence[int]) -> int:
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(wanted).encode()], files)
            return int(self._socket.recv(64))

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


@cache
def _server() -> ForkServer:
    return ForkServer()


def main() -> None:
    """Serve the socket whose descriptor is the argument until its other end is closed."""
    asked = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asks
    _import_all()
    while True:
        message, files, _, _ = socket.recv_fds(asked, _LONGEST, 3)
        if not message:
            return
        wanted = json.loads(message)
        if "reap" in wanted:
            answer = os.waitstatus_to_exitcode(os.waitpid(wanted["reap"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                asked.close()
                _become(files=files, **wanted)
                return
            for one in files:
                os.close(one)
        asked.send(str(answer).encode())


def _import_all() -> None:
    import app  # noqa: PLC0415  # not for the one who asks

    for name in _SLOW:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if module.name not in _UNFORKABLE and ".migrations." not in module.name:
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # a fork's collector would copy all of it


def _become(*, arguments: Sequence[str], environ: Mapping[str, str], folder: str, files: Sequence[int]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for standard, given in enumerate(files):
        os.dup2(given, standard)
        os.close(given)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    os.chdir(folder)
    if any(name.startswith("COVERAGE_PROCESS") for name in environ):
        import coverage  # noqa: PLC0415  # imported long since

        coverage.process_startup(force=True)
    module, *rest = arguments
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
