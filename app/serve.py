"""Serve HTTP until told to stop, then drain: unready first, so that a load balancer looks elsewhere, closed later."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
import uvicorn

from app.bootstrap import Relay, running_relay
from app.listening import allow_many_connections, bound_sockets, taken_from
from app.log import UVICORN_OPTIONS
from app.main import create_app
from app.settings import Settings
from app.standstill import watched_loop
from app.web.wire import StrictHttp

KEEP_ALIVE = 75  # seconds; load balancers reuse a connection for up to 60 s, and must not meet a closing one
# A stop takes DRAIN_SECONDS (4 at most), then these seconds for requests that are under way when the port closes, then
# two at most for the store's last commit: ten in all, as long as nobody else holds SQLite's lock.
LAST_ANSWERS = 3
# Seconds that a busy thread keeps the others waiting. At Python's 0.005 a commit, which must wait several times, takes
# too long; at a tenth of that, a tenth of the processor's time goes into changing threads.
SWITCH = 0.002
_log = structlog.get_logger(__name__)


async def serve(
    settings: Settings,
    *,
    sockets: list[socket.socket] | None = None,
    figures: Path | None = None,
    until: int | None = None,
) -> None:
    """Run the relay until SIGTERM or SIGINT; a second signal ends it at once.

    A worker among several is handed the `sockets` that all listen on, the folder in which all keep their `figures`,
    and a file descriptor that becomes readable when their parent has died.

    Raises:
        AddressUnusable: the port is taken, or the address is none of this machine.
        StoreTooNew, StoreUnavailable: the store cannot be used.
    """
    sys.setswitchinterval(SWITCH)
    allow_many_connections()
    sockets = sockets or bound_sockets(settings.host, settings.port)
    async with running_relay(settings, figures=figures) as relay:
        server = Server(make_config(settings, relay))
        _spare_the_collector()
        stop = _Stop(relay, server, settings.drain_seconds)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.drain)
        loop.add_signal_handler(signal.SIGINT, stop.now)
        if until is not None:
            loop.add_reader(until, stop.orphaned, until)
        with watched_loop():
            await server.serve(sockets)


def _spare_the_collector() -> None:
    """Let garbage be looked for less often, and never in what was made at the start: a tenth of the time went there."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def make_config(settings: Settings, relay: Relay) -> uvicorn.Config:
    """Return uvicorn's configuration. X-Forwarded-* headers are believed from the named proxies only."""
    return uvicorn.Config(
        create_app(relay.web, care=relay.care),
        lifespan="off",
        loop="uvloop",
        http=StrictHttp,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=LAST_ANSWERS,
        proxy_headers=bool(settings.forwarded_allow_ips),
        forwarded_allow_ips=list(settings.forwarded_allow_ips),
        server_header=False,
        **UVICORN_OPTIONS,
    )


class Server(uvicorn.Server):
    """Leaves signals to `_Stop`: uvicorn's own handling raises them again before our parts are closed.

    It closes the port in such a way that whoever was let in is answered.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in (one for server in self.servers for one in server.sockets):
            host, port, *_ = listening.getsockname()
            _log.info("serving", host=host, port=port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        let_in = [one for listening in sockets or [] for one in taken_from(listening)]
        for server in self.servers:  # at once: whoever connects between the two is let in by the system, and then reset
            server.close()
        loop = asyncio.get_running_loop()
        for one in let_in:
            await loop.connect_accepted_socket(self._protocol, one)
        await asyncio.sleep(0)  # the loop may have taken others, whose protocols it makes in its next turn
        await super().shutdown(sockets)

    def _protocol(self) -> StrictHttp:
        return StrictHttp(self.config, self.server_state, self.lifespan.state)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Stop:
    """What the signals do."""

    def __init__(self, relay: Relay, server: Server, drain_seconds: float) -> None:
        self._relay = relay
        self._server = server
        self._drain_seconds = drain_seconds
        self._begun = False

    def drain(self) -> None:
        if self._begun:
            self.now()
            return
        self._begun = True
        _log.info("draining", seconds=self._drain_seconds)
        self._relay.begin_stop()
        asyncio.get_running_loop().call_later(self._drain_seconds, self.now)

    def orphaned(self, parent: int) -> None:
        asyncio.get_running_loop().remove_reader(parent)  # it stays readable
        _log.error("the parent process has died")
        self.drain()

    def now(self) -> None:
        self._server.force_exit = self._server.should_exit
        self._relay.begin_stop()
        self._server.should_exit = True
