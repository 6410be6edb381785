"""How much one source may send, and what it hears beyond."""

from hypothesis import given
from hypothesis import strategies as st

from app.web.rate import RESERVE, Rate
from tests.web.relay_server import Relay, Surroundings, serving


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_ten_seconds_worth_may_come_at_once_and_then_as_many_as_set() -> None:
    clock = Hand()
    rate = Rate(3, clock=clock)
    assert [rate.pass_one() for _ in range(30)] == [0.0] * 30
    assert rate.pass_one() > 0
    clock.now += 1
    assert [rate.pass_one() > 0 for _ in range(4)] == [False, False, False, True]


@given(st.integers(1, 1000), st.lists(st.floats(0, 30), max_size=60))
def test_whoever_waits_as_told_is_let_through(per_second: int, pauses: list[float]) -> None:
    clock = Hand()
    rate = Rate(per_second, clock=clock)
    for pause in pauses:
        clock.now += pause
        for _ in range(per_second * int(RESERVE) + 1):
            wait = rate.pass_one()
        assert wait > 0
        clock.now += wait + 1e-6
        assert rate.pass_one() == 0


async def test_a_source_beyond_its_rate_is_told_when_to_come_again(around: Surroundings) -> None:
    """503, as when the store is full: what senders repeat anyway. Nothing of it is stored."""
    async with serving(around.app(rates={"custom": Rate(1, clock=Hand())})) as relay:
        answers = [await relay.post("/webhooks/custom", {"n": n}) for n in range(11)]
        assert [answer.status_code for answer in answers] == [202] * 10 + [503]
        assert answers[-1].headers["retry-after"] == "1"
        assert (await relay.post("/webhooks/pendo", {})).status_code == 202
    assert len(around.inbox.events) == 11


async def test_strangers_use_up_nobodys_rate(around: Surroundings) -> None:
    async with serving(around.app(rates={"custom": Rate(1, clock=Hand())})) as relay:
        for _ in range(20):
            assert (await relay.post("/webhooks/custom", {}, {"x-key": "wrong"})).status_code == 401
        assert (await relay.post("/webhooks/custom", {})).status_code == 202


async def test_by_default_nobody_is_held_back(relay: Relay) -> None:
    assert {(await relay.post("/webhooks/custom", {"n": n})).status_code for n in range(50)} == {202}
