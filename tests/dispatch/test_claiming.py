"""What is taken next: suspects alone, and of no source so much that it holds up another."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.domain import (
    Event,
    EventState,
    Json,
)
from app.errors import LeadershipLost
from app.store.database import Database
from app.store.events import SUSPECT
from app.store.tables import events
from tests.conftest import MovableClock
from tests.dispatch.stage import (
    NOT_YET,
    ScriptedSource,
    events_of,
    registered,
    set_stage,
    settled,
    until,
)


async def test_what_leaders_ended_at_is_read_before_all_else_and_alone(database: Database, clock: MovableClock) -> None:
    """Should it end this leader too, nothing else was in its hands."""
    first = await set_stage(database, clock)
    [suspect] = await events_of(first, b"suspect")
    await first.intake.claiming.events.claim(now=clock(), fence=first.lease.fence, limit=1)
    async with database.write() as connection:
        await connection.execute(update(events).values(interrupted=SUSPECT))
        await connection.execute(update(events).values(claimed_by=None))
    others = await events_of(first, *(b"p%d" % number for number in range(3)))
    answers = asyncio.Event()
    alone: list[bytes] = []

    async def fetch(event: Event) -> Json:
        alone.append(event.body)
        if event.body == b"suspect":
            await answers.wait()
        return None

    first.source.fetch = fetch
    first.source.read = lambda event, _: [registered(f"{event.body.decode()}@example.com")]
    for _ in range(3):
        await first.intake.step()
    assert alone == [b"suspect"]
    clock.move(timedelta(seconds=1))
    await first.intake.step()
    assert len(alone) == 4  # it waits for something, and so holds up nobody
    answers.set()
    views = await settled(first, suspect, *others)
    assert {view.state for view in views} == {EventState.MAPPED}


async def test_a_leader_that_stops_properly_casts_no_suspicion(sqlite: Database, clock: MovableClock) -> None:
    """A relay that is restarted often, while a source's API is slow, ends at nothing."""
    stage = await set_stage(sqlite, clock)

    async def hang(_: Event) -> Json:
        await asyncio.Event().wait()
        return None

    stage.source.fetch = hang
    await events_of(stage, b"slow")
    await stage.intake.step()
    await stage.intake.close()
    async with sqlite.read() as connection:
        row = (await connection.execute(select(events.c.claimed_by, events.c.interrupted))).one()
    assert tuple(row) == (None, 0)


async def test_a_source_of_which_everything_hangs_holds_up_no_other_source(
    database: Database, clock: MovableClock
) -> None:
    """Hundreds of orders, and an API that accepts connections and never answers."""
    hanging = ScriptedSource("hanging")
    quick = ScriptedSource(meanings={b"quick": [registered("ada@example.com")]})
    stage = await set_stage(database, clock, sources={"custom": quick, "hanging": hanging})

    async def hang(_: Event) -> Json:
        await asyncio.Event().wait()
        return None

    hanging.fetch = hang
    stage.intake.claiming.pace = 0.0
    await events_of(stage, *(b"%d" % number for number in range(450)), source="hanging")
    for _ in range(5):
        await stage.intake.step()
    [view] = await settled(stage, *await events_of(stage, b"quick"))
    assert view.state == EventState.MAPPED
    await stage.intake.close()


async def test_many_hanging_events_do_not_take_more_memory(database: Database, clock: MovableClock) -> None:
    """At most 100 of a source are in hand; the rest wait in the store, and the loop does not spin."""
    stage = await set_stage(database, clock)
    stage.intake.claiming.pace = 0.0
    answers = asyncio.Event()

    async def hang(_: Event) -> Json:
        await answers.wait()
        return None

    stage.source.fetch = hang
    stage.source.read = lambda *_: [NOT_YET]
    ids = await events_of(stage, *(b"%d" % number for number in range(120)))
    for _ in range(5):
        wait = await stage.intake.step()
    assert len(stage.source.fetched) == 100
    assert wait == stage.intake.claiming.look_every
    answers.set()
    await until(lambda: all(task.done() for task in stage.intake._running))
    await settled(stage, *ids)


async def test_an_intake_without_its_lease_claims_nothing(sqlite: Database, clock: MovableClock) -> None:
    """Another process works on them."""
    stage = await set_stage(sqlite, clock)
    [event_id] = await events_of(stage, b"1")
    stage.lose_the_lease()
    with pytest.raises(LeadershipLost):
        await stage.intake.step()
    assert (await stage.event(event_id)).attempts == 0
