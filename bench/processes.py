"""Start the parts of a measurement as separate processes, and stop each one by its own pid."""

import asyncio
import os
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent
_READY_WITHIN = 30.0  # seconds
_STOPPED_WITHIN = 12.0  # seconds


class DidNotStart(Exception):
    """A part ended or stayed silent; the message holds the end of its log."""


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used so far; 0 where the system does not tell (/proc)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process; 0 where the system does not tell (/proc)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_resident_bytes(pid: int) -> int:
    """Return the most resident memory that a process ever had; 0 where the system does not tell (/proc)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


@asynccontextmanager
async def running(
    *arguments: str, folder: Path, log: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Process]:
    """Run `python -m …` in a folder of its own, so that no .env of the checkout is read; end it with the block."""
    with (folder / log).open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *arguments, cwd=folder, env=_surroundings(environment), stdout=out, stderr=out
        )
        try:
            yield process
        finally:
            await stop(process)


async def stop(process: Process) -> None:
    """Ask a process of ours to end, and end it when it does not."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOPPED_WITHIN):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def until_ready(process: Process, url: str, *, log: Path) -> float:
    """Wait for an answer of 200; return how many seconds that took.

    Raises:
        DidNotStart: with the last lines of the log.
    """
    started = time.monotonic()
    async with httpx.AsyncClient(timeout=2.0) as client:
        while time.monotonic() - started < _READY_WITHIN and process.returncode is None:
            if await _is_ok(client, url):
                return time.monotonic() - started
            await asyncio.sleep(0.01)
    raise DidNotStart(f"{url} did not become ready:\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text().splitlines()[-20:])


async def _is_ok(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


async def asked(module: str, question: str) -> str:
    """Run a module to its end with a text on its standard input; return what it printed.

    Raises:
        DidNotStart: it failed; with what it wrote to standard error.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, cwd=ROOT, stdin=-1, stdout=-1, stderr=-1, env=_surroundings(None)
    )
    try:
        out, problem = await process.communicate(question.encode())
    finally:
        await stop(process)
    if process.returncode:
        raise DidNotStart(f"{module} failed:\n{problem.decode()[-2000:]}")
    return out.decode()


def _surroundings(environment: Mapping[str, str] | None) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), **(environment or {})}
