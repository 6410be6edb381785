"""Events in, registrations out: what one event or source does harms no other, and nothing is fetched twice."""

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.domain import (
    CampaignId,
    Cancelled,
    Cause,
    Event,
    EventState,
    Finding,
    Ignored,
    Json,
    LeadId,
    Person,
    Registered,
    RegistrationState,
    Unusable,
    Webinar,
)
from app.errors import LeadershipLost, ResolveFailed, StoreUnavailable
from app.marketo.codes import Endpoint
from app.sources.webinars import Catalogue, ConfiguredWebinar
from app.store.database import Database
from app.store.events import SUSPECT
from app.store.tables import events
from app.store.views import EventView
from tests.conftest import MovableClock
from tests.dispatch.stage import (
    JUDGE,
    ScriptedSource,
    Stage,
    locked,
    new_event,
    people,
    registered,
    set_stage,
    store_events,
    until,
)
from tests.web.log_capture import captured_log

NOT_YET = Ignored(Cause.NOT_A_REGISTRATION, "not yet")


async def events_of(stage: Stage, *bodies: bytes, source: str = "custom") -> list[str]:
    return await store_events(stage.database, [new_event(stage.clock, body, source=source) for body in bodies])


async def settled(stage: Stage, *ids: str) -> list[EventView]:
    """Step until these events are at their ends."""
    for _ in range(50):
        views = [await stage.event(event_id) for event_id in ids]
        if all(view.state != EventState.WAITING for view in views):
            return views
        await stage.intake.step()
    raise AssertionError("they do not settle")


async def test_several_events_are_recorded_in_one_transaction(database: Database, clock: MovableClock) -> None:
    """A commit each would bound the whole relay to the disk's pace."""
    stage = await set_stage(database, clock)
    stage.source.read = lambda event, _: [registered(f"{event.body.decode()}@example.com")]
    ids = await events_of(stage, *(b"p%d" % number for number in range(20)))
    await stage.intake.step()
    views = [await stage.event(event_id) for event_id in ids]
    assert {view.state for view in views} == {EventState.MAPPED}
    assert len({one for view in views for one in view.registrations}) == 20
    assert len({(await stage.registrations())[n].created_at for n in range(20)}) == 1


def defective(event: Event, _: Json) -> Sequence[Finding]:
    if event.body == b"bad":
        raise ZeroDivisionError("a defect in the adapter")
    return [registered(f"{event.body.decode()}@example.com")]


async def test_an_event_that_its_adapter_cannot_read_is_dead_alone(database: Database, clock: MovableClock) -> None:
    """Its neighbours share its transaction."""
    stage = await set_stage(database, clock)
    stage.source.read = defective
    ada, bad, grace = await settled(stage, *await events_of(stage, b"ada", b"bad", b"grace"))
    assert (bad.state, bad.cause) == (EventState.DEAD, Cause.ADAPTER_FAILED)
    assert ada.state == grace.state == EventState.MAPPED


UNSTORABLE: list[Finding] = [
    registered("a\ud800@example.com"),
    Registered(Person("\ud800" * 400), Webinar("w-1")),
    Registered(Person("a\x00@example.com", LeadId(10**30)), Webinar("w\x00" * 3000)),
    registered("ada@example.com", campaign=CampaignId(10**30)),
    Cancelled("\ud800", "w\x00", "order\x00"),
    Unusable(Cause.EMAIL_MISSING, "no \x00 address"),
    Ignored(Cause.TEST_PING, "a \x00 ping"),
]


@pytest.mark.parametrize("found", UNSTORABLE)
async def test_odd_texts_and_numbers_reach_an_end(database: Database, clock: MovableClock, found: Finding) -> None:
    """What a database refuses would come back for ever, with all its neighbours."""
    stage = await set_stage(database, clock)
    stage.source.meanings = {b"odd": [found], b"good": [registered("ada@example.com")]}
    odd, good = await settled(stage, *await events_of(stage, b"odd", b"good"))
    assert odd.state in (EventState.MAPPED, EventState.DEAD, EventState.IGNORED)
    assert good.state == EventState.MAPPED
    states = [one.state for one in await stage.registrations() if one.email == "ada@example.com"]
    assert RegistrationState.NEW in states


async def test_an_event_that_cannot_be_judged_is_dead_alone(sqlite: Database, clock: MovableClock) -> None:
    """A source without a campaign is a defect of the set-up; others go on."""
    other = ScriptedSource("other", {b"odd": [registered("ada@example.com")]})
    mine = ScriptedSource(meanings={b"good": [registered("ada@example.com")]})
    stage = await set_stage(sqlite, clock, sources={"custom": mine, "other": other})
    odd, good = await settled(stage, *await events_of(stage, b"odd", source="other"), *await events_of(stage, b"good"))
    assert (odd.state, odd.cause) == (EventState.DEAD, Cause.ADAPTER_FAILED)
    assert good.state == EventState.MAPPED


async def test_an_event_that_cannot_be_stored_is_dead_alone(sqlite: Database, clock: MovableClock) -> None:
    """The transaction fails as a whole; each is then recorded by itself."""
    stage = await set_stage(sqlite, clock)
    stage.source.meanings = {
        b"odd": [registered("bob@example.com", campaign=None)],
        b"good": [registered("ada@example.com")],
    }

    async def unstorable(event: Event) -> Json:
        return {"an": object()} if event.body == b"odd" else None  # type: ignore[dict-item]  # a defective source

    stage.source.fetch = unstorable
    odd, good = await settled(stage, *await events_of(stage, b"odd", b"good"))
    assert (odd.state, odd.cause) == (EventState.DEAD, Cause.ADAPTER_FAILED)
    assert good.state == EventState.MAPPED
    assert [one.email for one in await stage.registrations()] == ["ada@example.com"]


async def test_a_source_that_hangs_holds_up_no_other_event(sqlite: Database, clock: MovableClock) -> None:
    """An API that accepts connections and never answers is the usual outage."""
    stage = await set_stage(sqlite, clock)
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
    sqlite: Database, clock: MovableClock
) -> None:
    """Hundreds of orders, and an API that accepts connections and never answers."""
    hanging = ScriptedSource("hanging")
    quick = ScriptedSource(meanings={b"quick": [registered("ada@example.com")]})
    stage = await set_stage(sqlite, clock, sources={"custom": quick, "hanging": hanging})

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


async def test_an_event_from_which_nothing_comes_is_logged(sqlite: Database, clock: MovableClock) -> None:
    """Its sender has the id; one that registered somebody has a line for each registration."""
    stage = await set_stage(sqlite, clock)
    stage.source.meanings = {b"dull": [NOT_YET], b"lost": [MISSING], b"good": [registered("ada@example.com")]}
    with captured_log() as lines:
        ids = await events_of(stage, b"dull", b"lost", b"good")
        await settled(stage, *ids)
    told = {line["event_id"]: (line["level"], line["state"], line["cause"]) for line in lines.facts("event settled")}
    assert told == {
        ids[0]: ("info", "ignored", "not_a_registration"),
        ids[1]: ("warning", "dead", "source_not_found"),
    }


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
    sqlite: Database, clock: MovableClock, raised: BaseException, state: EventState
) -> None:
    """A time-out may work next time; the rest are defects, and a leaked cancellation must not end the dispatcher."""
    stage = await set_stage(sqlite, clock)

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


async def test_an_event_with_a_million_findings_is_refused(sqlite: Database, clock: MovableClock) -> None:
    """One webhook of a quarter of a megabyte must not become an hour of work."""
    stage = await set_stage(sqlite, clock)
    stage.source.meanings = {b"1": [registered("ada@example.com")] * 1_000_000}
    [view] = await settled(stage, *await events_of(stage, b"1"))
    assert (view.state, view.cause) == (EventState.DEAD, Cause.BAD_PAYLOAD)
    assert await stage.registrations() == []


async def test_a_source_that_finds_people_without_end_is_stopped(sqlite: Database, clock: MovableClock) -> None:
    """Its event is dead with what to do; the memory holds no more than are taken, and the next event goes on."""
    stage = await set_stage(sqlite, clock)
    counted = itertools.count()
    endless = (registered(f"p{number}@example.com") for number in counted)
    stage.source.read = lambda event, _: endless if event.body == b"bad" else [registered("ada@example.com")]  # type: ignore[assignment,return-value]  # an adapter that breaks its promise
    bad, _ = await settled(stage, *await events_of(stage, b"bad", b"good"))
    assert (bad.state, bad.cause) == (EventState.DEAD, Cause.BAD_PAYLOAD)
    assert "send them in several" in (bad.detail or "")
    assert next(counted) == 10_001
    assert [one.email for one in await stage.registrations()] == ["ada@example.com"]


async def test_a_source_that_does_not_heed_its_end_holds_up_nobody(sqlite: Database, clock: MovableClock) -> None:
    """It catches all that is raised in it, and goes on; its event is tried again as after any time-out."""
    stage = await set_stage(sqlite, clock)
    stage.intake.reading.patience = timedelta(milliseconds=50)
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


Ended = tuple[EventState, Cause | None, int]  # state, cause, and how many registrations it made
MIXED: list[tuple[list[Finding], Ended]] = [
    ([], (EventState.IGNORED, Cause.NOT_A_REGISTRATION, 0)),
    ([NOT_YET], (EventState.IGNORED, Cause.NOT_A_REGISTRATION, 0)),
    ([NOT_YET, Unusable(Cause.EMAIL_MISSING, "none")], (EventState.DEAD, Cause.EMAIL_MISSING, 0)),
    ([NOT_YET, registered("ada@example.com")], (EventState.MAPPED, None, 1)),
    ([Unusable(Cause.EMAIL_MISSING, "none"), *people(2)], (EventState.MAPPED, Cause.EMAIL_MISSING, 2)),
    ([Cancelled("nobody@example.com", "w-1", None)], (EventState.MAPPED, None, 0)),
]


@pytest.mark.parametrize(("findings", "ended"), MIXED)
async def test_an_event_ends_as_what_its_findings_say(
    sqlite: Database, clock: MovableClock, findings: list[Finding], ended: Ended
) -> None:
    """Whoever can be reminded is; what could not be used is told with the event."""
    stage = await set_stage(sqlite, clock)
    stage.source.meanings = {b"1": findings}
    [view] = await settled(stage, *await events_of(stage, b"1"))
    assert (view.state, view.cause, len(view.registrations)) == ended


async def test_a_refund_under_an_alias_cancels_what_was_registered_under_the_name(
    sqlite: Database, clock: MovableClock
) -> None:
    """Both names are one webinar."""
    catalogue = Catalogue([ConfiguredWebinar("w-1", aliases=("other-name",))])
    stage = await set_stage(sqlite, clock, judge=replace(JUDGE, catalogue=catalogue))
    await stage.arrive(registered("ada@example.com"))
    await stage.arrive(Cancelled("ada@example.com", "other-name", None))
    assert [one.state for one in await stage.registrations()] == [RegistrationState.CANCELLED]


async def test_a_refund_cancels_what_has_not_been_sent(sqlite: Database, clock: MovableClock) -> None:
    """And it counts as an end, like the registrations that are dead from the beginning."""
    stage = await set_stage(sqlite, clock)
    await stage.arrive(registered("ada@example.com"), registered("not an address"))
    await stage.arrive(Cancelled("ada@example.com", "w-1", None))
    assert {one.state for one in await stage.registrations()} == {RegistrationState.CANCELLED, RegistrationState.DEAD}
    await stage.work()
    assert stage.marketo.requests == []
    figures = stage.intake.metrics.render(clock()).decode()
    assert 'relay_registrations_total{source="custom",state="cancelled"} 1.0' in figures
    assert 'relay_registrations_total{source="custom",state="dead"} 1.0' in figures


async def test_an_answer_from_before_a_refund_does_not_undo_it(sqlite: Database, clock: MovableClock) -> None:
    """Eventbrite was asked for both at once, and the older answer came last. Who buys again afterwards is reminded."""
    stage = await set_stage(sqlite, clock)
    comes, slow = replace(registered("ada@example.com"), subject="order-1"), asyncio.Event()

    async def fetch(event: Event) -> Json:
        if event.body == b"slow":
            await slow.wait()
        return {"asked": True}

    stage.source.fetch = fetch
    gone = Cancelled("ada@example.com", "w-1", "order-1")
    stage.source.meanings = {b"first": [comes], b"slow": [comes], b"refund": [gone], b"again": [comes]}
    await events_of(stage, b"first")
    await stage.intake.step()
    await events_of(stage, b"slow", b"refund")
    await stage.intake.step()
    clock.move(timedelta(seconds=1))
    slow.set()
    await stage.intake.step()
    assert await stage.states() == {RegistrationState.CANCELLED: 1}
    await events_of(stage, b"again")
    await stage.intake.step()
    assert await stage.states() == {RegistrationState.NEW: 1}


async def test_a_flawed_registration_does_not_harm_its_neighbours(sqlite: Database, clock: MovableClock) -> None:
    """One order with a misspelt address among three."""
    stage = await set_stage(sqlite, clock)
    await stage.arrive(*people(2), registered("ädä@example.com"))
    await stage.work()
    assert stage.marketo.sizes(Endpoint.TRIGGER) == [2]
    assert await stage.states() == {RegistrationState.SENT: 2, RegistrationState.DEAD: 1}


async def test_recording_rings_for_the_sender(sqlite: Database, clock: MovableClock) -> None:
    """A lone registration leaves at once."""
    stage = await set_stage(sqlite, clock)
    await stage.arrive(registered("ada@example.com"))
    await stage.sender.bell.wait(3600)


async def test_what_the_store_did_not_take_is_recorded_later(impatient: Database, clock: MovableClock) -> None:
    """It was fetched and read; a locked database in that moment must not leave it in nobody's hands."""
    stage = await set_stage(impatient, clock)
    lock = AsyncExitStack()

    async def lock_the_store(_: Event) -> Json:
        await lock.enter_async_context(locked(impatient))
        return None

    stage.source.fetch = lock_the_store
    stage.source.meanings = {b"1": [registered("ada@example.com")]}
    [event_id] = await events_of(stage, b"1")
    with pytest.raises(StoreUnavailable):
        await stage.intake.step()
    with pytest.raises(StoreUnavailable):
        await stage.intake.step()
    await lock.aclose()
    [view] = await settled(stage, event_id)
    assert (view.state, view.attempts) == (EventState.MAPPED, 1)
    assert len(stage.source.fetched) == 1


async def test_many_hanging_events_do_not_take_more_memory(sqlite: Database, clock: MovableClock) -> None:
    """At most 100 of a source are in hand; the rest wait in the store, and the loop does not spin."""
    stage = await set_stage(sqlite, clock)
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


async def test_closing_stops_what_is_being_fetched(sqlite: Database, clock: MovableClock) -> None:
    """The next leader fetches it; nothing goes on behind its back."""
    stage = await set_stage(sqlite, clock)
    is_cancelled: list[bool] = []

    async def hang(_: Event) -> Json:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            is_cancelled.append(True)
            raise
        return None

    stage.source.fetch = hang
    await events_of(stage, b"1")
    await stage.intake.step()
    await stage.intake.close()
    assert is_cancelled == [True]


async def test_who_looks_people_up_only_says_so_in_the_draft(sqlite: Database, clock: MovableClock) -> None:
    """The judge's setting reaches the queue."""
    stage = await set_stage(sqlite, clock, judge=replace(JUDGE, look_up_only=True))
    await stage.arrive(registered("ada@example.com"))
    waiting = await stage.sender.sending.waiting(clock())
    assert (waiting.lookups, waiting.upserts) == (1, 0)
