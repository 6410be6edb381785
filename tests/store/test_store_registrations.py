"""Recording: one registration a person and webinar, whatever comes later and in whatever order."""

from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest

from app.domain import Cancelled, Cause, EventState, RegistrationState
from app.store.database import Database
from app.store.events import EventFate, EventQueue
from app.store.lookup import Lookup
from app.store.people import IN_FLIGHT
from app.store.registrations import Change, Meaning, Registrations
from app.store.sending import Sending
from app.store.takeover import take_over
from app.store.views import RegistrationFilter
from tests.conftest import MovableClock
from tests.store.given import (
    DONE,
    FENCE,
    REFUSED,
    batch,
    claimed_event,
    draft,
    ended,
    fate,
    found,
    history,
    mapped,
    people,
    record,
    seen,
    sending,
)

NEW, KNOWN, DEAD = RegistrationState.NEW, RegistrationState.KNOWN, RegistrationState.DEAD
ADA = "ada@example.com"


def gone(subject: str | None = None, cause: Cause = Cause.REFUNDED) -> Cancelled:
    return Cancelled(ADA, "w-1", subject, cause)


async def test_a_webhook_makes_a_registration(database: Database, clock: MovableClock) -> None:
    """All that the sender said is kept, and the timeline says which webhook it came from."""
    wanted = draft(
        clock(), "Ada@Example.com", tokens={"WebinarTitle": "50 % für alle 🎉", "JoinLink": "https://x/?a=1"}
    )
    event = await claimed_event(database, clock())
    changes = await Registrations(database).record([Meaning(mapped(event), [wanted])], fence=FENCE, now=clock())
    assert changes == [Change(wanted.id, "custom", NEW, "registered", event.id)]
    view = await seen(database, wanted.id)
    assert (view.email, view.state, view.tokens, view.due_at) == ("Ada@Example.com", NEW, wanted.tokens, clock())
    assert (view.created_at, view.updated_at, view.sent_at, view.calls) == (clock(), clock(), None, [])
    assert [(entry.at, entry.what, entry.event_id) for entry in view.timeline] == [(clock(), "registered", event.id)]
    told = await Lookup(database).event(event.id)
    assert told is not None
    assert (told.state, told.registrations) == (EventState.MAPPED, [wanted.id])


async def test_an_unusable_webhook_is_kept_with_its_reason(database: Database, clock: MovableClock) -> None:
    """'Why did Ada get no e-mail?' has an answer, which whoever watches for dead ones sees as well."""
    wanted = draft(clock(), state=DEAD, cause=Cause.JOIN_LINK_MISSING, detail="The webinar has no join link.")
    await record(database, clock(), wanted)
    view = await seen(database, wanted.id)
    assert (view.state, view.cause, view.detail) == (DEAD, "join_link_missing", "The webinar has no join link.")
    told = [(entry.what, entry.detail) for entry in view.timeline]
    assert told == [("registered", "A webhook registered this person."), ("dead", "The webinar has no join link.")]


@pytest.mark.parametrize("state", [NEW, KNOWN])
async def test_a_later_webhook_changes_what_was_not_sent(
    database: Database, clock: MovableClock, state: RegistrationState
) -> None:
    """A corrected title goes out in place of the wrong one; what was found out about the person stays."""
    first = draft(clock(), state=state, lead_id=7 if state is KNOWN else None)
    await record(database, clock(), first)
    clock.move(timedelta(seconds=1))
    later = draft(clock(), first_name="Augusta", tokens={"WebinarTitle": "New"}, batch_key="new", lookup=True)
    assert [(change.registration_id, change.what) for change in await record(database, clock(), later)] == [
        (first.id, "updated")
    ]
    view = await seen(database, first.id)
    assert (view.state, view.lead_id, view.due_at) == (state, first.lead_id, first.due_at)
    assert (view.first_name, view.tokens, view.updated_at) == ("Augusta", {"WebinarTitle": "New"}, clock())
    assert (view.created_at, await seen_or_none(database, later.id)) == (first.due_at, None)
    assert await history(database, first.id) == ["registered", "updated"]


async def seen_or_none(database: Database, registration_id: str) -> object:
    return await Lookup(database).registration(registration_id)


async def test_a_repeat_that_brings_nothing_is_noted_only(database: Database, clock: MovableClock) -> None:
    """It is told in the timeline, and the row is as old as it was."""
    first = draft(clock())
    await record(database, clock(), first)
    clock.move(timedelta(seconds=1))
    (change,) = await record(database, clock(), first)
    assert change.what == "repeated"
    assert (await seen(database, first.id)).updated_at == first.due_at


async def test_a_later_unusable_webhook_leaves_a_good_one(database: Database, clock: MovableClock) -> None:
    """Another of Eventbrite's five deliveries lacked the link; the first had it, so the reminder goes out."""
    first = draft(clock())
    await record(database, clock(), first)
    bad = draft(clock(), state=DEAD, cause=Cause.JOIN_LINK_MISSING, detail="The webinar has no join link.", tokens={})
    (change,) = await record(database, clock(), bad)
    assert (change.what, change.state) == ("repeated", NEW)
    view = await seen(database, first.id)
    assert (view.state, view.cause, view.tokens) == (NEW, None, first.tokens)
    assert view.timeline[-1].detail == "A later webhook could not be used: The webinar has no join link."


@pytest.mark.parametrize("end", ["dead", "ignored", "cancelled"])
async def test_a_later_webhook_reopens_what_was_never_sent(
    database: Database, clock: MovableClock, end: Literal["dead", "ignored", "cancelled"]
) -> None:
    """Who cancelled and registers again wants the reminder; a mended payload mends the registration."""
    ended_id = await ended(database, clock(), state=end)
    clock.move(timedelta(seconds=1))
    (change,) = await record(database, clock(), draft(clock()))
    assert (change.registration_id, change.what, change.state) == (ended_id, "reopened", NEW)
    view = await seen(database, ended_id)
    assert (view.state, view.cause, view.detail, view.due_at) == (NEW, None, None, clock())
    assert view.timeline[-1].detail == f"A later webhook replaced the state {end}."
    assert await people(database, clock()) is not None


@pytest.mark.parametrize("end", ["sent", "answer lost"])
@pytest.mark.parametrize("state", [NEW, KNOWN, DEAD])
async def test_nobody_is_reminded_twice(
    database: Database, clock: MovableClock, end: Literal["sent", "answer lost"], state: RegistrationState
) -> None:
    """After a lost answer the e-mail may have gone out: only a person may decide to send it again."""
    ended_id = await ended(database, clock(), state=end)
    before = await seen(database, ended_id)
    clock.move(timedelta(days=1))
    (change,) = await record(database, clock(), draft(clock(), state=state, tokens={"WebinarTitle": "New"}))
    after = await seen(database, ended_id)
    assert (change.what, change.state) == ("repeated", before.state)
    assert replace(after, timeline=before.timeline) == before
    assert (await people(database, clock()), await batch(database, clock())) == (None, None)


async def test_what_is_being_sent_is_not_changed(database: Database, clock: MovableClock) -> None:
    """The campaign request is on its way with the tokens that it has."""
    call = await sending(database, clock())
    (registration,) = call.registrations
    (change,) = await record(database, clock(), draft(clock(), tokens={"WebinarTitle": "New"}))
    assert (change.what, change.state) == ("repeated", RegistrationState.SENDING)
    (settled,) = await Sending(database).settle(
        call, DONE, [fate(registration, RegistrationState.SENT)], fence=FENCE, now=clock()
    )
    assert settled.registration.tokens == {"WebinarTitle": "w-1"}


async def test_a_change_while_the_person_is_looked_up_is_kept(database: Database, clock: MovableClock) -> None:
    """The call's outcome is about the person, the webhook's about the webinar; both take effect."""
    first = draft(clock())
    await record(database, clock(), first)
    call = await people(database, clock())
    assert call is not None
    await record(database, clock(), draft(clock(), tokens={"WebinarTitle": "New"}, batch_key="new"))
    await Sending(database).settle(call, DONE, [found(call.registrations[0])], fence=FENCE, now=clock())
    view = await seen(database, first.id)
    assert (view.state, view.lead_id, view.tokens) == (KNOWN, 7, {"WebinarTitle": "New"})


@pytest.mark.parametrize("state", [NEW, KNOWN])
async def test_a_refund_cancels_what_was_not_sent(
    database: Database, clock: MovableClock, state: RegistrationState
) -> None:
    """Nobody is reminded of a webinar that they gave back."""
    made = draft(clock(), state=state, lead_id=7)
    await record(database, clock(), made)
    (change,) = await record(database, clock(), gone=[gone()])
    assert (change.what, change.state) == ("cancelled", RegistrationState.CANCELLED)
    view = await seen(database, made.id)
    assert (view.state, view.cause) == (RegistrationState.CANCELLED, "refunded")
    assert (await people(database, clock()), await batch(database, clock())) == (None, None)
    assert await history(database, made.id) == ["registered", "cancelled"]


async def test_a_refund_while_the_person_is_looked_up_cancels_too(database: Database, clock: MovableClock) -> None:
    """The call goes on for its other people; its outcome must not bring this one back."""
    made = draft(clock())
    await record(database, clock(), made)
    call = await people(database, clock())
    assert call is not None
    await record(database, clock(), gone=[gone()])
    assert await Sending(database).settle(call, DONE, [found(call.registrations[0])], fence=FENCE, now=clock()) == []
    assert (await seen(database, made.id)).state is RegistrationState.CANCELLED


async def test_a_call_settles_only_what_is_in_its_own_hands(database: Database, clock: MovableClock) -> None:
    """Cancelled and registered again while the first call still ran: only the second call may settle it."""
    await record(database, clock(), draft(clock()))
    first = await people(database, clock())
    await record(database, clock(), gone=[gone()])
    await record(database, clock(), draft(clock()))
    assert await people(database, clock()) is None  # whose first upsert may still run
    clock.move(IN_FLIGHT)
    second = await people(database, clock())
    assert first is not None
    assert second is not None
    late = [fate(first.registrations[0], DEAD, cause=Cause.PERSON_REFUSED)]
    assert await Sending(database).settle(first, REFUSED, late, fence=FENCE, now=clock()) == []
    now_found = [found(second.registrations[0])]
    assert await Sending(database).settle(second, DONE, now_found, fence=FENCE, now=clock()) == now_found


async def test_another_order_of_the_same_person_keeps_the_registration(database: Database, clock: MovableClock) -> None:
    """Two tickets, one given back: the person still comes."""
    made = draft(clock(), subject="order-2")
    await record(database, clock(), made)
    (change,) = await record(database, clock(), gone=[gone("order-1")])
    assert (change.what, change.state) == ("kept", NEW)
    (change,) = await record(database, clock(), gone=[gone("order-2")])
    assert change.what == "cancelled"


async def test_a_refund_that_names_no_order_cancels(database: Database, clock: MovableClock) -> None:
    """Not every sender has orders."""
    await record(database, clock(), draft(clock(), subject="order-2"))
    (change,) = await record(database, clock(), gone=[gone(None)])
    assert change.what == "cancelled"


@pytest.mark.parametrize("end", ["sent", "answer lost"])
async def test_a_refund_after_the_reminder_is_noted(
    database: Database, clock: MovableClock, end: Literal["sent", "answer lost"]
) -> None:
    """What was sent stays sent; the timeline tells the rest."""
    ended_id = await ended(database, clock(), state=end)
    before = await seen(database, ended_id)
    (change,) = await record(database, clock(), gone=[gone()])
    assert (change.what, change.state) == ("cancelled late", before.state)
    assert (await seen(database, ended_id)).state is before.state


async def test_a_second_refund_brings_nothing_new(database: Database, clock: MovableClock) -> None:
    """Refunds are repeated like everything else."""
    made = draft(clock())
    await record(database, clock(), made)
    await record(database, clock(), gone=[gone()])
    (change,) = await record(database, clock(), gone=[gone()])
    assert change.what == "repeated"


async def test_a_refund_of_nothing_is_no_error(database: Database, clock: MovableClock) -> None:
    """The order came before the relay did; its event is settled all the same."""
    assert await record(database, clock(), gone=[gone()]) == []
    assert await EventQueue(database).waiting() == (0, None)


async def test_a_refund_concerns_its_own_source_only(database: Database, clock: MovableClock) -> None:
    """Two sources may use one webinar id for different things."""
    made = draft(clock(), source="pendo")
    await record(database, clock(), made)
    assert await record(database, clock(), gone=[gone()]) == []


async def test_one_person_twice_in_one_webhook_is_one_registration(database: Database, clock: MovableClock) -> None:
    """Two tickets on one address: one reminder, with what stood last."""
    first, second = draft(clock()), draft(clock(), first_name="Augusta")
    changes = await record(database, clock(), first, second)
    assert [(change.registration_id, change.what) for change in changes] == [
        (first.id, "registered"),
        (first.id, "updated"),
    ]
    page = await Lookup(database).registrations(RegistrationFilter(), limit=10)
    assert [(item.id, item.first_name) for item in page.items] == [(first.id, "Augusta")]
    assert await history(database, first.id) == ["registered", "updated"]


async def test_events_of_one_recording_are_applied_in_their_order(database: Database, clock: MovableClock) -> None:
    """Registered, cancelled and registered again within one batch ends as registered."""
    events = [await claimed_event(database, clock()) for _ in range(3)]
    made = draft(clock())
    meanings = [
        Meaning(mapped(events[0]), [made]),
        Meaning(mapped(events[1]), [], [gone()]),
        Meaning(mapped(events[2]), [draft(clock())]),
    ]
    changes = await Registrations(database).record(meanings, fence=FENCE, now=clock())
    assert [change.what for change in changes] == ["registered", "cancelled", "reopened"]
    assert (await seen(database, made.id)).state is NEW


async def test_people_webinars_and_sources_make_registrations_different(
    database: Database, clock: MovableClock
) -> None:
    """And the parts of an identity cannot run into one another."""
    drafts = [
        draft(clock()),
        draft(clock(), "bob@example.com"),
        draft(clock(), webinar="w-2"),
        draft(clock(), source="pendo"),
        draft(clock(), source="customw-1", webinar_id=""),
    ]
    assert {change.what for change in await record(database, clock(), *drafts)} == {"registered"}


async def test_an_event_that_another_holds_means_nothing(database: Database, clock: MovableClock) -> None:
    """A leader that was replaced while it resolved must not register anybody; the new one will."""
    held, lost = await claimed_event(database, clock()), await claimed_event(database, clock(), fence=2)
    kept, dropped = draft(clock()), draft(clock(), "bob@example.com")
    meanings = [Meaning(mapped(held), [kept]), Meaning(mapped(lost), [dropped], [gone()])]
    changes = await Registrations(database).record(meanings, fence=1, now=clock())
    assert [change.registration_id for change in changes] == [kept.id]
    assert await Lookup(database).registration(dropped.id) is None
    assert (await seen(database, kept.id)).state is NEW


async def test_an_event_that_meant_nothing_is_settled_alone(database: Database, clock: MovableClock) -> None:
    """Ignored and dead events go the same way."""
    event = await claimed_event(database, clock())
    meaning = Meaning(EventFate(event, EventState.IGNORED, Cause.NOT_A_REGISTRATION, "Nobody registered."))
    assert await Registrations(database).record([meaning], fence=FENCE, now=clock()) == []
    told = await Lookup(database).event(event.id)
    assert told is not None
    assert (told.state, told.registrations) == (EventState.IGNORED, [])


async def test_many_registrations_are_recorded_at_once(database: Database, clock: MovableClock) -> None:
    """One order of thousands of tickets is more than a statement takes parameters for."""
    drafts = [draft(clock(), f"p{number}@example.com") for number in range(1200)]
    assert {change.what for change in await record(database, clock(), *drafts)} == {"registered"}
    again = [draft(clock(), f"p{number}@example.com", first_name="B") for number in range(1200)]
    assert {change.what for change in await record(database, clock(), *again)} == {"updated"}


@pytest.mark.parametrize(("taken", "end"), [(True, "sent"), (False, "cancelled")])
async def test_a_refund_during_the_campaign_request_cancels_what_was_not_taken(
    database: Database, clock: MovableClock, taken: bool, end: str
) -> None:
    """Refunds cancel what has not been sent: a refused request is not repeated, a taken one stays sent."""
    call = await sending(database, clock())
    (registration,) = call.registrations
    await record(database, clock(), gone=[gone()])
    fate_of_call = fate(registration, RegistrationState.SENT if taken else RegistrationState.KNOWN)
    await Sending(database).settle(call, DONE, [fate_of_call], fence=FENCE, now=clock())
    assert (await seen(database, registration.id)).state == end


async def test_a_refund_during_a_request_that_was_cut_off_cancels(database: Database, clock: MovableClock) -> None:
    """The relay stopped before the answer came; the next leader does not ask again for who has left."""
    call = await sending(database, clock())
    await record(database, clock(), gone=[gone()])
    await take_over(database, fence=FENCE + 1, on_ambiguous="retry", now=clock())
    view = await seen(database, call.registrations[0].id)
    assert (view.state, view.cause) == (RegistrationState.CANCELLED, "refunded")
