"""Pendo is away, in each way it can be, and knows new visitors late: each webhook is registered in the end, once."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from app.domain import Clock
from app.sandbox import seed
from app.sandbox.traffic import Expected, Sender
from app.sandbox.world import pendo_visitor
from app.sources.base import Inbound, Source
from app.sources.pendo import PendoApi, PendoSource
from app.sources.webinars import Catalogue
from bench.simulated import MARKETO, simulate
from tests.dispatch.outage import Relay, afloat
from tests.dispatch.test_outages import BEGAN, HOURS, TWO_HOURS

pytestmark = pytest.mark.no_cover  # as for Marketo's
AN_HOUR = timedelta(minutes=61)  # the longest quiet after 429
SOON = timedelta(minutes=17)  # the longest back-off is 15 minutes
OTHERS = ("http:503", "http:502 html", "garbage", "half", "redirect", "cut", "slow:29")
LAG = timedelta(minutes=4, seconds=45)  # five minutes are documented until a new visitor can be read


def pendo(network: httpx.AsyncBaseTransport, clock: Clock) -> dict[str, Source]:
    client = httpx.AsyncClient(transport=network, timeout=10.0)
    key = SecretStr(seed.PENDO_INTEGRATION_KEY)
    ticks = asyncio.get_running_loop().time
    api = PendoApi(client=client, integration_key=key, base_url=f"{MARKETO}/pendo", ticks=ticks)
    secrets, track_event = [seed.PENDO_WEBHOOK_SECRET], "webinar_registered"
    source = PendoSource(
        secrets=secrets, track_event=track_event, api=api, catalogue=Catalogue(), clock=clock, ticks=ticks
    )
    return {"pendo": source}


async def arrive(relay: Relay, name: str) -> None:
    """Let a new visitor register, whose address only the API knows."""
    relay.world.visitors[name] = pendo_visitor("Ada", "Lovelace", f"{name}@example.com")
    sender = Sender("https://relay.example.com", MARKETO, relay.clock())
    webinar = {"webinar_id": "w-1", "webinar_title": "A talk", "join_link": "https://meet.example.com/1"}
    sent = sender.pendo("", name, webinar, Expected(202, "accepted", ""))
    headers = {key.lower(): value for key, value in sent.headers.items()}
    await relay.deliver("pendo", Inbound(headers, sent.body, relay.clock()))


def begin(relay: Relay, kind: str) -> None:
    """Let Pendo refuse the key, or each request go wrong."""
    if kind == "revoked":
        relay.world.config = replace(relay.world.config, pendo_key="another")
    else:
        relay.order("pendo", kind)


def end(relay: Relay) -> None:
    relay.world.config = replace(relay.world.config, pendo_key=seed.PENDO_INTEGRATION_KEY)
    relay.world.faults.faults.clear()


@pytest.mark.parametrize(
    ("store", "kind", "lasts", "most_requests"),
    [
        ("sqlite", "http:404", LAG, 30),
        ("sqlite", "http:429", HOURS, 12),
        ("sqlite", "revoked", HOURS, 60),
        *(("sqlite", kind, HOURS, 60) for kind in OTHERS),
        ("postgresql", "http:404", LAG, 30),
        ("postgresql", "revoked", TWO_HOURS, 60),
    ],
    indirect=["store"],
)
async def test_visitors_are_registered_once_after_an_outage(
    store: Mapping[str, str], kind: str, lasts: timedelta, most_requests: int
) -> None:
    """Those who came when it began, within it and at its end; the requests that it costs are bounded."""

    async def play(folder: Path) -> int:
        async with afloat(folder, store, BEGAN, sources=pendo) as relay:
            begin(relay, kind)
            await arrive(relay, "first")
            await relay.sleep(lasts / 2)
            await arrive(relay, "second")
            await relay.sleep(lasts / 2)
            asked = sum(call.service == "pendo" for call in relay.world.calls)
            end(relay)
            await arrive(relay, "third")
            await relay.settled(within=AN_HOUR if kind == "http:429" else SOON)
            mailed = sorted(email.lead["email"] for email in relay.world.emails)
            assert mailed == ["first@example.com", "second@example.com", "third@example.com"]
            await relay.assert_well()
            return asked

    assert await simulate(play, store) <= most_requests
