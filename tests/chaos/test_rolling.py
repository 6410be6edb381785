"""The short form of the rolling restart: once around, behind HAProxy with the file of `deploy/`."""

import random

import pytest

from tests.chaos import rolling
from tests.chaos.stage import Stage
from tests.chaos.truth import check

pytestmark = [
    pytest.mark.no_cover,  # under a tracer it takes three times as long, and each part has tests of its own
    pytest.mark.timeout(300),  # six starts
    pytest.mark.skipif(not rolling.is_possible(), reason="HAProxy is missing: apt-get install haproxy"),
]


def test_no_request_fails_while_replicas_are_restarted_one_by_one(stage: Stage) -> None:
    """A replica says that it is going before it goes."""
    stage.settings["DRAIN_SECONDS"] = "3"
    stage.per_second = 50
    senders = rolling.rolled(stage, random.Random(5), 1)
    assert (senders.failed, senders.refusals) == (0, {})
    assert check(stage, senders) == []
