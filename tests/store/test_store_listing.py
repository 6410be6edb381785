"""Lists of webhooks, requests to Marketo and activity, on both databases."""

from datetime import timedelta

import pytest

from app.domain import EventState
from app.store.database import Database
from app.store.listing import Listing
from app.store.views import ActivityFilter, CallFilter, EventFilter
from tests.conftest import MovableClock
from tests.store.given import accept, draft, ended, new_event, record, sending


async def test_webhooks_are_listed_newest_first_and_paged(database: Database, clock: MovableClock) -> None:
    made = []
    for _ in range(5):
        made += await accept(database, new_event(clock()))
        clock.move(timedelta(seconds=1))
    listing = Listing(database, clock=clock)
    first = await listing.events(EventFilter(), limit=3)
    rest = await listing.events(EventFilter(), limit=3, cursor=first.next_cursor)
    assert [event.id for event in (*first.items, *rest.items)] == made[::-1]
    assert rest.next_cursor is None
    assert first.items[0].state is EventState.WAITING


async def test_webhooks_are_filtered_by_source_state_and_time(database: Database, clock: MovableClock) -> None:
    """A source's webhooks are found whether they wait or not."""
    await record(database, clock(), draft(clock()))
    clock.move(timedelta(hours=1))
    (waiting,) = await accept(database, new_event(clock()))
    listing = Listing(database, clock=clock)
    both = await listing.events(EventFilter(source="custom"), limit=9)
    assert [event.state for event in both.items] == ["waiting", "mapped"]
    (mapped,) = (await listing.events(EventFilter(source="custom", state=EventState.MAPPED), limit=9)).items
    assert mapped.state is EventState.MAPPED
    assert [e.id for e in (await listing.events(EventFilter(since=clock()), limit=9)).items] == [waiting]
    assert [e.id for e in (await listing.events(EventFilter(until=clock()), limit=9)).items] == [mapped.id]
    assert not (await listing.events(EventFilter(source="pendo"), limit=9)).items


async def test_calls_are_listed_by_kind_and_outcome(database: Database, clock: MovableClock) -> None:
    await ended(database, clock(), state="sent")
    clock.move(timedelta(seconds=1))
    call = await sending(database, clock(), email="bob@example.com")
    listing = Listing(database, clock=clock)
    every = await listing.calls(CallFilter(kind="trigger"), limit=1)
    assert [one.id for one in every.items] == [call.id]
    (done,) = (await listing.calls(CallFilter(outcome="done"), limit=9)).items
    assert (done.kind, done.request_id) == ("trigger", "r#1")
    assert (await listing.calls(CallFilter(), limit=1, cursor=every.next_cursor)).items == [done]
    assert not (await listing.calls(CallFilter(kind="upsert"), limit=9)).items
    found = await listing.call(call.id)
    assert found is not None
    assert [one.email for one in found.registrations] == ["bob@example.com"]


async def test_activity_goes_on_where_it_ended(database: Database, clock: MovableClock) -> None:
    """Nothing twice, nothing left out: a terminal that watches asks again and again."""
    listing = Listing(database, clock=clock)
    await ended(database, clock(), state="dead")
    clock.move(timedelta(seconds=2))
    first = await listing.activity(ActivityFilter(), limit=9)
    told = [("webhook", "mapped"), ("registration", "registered"), ("registration", "dead")]
    assert [(line.kind, line.what) for line in first.items] == told
    assert not (await listing.activity(ActivityFilter(), limit=9, cursor=first.next_cursor)).items
    await ended(database, clock(), state="dead", email="bob@example.com")
    clock.move(timedelta(seconds=2))
    then = await listing.activity(ActivityFilter(), limit=9, cursor=first.next_cursor)
    assert [line.email for line in then.items if line.kind == "registration"] == ["bob@example.com"] * 2
    assert len(then.items) == 3


async def test_what_is_too_young_comes_with_the_next_page(database: Database, clock: MovableClock) -> None:
    """And does not make the list begin anew: PostgreSQL's transactions end in another order than they began."""
    listing = Listing(database, clock=clock)
    await ended(database, clock(), state="dead")
    clock.move(timedelta(seconds=2))
    await ended(database, clock(), state="dead", email="bob@example.com")
    first = await listing.activity(ActivityFilter(), limit=9)
    assert {line.email for line in first.items if line.email} == {"ada@example.com"}
    assert not (await listing.activity(ActivityFilter(), limit=9, cursor=first.next_cursor)).items
    clock.move(timedelta(seconds=2))
    then = await listing.activity(ActivityFilter(), limit=9, cursor=first.next_cursor)
    assert {line.email for line in then.items if line.email} == {"bob@example.com"}


async def test_one_persons_activity_has_no_webhooks(database: Database, clock: MovableClock) -> None:
    listing = Listing(database, clock=clock)
    await ended(database, clock(), state="dead")
    await ended(database, clock(), state="dead", email="bob@example.com")
    clock.move(timedelta(seconds=2))
    found = await listing.activity(ActivityFilter(email="Bob@Example.com"), limit=9)
    assert {(line.kind, line.email) for line in found.items} == {("registration", "bob@example.com")}
    assert not (await listing.activity(ActivityFilter(source="pendo"), limit=9)).items


async def came(database: Database, clock: MovableClock, source: str, email: str = "ada@example.com") -> None:
    """Register somebody: one entry in one timeline."""
    await record(database, clock(), draft(clock(), email, source=source))
    clock.move(timedelta(milliseconds=1))


async def test_a_quiet_sources_activity_goes_on_behind_what_others_did(database: Database, clock: MovableClock) -> None:
    """Else each look would begin where the source was last heard of, and read all that others did since."""
    listing, pendo = Listing(database, clock=clock), ActivityFilter(source="pendo")
    await came(database, clock, "pendo")
    await came(database, clock, "custom")
    clock.move(timedelta(seconds=2))
    first = await listing.activity(pendo, limit=9)
    assert [line.source for line in first.items if line.kind == "registration"] == ["pendo"]
    everything = await listing.activity(ActivityFilter(), limit=9)
    assert first.next_cursor.partition(".")[0] == everything.next_cursor.partition(".")[0]
    await came(database, clock, "custom", "bob@example.com")
    await came(database, clock, "pendo", "cy@example.com")
    await came(database, clock, "custom", "dan@example.com")
    clock.move(timedelta(seconds=2))
    then = await listing.activity(pendo, limit=9, cursor=first.next_cursor)
    assert [line.email for line in then.items if line.kind == "registration"] == ["cy@example.com"]
    everything = await listing.activity(ActivityFilter(), limit=9)
    assert then.next_cursor.partition(".")[0] == everything.next_cursor.partition(".")[0]


async def test_what_a_source_did_long_ago_is_still_its_latest(database: Database, clock: MovableClock) -> None:
    """All timelines are not read for it: it is found at the source's newest registrations."""
    for n in range(3):
        await came(database, clock, "pendo", f"{n}@example.com")
    for n in range(4):
        await came(database, clock, "custom", f"{n}@example.com")
    clock.move(timedelta(seconds=2))
    listing = Listing(database, clock=clock, looked_through=2)
    found = await listing.activity(ActivityFilter(source="pendo"), limit=2)
    assert [line.email for line in found.items if line.email] == ["1@example.com", "2@example.com"]
    found = await listing.activity(ActivityFilter(source="custom"), limit=3)
    assert [line.email for line in found.items if line.email] == [f"{n}@example.com" for n in (1, 2, 3)]


@pytest.mark.parametrize("cursor", ["nonsense", "1", "1.reg_1", "-1.", "", "1.evt_\x00", "9" * 30 + "."])
async def test_cursors_of_other_making_are_refused(database: Database, clock: MovableClock, cursor: str) -> None:
    listing = Listing(database, clock=clock)
    with pytest.raises(ValueError, match="none that this list gave"):
        await listing.activity(ActivityFilter(), limit=9, cursor=cursor)
    with pytest.raises(ValueError, match="none that this list gave"):
        await listing.events(EventFilter(), limit=9, cursor=cursor)
    with pytest.raises(ValueError, match="none that this list gave"):
        await listing.calls(CallFilter(), limit=9, cursor=cursor)
