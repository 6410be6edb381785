"""Keep several processes at work on the same sockets: start them, pass signals on, replace whoever dies."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from multiprocessing import get_context, parent_process
from multiprocessing.context import SpawnProcess
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory

import structlog
import uvloop

from app.errors import RelayError
from app.listening import bound_sockets
from app.log import configure_logging
from app.metrics import SHARED_FOLDER, forget_process
from app.serve import serve
from app.settings import Settings
from app.store.opening import prepare_store

STEADY = timedelta(minutes=1)  # whoever lived so long did not die of its start
SHORTEST, LONGEST = timedelta(seconds=0.5), timedelta(seconds=30)  # before somebody is replaced
STOPPED_WITHIN = timedelta(seconds=10)
_IN_MEMORY = Path("/dev/shm")  # noqa: S108  # figures are written a thousand times a second
_log = structlog.get_logger(__name__)


async def serve_by_several(settings: Settings) -> None:
    """Run `settings.workers` processes of `app.serve` on one port until SIGTERM or SIGINT.

    Raises:
        AddressUnusable, StoreTooNew, StoreUnavailable: as `serve`, before any process is started.
    """
    await prepare_store(settings.database_url.get_secret_value(), may_migrate=settings.migrate_on_start)
    with ExitStack() as stack:
        sockets = [stack.enter_context(one) for one in bound_sockets(settings.host, settings.port)]
        figures = Path(stack.enter_context(_folder_for_figures()))
        crew = Crew(lambda: _worker(settings, sockets, figures), gone=lambda pid: forget_process(pid, figures))
        stack.callback(crew.kill)

        def stop(sign: signal.Signals) -> None:
            for one in sockets:
                one.close()  # or connections that nobody will take were still let in here
            crew.stop(sign)

        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, stop, sign)
        await crew.work(settings.workers)
    _log.info("all workers stopped")


class Crew:
    """Processes, each in a place that is never empty for long. `gone` is told the pid of whoever has ended."""

    def __init__(self, hire: Callable[[], SpawnProcess], *, gone: Callable[[int], None]) -> None:
        self._hire = hire
        self._gone = gone
        self._stopping = asyncio.Event()
        self._alive: dict[int, SpawnProcess] = {}

    async def work(self, places: int) -> None:
        """Keep so many processes at work; return when all have ended after `stop`."""
        async with asyncio.TaskGroup() as group:
            for place in range(1, places + 1):
                group.create_task(self._keep(place))

    def stop(self, sign: signal.Signals) -> None:
        """Pass the signal on; whoever is still there after `STOPPED_WITHIN` is killed."""
        if not self._stopping.is_set():
            self._stopping.set()
            asyncio.get_running_loop().call_later(STOPPED_WITHIN.total_seconds(), self.kill)
        for pid in self._alive:
            os.kill(pid, sign)

    def kill(self) -> None:
        for process in self._alive.values():
            process.kill()

    async def _keep(self, place: int) -> None:
        deaths = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            pid, code = await self._run_one(place)
            if self._stopping.is_set():
                return
            deaths = 1 if time.monotonic() - began > STEADY.total_seconds() else deaths + 1
            pause = pause_after(deaths)
            _log.error("worker died", worker=place, pid=pid, exit_code=code, again_in=pause.total_seconds())
            await self._pause(pause)

    async def _run_one(self, place: int) -> tuple[int, int | None]:
        process = self._hire()
        process.start()
        pid = process.pid or 0
        self._alive[pid] = process
        _log.info("worker started", worker=place, pid=pid)
        try:
            await _ended(process)
        finally:
            del self._alive[pid]
            self._gone(pid)
        return pid, process.exitcode

    async def _pause(self, pause: timedelta) -> None:
        try:
            async with asyncio.timeout(pause.total_seconds()):
                await self._stopping.wait()
        except TimeoutError:
            return


def pause_after(deaths: int) -> timedelta:
    """Return how long a place stays empty after so many deaths in a row, each soon after its start."""
    return min(SHORTEST * (1 << min(deaths - 1, 10)), LONGEST)


async def _ended(process: SpawnProcess) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(process.sentinel, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process.sentinel)
    process.join()


def _folder_for_figures() -> TemporaryDirectory[str]:
    where = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None
    return TemporaryDirectory(prefix="relay-figures-", dir=where)


def _worker(settings: Settings, sockets: list[socket], figures: Path) -> SpawnProcess:
    os.environ[SHARED_FOLDER] = str(figures)  # for the library, which looks there when it is imported
    return get_context("spawn").Process(target=_work, args=(settings, sockets, figures))


def _work(settings: Settings, sockets: list[socket], figures: Path) -> None:
    os.setpgid(0, 0)  # a terminal's Ctrl-C goes to the parent only, which passes it on
    configure_logging(level=settings.log_level, format=settings.log_format, secrets=settings.secrets())
    parent = parent_process()
    try:
        uvloop.run(serve(settings, sockets=sockets, figures=figures, until=parent.sentinel if parent else None))
    except RelayError as problem:
        _log.error("worker cannot serve", reason=str(problem))  # the reason says it all
        sys.exit(1)
    except Exception:  # noqa: BLE001  # outermost: the library would print the trace past the log, which masks secrets
        _log.exception("worker failed")
        sys.exit(1)
