"""The short form of the rolling restart: once around, behind HAProxy with the file of `deploy/`."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import rolling
from tests.chaos.stage import Stage
from tests.chaos.truth import check

pytestmark = pytest.mark.timeout(300)  # six starts


@pytest.fixture
def stage(tmp_path: Path, database_url: str) -> Iterator[Stage]:
    made = Stage(tmp_path, database_url, settings={"DRAIN_SECONDS": "3"})
    yield made
    made.close()


def test_no_request_fails_while_replicas_are_restarted_one_by_one(stage: Stage) -> None:
    """A replica says that it is going before it goes."""
    senders = rolling.rolled(stage, random.Random(5), 1, per_second=50)
    assert senders.failed == 0
    assert check(stage, senders) == []
