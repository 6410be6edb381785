"""The short form of what `make chaos` does to the store, with all promises checked after."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos import store_faults
from tests.chaos.conftest import PER_SECOND
from tests.chaos.disk import small_disk
from tests.chaos.postgres import PostgresStage
from tests.chaos.senders import Senders
from tests.chaos.stage import Stage
from tests.chaos.truth import check

pytestmark = pytest.mark.no_cover  # under a tracer it takes three times as long, and each part has tests of its own

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")


@as_root
def test_a_full_disk_refuses_and_heals(tmp_path: Path) -> None:
    """A real ENOSPC: 503 while it lasts, and nobody has to do anything afterwards."""
    with small_disk(tmp_path / "disk", "12m") as disk:
        stage = Stage(tmp_path, f"sqlite:///{disk / 'relay.db'}", per_second=PER_SECOND)
        try:
            senders = store_faults.disk_full(stage, random.Random(5), 2)
            assert senders.answers[503] > 0
            assert check(stage, senders) == []
        finally:
            stage.close()  # before its disk is taken away


@as_root
@pytest.mark.parametrize("postgres_stage", ["128m"], indirect=True)
def test_a_full_disk_under_postgresql_refuses_and_heals(postgres_stage: PostgresStage) -> None:
    """It may refuse a row or give up as a whole: the sender hears 503 either way."""
    senders = store_faults.postgres_disk_full(postgres_stage, random.Random(5), 2)
    assert senders.answers[503] > 0
    assert check(postgres_stage, senders) == []


def test_a_commit_whose_answer_is_lost_is_neither_lost_nor_done_twice(postgres_stage: PostgresStage) -> None:
    """The sender hears 503, tries again, and is told of a duplicate or accepted; claims are freed."""
    senders = store_faults.commits_cut(postgres_stage, random.Random(5), 15)
    assert senders.answers[503] > 0
    assert senders.answers[200] > 0
    assert check(postgres_stage, senders) == []


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        (store_faults.postgres_killed, 2),  # what was answered 202 is in its log of changes, from which it recovers
        (store_faults.unreachable, 1),  # then slow answers
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_postgresql_that_is_away_is_waited_for(
    postgres_stage: PostgresStage, fault: Callable[[PostgresStage, random.Random, int], Senders], times: int
) -> None:
    """503 meanwhile; then all is well by itself."""
    senders = fault(postgres_stage, random.Random(5), times)
    assert senders.answers[503] > 0
    assert check(postgres_stage, senders) == []
