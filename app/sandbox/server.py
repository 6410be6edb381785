"""Serve the simulation on a real socket: in the foreground with a banner, or beside other work in one event loop."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.sandbox.banner import print_banner
from app.sandbox.config import SandboxConfig
from app.sandbox.simulation import create_sandbox
from app.sandbox.world import Simulation

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8090
_DRAIN_SECONDS = 1  # a `timeout` fault would hold the end up for ever


class CuttableProtocol(HttpToolsProtocol):
    """HTTP whose requests can reach their connection, so that a `lost` answer is a reset and not a polite 500."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    """A server that says when it listens, and leaves signals alone when it is a guest in somebody's event loop."""

    def __init__(self, config: uvicorn.Config, *, when_listening: Callable[[], None], guest: bool) -> None:
        super().__init__(config)
        self._when_listening = when_listening
        self._guest = guest

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._when_listening()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        with contextlib.nullcontext() if self._guest else super().capture_signals():
            yield


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A simulation that listens: its base URL, and what it remembers."""

    url: str
    app: FastAPI

    @property
    def simulation(self) -> Simulation:
        return cast("Simulation", self.app.state.simulation)


def run_sandbox(
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    config: SandboxConfig | None = None,
    *,
    ready_file: Path | None = None,
    quiet: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM. Port 0 takes any free one.

    `ready_file` gets `{"url": …}` once connections are accepted; it appears whole or not at all.

    Raises:
        OSError: the address cannot be bound.
    """
    chosen = config or SandboxConfig()
    with _bound(host, port) as listening:
        url = _url(host, listening)

        def announce() -> None:
            if ready_file:
                _write_whole(ready_file, json.dumps({"url": url}))
            if not quiet:
                print_banner(url, chosen)

        server = _Server(_uvicorn_config(create_sandbox(chosen)), when_listening=announce, guest=False)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listening])


@contextlib.asynccontextmanager
async def sandbox_running(
    config: SandboxConfig | None = None, *, host: str = DEFAULT_HOST, port: int = 0
) -> AsyncIterator[RunningSandbox]:
    """Serve within the current event loop while the block runs, on a free port unless one is given."""
    listening = asyncio.Event()
    app = create_sandbox(config)
    with _bound(host, port) as bound:
        server = _Server(_uvicorn_config(app), when_listening=listening.set, guest=True)
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            await listening.wait()
            yield RunningSandbox(_url(host, bound), app)
        finally:
            server.should_exit = True
            await serving


def _uvicorn_config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=CuttableProtocol,
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,  # the simulated services have clocks of their own
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named; without it each answer waits 40 ms for a delayed ACK.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def _url(host: str, bound: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"


def _write_whole(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
