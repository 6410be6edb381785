"""A check never takes more of Marketo's window than it may."""

import pytest

from app.doctor.pacing import Gated, Make, Paced
from app.errors import NotNow
from app.marketo import requests
from app.marketo.envelope import Reply
from app.marketo.requests import Outgoing


async def test_calls_beyond_the_window_wait_until_the_oldest_leaves_it() -> None:
    """Twenty campaigns are some 200 calls; Marketo lets everybody together make 100 in 20 s.

    Each takes a second, and may be counted at its end.
    """
    now, made = 0.0, []

    async def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def make() -> Reply:
        nonlocal now
        made.append(now)
        now += 1
        return Reply(200, b"")

    paced = Paced(3, ticks=lambda: now, wait=wait)
    for _ in range(7):
        await paced(make)
    assert made == [0, 1, 2, 21, 22, 23, 42]


async def test_while_every_place_is_a_running_calls_one_waits() -> None:
    waits, calls = [], 0

    async def make() -> Reply:
        nonlocal calls
        calls += 1
        return Reply(200, b"")

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) > 2:
            raise TimeoutError  # the check's own limit

    paced = Paced(1, wait=wait)

    async def inner() -> Reply:
        return await paced(make)

    with pytest.raises(TimeoutError):
        await paced(inner)
    assert calls == 0


async def test_a_gate_that_closed_is_not_asked_again() -> None:
    """Each of twenty calls would wait its minute, to be told the same."""
    asked = []

    async def closed(make: Make) -> Reply:
        asked.append(make)
        raise NotNow("Marketo is paused")

    async def send(call: Outgoing) -> Reply:
        raise NotImplementedError

    gated = Gated(send, closed)
    for _ in range(3):
        with pytest.raises(NotNow, match="paused"):
            await gated(requests.usage())
    assert len(asked) == 1
