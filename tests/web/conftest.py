"""A relay on a loopback port, what is around it, and what it logs."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.web.log_capture import Lines, captured_log
from tests.web.relay_server import ADMIN_TOKEN, PATH_SECRET, Relay, Surroundings, serving


@pytest.fixture(autouse=True)
def log() -> Iterator[Lines]:
    with captured_log(ADMIN_TOKEN, PATH_SECRET) as lines:
        yield lines


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


@pytest.fixture
async def relay(around: Surroundings) -> AsyncIterator[Relay]:
    async with serving(around.app()) as running:
        yield running
