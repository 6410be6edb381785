"""A check never takes more of Marketo's window than it may."""

from app.doctor.pacing import Paced
from app.marketo import requests
from app.marketo.envelope import Reply
from app.marketo.requests import Outgoing


async def test_calls_beyond_the_window_wait_for_the_oldest_to_leave_it() -> None:
    """Twenty campaigns are some 200 calls; Marketo lets everybody together make 100 in 20 s."""
    now, sent = 0.0, []

    async def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def send(call: Outgoing) -> Reply:
        nonlocal now
        sent.append(now)
        now += 1
        return Reply(200, b"")

    paced = Paced(send, most=3, ticks=lambda: now, wait=wait)
    for _ in range(7):
        await paced(requests.usage())
    assert sent == [0, 1, 2, 20, 21, 22, 40]
