"""A TCP proxy before PostgreSQL that can be slow, unreachable, silent, or cut connections in the middle of a COMMIT."""

import asyncio
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

_COMMIT = b"COMMIT\x00"  # as libpq sends it, a simple query


@dataclass
class Proxy:
    """Listens on a loopback port and passes bytes on to a Unix socket, in a thread of its own.

    `cut` is the share of COMMITs whose connection is cut after the server got them, and before their answer.
    """

    target: str
    rng: random.Random
    cut: float = 0.0
    delay: float = 0.0
    is_down: bool = False
    is_silent: bool = False
    port: int = 0
    cuts: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _forgotten: set[asyncio.StreamWriter] = field(default_factory=set)

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)), daemon=True)
        self._thread.start()
        ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    def take_down(self) -> None:
        """Refuse new connections and end those that there are."""
        self.is_down = True
        self._loop.call_soon_threadsafe(self._close_all)

    def fall_silent(self) -> None:
        """Let no byte pass and end nothing, as a network that drops all packets; `speak` is for new connections only.

        Those that there are stay dead, as where a firewall has forgotten them: neither side hears of the other's end.
        """
        self.is_silent = True
        self._loop.call_soon_threadsafe(lambda: self._forgotten.update(self._open))

    def speak(self) -> None:
        """Let new connections through again."""
        self.is_silent = False

    def _close_all(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _run(self, ready: threading.Event) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._end.wait()
        server.close()
        self._close_all()
        await asyncio.sleep(0.1)  # those that pass bytes on end by themselves

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_down:
            writer.transport.abort()
            return
        if self.is_silent:
            await self._swallow(reader, writer)
            return
        try:
            from_server, to_server = await asyncio.open_unix_connection(self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, to_server}
        self._open |= pair
        try:
            await asyncio.gather(
                self._pass_on(reader, to_server, after=lambda data: self._perhaps_cut(data, writer)),
                self._pass_on(from_server, writer),
            )
        finally:
            self._open -= pair
            self._forgotten -= pair
            for one in pair:
                one.transport.abort()

    async def _swallow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await reader.read(65_536):
                pass
        except OSError:
            pass
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        after: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        try:
            while data := await reader.read(65_536):
                await asyncio.sleep(self.delay)
                if writer in self._forgotten:
                    continue
                writer.write(data)
                after(data)
                await writer.drain()
        except OSError:
            pass
        if writer not in self._forgotten:
            writer.transport.close()

    def _perhaps_cut(self, data: bytes, client: asyncio.StreamWriter) -> None:
        if _COMMIT in data and self.rng.random() < self.cut:
            self.cuts += 1
            client.transport.abort()
