"""The dispatcher's time: steady within a term, and compared with the last leader's at its start."""

from datetime import UTC, datetime, timedelta

import pytest

from app.dispatch.steady import Silence, SteadyClock, jump_between
from tests.conftest import MovableClock
from tests.dispatch.stage import Ticks

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def test_it_runs_on_whatever_the_machine_s_clock_does() -> None:
    """Until it is told to take that over."""
    machine, ticks = MovableClock(NOON), Ticks()
    clock = SteadyClock(machine, ticks)
    machine.move(-HOUR)
    ticks.move(5)
    assert clock() == NOON + seconds(5)
    assert clock.has_been_left()
    clock.set()
    assert clock() == NOON - HOUR
    assert not clock.has_been_left()


def test_a_clock_that_is_drawn_slowly_to_the_right_time_has_not_jumped() -> None:
    """The daemons of NTP do so all the time."""
    machine, ticks = MovableClock(NOON), Ticks()
    clock = SteadyClock(machine, ticks)
    machine.move(seconds(61.5))
    ticks.move(60)
    assert not clock.has_been_left()


@pytest.mark.parametrize(
    ("passed", "silence", "jumped"),
    [
        (seconds(3), Silence(3, 3), seconds(0)),
        (seconds(4.5), Silence(3, 3), seconds(0)),
        (HOUR + seconds(3), Silence(3, 3), HOUR),
        (-HOUR, Silence(9, 10), -HOUR - seconds(9)),
        (HOUR + seconds(10), Silence(9, 10), HOUR),
        (seconds(9.5), Silence(9, 10), seconds(0)),
        (timedelta(days=3), Silence(), seconds(0)),  # it may have been switched off
        (-HOUR, Silence(), -HOUR),
    ],
)
def test_a_jump_is_what_the_seconds_in_between_cannot_explain(
    passed: timedelta, silence: Silence, jumped: timedelta
) -> None:
    """Who was not there to count knows only that no time passes backwards."""
    assert jump_between(NOON, NOON + passed, silence) == jumped
