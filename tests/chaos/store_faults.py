"""Faults of the store itself: no room on the disk, a PostgreSQL that dies, lags, or is cut off in mid-COMMIT."""

import random
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.disk import Ballast
from tests.chaos.postgres import PostgresStage
from tests.chaos.senders import Senders
from tests.chaos.stage import Stage
from tests.e2e.harness import until


def disk_full(stage: Stage, rng: random.Random, times: int) -> Senders:
    """SQLite's disk fills up, and is freed again. The stage's store lies on a small disk."""
    beside = Path(stage.store.removeprefix("sqlite:///")).with_name("ballast")
    return _filled(stage, rng, times, Ballast(beside), heal=lambda: None)


def postgres_disk_full(stage: PostgresStage, rng: random.Random, times: int) -> Senders:
    """PostgreSQL's disk fills up, and is freed again. Where it gave up, its supervisor starts it then."""
    return _filled(stage, rng, times, Ballast(stage.postgres.disk / "ballast"), heal=stage.postgres.start)


def _filled(stage: Stage, rng: random.Random, times: int, ballast: Ballast, *, heal: Callable[[], None]) -> Senders:
    port = stage.port()
    stage.start(port)
    with stage.senders([port]) as senders:
        for _ in range(times):
            time.sleep(rng.uniform(0.2, 1))
            _until_refused(senders, meanwhile=ballast.grow)
            ballast.drop()
            heal()
            _until_accepted(senders)
    return senders


def _until_refused(senders: Senders, *, meanwhile: Callable[[], object] = lambda: None) -> None:
    before = senders.answers[503]

    def is_refused() -> bool:
        meanwhile()
        return senders.answers[503] > before

    until(is_refused, within=30, what="a refusal")


def _until_accepted(senders: Senders) -> None:
    before = len(senders.acknowledged)
    until(lambda: len(senders.acknowledged) > before, within=30, what="an acceptance")


def postgres_killed(stage: PostgresStage, rng: random.Random, times: int) -> Senders:
    """SIGKILL of PostgreSQL, which is then started again on what it had written."""
    port = stage.port()
    stage.start(port)
    with stage.senders([port]) as senders:
        for _ in range(times):
            time.sleep(rng.uniform(0.2, 1.5))
            stage.postgres.kill()
            time.sleep(rng.uniform(0, 1))
            stage.postgres.start()
            _until_accepted(senders)
    return senders


def commits_cut(stage: PostgresStage, rng: random.Random, times: int) -> Senders:
    """The connection ends after PostgreSQL got a COMMIT and before its answer came."""
    del rng
    proxy, port = stage.proxy, stage.port()
    stage.start(port)
    with stage.senders([port]) as senders:
        proxy.cut = 0.2
        until(lambda: proxy.cuts >= times, within=60 + times * 2, what=f"{times} cut commits")
        proxy.cut = 0.0
        _until_accepted(senders)
    return senders


def unreachable(stage: PostgresStage, rng: random.Random, times: int) -> Senders:
    """PostgreSQL cannot be reached for some seconds, then answers slowly for some, then says nothing for a while.

    Who is connected when it falls silent is not heard any more, and not told; others can connect afterwards.
    """
    proxy, port = stage.proxy, stage.port()
    stage.start(port)
    with stage.senders([port]) as senders:
        for _ in range(times):
            proxy.take_down()
            time.sleep(rng.uniform(1, 4))
            proxy.is_down = False
            proxy.delay = 0.1
            time.sleep(rng.uniform(1, 3))
            proxy.delay = 0.0
            _until_accepted(senders)
            proxy.fall_silent()
            _until_refused(senders)
            proxy.speak()
            _until_accepted(senders)
    return senders
