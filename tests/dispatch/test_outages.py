"""Marketo is away, in each way it can be: all are mailed once, soon after, and it is asked seldom meanwhile.

The relay's halves, its store and its client against the simulated Marketo, in virtual time. Days of it are played for
the ways that differ by then: what is certain not to have run, what may have, and what a person mends. All others have
reached their longest back-off within three hours; each further hour costs processor time and shows nothing.

All of it is played on SQLite. A look at PostgreSQL costs four times as much, so it has two hours of each way in which
the store is written to otherwise: calls that are made again, that are looked for in Marketo's log, that wait for a
person; whoever is given up; a used-up day; and a source that is asked again.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from app.domain import Cause, Clock, RegistrationState
from app.sandbox import seed
from app.sources.base import Inbound, Source
from app.sources.eventbrite import EventbriteApi, EventbriteSource
from app.sources.webinars import Catalogue
from bench.arrivals import Registration
from bench.simulated import MARKETO, Course, simulate
from tests.dispatch.outage import Relay, afloat

pytestmark = pytest.mark.no_cover  # under a tracer it takes three times as long, and each part has tests of its own
BEGAN = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
TWO_HOURS, HOURS, DAYS = timedelta(hours=2), timedelta(hours=3), timedelta(days=3)
LONGEST_PAUSE = timedelta(minutes=16)  # a back-off of 15 minutes, and some calls
LAST_LOOK = timedelta(minutes=37)  # the next look at the log, another a quarter of an hour after the request, and calls


@dataclass(frozen=True)
class Outage:
    """One way to be away, for how long, at how many calls, and how soon after it all must have been mailed.

    `kind` is the simulation's fault, or what happens to the network or the credentials.
    """

    kind: str
    lasts: timedelta
    most_calls: int
    over_within: timedelta = LONGEST_PAUSE

    @contextmanager
    def over(self, relay: Relay) -> Iterator[None]:
        """Let it last as long as the block runs."""
        begin, end = self._switches(relay)
        begin()
        yield
        end()

    def _switches(self, relay: Relay) -> tuple[Callable[[], None], Callable[[], None]]:
        match self.kind:
            case "refused":  # as a name that is unknown, and a certificate for another one: nothing was sent
                return lambda: relay.network.cut(httpx.ConnectError(self.kind)), relay.network.mend
            case "revoked":
                return relay.world.tokens.revoke_credentials, relay.world.tokens.restore_credentials
        return lambda: relay.order("marketo", self.kind), relay.world.faults.faults.clear


# The most calls: a group of people every 7.5 minutes at most, and as much of looks, tokens and the first minutes.
OUTAGES = (
    Outage("refused", DAYS, 800),
    Outage("garbage", DAYS, 1200, LAST_LOOK),
    Outage("revoked", DAYS, 800),
    Outage("cut", HOURS, 200, LAST_LOOK),
    Outage("half", HOURS, 200, LAST_LOOK),
    Outage("slow:100", HOURS, 200, LAST_LOOK),
    Outage("slow:29", HOURS, 100),  # just in time: a call each that is needed, and those that ask about the day
    Outage("hang", HOURS, 200, LAST_LOOK),
    Outage("http:503", HOURS, 200, LAST_LOOK),
    Outage("http:502 html", HOURS, 200, LAST_LOOK),
    Outage("code:604", HOURS, 200),
    Outage("code:611", HOURS, 200),
    Outage("redirect", HOURS, 60),
    Outage("code:606", HOURS / 3, 3600 // 20 + 20),  # one each 20 s, though people and a batch wait
)


ON_POSTGRESQL = [replace(one, lasts=TWO_HOURS) for one in OUTAGES if one.kind in {"refused", "cut", "revoked"}]
ON_EITHER = [("sqlite", one) for one in OUTAGES] + [("postgresql", one) for one in ON_POSTGRESQL]


def named(value: object) -> str:
    return value.kind if isinstance(value, Outage) else str(value)


def some(when: str, *webinars: str) -> list[Registration]:
    return [Registration(0, f"{when}.{n}@example.com", webinar) for n in range(2) for webinar in webinars]


@pytest.mark.parametrize(("store", "outage"), ON_EITHER, indirect=["store"], ids=named)
async def test_all_are_mailed_once_after_an_outage(store: Mapping[str, str], outage: Outage) -> None:
    """Those who came before it, when it began, within it and at its end; the calls it costs are bounded."""

    async def play(folder: Path) -> int:
        async with afloat(folder, store, BEGAN) as relay:
            await relay.register(*some("before", "w-1"))
            await relay.settled(within=timedelta(minutes=1))
            tried = relay.network.tried
            with outage.over(relay):
                await relay.register(*some("before", "w-2"))
                await relay.sleep(outage.lasts - HOURS / 3)
                await relay.register(*some("during", "w-1", "w-2"))
                await relay.sleep(HOURS / 3)
            asked = relay.network.tried - tried
            await relay.register(*some("after", "w-1"))
            await relay.settled(within=outage.over_within)
            await relay.assert_well()
            return asked

    assert await simulate(play, store) <= outage.most_calls


async def test_who_registered_for_what_is_over_by_then_is_told(store: Mapping[str, str]) -> None:
    """A reminder for what is over helps nobody; no other registration is given up."""

    async def play(folder: Path) -> Course:
        async with afloat(folder, store, BEGAN) as relay:
            relay.network.cut(httpx.ConnectError("refused"))
            await relay.register(*some("early", "w-1"))
            await relay.register(*some("late", "w-2"), starts_at=BEGAN + HOURS / 3)
            await relay.sleep(HOURS)
            relay.network.mend()
            await relay.settled(within=LONGEST_PAUSE)
            states = {(one.webinar_id, one.state, one.cause) for one in await relay.registrations()}
            assert states == {("w-1", RegistrationState.SENT, None), ("w-2", RegistrationState.DEAD, Cause.EXPIRED)}
            return relay.course()

    course = await simulate(play, store)
    assert (course.never, course.twice) == (2, 0)


DAYS_OF_MARKETO = {  # 25, 23 and 24 hours in US Central, from half an hour after their beginning
    "autumn": (datetime(2026, 11, 1, 5, 30, tzinfo=UTC), datetime(2026, 11, 2, 6, tzinfo=UTC)),
    "spring": (datetime(2027, 3, 14, 7, 30, tzinfo=UTC), datetime(2027, 3, 15, 5, tzinfo=UTC)),
    "a day": (datetime(2026, 11, 23, 7, 30, tzinfo=UTC), datetime(2026, 11, 24, 6, tzinfo=UTC)),
    "an evening": (datetime(2026, 11, 24, 4, 30, tzinfo=UTC), datetime(2026, 11, 24, 6, tzinfo=UTC)),
}


@pytest.mark.parametrize(
    ("store", "day"),
    [*(("sqlite", day) for day in DAYS_OF_MARKETO), ("postgresql", "an evening")],
    indirect=["store"],
)
async def test_a_used_up_day_ends_at_midnight_us_central(store: Mapping[str, str], day: str) -> None:
    """607 till then, also when the clocks are changed within it: it is not an hour late, and asks but once an hour."""
    began, midnight = DAYS_OF_MARKETO[day]

    async def play(folder: Path) -> int:
        async with afloat(folder, store, began) as relay:
            await relay.sleep(timedelta(minutes=45))
            with Outage("code:607", midnight - began, 0).over(relay):
                await relay.register(*some("before", "w-1"))
                await relay.sleep(midnight - relay.clock())
            asked = relay.network.tried
            await relay.settled(within=timedelta(minutes=1))
            await relay.assert_well()
            return asked

    hours = (midnight - began) / timedelta(hours=1)
    assert await simulate(play, store) <= 2 * hours + 5  # each time with a new token, which lasts for an hour


def eventbrite(network: httpx.AsyncBaseTransport, clock: Clock) -> dict[str, Source]:
    client = httpx.AsyncClient(transport=network)
    token = SecretStr(seed.EVENTBRITE_API_TOKEN)
    ticks = asyncio.get_running_loop().time
    api = EventbriteApi(client=client, token=token, base_url=f"{MARKETO}/eventbrite/v3", ticks=ticks)
    secrets, catalogue = [seed.EVENTBRITE_WEBHOOK_TOKEN], Catalogue({})
    source = EventbriteSource(
        path_secrets=secrets, actions=["order.placed"], api=api, catalogue=catalogue, clock=clock, ticks=ticks
    )
    return {source.name: source}


def order_placed(clock: Clock) -> Inbound:
    config = {"action": "order.placed", "user_id": "1", "endpoint_url": "https://relay.example.com", "webhook_id": "1"}
    body = {"config": config, "api_url": f"https://www.eventbriteapi.com/v3/orders/{seed.EVENTBRITE_ORDER_ID}/"}
    return Inbound({}, json.dumps(body).encode(), clock(), seed.EVENTBRITE_WEBHOOK_TOKEN)


@pytest.mark.parametrize(
    ("store", "kind", "lasts", "most_requests"),
    [
        ("sqlite", "http:404", timedelta(minutes=5), 30),
        ("sqlite", "http:429", HOURS, 60),
        ("sqlite", "http:503", DAYS, 600),
        ("sqlite", "http:502 html", HOURS, 60),
        ("sqlite", "http:401", HOURS, 60),
        ("sqlite", "garbage", HOURS, 60),
        ("sqlite", "half", HOURS, 60),
        ("sqlite", "redirect", HOURS, 60),
        ("sqlite", "cut", HOURS, 60),
        ("sqlite", "hang", HOURS, 60),
        ("sqlite", "slow:29", HOURS, 60),
        ("sqlite", "refused", HOURS, 60),
        ("postgresql", "http:404", timedelta(minutes=5), 30),
        ("postgresql", "http:429", TWO_HOURS, 60),
    ],
    indirect=["store"],
)
async def test_an_order_is_read_once_eventbrite_answers(
    store: Mapping[str, str], kind: str, lasts: timedelta, most_requests: int
) -> None:
    """Its webhook came while the order could not be read; those who are in it are mailed once, soon after."""

    async def play(folder: Path) -> int:
        async with afloat(folder, store, BEGAN, sources=eventbrite) as relay:
            if kind == "refused":
                relay.network.cut(httpx.ConnectError(kind))
            else:
                relay.order("eventbrite", kind)
            await relay.deliver("eventbrite", order_placed(relay.clock))
            await relay.sleep(lasts)
            asked = relay.network.tried
            relay.network.mend()
            relay.world.faults.faults.clear()
            await relay.settled(within=timedelta(minutes=61))
            await relay.assert_well()
            assert {one.source for one in await relay.registrations()} == {"eventbrite"}
            return asked

    assert await simulate(play, store) <= most_requests
