"""Load a server over keep-alive connections, in a process of its own: a job as JSON in, what was measured out.

Closed loop: every connection sends its next request when it has its answer; shows what the server can do.
Open loop: requests are due at times fixed beforehand (Poisson), whatever the server does, and latency counts from the
time at which a request was due. A stall is felt by all that were due in it (no coordinated omission).
"""

import asyncio
import json
import random
import resource
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop

from bench.processes import cpu_seconds
from bench.traffic import MAKERS

_TICK = 0.001  # seconds; libuv's timers are no finer
_PATIENCE = 30.0  # seconds for the last answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to send. `rate` (a second) makes the loop open; the first `warm_up` seconds are not measured.

    `prefix` keeps people and message ids of this job apart from others'. `watched` is the pid of the server.
    """

    port: int
    kind: str
    prefix: str
    seconds: float
    warm_up: float
    connections: int
    watched: int
    rate: float | None = None
    prepared_per_second: int = 6000


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came of a job. `per_second` and `latencies` (seconds) are of the measured time, `statuses` of all of it.

    `own_cpu` and `server_cpu` are shares of one core.
    """

    per_second: float
    latencies: Sequence[float]
    statuses: dict[int, int]
    own_cpu: float
    server_cpu: float


Done = Callable[["Connection", int], None]


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, done: Done, lost: "asyncio.Future[None]") -> None:
        self._done = done
        self._lost = lost
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self.since = 0.0  # when its request was sent, or was due

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by behaviour, not by class

    def send(self, request: bytes, since: float) -> None:
        assert self._transport
        self.since = since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        size = answer_size(self._received)
        if size is None or len(self._received) < size:
            return
        status = int(self._received[9:12])
        self._received = b""
        self._done(self, status)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._lost.done():
            self._lost.set_exception(ConnectionError(f"the server closed a connection: {exc}"))

    def close(self) -> None:
        if self._transport:
            self._transport.close()


def answer_size(received: bytes) -> int | None:
    """Return how many bytes the answer has that begins here; None when its head is not complete yet."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    at = received.find(b"content-length: ", 0, end)
    length = received[at + 16 : received.find(b"\r\n", at)]
    return end + 4 + int(length)


@dataclass(slots=True)
class Tally:
    """Counts answers; those that were sent or due within the measured time are kept with their latency."""

    begins: float
    ends: float
    statuses: Counter[int] = field(default_factory=Counter)
    answered: int = 0
    latencies: list[float] = field(default_factory=list)

    def note(self, since: float, now: float, status: int) -> None:
        self.statuses[status] += 1
        if self.begins <= now < self.ends:
            self.answered += 1
        if self.begins <= since < self.ends:
            self.latencies.append(now - since)


@dataclass(slots=True)
class Usage:
    """Processor time of this process and of the server, over the measured time."""

    job: Job
    _own: float = 0.0
    _server: float = 0.0

    def start(self) -> None:
        self._own, self._server = _own_cpu(), cpu_seconds(self.job.watched)

    def stop(self) -> None:
        self._own = (_own_cpu() - self._own) / self.job.seconds
        self._server = (cpu_seconds(self.job.watched) - self._server) / self.job.seconds

    def shares(self) -> tuple[float, float]:
        return self._own, self._server


async def run(job: Job) -> Load:
    """Carry out a job.

    Raises:
        ConnectionError: the server closed a connection.
        RuntimeError: the prepared requests did not suffice.
    """
    loop = asyncio.get_running_loop()
    requests = prepared(job)
    begins = time.monotonic() + 0.05 + job.warm_up  # not loop.time(): uvloop's is cached, and whole milliseconds
    tally, usage = Tally(begins, begins + job.seconds), Usage(job)
    loop.call_later(0.05 + job.warm_up, usage.start)
    loop.call_later(0.05 + job.warm_up + job.seconds, usage.stop)
    drive = _open_loop if job.rate else _closed_loop
    async with asyncio.timeout(job.warm_up + job.seconds + _PATIENCE):
        await drive(job, requests, tally)
    own, server = usage.shares()
    rate = tally.answered / job.seconds
    return Load(
        per_second=rate, latencies=tally.latencies, statuses=dict(tally.statuses), own_cpu=own, server_cpu=server
    )


def prepared(job: Job) -> Iterator[bytes]:
    """Make all requests before the first is sent, so that signing costs the measurement nothing."""
    per_second = job.rate * 1.5 if job.rate else job.prepared_per_second
    make = MAKERS[job.kind]
    count = round(per_second * (job.warm_up + job.seconds)) + 200
    ready = [make(number, job.prefix) for number in range(count)]
    if job.kind == "noop":
        return _for_ever(ready)
    return iter(ready)


def _for_ever(requests: list[bytes]) -> Iterator[bytes]:
    while True:
        yield from requests


async def _closed_loop(job: Job, requests: Iterator[bytes], tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    ended, lost = loop.create_future(), loop.create_future()
    busy = job.connections

    def done(connection: Connection, status: int) -> None:
        nonlocal busy
        now = time.monotonic()
        tally.note(connection.since, now, status)
        request = next(requests, None) if now < tally.ends else None
        if request is not None:
            connection.send(request, now)
            return
        busy -= 1
        if not busy and not ended.done():
            ended.set_result(now >= tally.ends)

    connections = await _connect(job, done, lost)
    for connection in connections:
        connection.send(next(requests), time.monotonic())
    await asyncio.wait({ended, lost}, return_when=asyncio.FIRST_COMPLETED)
    _close(connections, lost)
    if not ended.result():
        raise RuntimeError("the prepared requests did not suffice; raise prepared_per_second")


async def _open_loop(job: Job, requests: Iterator[bytes], tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    lost: asyncio.Future[None] = loop.create_future()
    idle: list[Connection] = []
    late: deque[tuple[float, bytes]] = deque()  # due, but every connection is busy

    def done(connection: Connection, status: int) -> None:
        tally.note(connection.since, time.monotonic(), status)
        if late:
            since, request = late.popleft()
            connection.send(request, since)
        else:
            idle.append(connection)

    connections = await _connect(job, done, lost)
    idle += connections
    for due in arrivals(job, first=tally.begins - job.warm_up):
        while (wait := due - time.monotonic()) > 0:  # noqa: ASYNC110  # timers may ring too early
            await asyncio.sleep(max(_TICK, wait))
        request = next(requests)
        if idle:
            idle.pop().send(request, due)
        else:
            late.append((due, request))
    while len(idle) < len(connections) and not lost.done():  # noqa: ASYNC110  # the end; nothing is measured any more
        await asyncio.sleep(0.01)
    _close(connections, lost)


def arrivals(job: Job, *, first: float) -> Iterator[float]:
    """Yield the times at which requests are due: a Poisson process, the same for the same prefix."""
    assert job.rate
    chance = random.Random(job.prefix)
    due = first
    while (due := due + chance.expovariate(job.rate)) < first + job.warm_up + job.seconds:
        yield due


async def _connect(job: Job, done: Done, lost: "asyncio.Future[None]") -> list[Connection]:
    loop = asyncio.get_running_loop()
    pairs = [
        await loop.create_connection(lambda: Connection(done, lost), "127.0.0.1", job.port)
        for _ in range(job.connections)
    ]
    return [protocol for _, protocol in pairs]


def _close(connections: Sequence[Connection], lost: "asyncio.Future[None]") -> None:
    if lost.done():
        lost.result()
    lost.cancel()
    for connection in connections:
        connection.close()


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    job = Job(**json.loads(sys.stdin.read()))
    print(json.dumps(asdict(uvloop.run(run(job)))))


if __name__ == "__main__":
    main()
