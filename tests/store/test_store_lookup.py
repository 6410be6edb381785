"""Looking up: every registration is found, by whoever asks, once."""

from datetime import timedelta

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from app.domain import CampaignId, EventState, RegistrationState
from app.store.database import Database
from app.store.drafts import Draft
from app.store.lookup import Lookup
from app.store.retention import Retention
from app.store.search import Search
from app.store.sending import Sending
from app.store.views import RegistrationFilter, Wanted
from tests.conftest import MovableClock
from tests.store.given import DONE, accept, batch, draft, ended, fate, found, new_event, people, record, sending


async def all_ids(database: Database, which: RegistrationFilter, limit: int) -> list[str]:
    """Turn the pages to the end."""
    ids: list[str] = []
    cursor = None
    while True:
        page = await Lookup(database).registrations(which, limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        ids += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return ids


async def some(database: Database, clock: MovableClock, number: int) -> list[Draft]:
    drafts = []
    for n in range(number):
        drafts.append(draft(clock(), f"p{n}@example.com", f"w-{n % 2}", source=("custom", "pendo")[n % 3 == 0]))
        clock.move(timedelta(milliseconds=n % 2))  # two of each moment
    await record(database, clock(), *drafts)
    return drafts


@pytest.mark.parametrize("limit", [1, 2, 6, 7, 8, 100])
async def test_pages_have_no_gaps_and_no_repeats(database: Database, clock: MovableClock, limit: int) -> None:
    """Whatever their size, also when the last one is full."""
    drafts = await some(database, clock, 7)
    ids = await all_ids(database, RegistrationFilter(), limit)
    assert ids == sorted((made.id for made in drafts), reverse=True)


async def test_new_ones_do_not_shift_the_pages(database: Database, clock: MovableClock) -> None:
    """They come before the first page, which has been read."""
    drafts = await some(database, clock, 4)
    page = await Lookup(database).registrations(RegistrationFilter(), limit=2)
    clock.move(timedelta(seconds=1))
    await record(database, clock(), draft(clock(), "late@example.com"))
    rest = await Lookup(database).registrations(RegistrationFilter(), limit=2, cursor=page.next_cursor)
    assert {item.id for item in (*page.items, *rest.items)} == {made.id for made in drafts}


async def test_whose_address_is_blanked_is_still_found_by_it(database: Database, clock: MovableClock) -> None:
    """Somebody asks what became of them long after; others' rows stay out of it."""
    one = await ended(database, clock(), state="sent")
    other = await ended(database, clock(), state="ignored", email="bob@example.com")
    clock.move(timedelta(days=31))
    while await Retention(database, keep=timedelta(days=30)).step(clock()):
        pass
    assert await all_ids(database, RegistrationFilter(email="Ada@Example.com"), 5) == [one]
    page = await Search(database).registrations(Wanted(text=" ADA@example.com"), limit=5)
    assert [item.id for item in page.items] == [one]
    by_time = Wanted(text="bob@example.com", states=frozenset({RegistrationState.IGNORED}))
    assert [item.id for item in (await Search(database).registrations(by_time, limit=5)).items] == [other]
    assert (await Search(database).registrations(Wanted(text="ada@"), limit=5)).items == []


@pytest.mark.parametrize(
    "cursor", ["", "1", "reg_", "evt_0123", "reg_01' OR 1=1", "reg_\x00", "reg_\ud800", "reg_1\n", "reg_" + "0" * 99]
)
async def test_a_made_up_cursor_is_refused(database: Database, cursor: str) -> None:
    """It is answered as the caller's mistake, and never reaches the database."""
    with pytest.raises(ValueError, match="not one that this list gave"):
        await Lookup(database).registrations(RegistrationFilter(), limit=2, cursor=cursor)


async def test_an_address_is_found_in_any_case(database: Database, clock: MovableClock) -> None:
    """People write their address as they like."""
    made = draft(clock(), "Ada@Example.com")
    await record(database, clock(), made, draft(clock(), "bob@example.com"))
    for asked in ("ada@example.com", "ADA@EXAMPLE.COM"):
        assert await all_ids(database, RegistrationFilter(email=asked), 10) == [made.id]


async def test_filters_narrow_together(database: Database, clock: MovableClock) -> None:
    """Each that is given must hold."""
    drafts = await some(database, clock, 12)
    sent = await ended(database, clock(), state="sent")
    by_source = {made.id for made in drafts if made.source == "pendo"}
    by_webinar = {made.id for made in drafts if made.webinar_id == "w-0"}
    assert set(await all_ids(database, RegistrationFilter(source="pendo"), 3)) == by_source
    assert set(await all_ids(database, RegistrationFilter(webinar_id="w-0"), 3)) == by_webinar
    assert await all_ids(database, RegistrationFilter(state=RegistrationState.SENT), 3) == [sent]
    both = RegistrationFilter(source="pendo", webinar_id="w-0", state=RegistrationState.NEW)
    assert set(await all_ids(database, both, 3)) == by_source & by_webinar


async def test_what_nobody_knows_is_none(database: Database) -> None:
    """Ids come from people, who mistype them."""
    assert await Lookup(database).registration("reg_0") is None
    assert await Lookup(database).event("evt_0") is None
    page = await Lookup(database).registrations(RegistrationFilter(email="nobody@example.com"), limit=5)
    assert (list(page.items), page.next_cursor) == ([], None)


async def test_a_registration_is_shown_with_each_call_it_was_in(database: Database, clock: MovableClock) -> None:
    """From the webhook to Marketo's request id, in the order in which it happened."""
    made = draft(clock(), lead_id=None)
    await record(database, clock(), made)
    upsert = await people(database, clock())
    assert upsert is not None
    clock.move(timedelta(seconds=1))
    await Sending(database).settle(upsert, DONE, [found(upsert.registrations[0])], fence=1, now=clock())
    trigger = await batch(database, clock())
    assert trigger is not None
    view = await Lookup(database).registration(made.id)
    assert view is not None
    assert [(call.id, call.kind) for call in view.calls] == [(upsert.id, "upsert"), (trigger.id, "trigger")]
    sent = [fate(trigger.registrations[0], RegistrationState.SENT)]
    await Sending(database).settle(trigger, DONE, sent, fence=1, now=clock())
    view = await Lookup(database).registration(made.id)
    assert view is not None
    assert [entry.call_id for entry in view.timeline] == [None, upsert.id, trigger.id]
    assert (view.lead_id, view.campaign_id, view.calls[1].outcome) == (7, CampaignId(1234), "done")


async def test_an_event_names_all_that_it_touched(database: Database, clock: MovableClock) -> None:
    """Those that it made, and those that were there before."""
    old = draft(clock())
    await record(database, clock(), old)
    new = draft(clock(), "bob@example.com")
    await record(database, clock(), draft(clock()), draft(clock()), new)
    view = await Lookup(database).registration(new.id)
    assert view is not None
    event = await Lookup(database).event(view.timeline[0].event_id or "")
    assert event is not None
    assert event.registrations == sorted([old.id, new.id])


async def test_an_event_that_waits_is_shown(database: Database, clock: MovableClock) -> None:
    """A sender asks for it seconds after the 202."""
    (event_id,) = await accept(database, new_event(clock(), due_at=clock() + timedelta(seconds=5)))
    event = await Lookup(database).event(event_id)
    assert event is not None
    assert (event.state, event.due_at, event.attempts) == (EventState.WAITING, clock() + timedelta(seconds=5), 0)
    assert (event.body, event.registrations, event.cause) == (b"{}", [], None)


async def test_registrations_are_counted_by_state(database: Database, clock: MovableClock) -> None:
    """For the console's first page."""
    assert await Lookup(database).counts() == {}
    await ended(database, clock(), state="sent")
    await sending(database, clock(), email="bob@example.com")
    await record(database, clock(), *(draft(clock(), f"{n}@example.com") for n in range(3)))
    assert await Lookup(database).counts() == {
        RegistrationState.SENT: 1,
        RegistrationState.SENDING: 1,
        RegistrationState.NEW: 3,
    }


@for_all(text=st.text(min_size=1))
def test_a_cursor_is_short_and_plain(text: str) -> None:
    """Whatever is taken as one holds nothing that a database could stumble over."""
    from app.store.lookup import _CURSOR  # noqa: PLC0415

    if _CURSOR.fullmatch("reg_" + text):
        assert len(text) <= 36
        assert text.isascii()
        assert text.isalnum()
