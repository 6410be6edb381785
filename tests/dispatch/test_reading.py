"""An event is read: its source is asked in vain, in part or too long, and no other event suffers for it."""

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from datetime import timedelta

import pytest

from app.domain import (
    Cause,
    Event,
    EventState,
    Finding,
    Json,
    Unusable,
)
from app.errors import ResolveFailed
from app.store.database import Database
from tests.conftest import MovableClock
from tests.dispatch.stage import (
    NOT_YET,
    events_of,
    registered,
    set_stage,
    settled,
    until,
)


async def test_a_source_that_hangs_holds_up_no_other_event(database: Database, clock: MovableClock) -> None:
    """An API that accepts connections and never answers is the usual outage."""
    stage = await set_stage(database, clock)
    answers = asyncio.Event()

    async def hang(event: Event) -> Json:
        if event.body == b"slow":
            await answers.wait()
        return None

    stage.source.fetch = hang
    stage.source.meanings = {b"slow": [registered("grace@example.com")], b"quick": [registered("ada@example.com")]}
    [slow] = await events_of(stage, b"slow")
    [quick] = await settled(stage, *await events_of(stage, b"quick"))
    assert quick.state == EventState.MAPPED
    assert (await stage.event(slow)).state == EventState.WAITING
    answers.set()
    await stage.intake.bell.wait(3600)  # rung when it ends
    [view] = await settled(stage, slow)
    assert view.state == EventState.MAPPED
    assert stage.source.fetched.count(view.id) == 1  # type: ignore[arg-type]  # an EventId is a str


async def failing(_: Event) -> Json:
    raise ResolveFailed(Cause.SOURCE_UNAVAILABLE, "503", retry_after=timedelta(minutes=5))


async def test_what_could_not_be_fetched_is_tried_again_when_the_source_says(
    sqlite: Database, clock: MovableClock
) -> None:
    """And mapped then; until then the event says what held it up."""
    stage = await set_stage(sqlite, clock)
    stage.source.fetch = failing
    stage.source.meanings = {b"1": [registered("ada@example.com")]}
    [event_id] = await events_of(stage, b"1")
    await stage.intake.step()
    view = await stage.event(event_id)
    assert (view.state, view.cause, view.detail) == (EventState.WAITING, Cause.SOURCE_UNAVAILABLE, "503")
    assert view.due_at >= clock() + timedelta(minutes=5)
    stage.source.fetch = None
    assert await stage.intake.step() == 1.0
    clock.move(timedelta(minutes=5, milliseconds=-100))
    assert await stage.intake.step() == pytest.approx(0.1)
    clock.move(timedelta(seconds=1))
    [view] = await settled(stage, event_id)
    assert (view.state, view.attempts) == (EventState.MAPPED, 2)


MISSING = Unusable(Cause.SOURCE_NOT_FOUND, "404")


def as_far_as_found(_: Event, fetched: Json) -> Sequence[Finding]:
    """Map a document `{"found": […], "unresolved": {…}}` of two people."""
    assert isinstance(fetched, dict)
    names = fetched["found"]
    assert isinstance(names, list)
    missing = fetched.get("unresolved")
    return [registered(f"{name}@example.com") for name in names] + ([MISSING] if missing else [])


async def only_ada(event: Event) -> Json:
    part: Json = {"found": ["ada"], "unresolved": {"grace": {}}}
    raise ResolveFailed(Cause.SOURCE_NOT_FOUND, "404", give_up_after=timedelta(minutes=5), fetched=part)


async def both(event: Event) -> Json:
    assert event.fetched == {"found": ["ada"], "unresolved": {"grace": {}}}, "the next attempt knows what is there"
    return {"found": ["ada", "grace"]}


async def test_those_who_could_be_fetched_do_not_wait_for_the_others(database: Database, clock: MovableClock) -> None:
    """They are registered once; the event waits, and the rest joins them when it can be had."""
    stage = await set_stage(database, clock)
    stage.source.fetch, stage.source.read = only_ada, as_far_as_found
    [event_id] = await events_of(stage, b"two")
    await stage.intake.step()
    for _ in range(2):
        view = await stage.event(event_id)
        assert (view.state, view.cause) == (EventState.WAITING, Cause.SOURCE_NOT_FOUND)
        assert [one.email for one in await stage.registrations()] == ["ada@example.com"]
        clock.now = view.due_at
        await stage.intake.step()
    assert len((await stage.the_only_one()).timeline) == 1, "an attempt that brings nothing new is no entry"
    stage.source.fetch = both
    clock.now = (await stage.event(event_id)).due_at
    [view] = await settled(stage, event_id)
    assert (view.state, view.cause) == (EventState.MAPPED, None)
    assert sorted(str(one.email) for one in await stage.registrations()) == ["ada@example.com", "grace@example.com"]


async def test_whoever_stays_missing_is_told_beside_those_who_registered(
    database: Database, clock: MovableClock
) -> None:
    stage = await set_stage(database, clock)
    stage.source.fetch, stage.source.read = only_ada, as_far_as_found
    [event_id] = await events_of(stage, b"two")
    await stage.intake.step()
    clock.move(timedelta(minutes=5))
    [view] = await settled(stage, event_id)
    assert (view.state, view.cause) == (EventState.MAPPED, Cause.SOURCE_NOT_FOUND)
    assert view.detail == "404 (1 of 2 could not be used)"
    assert [one.email for one in await stage.registrations()] == ["ada@example.com"]


async def test_a_permanent_failure_is_dead_at_once(sqlite: Database, clock: MovableClock) -> None:
    """A refused API token does not mend itself by asking."""
    stage = await set_stage(sqlite, clock)

    async def refuse(_: Event) -> Json:
        raise ResolveFailed(Cause.SOURCE_REFUSED, "401", permanent=True)

    stage.source.fetch = refuse
    [view] = await settled(stage, *await events_of(stage, b"1"))
    assert (view.state, view.cause, view.detail) == (EventState.DEAD, Cause.SOURCE_REFUSED, "401")


@pytest.mark.parametrize("give_up_after", [timedelta(minutes=10), None])
async def test_fetching_is_given_up_by_age(
    sqlite: Database, clock: MovableClock, give_up_after: timedelta | None
) -> None:
    """A 404 shortly after the write is waited out, not for ever; the last try is at the very end."""
    stage = await set_stage(sqlite, clock)

    async def missing(_: Event) -> Json:
        raise ResolveFailed(Cause.SOURCE_NOT_FOUND, "404", give_up_after=give_up_after)

    stage.source.fetch = missing
    begun, limit = clock(), give_up_after or timedelta(days=8)
    [event_id] = await events_of(stage, b"1")
    while (view := await stage.event(event_id)).state == EventState.WAITING:
        assert view.due_at <= begun + limit
        clock.now = max(clock.now, view.due_at if view.attempts < 12 else begun + limit)
        await stage.intake.step()
    assert (view.state, view.cause) == (EventState.DEAD, Cause.SOURCE_NOT_FOUND)
    assert clock() == begun + limit


@pytest.mark.parametrize(
    ("raised", "state"),
    [
        (TimeoutError(), EventState.WAITING),
        (asyncio.CancelledError(), EventState.DEAD),
        (ResolveFailed("no such cause", "a defect"), EventState.DEAD),
        (RecursionError(), EventState.DEAD),
    ],
)
async def test_whatever_a_source_raises_the_others_go_on(
    database: Database, clock: MovableClock, raised: BaseException, state: EventState
) -> None:
    """A time-out may work next time; the rest are defects, and a leaked cancellation must not end the dispatcher."""
    stage = await set_stage(database, clock)

    async def fetch(event: Event) -> Json:
        if event.body == b"bad":
            raise raised
        return None

    stage.source.fetch = fetch
    stage.source.meanings = {b"good": [registered("ada@example.com")]}
    bad, good = await events_of(stage, b"bad", b"good")
    await settled(stage, good)
    assert (await stage.event(bad)).state == state


async def test_what_was_fetched_is_kept_and_not_fetched_again(database: Database, clock: MovableClock) -> None:
    """A replay must work when the source no longer knows the order."""
    stage = await set_stage(database, clock)
    order = {"id": "order-1", "name": "\u00fc \U0001f600 \x00"}
    seen: list[Json] = []

    async def fetch(_: Event) -> Json:
        return order  # type: ignore[return-value]  # a dict of texts is Json

    def read(_: Event, fetched: Json) -> Sequence[Finding]:
        seen.append(fetched)
        return [NOT_YET]

    stage.source.fetch, stage.source.read = fetch, read
    [event_id] = await events_of(stage, b"1")
    await settled(stage, event_id)
    await stage.make_due_again(event_id)
    await settled(stage, event_id)
    assert seen == [order, order]
    assert len(stage.source.fetched) == 1


async def test_a_source_that_finds_people_without_end_is_stopped(database: Database, clock: MovableClock) -> None:
    """Its event is dead with what to do; the memory holds no more than are taken, and the next event goes on."""
    stage = await set_stage(database, clock)
    counted = itertools.count()
    endless = (registered(f"p{number}@example.com") for number in counted)
    stage.source.read = lambda event, _: endless if event.body == b"bad" else [registered("ada@example.com")]  # type: ignore[assignment,return-value]  # an adapter that breaks its promise
    bad, _ = await settled(stage, *await events_of(stage, b"bad", b"good"))
    assert (bad.state, bad.cause) == (EventState.DEAD, Cause.BAD_PAYLOAD)
    assert "send them in several" in (bad.detail or "")
    assert next(counted) == 10_001
    assert [one.email for one in await stage.registrations()] == ["ada@example.com"]


async def test_a_source_that_does_not_heed_its_end_holds_up_nobody(database: Database, clock: MovableClock) -> None:
    """It catches all that is raised in it, and goes on; its event is tried again as after any time-out."""
    stage = await set_stage(database, clock)
    stage.intake.reader.patience = timedelta(milliseconds=50)
    let_go = asyncio.Event()

    async def fetch(event: Event) -> Json:
        while event.body == b"bad" and not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()
        return None

    stage.source.fetch = fetch
    stage.source.meanings = {b"good": [registered("ada@example.com")]}
    bad, good = await events_of(stage, b"bad", b"good")
    await settled(stage, good)
    await until(lambda: all(task.done() for task in stage.intake._running))
    await stage.intake.step()
    view = await stage.event(bad)
    assert (view.state, view.cause, view.attempts) == (EventState.WAITING, Cause.SOURCE_UNAVAILABLE, 1)
    assert view.due_at > clock()
    let_go.set()


async def test_a_source_that_is_not_configured_any_more_is_told(sqlite: Database, clock: MovableClock) -> None:
    """Its setting was taken away between accepting and sending."""
    stage = await set_stage(sqlite, clock)
    [view] = await settled(stage, *await events_of(stage, b"1", source="typeform"))
    assert (view.state, view.cause) == (EventState.DEAD, Cause.SOURCE_CREDENTIALS_MISSING)
    assert "typeform" in (view.detail or "")
