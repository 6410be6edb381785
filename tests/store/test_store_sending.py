"""The queue of registrations: claimed oldest first and by one call, settled with their fates, buried when too late."""

import asyncio
from datetime import timedelta

import pytest

from app.domain import CallId, Cause, LeadId, RegistrationState
from app.store.ahead import Ahead, count_open, look_ahead
from app.store.calls import CallLog
from app.store.claims import Call, CallResult, Claimed
from app.store.database import Database
from app.store.drafts import Draft
from app.store.fates import Fate
from app.store.heads import SPARE, Backlog, People
from app.store.people import APART, RUNS_ON
from app.store.sending import Sending
from tests.conftest import MovableClock
from tests.store.given import (
    CAMPAIGN,
    DONE,
    FENCE,
    REFUSED,
    batch,
    draft,
    fate,
    found,
    history,
    people,
    record,
    seen,
    split,
    tried_in_vain,
)
from tests.store.given import sending as under_way

NEW, KNOWN, SENT, DEAD = (
    RegistrationState.NEW,
    RegistrationState.KNOWN,
    RegistrationState.SENT,
    RegistrationState.DEAD,
)


def keys(call: Call | None) -> list[str]:
    return [] if call is None else [registration.person_key for registration in call.registrations]


async def settle(
    database: Database, clock: MovableClock, call: Call, *fates: Fate, result: CallResult = DONE, fence: int = FENCE
) -> list[Fate]:
    return await Sending(database).settle(call, result, fates, fence=fence, now=clock())


async def claimed(database: Database, clock: MovableClock) -> tuple[Call, Claimed]:
    """Make one new registration and take it into a call."""
    await record(database, clock(), draft(clock()))
    call = await people(database, clock())
    assert call is not None
    return call, call.registrations[0]


async def test_what_waits_is_counted_by_kind(database: Database, clock: MovableClock) -> None:
    """The planner fills calls by these counts."""
    began, later = clock(), clock() + timedelta(hours=1)
    await record(
        database,
        clock(),
        draft(clock(), "a@example.com"),
        draft(clock(), "b@example.com"),
        draft(clock(), "c@example.com", lookup=True),
        draft(clock(), "d@example.com", due_at=later),
    )
    await record(database, clock(), *(_known(clock, f"k{n}@example.com") for n in range(3)))
    clock.move(timedelta(seconds=1))
    await record(database, clock(), _known(clock, "k@example.com", "w-2"))
    waiting = await Sending(database).waiting(clock())
    assert list(waiting.people) == [People("custom", False, 2, began), People("custom", True, 1, began)]
    assert (waiting.upserts, waiting.lookups, waiting.next_due) == (2, 1, later)
    assert sorted(waiting.batches, key=lambda one: one.oldest) == [
        Backlog("key of w-1", CAMPAIGN, 3, began, "custom"),
        Backlog("key of w-2", CAMPAIGN, 1, clock(), "custom"),
    ]


def _known(clock: MovableClock, email: str, webinar: str = "w-1", lead_id: int = 7) -> Draft:
    return draft(clock(), email, webinar, state=KNOWN, lead_id=lead_id)


async def test_nothing_waits_in_an_empty_store(database: Database, clock: MovableClock) -> None:
    """The first look of every start."""
    waiting = await Sending(database).waiting(clock())
    assert (waiting.upserts, waiting.lookups, waiting.people, waiting.next_due) == (0, 0, [], None)
    assert list(waiting.batches) == []
    assert await count_open(database) == (0, None)
    assert await look_ahead(database, clock(), webhooks=4) == Ahead(webhooks=4)
    assert (await people(database, clock()), await batch(database, clock())) == (None, None)
    assert await CallLog(database, clock=clock).count_since(clock()) == 0


async def test_what_is_in_a_call_does_not_wait(database: Database, clock: MovableClock) -> None:
    """It would make the planner begin a second call for it."""
    await claimed(database, clock)
    await under_way(database, clock(), email="bob@example.com")
    waiting = await Sending(database).waiting(clock())
    assert (waiting.upserts, waiting.batches, waiting.next_due) == (0, [], None)


@pytest.mark.parametrize("state", [NEW, KNOWN])
async def test_the_next_due_is_told_for_each_kind(
    database: Database, clock: MovableClock, state: RegistrationState
) -> None:
    """The sender sleeps until then, and not longer."""
    due_at = clock() + timedelta(seconds=3)
    await record(database, clock(), draft(clock(), state=state, lead_id=7, due_at=due_at))
    assert (await Sending(database).waiting(clock())).next_due == due_at
    assert (await people(database, clock()), await batch(database, clock())) == (None, None)
    clock.move(timedelta(seconds=3))
    assert (await people(database, clock()) or await batch(database, clock())) is not None


async def test_all_that_is_not_at_its_end_is_counted(database: Database, clock: MovableClock) -> None:
    """The backlog and its age are what an operator watches."""
    began = clock()
    await under_way(database, clock())
    clock.move(timedelta(minutes=1))
    await record(database, clock(), draft(clock(), "b@example.com"), _known(clock, "c@example.com"))
    await record(database, clock(), draft(clock(), "d@example.com", state=DEAD))
    assert await count_open(database) == (3, began)


async def test_the_oldest_people_are_claimed_first(database: Database, clock: MovableClock) -> None:
    """And no more than a call takes."""
    for name in "abcd":
        await record(database, clock(), draft(clock(), f"{name}@example.com"))
        clock.move(timedelta(seconds=1))
    assert keys(await people(database, clock(), limit=3)) == ["a@example.com", "b@example.com", "c@example.com"]
    assert keys(await people(database, clock(), limit=3)) == ["d@example.com"]


async def test_lookups_and_upserts_go_apart(database: Database, clock: MovableClock) -> None:
    """They are different requests to Marketo."""
    await record(database, clock(), draft(clock(), "a@example.com"), draft(clock(), "b@example.com", lookup=True))
    looked_up, upserted = await people(database, clock(), lookup=True), await people(database, clock())
    assert (keys(looked_up), keys(upserted)) == (["b@example.com"], ["a@example.com"])
    assert looked_up is not None
    assert upserted is not None
    assert (looked_up.kind, upserted.kind) == ("lookup", "upsert")


async def test_concurrent_claims_never_share_a_registration(database: Database, clock: MovableClock) -> None:
    """Five calls may be begun at one moment."""
    await record(database, clock(), *(draft(clock(), f"p{n}@example.com") for n in range(40)))
    await record(database, clock(), *(_known(clock, f"k{n}@example.com") for n in range(40)))
    claims = [people(database, clock(), limit=7) for _ in range(5)]
    claims += [batch(database, clock(), limit=7) for _ in range(5)]
    ids = [r.id for call in await asyncio.gather(*claims) if call for r in call.registrations]
    while call := await people(database, clock()) or await batch(database, clock()):
        ids += [registration.id for registration in call.registrations]
    assert (len(ids), len(set(ids))) == (80, 80)


async def test_a_batch_is_claimed_up_to_its_limit_and_marked(database: Database, clock: MovableClock) -> None:
    """What is written before the request is what a crash leaves behind."""
    for number in range(5):
        await record(database, clock(), _known(clock, f"{number}@example.com", lead_id=number + 1))
        clock.move(timedelta(seconds=1))
    await record(database, clock(), _known(clock, "other@example.com", "w-2"))
    call = await batch(database, clock(), limit=3)
    assert call is not None
    assert [(registration.lead_id, registration.tokens) for registration in call.registrations] == [
        (lead_id, {"WebinarTitle": "w-1"}) for lead_id in (1, 2, 3)
    ]
    view = await seen(database, call.registrations[0].id)
    assert view.state is RegistrationState.SENDING
    (made,) = view.calls
    assert (made.id, made.kind, made.campaign_id, made.size) == (call.id, "trigger", CAMPAIGN, 3)
    assert (made.started_at, made.finished_at, made.outcome) == (clock(), None, None)
    assert len(keys(await batch(database, clock()))) == 2


async def test_a_call_and_its_fates_are_written_together(database: Database, clock: MovableClock) -> None:
    """The timeline of a sent registration leads to Marketo's request id."""
    call = await under_way(database, clock())
    clock.move(timedelta(seconds=1))
    sent = fate(call.registrations[0], SENT, what="sent", detail="Marketo took it.", counts=True)
    assert await settle(database, clock, call, sent) == [sent]
    view = await seen(database, sent.registration.id)
    assert (view.state, view.sent_at, view.lead_id) == (SENT, clock(), 7)
    (made,) = view.calls
    assert (made.finished_at, made.outcome, made.request_id) == (clock(), "done", "r#1")
    assert [(entry.what, entry.call_id) for entry in view.timeline] == [("registered", None), ("sent", call.id)]


async def test_a_refusal_is_told_in_marketos_words(database: Database, clock: MovableClock) -> None:
    """Codes and ids are Marketo's: however long they are, they must not stop the settling."""
    call, registration = await claimed(database, clock)
    result = CallResult("refused", code="6" * 20, message="m" * 2000, request_id="r" * 100)
    dead = fate(registration, DEAD, cause=Cause.PERSON_REFUSED)
    await settle(database, clock, call, dead, result=result)
    (made,) = (await seen(database, registration.id)).calls
    assert (made.outcome, made.code, made.message, made.request_id) == (
        "refused",
        result.code,
        result.message,
        result.request_id,
    )


async def test_a_found_person_makes_the_campaign_next(database: Database, clock: MovableClock) -> None:
    """The lead id is kept, and the batch takes it."""
    call, registration = await claimed(database, clock)
    await settle(database, clock, call, found(registration, 42))
    next_call = await batch(database, clock())
    assert next_call is not None
    assert [r.lead_id for r in next_call.registrations] == [LeadId(42)]


async def test_a_put_back_registration_waits_for_its_time(database: Database, clock: MovableClock) -> None:
    """It keeps its reason, counts the attempt when it was one, and goes to the kind of call that it needs."""
    call, registration = await claimed(database, clock)
    again = clock() + timedelta(minutes=1)
    await settle(database, clock, call, fate(registration, NEW, due_at=again, lookup=True, relooked=True, counts=True))
    assert (await seen(database, registration.id)).detail == "It became new."
    assert await people(database, clock(), lookup=True) is None
    clock.move(timedelta(minutes=1))
    assert await people(database, clock()) is None
    back = await people(database, clock(), lookup=True)
    assert back is not None
    assert (back.registrations[0].attempts, back.registrations[0].relooked) == (1, True)
    await settle(database, clock, back, found(back.registrations[0]))
    known = await batch(database, clock())
    assert known is not None
    assert known.registrations[0].relooked


async def test_only_the_holder_settles(database: Database, clock: MovableClock) -> None:
    """A frozen leader wakes with an answer for what another has taken over."""
    call = await under_way(database, clock())
    sent = fate(call.registrations[0], SENT)
    assert await settle(database, clock, call, sent, fence=FENCE + 1) == []
    view = await seen(database, sent.registration.id)
    assert (view.state, view.sent_at) == (RegistrationState.SENDING, None)
    assert await history(database, view.id) == ["registered"]


async def test_a_call_is_settled_once(database: Database, clock: MovableClock) -> None:
    """A repeated settling finds nothing in its hands."""
    call = await under_way(database, clock())
    registration = call.registrations[0]
    await settle(database, clock, call, fate(registration, SENT))
    assert await settle(database, clock, call, fate(registration, DEAD)) == []
    assert (await seen(database, registration.id)).state is SENT


async def test_a_fate_that_is_left_out_leaves_its_registration_in_the_call(
    database: Database, clock: MovableClock
) -> None:
    """A refused call is written down before it is split; its registrations stay in our hands."""
    call, registration = await claimed(database, clock)
    assert await settle(database, clock, call, result=REFUSED) == []
    assert await people(database, clock()) is None
    assert (await seen(database, registration.id)).calls[0].outcome == "refused"


async def test_halves_are_calls_of_their_own(database: Database, clock: MovableClock) -> None:
    """The timeline tells which request the record was refused with at last."""
    await record(database, clock(), draft(clock(), "a@example.com"), draft(clock(), "b@example.com"))
    whole = await people(database, clock())
    assert whole is not None
    await settle(database, clock, whole, result=REFUSED)
    halves = [await split(database, whole, [one], now=clock()) for one in whole.registrations]
    assert {half.id for half in halves}.isdisjoint({whole.id})
    good, bad = halves
    await settle(database, clock, good, found(good.registrations[0]))
    await settle(database, clock, bad, fate(bad.registrations[0], DEAD, cause=Cause.PERSON_REFUSED), result=REFUSED)
    states = [(await seen(database, half.registrations[0].id)).state for half in halves]
    assert states == [KNOWN, DEAD]
    assert await CallLog(database, clock=clock).count_since(clock()) == 3


async def test_a_half_is_written_down_once_however_often_it_is_tried(database: Database, clock: MovableClock) -> None:
    """The store's answer to the first time was lost; what somebody else has by then is left to them."""
    await record(database, clock(), draft(clock(), "a@example.com"), draft(clock(), "b@example.com"))
    whole = await people(database, clock())
    assert whole is not None
    again, sending = CallId("call_again"), Sending(database)
    for _ in range(2):
        half = await sending.split(whole, whole.registrations, again=again, fence=FENCE, now=clock())
        assert half is not None
        assert (half.id, len(half.registrations)) == (again, 2)
    assert await CallLog(database, clock=clock).count_since(clock()) == 2
    assert await sending.split(whole, whole.registrations, again=CallId("other"), fence=FENCE, now=clock()) is None


async def test_the_whole_cannot_settle_what_went_into_a_half(database: Database, clock: MovableClock) -> None:
    """Each registration is in the hands of the newest call that was written down with it."""
    whole, registration = await claimed(database, clock)
    half = await split(database, whole, [registration], now=clock())
    assert await settle(database, clock, whole, fate(registration, DEAD)) == []
    assert len(await settle(database, clock, half, found(registration))) == 1


async def test_a_found_person_is_shared_with_later_registrations(database: Database, clock: MovableClock) -> None:
    """They came while the call was made, and need none of their own; those of others do."""
    call, registration = await claimed(database, clock)
    same, other = draft(clock(), webinar="w-2"), draft(clock(), "bob@example.com", "w-2")
    await record(database, clock(), same, other)
    await settle(database, clock, call, found(registration, 42))
    view = await seen(database, same.id)
    assert (view.state, view.lead_id, view.tokens) == (KNOWN, 42, {"WebinarTitle": "w-2"})
    assert [(entry.what, entry.call_id) for entry in view.timeline][-1] == ("to known", call.id)
    assert (await seen(database, other.id)).state is NEW


async def test_a_person_who_was_not_found_is_shared_with_nobody(database: Database, clock: MovableClock) -> None:
    """Each registration ends by its own call."""
    call, registration = await claimed(database, clock)
    same = draft(clock(), webinar="w-2")
    await record(database, clock(), same)
    await settle(database, clock, call, fate(registration, DEAD, cause=Cause.UNKNOWN_PERSON))
    assert (await seen(database, same.id)).state is NEW


async def test_a_lead_that_was_gone_once_is_not_shared_back(database: Database, clock: MovableClock) -> None:
    """Marketo no longer knew it a moment ago; the second look must be a real one."""
    gone = await under_way(database, clock(), webinar="w-2")
    await settle(database, clock, gone, fate(gone.registrations[0], NEW, relooked=True))
    await record(database, clock(), draft(clock()))
    call = await people(database, clock(), limit=1)
    assert call is not None
    (first,) = call.registrations
    await settle(database, clock, call, found(first))
    others = {gone.registrations[0].id} - {first.id}
    assert [(await seen(database, i)).state for i in others] == [NEW] * len(others)


async def test_what_is_too_late_is_buried(database: Database, clock: MovableClock) -> None:
    """A reminder after the webinar helps nobody; the timeline says what held it up."""
    until = clock() + timedelta(hours=1)
    new = draft(clock(), "a@example.com", expires_at=until)
    known = draft(clock(), "b@example.com", state=KNOWN, lead_id=7, expires_at=until, detail="Marketo 606: waiting.")
    kept = draft(clock(), "c@example.com", expires_at=until + timedelta(seconds=1))
    await record(database, clock(), new, known, kept)
    assert await Sending(database).expire(clock()) == []
    clock.move(timedelta(hours=1))
    assert set(await Sending(database).expire(clock())) == {("custom", new.id), ("custom", known.id)}
    view = await seen(database, known.id)
    assert (view.state, view.cause, view.updated_at) == (DEAD, "expired", clock())
    assert view.timeline[-1].detail == "Not sent in time. Last: Marketo 606: waiting."
    assert (await seen(database, new.id)).timeline[-1].detail == "Not sent in time. Last: it waited."
    assert (await seen(database, kept.id)).state is NEW
    assert await Sending(database).expire(clock()) == []


async def test_what_is_in_a_call_is_not_buried(database: Database, clock: MovableClock) -> None:
    """Its answer decides."""
    await claimed(database, clock)
    call = await under_way(database, clock(), email="bob@example.com")
    clock.move(timedelta(days=9))
    assert await Sending(database).expire(clock()) == []
    assert len(await settle(database, clock, call, fate(call.registrations[0], SENT))) == 1


async def test_what_another_call_holds_is_not_shared_into(database: Database, clock: MovableClock) -> None:
    """Its own answer settles it."""
    call, registration = await claimed(database, clock)
    await record(database, clock(), draft(clock(), webinar="w-2", lookup=True))
    other = await people(database, clock(), lookup=True)
    assert other is not None
    await settle(database, clock, call, found(registration, 42))
    assert (await seen(database, other.registrations[0].id)).state is NEW
    assert len(await settle(database, clock, other, found(other.registrations[0], 43))) == 1


async def test_who_is_held_is_told_with_until_when(database: Database, clock: MovableClock) -> None:
    """After a lost upsert its people are left alone for a while, and a lost request is looked for later."""
    call, one = await claimed(database, clock)
    await settle(database, clock, call, Fate(one, NEW, "waiting", "No answer."), result=CallResult("lost"))
    told = await look_ahead(database, clock())
    assert (told.registrations, told.upserts) == (1, 1)
    assert told.held_until is not None
    assert timedelta(seconds=90) < told.held_until - clock() < timedelta(seconds=120)


async def test_a_webhook_that_is_tried_again_holds_the_end_up(database: Database, clock: MovableClock) -> None:
    """Reckoned from now on, the end would slide on with each look."""
    again_at = clock() + timedelta(minutes=2)
    await tried_in_vain(database, clock(), again_at=again_at)
    assert (await look_ahead(database, clock(), webhooks=1)).held_until == again_at
    clock.move(timedelta(minutes=2))
    assert (await look_ahead(database, clock(), webhooks=1)).held_until is None


async def test_whose_upsert_was_lost_is_not_due_while_it_may_run_on(database: Database, clock: MovableClock) -> None:
    """Counted among those who wait for a call, they would give the others' calls the pace of a crowd."""
    call, one = await claimed(database, clock)
    is_over_at = clock() + RUNS_ON + APART
    lost = Fate(one, NEW, "waiting", "No answer.", due_at=clock() + timedelta(seconds=2))
    await settle(database, clock, call, lost, result=CallResult("lost"))
    clock.move(timedelta(seconds=2))
    waiting = await Sending(database).waiting(clock())
    assert (waiting.people, waiting.next_due) == ([], is_over_at)
    told = await look_ahead(database, clock())
    assert (told.upserts, told.held_until) == (1, is_over_at)
    clock.now = is_over_at
    assert (await Sending(database).waiting(clock())).upserts == 1
    assert await people(database, clock()) is not None


async def test_whose_back_off_is_longer_than_an_upsert_may_run_on_waits_it_out(
    database: Database, clock: MovableClock
) -> None:
    """Whichever ends later holds."""
    call, one = await claimed(database, clock)
    again_at = clock() + timedelta(minutes=15)
    lost = Fate(one, NEW, "waiting", "No answer.", due_at=again_at)
    await settle(database, clock, call, lost, result=CallResult("lost"))
    assert (await Sending(database).waiting(clock())).next_due == again_at


async def test_however_many_are_held_whoever_stands_behind_them_goes(database: Database, clock: MovableClock) -> None:
    """One network that is cut under a crowd may leave 1,500 people with lost upserts, who register again meanwhile."""
    call, one = await claimed(database, clock)
    await settle(database, clock, call, Fate(one, NEW, "waiting", "No answer."), result=CallResult("lost"))
    await record(database, clock(), *(draft(clock(), webinar=f"w-{number}") for number in range(2, SPARE + 400)))
    clock.move(timedelta(seconds=1))
    await record(database, clock(), draft(clock(), "lone@example.com"))
    found = await people(database, clock())
    assert found is not None
    assert [one.email for one in found.registrations] == ["lone@example.com"]


async def test_a_claim_of_nobody_tells_when_to_ask_again(database: Database, clock: MovableClock) -> None:
    """When the first of those who are held may be upserted; without anybody who is held, at once."""
    assert await Sending(database).may_go_at(clock(), clock(), limit=300) is None
    call, one = await claimed(database, clock)
    await settle(database, clock, call, Fate(one, NEW, "waiting", "No answer."), result=CallResult("lost"))
    await record(database, clock(), draft(clock(), webinar="w-2"))
    assert await people(database, clock()) is None
    at = await Sending(database).may_go_at(clock(), clock(), limit=300)
    assert at == clock() + RUNS_ON + APART
    assert await people(database, at - timedelta(seconds=1)) is None
    assert await people(database, at) is not None
