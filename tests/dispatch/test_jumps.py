"""The machine's clock jumps while something waits: nothing stalls, nothing bursts, nobody is mailed twice.

The whole relay against the simulated Marketo, in virtual time; Marketo's own clock is right all along. Each takes some
seconds, as the relay looks at its store hundreds of times, on PostgreSQL twice as long: there it jumps once each way.
`tests/store/test_store_jumps.py` has each jump on both.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain import CampaignId, Event, Json
from app.errors import ResolveFailed
from app.sandbox import seed
from app.sandbox.faults import Fault
from app.sources.custom import CustomSource
from bench.arrivals import Registration, spread
from bench.simulated import NOON, Course, Stage, simulate, simulated

pytestmark = pytest.mark.no_cover  # under a tracer it takes twice as long, and each part has tests of its own

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STALL = 20.0  # seconds
ON_SQLITE = [("sqlite", by) for by in (HOUR, -HOUR, 3 * DAY, -3 * DAY)]
there_and_back = pytest.mark.parametrize(
    ("store", "by"), [*ON_SQLITE, ("postgresql", HOUR), ("postgresql", -3 * DAY)], indirect=["store"], ids=str
)


def troubles() -> Sequence[Fault]:
    """A request that ran though its answer was lost, and one that is refused for a while."""
    return (
        Fault("trigger", "lost", contains="w-lost"),
        Fault("trigger", "code:611", times=None, contains="w-refused", until=NOON + timedelta(seconds=20)),
    )


def everybody() -> list[Registration]:
    """Those to whom that happens, and some who fill the window."""
    those = [Registration(0, f"{name}@example.com", f"w-{name}") for name in ("lost", "refused")]
    return [*those, *spread(55, 55)]


async def jump(stage: Stage, by: timedelta, at: float) -> None:
    await asyncio.sleep(at)
    stage.relays[0].machine.wrong_by += by


def assert_well(course: Course) -> None:
    assert course.once
    assert course.world.violations.by_kind == {}
    calls = course.counted
    assert all(later - earlier > STALL for earlier, later in zip(calls, calls[50:], strict=False))


@there_and_back
async def test_whoever_waits_goes_on_to_wait_as_long(store: Mapping[str, str], by: timedelta) -> None:
    """A lost request is looked for after 60 s by any clock; at the jump, the window is full."""

    async def play(folder: Path) -> Course:
        async with simulated(folder, store) as stage:
            stage.world.faults.faults += troubles()
            jumping = asyncio.create_task(jump(stage, by, 8.3))
            await stage.register(everybody())
            await stage.settled(within=timedelta(seconds=130 + STALL))
            await jumping
            return stage.course()

    assert_well(await simulate(play, store))


@there_and_back
async def test_a_source_is_asked_again_when_it_was_to_be(store: Mapping[str, str], by: timedelta) -> None:
    """A 404 that is given up after three minutes, and is over after one, is neither given up nor forgotten."""

    async def play(folder: Path) -> Course:
        async with simulated(folder, store, source=Late()) as stage:
            jumping = asyncio.create_task(jump(stage, by, 20))
            await stage.register([Registration(0, "ada@example.com")])
            await stage.settled(within=timedelta(seconds=60 + 64 + STALL))
            await jumping
            return stage.course()

    assert_well(await simulate(play, store))


class Late(CustomSource):
    """A source that can be asked only after a minute, and must be within three."""

    def __init__(self) -> None:
        allowed = frozenset({CampaignId(seed.CAMPAIGN_ID)})
        super().__init__(signing_secrets=[], api_keys=[seed.CUSTOM_API_KEY], allowed_campaigns=allowed)

    async def resolve(self, event: Event) -> Json:
        if asyncio.get_running_loop().time() < 60:
            raise ResolveFailed("source_not_found", "Not there yet.", give_up_after=timedelta(minutes=3))
        return await super().resolve(event)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)  # on PostgreSQL, either may lead first
@pytest.mark.parametrize("by", [HOUR, -HOUR], ids=str)
async def test_a_replica_whose_clock_differs_takes_over_in_its_own_time(
    store: Mapping[str, str], by: timedelta
) -> None:
    """What the dead leader wrote is moved along; the lost request is found in Marketo's log."""

    async def play(folder: Path) -> Course:
        async with simulated(folder, store, relays=2) as stage:
            stage.world.faults.faults.append(Fault("trigger", "lost"))
            one, two = stage.relays
            two.machine.wrong_by += by
            await asyncio.sleep(5)
            assert one.leads
            await stage.register([Registration(0, "ada@example.com")])
            await asyncio.sleep(5)
            one.kill()
            await stage.settled(within=timedelta(seconds=2 * 60 + 10 + STALL))
            return stage.course()

    assert_well(await simulate(play, store))


async def test_a_day_that_is_used_up_ends_at_midnight_when_the_clock_is_put_right(store: Mapping[str, str]) -> None:
    """It was three days ahead; the day's calls begin anew when Marketo's do, not three days later."""

    async def play(folder: Path) -> Course:
        began = NOON.replace(day=24, hour=5, minute=58)  # 23:58 US Central
        async with simulated(folder, store, began=began, calls_per_day=2) as stage:
            stage.relays[0].machine.wrong_by += 3 * DAY
            await asyncio.sleep(15)
            await stage.register([Registration(0, "ada@example.com")])
            await jump(stage, -3 * DAY, 20)
            await stage.settled(within=timedelta(minutes=3))
            return stage.course()

    assert (await simulate(play, store)).never == 0
