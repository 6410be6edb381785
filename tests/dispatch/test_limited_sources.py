"""A source that limits us and says for how long: it is asked again then, not before, and all are mailed once."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from app.sandbox.faults import Fault
from bench.simulated import simulate
from tests.dispatch.outage import MakeSources, Relay, afloat
from tests.dispatch.test_outages import BEGAN, eventbrite, order_placed
from tests.dispatch.test_pendo_outages import arrive, pendo

pytestmark = pytest.mark.no_cover  # as for the outages
ASKED_FOR = timedelta(minutes=10)  # what is waited for without being told begins with a minute


async def _order(relay: Relay) -> None:
    await relay.deliver("eventbrite", order_placed(relay.clock))


async def _visitor(relay: Relay) -> None:
    await arrive(relay, "ada")


@pytest.mark.parametrize("kind", ["http:429 after 600", "http:429 until 600"])
@pytest.mark.parametrize(
    ("name", "sources", "register"),
    [("eventbrite", eventbrite, _order), ("pendo", pendo, _visitor)],
    ids=["eventbrite", "pendo"],
)
async def test_a_source_is_asked_again_when_it_said(
    store: Mapping[str, str],
    name: str,
    sources: MakeSources,
    register: Callable[[Relay], Awaitable[None]],
    kind: str,
) -> None:
    """Eventbrite documents no Retry-After, and a gateway before it may send one, in seconds or as a date."""

    async def play(folder: Path) -> tuple[int, timedelta]:
        async with afloat(folder, store, BEGAN, sources=sources) as relay:
            relay.world.faults.faults.append(Fault(name, kind))
            await register(relay)
            while not (limited := [call for call in relay.world.calls if call.service == name]):
                await relay.sleep(timedelta(seconds=1))
            await relay.sleep(ASKED_FOR - timedelta(seconds=5))
            asked = sum(call.service == name for call in relay.world.calls)
            await relay.settled(within=timedelta(minutes=2))
            await relay.assert_well()
            again = [call for call in relay.world.calls if call.service == name][1]
            return asked, again.started - limited[0].started

    asked, waited = await simulate(play, store)
    assert asked == 1
    assert ASKED_FOR <= waited + timedelta(seconds=1) <= ASKED_FOR + timedelta(minutes=1)
