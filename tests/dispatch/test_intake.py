"""Events in, registrations out: what one event or source does harms no other, and nothing is fetched twice."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest

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
from app.errors import StoreUnavailable
from app.marketo.codes import Endpoint
from app.sources.webinars import Catalogue, ConfiguredWebinar
from app.store.database import Database
from tests.conftest import MovableClock
from tests.dispatch.stage import (
    JUDGE,
    NOT_YET,
    ScriptedSource,
    events_of,
    locked,
    people,
    registered,
    set_stage,
    settled,
)
from tests.web.log_capture import captured_log


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


async def test_an_event_that_cannot_be_judged_is_dead_alone(database: Database, clock: MovableClock) -> None:
    """A source without a campaign is a defect of the set-up; others go on."""
    other = ScriptedSource("other", {b"odd": [registered("ada@example.com")]})
    mine = ScriptedSource(meanings={b"good": [registered("ada@example.com")]})
    stage = await set_stage(database, clock, sources={"custom": mine, "other": other})
    odd, good = await settled(stage, *await events_of(stage, b"odd", source="other"), *await events_of(stage, b"good"))
    assert (odd.state, odd.cause) == (EventState.DEAD, Cause.ADAPTER_FAILED)
    assert good.state == EventState.MAPPED


async def test_an_event_that_cannot_be_stored_is_dead_alone(database: Database, clock: MovableClock) -> None:
    """The transaction fails as a whole; each is then recorded by itself."""
    stage = await set_stage(database, clock)
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


async def test_an_event_from_which_nothing_comes_is_logged(sqlite: Database, clock: MovableClock) -> None:
    """Its sender has the id; one that registered somebody has a line for each registration."""
    stage = await set_stage(sqlite, clock)
    lost = Unusable(Cause.SOURCE_NOT_FOUND, "404")
    stage.source.meanings = {b"dull": [NOT_YET], b"lost": [lost], b"good": [registered("ada@example.com")]}
    with captured_log() as lines:
        ids = await events_of(stage, b"dull", b"lost", b"good")
        await settled(stage, *ids)
    told = {line["event_id"]: (line["level"], line["state"], line["cause"]) for line in lines.facts("event settled")}
    assert told == {
        ids[0]: ("info", "ignored", "not_a_registration"),
        ids[1]: ("warning", "dead", "source_not_found"),
    }


async def test_an_event_with_a_million_findings_is_refused(database: Database, clock: MovableClock) -> None:
    """One webhook of a quarter of a megabyte must not become an hour of work."""
    stage = await set_stage(database, clock)
    stage.source.meanings = {b"1": [registered("ada@example.com")] * 1_000_000}
    [view] = await settled(stage, *await events_of(stage, b"1"))
    assert (view.state, view.cause) == (EventState.DEAD, Cause.BAD_PAYLOAD)
    assert await stage.registrations() == []


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
