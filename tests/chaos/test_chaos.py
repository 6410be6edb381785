"""The short form of `make chaos`: each fault a few times, on both stores, with all promises checked afterwards."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos import faults, store_faults
from tests.chaos.faults import Fault
from tests.chaos.postgres import Postgres
from tests.chaos.proxy import Proxy
from tests.chaos.stage import Stage
from tests.chaos.truth import check

SetStage = Callable[..., Stage]
# A start takes seconds, and whose upsert was cut off is left alone for half a minute.
pytestmark = pytest.mark.timeout(420)


@pytest.fixture
def set_stage(tmp_path: Path) -> Iterator[SetStage]:
    """Give a simulation and room for relays; all are stopped at the end."""
    stages: list[Stage] = []

    def make(store: str, *, relay_store: str = "") -> Stage:
        stages.append(Stage(tmp_path, store, relay_store))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.close()


@pytest.fixture
def proxy(postgres: Postgres) -> Iterator[Proxy]:
    made = Proxy(postgres.socket, random.Random(5))
    made.start()
    yield made
    made.stop()


def through(proxy: Proxy, name: str) -> str:
    return f"postgresql://postgres@127.0.0.1:{proxy.port}/{name}?sslmode=disable"


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        (faults.killed, 13),  # on each store: 26 in all
        (faults.leader_killed, 4),
        (faults.leader_frozen, 1),
        (faults.started_at_one_instant, 3),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_nothing_acknowledged_is_lost_and_nobody_hears_twice(
    set_stage: SetStage, database_url: str, fault: Fault, times: int
) -> None:
    """Whatever happens to the relay's processes."""
    stage = set_stage(database_url)
    senders = fault(stage, random.Random(5), times)
    assert len(senders.acknowledged) > times
    assert check(stage, senders) == []


def test_a_stop_disappoints_nobody(set_stage: SetStage, database_url: str) -> None:
    """SIGTERM under load: what was taken is accepted; whoever comes later finds nobody, and goes to the other."""
    stage = set_stage(database_url)
    senders = faults.stopped(stage, random.Random(5), 3)
    assert senders.disappointed == 0
    assert check(stage, senders) == []


def test_a_full_disk_refuses_and_heals(set_stage: SetStage, tmp_path: Path) -> None:
    """A real ENOSPC: 503 while it lasts, and nobody has to do anything afterwards."""
    with store_faults.small_disk(tmp_path / "disk") as disk:
        stage = set_stage(f"sqlite:///{disk / 'relay.db'}")
        senders = store_faults.disk_full(stage, random.Random(5), 2)
        assert senders.answers[503] > 0
        assert check(stage, senders) == []
        stage.close()  # before its disk is taken away


def test_a_commit_whose_answer_is_lost_is_neither_lost_nor_done_twice(
    set_stage: SetStage, postgres: Postgres, proxy: Proxy
) -> None:
    """The sender hears 503, tries again, and is told of a duplicate or accepted; claims are freed."""
    stage = set_stage(postgres.create("cut"), relay_store=through(proxy, "cut"))
    senders = store_faults.commits_cut(stage, random.Random(5), 15, proxy)
    assert senders.answers[503] > 0
    assert senders.answers[200] > 0
    assert check(stage, senders) == []


def test_a_postgresql_that_cannot_be_reached_is_waited_for(
    set_stage: SetStage, postgres: Postgres, proxy: Proxy
) -> None:
    """503 meanwhile; then slow answers; then all is well by itself."""
    stage = set_stage(postgres.create("away"), relay_store=through(proxy, "away"))
    senders = store_faults.unreachable(stage, random.Random(5), 2, proxy)
    assert senders.answers[503] > 0
    assert check(stage, senders) == []
