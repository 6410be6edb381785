"""A stage on each store for the short form of each fault, with fewer people than in `make chaos`."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.postgres import PostgresStage
from tests.chaos.stage import Stage

PER_SECOND = 15.0


@pytest.fixture
def stage(tmp_path: Path, database_url: str) -> Iterator[Stage]:
    """Give a simulation and room for relays on either store; all are stopped at the end."""
    made = Stage(tmp_path, database_url, per_second=PER_SECOND)
    yield made
    made.close()


@pytest.fixture
def postgres_stage(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[PostgresStage]:
    """Give a stage whose PostgreSQL may be broken; `indirect` parameters say how much room its disk has."""
    made = PostgresStage(tmp_path, random.Random(5), {}, room=getattr(request, "param", ""))
    made.per_second = PER_SECOND
    yield made
    made.close()
