"""The yardstick is honest: it keeps Adobe's advice, and does what one expects of an afternoon's work."""

from app.sandbox.faults import Fault, FaultBook
from bench.arithmetic import most_within
from bench.arrivals import announced
from bench.simulated import Course, afternoon, simulate


async def sent(people: int, *faults: Fault) -> Course:
    book = FaultBook()
    book.faults += faults
    return await simulate(lambda _: afternoon(announced(people), book))


async def test_it_sends_everybody_with_two_calls_at_the_advised_rate() -> None:
    """Neither slower than Adobe advises nor faster: 60 calls begin in two windows."""
    course = await sent(30)
    assert course.once
    assert len(course.calls) == 60
    assert most_within(course.counted, 19.9) == 50
    assert 20 <= course.lasted < 25
    assert not course.world.violations.by_kind


async def test_it_tries_again_what_was_refused() -> None:
    """A competent engineer reads the error codes."""
    course = await sent(5, Fault("trigger", "code:606", times=2), Fault("sync", "code:602", times=1))
    assert course.once


async def test_it_mails_twice_whoever_it_has_no_answer_for() -> None:
    """What it cannot know without the activity log."""
    course = await sent(5, Fault("trigger", "lost", times=1))
    assert (course.never, course.twice) == (0, 1)
