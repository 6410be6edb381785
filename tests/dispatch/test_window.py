"""The window: never over the limit whatever arrives, and no wait without a need."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from app.dispatch.window import Pace, Window
from app.marketo.limits import SPAN

GRAIN = 1 / 64  # seconds


@dataclass
class Traffic:
    """Makes each call as soon as the window lets it, and ends it after its duration."""

    window: Window
    now: float = 1000.0
    running: list[float] = field(default_factory=list)  # when each ends
    made: list[tuple[float, float]] = field(default_factory=list)  # from, to
    most_at_once: int = 0

    def make(self, duration: float, pace: Pace) -> float:
        """Return how long the call had to wait."""
        asked = self.now
        self.let_pass(0)
        while (wait := self.window.wait(self.now, pace)) != 0:
            self.let_pass(min(self.running) - self.now if wait is None else wait)
        self.window.begin(self.now, pace)
        self.running.append(self.now + duration)
        self.made.append((self.now, self.now + duration))
        self.most_at_once = max(self.most_at_once, len(self.running))
        return self.now - asked

    def let_pass(self, seconds: float) -> None:
        until = self.now + seconds
        for end in sorted(end for end in self.running if end <= until):
            self.running.remove(end)
            self.window.end(end)
        self.now = until


durations = st.integers(0, 60 * 64).map(lambda grains: grains * GRAIN)
gaps = st.one_of(st.just(0.0), st.integers(0, 25 * 64).map(lambda grains: grains * GRAIN))
arrivals = st.lists(st.tuples(gaps, durations, st.sampled_from(Pace)), max_size=60)


@given(arrivals, st.integers(1, 8), st.integers(1, 6))
def test_no_span_ever_holds_more_than_the_limit_wherever_calls_are_counted(
    calls: list[tuple[float, float, Pace]], limit: int, most_in_flight: int
) -> None:
    """Marketo counts a call at some moment between its beginning and its end; we do not know which."""
    traffic = Traffic(Window(limit, most_in_flight))
    for gap, duration, pace in calls:
        traffic.let_pass(gap)
        traffic.make(duration, pace)
    for begun, _ in traffic.made:  # the fullest spans end where a call begins
        may_count = [1 for other, end in traffic.made if other <= begun < end + SPAN]
        assert len(may_count) <= limit
    assert traffic.most_at_once <= most_in_flight


@given(arrivals, st.integers(1, 60), st.integers(1, 6))
def test_a_full_batch_waits_only_for_a_window_whose_last_tenth_is_left_to_others(
    calls: list[tuple[float, float, Pace]], limit: int, most_in_flight: int
) -> None:
    """It gains nothing by waiting; and who has let others go first waits only for a window that is exhausted."""
    traffic = Traffic(Window(limit, most_in_flight))
    for gap, duration, pace in calls:
        traffic.let_pass(gap)
        used, in_flight = traffic.window.used(traffic.now), traffic.window.in_flight
        waited = traffic.make(duration, pace)
        assert pace is not Pace.FULL or waited == 0 or used >= limit * 0.92 or in_flight >= most_in_flight
        assert pace is not Pace.AT_ONCE or waited == 0 or used >= limit or in_flight >= most_in_flight


@given(st.integers(1, 100), st.integers(1, 10), durations)
def test_a_lone_call_never_waits(limit: int, most_in_flight: int, duration: float) -> None:
    """A lone registration leaves at once, also with the smallest budget."""
    traffic = Traffic(Window(limit, most_in_flight))
    assert traffic.make(duration, Pace.SPACED) == 0
    traffic.let_pass(duration + SPAN)
    assert traffic.make(duration, Pace.SPACED) == 0


def test_a_crowd_of_full_batches_spreads_the_last_of_the_window() -> None:
    """Whoever comes beside it finds a place for more than half of the time, and none is wasted."""
    crowd = Traffic(Window(50, 5))
    for _ in range(50 * 5):
        crowd.make(0.05, Pace.FULL)
    begun = [at for at, _ in crowd.made]
    assert begun[45] - begun[0] < 1
    assert begun[49] - begun[0] > SPAN / 2
    assert begun[-1] - begun[0] <= 5 * SPAN


def test_small_batches_are_spaced_so_that_the_window_never_runs_dry() -> None:
    """Whatever keeps coming finds a place within a moment, instead of a stop of up to 20 s."""
    traffic = Traffic(Window(50, 5))
    waits = [traffic.make(0.0625, Pace.SPACED) for _ in range(200)]
    assert max(waits) < 1.5
    assert traffic.now - traffic.made[0][0] <= SPAN * 200 / 50, "the budget is used, too"


def test_a_call_that_was_not_made_is_given_back() -> None:
    """Nothing was found to send: neither the budget nor the spacing may feel it."""
    window = Window(10, 1)
    for second in range(5):
        window.begin(float(second), Pace.SPACED)
        window.end(float(second))
    before = window.used(5.0), window.wait(5.0, Pace.SPACED)
    window.begin(5.0, Pace.SPACED)
    assert window.wait(5.0, Pace.FULL) is None
    window.give_back()
    assert (window.used(5.0), window.wait(5.0, Pace.SPACED)) == before


def test_calls_of_an_earlier_leader_are_remembered() -> None:
    """A change of leader must not double what Marketo sees."""
    window = Window(3, 5)
    window.remember([100.0, 105.0, 110.0])
    assert window.wait(112.0, Pace.AT_ONCE) == 8.0
    assert window.wait(120.0, Pace.AT_ONCE) == 0
    assert window.used(125.0) == 1


def test_calls_that_an_earlier_leader_left_are_in_flight_until_they_may_have_ended() -> None:
    """Its answers are lost; Marketo may work on them, and counts them afterwards as it counts ours."""
    window = Window(50, 2)
    window.remember([100.0, 130.0, 135.0])
    assert (window.left_in_flight(105.0), window.wait(105.0, Pace.AT_ONCE)) == (2, None)
    assert (window.left_in_flight(130.0), window.wait(130.0, Pace.AT_ONCE)) == (1, 0)
    window.begin(130.0)
    assert window.wait(130.0, Pace.AT_ONCE) is None
    window.end(131.0)
    assert [window.used(at) for at in (149.9, 150.5, 151.5, 155.5)] == [3, 2, 1, 0]


def test_a_wait_is_never_answered_with_a_moment_too_early() -> None:
    """Sums of odd seconds round; a wait of 0 must mean a place, not the rounding of one."""
    window = Window(1, 2)
    for tenth in range(1, 2000):
        ended = tenth / 10 + 1e-13
        window.begin(ended)
        window.end(ended)
        now = ended + SPAN - 1e-13
        assert window.wait(now, Pace.AT_ONCE) != 0 or window.used(now) == 0
        window.used(now + 1)


def test_a_window_full_of_running_calls_waits_for_one_to_end() -> None:
    """There is no time to name: nobody knows when an answer comes."""
    window = Window(1, 5)
    window.begin(0.0)
    assert window.wait(50.0, Pace.AT_ONCE) is None


def test_a_lone_registrations_two_calls_never_wait() -> None:
    """One finds the person, one requests the campaign: neither is spaced, with any budget that has room for both."""
    for limit in range(2, 101):
        traffic = Traffic(Window(limit, 5))
        assert traffic.make(0.05, Pace.SPACED) == 0
        traffic.let_pass(0.05)
        assert traffic.make(0.05, Pace.SPACED) == 0


def test_lone_registrations_wait_for_nothing_until_the_window_is_half_used() -> None:
    """One every three seconds is no load: its campaign request follows its upsert at once."""
    traffic = Traffic(Window(50, 5))
    for _ in range(100):
        assert traffic.make(0.05, Pace.LONE) == 0
        assert traffic.make(0.05, Pace.LONE) == 0
        traffic.let_pass(3.0)
    busy = Traffic(Window(50, 50))
    assert not any(busy.make(0.05, Pace.LONE) for _ in range(25))
    busy.make(0.05, Pace.SPACED)
    assert busy.make(0.05, Pace.LONE) > 0


def test_a_window_that_has_shrunk_waits_until_it_holds_less() -> None:
    """Marketo refused: what was made before counts, and it goes on when a place of the smaller window is free."""
    window = Window(10, 5)
    window.remember([float(second) for second in range(10)])
    window.rate.shrink(10.0, begun=10.0)
    assert window.rate.at(10.0) == 7
    assert window.wait(10.0, Pace.AT_ONCE) == 13.0, "when the fourth of ten has left, six are there"
    window.concurrency.shrink(10.0, begun=10.0)
    assert window.concurrency.at(10.0) == 3
    assert window.free(10.0) == 0
    assert window.free(35.0) == window.rate.at(35.0)
