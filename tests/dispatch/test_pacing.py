"""Pacing by simulated time: the shortest way for a crowd, for a stream, and for a lone registration beside them."""

import math
from datetime import timedelta

import pytest

from app.dispatch.window import Window
from app.marketo.limits import SPAN
from tests.dispatch.pacing import NOON, Arrival, Pacing, dictated, steady

pytestmark = pytest.mark.no_cover  # under a tracer it takes three times as long, and each part has tests of its own


def percentile(values: list[float], share: float) -> float:
    return values[int(share * (len(values) - 1))]


@pytest.mark.parametrize("rate", [math.inf, 5000, 2000, 1000])
def test_a_crowd_of_ten_thousand_takes_what_the_window_dictates(rate: float) -> None:
    """⌈N/300⌉ + ⌈N/100⌉ = 134 calls need three windows of 50, the third only for its first moment: 40 s."""
    pacing = Pacing().run(Arrival(n / rate) for n in range(10_000))
    assert len(pacing.calls) <= 134 * 1.1
    assert pacing.now <= dictated(134, pacing.window) * 1.15
    assert pacing.most_used == 50


def test_three_webinars_of_a_stream_are_sent_within_seconds() -> None:
    """150 registrations a second need 2.0 of the 2.5 calls: 0.5 that find people, 1.5 that request campaigns."""
    pacing = Pacing().run(steady(150, 120, 3))
    latencies = pacing.latencies()
    assert percentile(latencies, 0.5) <= 2.5
    assert percentile(latencies, 0.95) <= 6
    assert pacing.now <= 125
    assert pacing.longest_queue <= 150 * 6


def test_the_queue_of_a_stream_does_not_grow() -> None:
    """What is worked off in two minutes is worked off in five."""
    latencies = Pacing().run(steady(150, 300, 3)).latencies()
    assert percentile(latencies, 0.95) <= 6
    assert latencies[-1] <= 10


@pytest.mark.parametrize(("webinars", "seed"), [(12, 1), (12, 2), (25, 1)])
def test_many_webinars_wait_little_longer_than_the_window_dictates(webinars: int, seed: int) -> None:
    """Finding people takes 0.5 of the 2.5 calls a second; with the others each webinar has its turn every 6 s."""
    turn = webinars / (50 / SPAN - 150 / 300)
    latencies = Pacing().run(steady(150, 120, webinars, seed=seed)).latencies()
    assert percentile(latencies, 0.95) <= 1.3 * 0.95 * turn


def test_a_lone_registration_leaves_at_once() -> None:
    """Two calls of 50 ms, no wait: also a minute later, and with the smallest budget of two."""
    for limit in (2, 10, 50):
        pacing = Pacing(Window(limit, 5)).run([Arrival(1.0), Arrival(61.0)])
        assert pacing.latencies() == pytest.approx([0.1, 0.1])


def test_a_stream_leaves_room_for_a_lone_registration_of_another_source() -> None:
    """The window is not exhausted for it: it waits for its turn after two calls, whenever it comes."""
    lone = [Arrival(30.0 + 7.3 * n, f"lone-{n}", "other") for n in range(12)]
    pacing = Pacing().run(sorted([*steady(150, 120, 3), *lone], key=lambda arrival: arrival.at))
    assert percentile(pacing.latencies("other"), 0.5) <= 1.5
    assert max(pacing.latencies("other")) <= 3


def others_before(pacing: Pacing, source: str) -> list[int]:
    """Return how many calls of others were begun before each of the two that a source's registration needs."""
    [people] = [
        i for i, c in enumerate(pacing.calls) if c.kind == "people" and any(r.source == source for r in c.registrations)
    ]
    [trigger] = [
        i
        for i, c in enumerate(pacing.calls)
        if c.kind == "trigger" and any(r.source == source for r in c.registrations)
    ]
    at = next(r.at for r in pacing.calls[people].registrations if r.source == source)
    known = pacing.calls[people].ended
    begun = [call.begun for call in pacing.calls]
    return [sum(at <= b for b in begun[:people]), sum(known <= b for b in begun[:trigger])]


@pytest.mark.parametrize("crowds", [1, 4])
@pytest.mark.parametrize("at", [0.3, 5.0, 20.3, 33.3])
def test_a_crowd_of_another_source_delays_nobody_by_more_than_two_calls(at: float, crowds: int) -> None:
    """Tens of thousands waiting, and one person who registered in another app."""
    crowd = [Arrival(0.0, f"w-{n % 5}", f"crowd-{n % crowds}") for n in range(30_000)]
    pacing = Pacing().run(sorted([*crowd, Arrival(at, "w", "other")], key=lambda arrival: arrival.at))
    assert max(others_before(pacing, "other")) <= 2


def test_a_webinar_that_starts_soon_passes_later_ones() -> None:
    """In ten minutes it begins; next week's may wait."""
    later = [Arrival(0.0, f"w-{n}", starts_at=NOON + timedelta(days=7)) for n in range(300)]
    soon = Arrival(0.0, "soon", starts_at=NOON + timedelta(minutes=10))
    pacing = Pacing().run([soon, *later])
    assert next(i for i, c in enumerate(c for c in pacing.calls if c.kind == "trigger") if soon in c.registrations) == 0


def test_a_shrunken_window_is_kept() -> None:
    """After a refusal the relay takes less, and gets through all the same."""
    window = Window(50, 5)
    window.rate.shrink(0.0, begun=0.0)
    pacing = Pacing(window).run(Arrival(0.0) for _ in range(10_000))
    first = [call for call in pacing.calls if call.begun < SPAN]
    assert 35 <= len(first) <= 41
    assert pacing.now <= 65
