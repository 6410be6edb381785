"""The short form of what `make chaos` does to the relay's processes, on both stores, with all promises checked."""

import random

import pytest

from tests.chaos import faults
from tests.chaos.faults import Fault
from tests.chaos.stage import Stage
from tests.chaos.truth import check

pytestmark = [
    pytest.mark.timeout(300),  # a start takes seconds, and there are up to twenty
    pytest.mark.no_cover,  # under a tracer it takes three times as long, and each part has tests of its own
]


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        (faults.killed, 13),  # on each store: 26 in all
        (faults.leader_killed, 1),
        (faults.leader_frozen, 1),
        (faults.started_at_one_instant, 2),  # on an empty store, and on one that another pair has left behind
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_nothing_acknowledged_is_lost_and_nobody_hears_twice(stage: Stage, fault: Fault, times: int) -> None:
    """Whatever happens to the relay's processes."""
    senders = fault(stage, random.Random(5), times)
    assert len(senders.acknowledged) > times
    assert check(stage, senders) == []


def test_a_stop_refuses_nobody(stage: Stage) -> None:
    """SIGTERM under load, without a drain: who is let in is accepted; who comes later finds nobody, and goes on.

    `tests/test_closing.py` has each way in which a request could meet the end of its connection.
    """
    senders = faults.stopped(stage, random.Random(5), 2)
    assert (senders.unanswered, senders.refusals) == (0, {})
    assert check(stage, senders) == []
