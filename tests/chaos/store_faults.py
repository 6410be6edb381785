"""Faults of the store itself: no room on the disk, a PostgreSQL that dies, lags, or is cut off in mid-COMMIT."""

import contextlib
import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.proxy import Proxy
from tests.chaos.senders import Senders
from tests.chaos.stage import Stage
from tests.e2e.harness import until


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "12m") -> Iterator[Path]:
    """Give a file system of its own that is soon full."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def disk_full(stage: Stage, rng: random.Random, times: int) -> Senders:
    """The store's disk fills up, and is freed again. The stage's store lies on a small disk."""
    ballast = Path(stage.store.removeprefix("sqlite:///")).with_name("ballast")
    relay = stage.start(stage.port())
    with Senders([relay.url]) as senders:
        for _ in range(times):
            time.sleep(rng.uniform(0.2, 1))
            _fill(ballast)
            _until_refused(senders, ballast)
            ballast.unlink()
            _until_accepted(senders)
    return senders


def _until_refused(senders: Senders, ballast: Path) -> None:
    before = senders.answers[503]

    def is_refused() -> bool:
        _fill(ballast)
        return senders.answers[503] > before

    until(is_refused, within=30, what="a refusal")


def _until_accepted(senders: Senders) -> None:
    before = len(senders.acknowledged)
    until(lambda: len(senders.acknowledged) > before, within=30, what="an acceptance")


def _fill(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 16, 1 << 12):
            with contextlib.suppress(OSError):
                while True:
                    file.write(os.urandom(size))


def commits_cut(stage: Stage, rng: random.Random, times: int, proxy: Proxy) -> Senders:
    """The connection ends after PostgreSQL got a COMMIT and before its answer came."""
    del rng
    relay = stage.start(stage.port())
    with Senders([relay.url]) as senders:
        proxy.cut = 0.2
        until(lambda: proxy.cuts >= times, within=60 + times * 2, what=f"{times} cut commits")
        proxy.cut = 0.0
        _until_accepted(senders)
    return senders


def unreachable(stage: Stage, rng: random.Random, times: int, proxy: Proxy) -> Senders:
    """PostgreSQL cannot be reached for some seconds, then answers slowly for some."""
    relay = stage.start(stage.port())
    with Senders([relay.url]) as senders:
        for _ in range(times):
            proxy.take_down()
            time.sleep(rng.uniform(1, 4))
            proxy.is_down = False
            proxy.delay = 0.1
            time.sleep(rng.uniform(1, 3))
            proxy.delay = 0.0
            _until_accepted(senders)
    return senders
