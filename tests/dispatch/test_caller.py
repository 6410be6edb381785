"""One call and what follows from its answer: only the record at fault is dead, everybody else is sent exactly once."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from app.dispatch.verdicts import Policy
from app.domain import LeadId, Person, Registered, RegistrationState, Webinar
from app.errors import StoreUnavailable
from app.marketo.answers import Reason
from app.marketo.codes import Endpoint, Trouble
from app.marketo.failures import failure
from app.store.claims import Call
from app.store.database import Database, open_database
from app.store.lookup import Lookup
from app.store.sending import NOT_MADE
from app.store.tables import calls
from app.store.takeover import take_over
from app.store.unsettled import Decision, Unsettled
from tests.conftest import MovableClock
from tests.dispatch.stage import CAMPAIGN, JUDGE, Stage, locked, people, registered, set_stage, until
from tests.tables import make_tables

SENT, KNOWN, NEW, DEAD = (
    RegistrationState.SENT,
    RegistrationState.KNOWN,
    RegistrationState.NEW,
    RegistrationState.DEAD,
)
LOOK_UP = replace(JUDGE, look_up_only=True)
HOLD = Policy(on_ambiguous="hold")


def lead(number: int, webinar: str = "w-1") -> Registered:
    """A registration that only needs its campaign request."""
    return Registered(Person(lead_id=LeadId(number)), Webinar(webinar, "Talk", f"https://example.com/{webinar}"))


async def test_several_people_with_one_address_the_latest_is_chosen(database: Database, clock: MovableClock) -> None:
    """1007: looked up, and the choice is told."""
    stage = await set_stage(database, clock)
    for number, day in ((1, 3), (2, 20), (3, 9)):
        stage.marketo.add("ada@example.com", number, datetime(2026, 11, day, tzinfo=UTC))
    await stage.arrive(registered("ada@example.com"))
    await stage.work()
    one = await stage.the_only_one()
    assert (one.state, one.lead_id) == (SENT, 2)
    assert [entry.what for entry in one.timeline] == ["registered", "several people", "person found", "sent"]
    assert "3 have this address" in one.timeline[2].detail


async def test_look_up_mode_never_creates_people(sqlite: Database, clock: MovableClock) -> None:
    """The unknown one ends as dead with that reason, the known one is sent."""
    stage = await set_stage(sqlite, clock, judge=LOOK_UP, policy=Policy(look_up_only=True))
    stage.marketo.add("ada@example.com", 5)
    await stage.arrive(registered("ada@example.com"), registered("grace@example.com"))
    await stage.work()
    assert {one.email: (one.state, one.cause) for one in await stage.registrations()} == {
        "ada@example.com": (SENT, None),
        "grace@example.com": (DEAD, "unknown_person"),
    }
    assert stage.marketo.asked(Endpoint.SYNC) == []


async def test_nobody_found_at_all_is_an_answer(sqlite: Database, clock: MovableClock) -> None:
    """702 is how Marketo says so."""
    stage = await set_stage(sqlite, clock, judge=LOOK_UP, policy=Policy(look_up_only=True))
    await stage.arrive(*people(3))
    await stage.work()
    assert {one.cause for one in await stage.registrations()} == {"unknown_person"}
    assert stage.marketo.sizes(Endpoint.FIND) == [3]


async def test_further_pages_of_a_look_up_are_read(sqlite: Database, clock: MovableClock) -> None:
    """The one updated last may stand on the last page; each page is a call of the window and of the day."""
    stage = await set_stage(sqlite, clock, judge=LOOK_UP, policy=Policy(look_up_only=True), calls_per_window=2)
    stage.marketo.page = 2
    for number in range(1, 6):
        stage.marketo.add("ada@example.com", number, datetime(2026, 11, number, tzinfo=UTC))
    await stage.arrive(registered("ada@example.com"))
    await stage.work()
    assert (await stage.the_only_one()).lead_id == 5
    assert stage.marketo.sizes(Endpoint.FIND) == [1, 1, 1]
    assert stage.sender.caller.day.used == 4
    assert stage.ticks() >= 1020
    await stage.lease.give_back()
    next_leader = await set_stage(sqlite, clock)
    assert next_leader.sender.caller.day.used == 4


async def test_a_further_page_that_is_refused_is_written_down_too(sqlite: Database, clock: MovableClock) -> None:
    """It may have counted at Marketo; the look-up begins anew, so that no half answer decides."""
    stage = await set_stage(sqlite, clock, judge=LOOK_UP, policy=Policy(look_up_only=True))
    stage.marketo.page = 1
    for number in (1, 2):
        stage.marketo.add("ada@example.com", number)
    stage.marketo.faults = [None, failure(Endpoint.FIND, "608", "unavailable")]
    await stage.arrive(registered("ada@example.com"))
    await stage.work()
    assert (await stage.the_only_one()).lead_id == 2
    async with sqlite.read() as connection:
        rows = await connection.execute(select(calls.c.kind, calls.c.outcome, calls.c.code).order_by(calls.c.id))
        found = Counter((row.kind, row.outcome, row.code) for row in rows)
    assert found == Counter(
        {("lookup", "refused", "608"): 2, ("lookup", "done", None): 2, ("trigger", "done", None): 1}
    )


async def test_a_look_up_that_runs_out_of_the_day_is_put_back(sqlite: Database, clock: MovableClock) -> None:
    """Half an answer could be the wrong person."""
    stage = await set_stage(sqlite, clock, judge=LOOK_UP, policy=Policy(look_up_only=True), calls_per_day=1)
    stage.marketo.page = 1
    for number in (1, 2):
        stage.marketo.add("ada@example.com", number)
    await stage.arrive(registered("ada@example.com"))
    await stage.work(at_most=timedelta(minutes=1))
    one = await stage.the_only_one()
    assert (one.state, one.lead_id) == (NEW, None)
    assert stage.marketo.sizes(Endpoint.FIND) == [1]
    assert stage.sender.caller.window.in_flight == 0


async def test_a_look_up_ends_at_thousands_of_records(sqlite: Database, clock: MovableClock) -> None:
    """Pages without end must not hold a call for ever."""
    stage = await set_stage(sqlite, clock, judge=LOOK_UP, policy=Policy(look_up_only=True))
    for number in range(1, 4000):
        stage.marketo.add("ada@example.com", number)
    await stage.arrive(registered("ada@example.com"))
    await stage.work()
    assert await stage.states() == {SENT: 1}
    assert len(stage.marketo.asked(Endpoint.FIND)) == 10


async def test_a_person_who_was_merged_is_looked_up_again(sqlite: Database, clock: MovableClock) -> None:
    """1004 once: the remembered id was old, the new one is sent."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.gone = {55}
    webinar = Webinar("w-1", "Talk", "https://example.com/w-1")
    await stage.arrive(Registered(Person("ada@example.com", LeadId(55)), webinar))
    await stage.work()
    one = await stage.the_only_one()
    assert (one.state, one.lead_id) == (SENT, 1000)
    assert [entry.what for entry in one.timeline] == ["registered", "person gone", "person found", "sent"]


async def test_a_person_who_stays_gone_is_dead(sqlite: Database, clock: MovableClock) -> None:
    """Looking up once more would bring the same, for ever."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.gone = {1000}
    await stage.arrive(registered("ada@example.com"))
    await stage.work()
    one = await stage.the_only_one()
    assert (one.state, one.cause) == (DEAD, "lead_not_found")
    assert stage.marketo.sizes(Endpoint.TRIGGER) == [1, 1]


async def test_somebody_gone_in_a_batch_harms_nobody_else(sqlite: Database, clock: MovableClock) -> None:
    """1004 refuses the whole call: it is halved until that one stands alone."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.gone = {13}
    await stage.arrive(*(lead(number) for number in range(1, 41)))
    await stage.work()
    assert await stage.states() == {SENT: 39, DEAD: 1}
    assert set(stage.marketo.sent.values()) == {1}


@settings(max_examples=12, deadline=None)
@given(st.data())
async def test_a_poisonous_record_is_dead_alone_and_everybody_else_is_sent_once(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Wherever it stands in a batch of whatever size, in each of the two stages."""
    size = data.draw(st.integers(2, 64), label="size")
    bad = data.draw(st.integers(0, size - 1), label="bad")
    in_upsert = data.draw(st.booleans(), label="in the upsert")
    database = open_database(f"sqlite:///{tmp_path_factory.mktemp('poison') / 'relay.db'}")
    await make_tables(database)
    clock = MovableClock(datetime(2026, 11, 23, 12, tzinfo=UTC))
    stage = await set_stage(database, clock)
    stage.marketo.poisonous = {f"p{bad}@example.com" if in_upsert else str(bad + 1)}
    await stage.arrive(*(people(size) if in_upsert else [lead(number + 1) for number in range(size)]))
    await stage.work()
    dead = [one for one in await stage.registrations() if one.state is DEAD]
    assert [one.email or str(one.lead_id) for one in dead] == list(stage.marketo.poisonous)
    assert [one.cause for one in dead] == ["person_refused" if in_upsert else "record_refused"]
    assert await stage.states() == {SENT: size - 1, DEAD: 1}
    assert set(stage.marketo.sent.values()) == {1}
    assert len(stage.marketo.sent) == size - 1
    assert stage.marketo.broken_rules == []
    await database.close()


@pytest.mark.parametrize("size", [2, 3, 4, 7, 100])
async def test_what_a_whole_batch_is_refused_for_costs_few_calls(
    sqlite: Database, clock: MovableClock, size: int
) -> None:
    """A token's value that Marketo refuses is nobody's fault: not each of a hundred is asked for alone."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.faults = [failure(Endpoint.TRIGGER, "1001", "Invalid value for {{my.WebinarTitle}}")] * 200
    await stage.arrive(*(lead(number + 1) for number in range(size)))
    await stage.work()
    assert await stage.states() == {DEAD: size}
    found = await stage.registrations()
    assert {one.cause for one in found} == {"record_refused"}
    assert all(("the reason is what they share" in (one.detail or "")) == (size > 2) for one in found)
    assert len(stage.marketo.asked(Endpoint.TRIGGER)) <= 2 * size.bit_length() + 1


async def test_several_bad_records_beside_one_another_are_dead_alone(sqlite: Database, clock: MovableClock) -> None:
    """Whoever came together is parted first, so that the few who are tried stand for all."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.poisonous = {"1", "2", "3", "4"}
    await stage.arrive(*(lead(number + 1) for number in range(64)))
    await stage.work()
    assert await stage.states() == {SENT: 60, DEAD: 4}
    assert set(stage.marketo.sent.values()) == {1}


async def test_a_call_that_is_too_large_is_made_smaller(sqlite: Database, clock: MovableClock) -> None:
    """413: halves, until they fit; nobody is dead for the size of the batch."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.most_in_a_call = 30
    await stage.arrive(*people(100))
    await stage.work()
    assert await stage.states() == {SENT: 100}
    assert stage.marketo.sizes(Endpoint.SYNC) == [100, 50, 25, 25, 50, 25, 25]


async def test_a_single_record_that_is_too_large_is_dead(sqlite: Database, clock: MovableClock) -> None:
    """There is nothing left to halve."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.faults = [failure(Endpoint.TRIGGER, "413", "too large")]
    await stage.arrive(lead(1))
    await stage.work()
    one = await stage.the_only_one()
    assert (one.state, one.cause) == (DEAD, "too_large")


async def test_a_skipped_person_is_dead_with_marketos_words(sqlite: Database, clock: MovableClock) -> None:
    """And the others of the call are not."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.skipped = {"p1@example.com": Reason("1003", "Email is invalid")}
    await stage.arrive(*people(3))
    await stage.work()
    [dead] = [one for one in await stage.registrations() if one.state is DEAD]
    assert (dead.email, dead.cause) == ("p1@example.com", "person_refused")
    assert "Email is invalid" in (dead.detail or "")


@pytest.mark.parametrize("code", ["601", "603", "606", "607", "615", "404"])
async def test_limits_and_refused_credentials_pause_everything_and_lose_nothing(
    sqlite: Database, clock: MovableClock, code: str
) -> None:
    """No call is made during the pause; afterwards all are sent, and it was no attempt of theirs."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.faults = [failure(Endpoint.SYNC, code, "no")]
    await stage.arrive(*people(3))
    await stage.work(at_most=timedelta(seconds=0.9))
    assert len(stage.marketo.requests) == 1
    assert await stage.states() == {NEW: 3}
    stage.pass_time(stage.sender.caller.pauses.wait())
    await stage.work()
    assert await stage.states() == {SENT: 3}
    assert all(one.detail and "Marketo took it" in one.detail for one in await stage.registrations())


async def test_a_pause_in_the_middle_of_a_split_is_obeyed(sqlite: Database, clock: MovableClock) -> None:
    """607 for the first half: the other half must not spend another call, and is no attempt."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.faults = [failure(Endpoint.TRIGGER, "709", "rule"), failure(Endpoint.TRIGGER, "607", "quota")]
    await stage.arrive(*(lead(number) for number in range(1, 9)))
    await stage.work(at_most=timedelta(minutes=1))
    assert stage.marketo.sizes(Endpoint.TRIGGER) == [8, 4]
    assert await stage.states() == {KNOWN: 8}
    clock.move(timedelta(hours=20))
    await stage.work()
    assert await stage.states() == {SENT: 8}
    assert set(stage.marketo.sent.values()) == {1}


async def test_a_stop_in_the_middle_of_a_split_begins_nothing_new(sqlite: Database, clock: MovableClock) -> None:
    """The rest is put back, so that the next leader need not guess."""
    stage = await set_stage(sqlite, clock, policy=HOLD)
    stage.marketo.faults = [failure(Endpoint.TRIGGER, "709", "rule")]
    stage.marketo.gate = asyncio.Event()
    await stage.arrive(*(lead(number) for number in range(1, 9)))
    await stage.sender.step()
    await until(lambda: len(stage.marketo.requests) == 1)
    stage.sender.bell.stop()
    stage.marketo.gate.set()
    await stage.sender.close(timedelta(seconds=60))
    assert stage.marketo.sizes(Endpoint.TRIGGER) == [8]
    await take_over(sqlite, fence=99, on_ambiguous="hold", now=clock())
    assert await stage.states() == {KNOWN: 8}


async def lost_by_another(stage: Stage) -> Call:
    """Write a campaign request down, and let another leader take over before it is made."""
    await stage.arrive(lead(1), lead(2))
    sending, fence = stage.sender.sending, stage.lease.fence
    [batch] = (await sending.waiting(stage.clock())).batches
    call = await sending.claim_batch(batch, now=stage.clock(), fence=fence, limit=100)
    assert call is not None
    await take_over(stage.database, fence=fence + 1, on_ambiguous="check", now=stage.clock())
    stage.lose_the_lease()
    return call


async def test_a_request_that_another_leader_takes_for_lost_is_freed_by_who_did_not_make_it(
    database: Database, clock: MovableClock
) -> None:
    """A leader that stood still knows when it wakes; else its people would wait until the activity log is sure."""
    stage = await set_stage(database, clock)
    call = await lost_by_another(stage)
    await stage.sender.caller.carry_out(call)
    assert stage.marketo.requests == []
    assert await stage.states() == {KNOWN: 2}
    assert await Unsettled(database).next_look() is None
    view = await Lookup(database).registration(call.registrations[0].id)
    assert view is not None
    assert [entry.what for entry in view.timeline] == ["registered", "answer lost", "waiting"]
    assert [(one.outcome, one.message) for one in view.calls] == [(NOT_MADE.outcome, NOT_MADE.message)]


async def test_what_was_decided_of_a_request_that_was_not_made_stands(database: Database, clock: MovableClock) -> None:
    """Who was mailed for another request of the campaign, as the next leader saw, is not mailed again."""
    stage = await set_stage(database, clock)
    call = await lost_by_another(stage)
    [lost] = await Unsettled(database).due(None)
    sent = [Decision(one, SENT, "sent", "It ran.", sent_at=clock()) for one in lost.registrations]
    await Unsettled(database).settle(lost, sent, look_at=None, check_id=None, now=clock())
    await stage.sender.caller.carry_out(call)
    assert await stage.states() == {SENT: 2}


async def test_parts_of_a_refused_call_spend_the_days_budget(sqlite: Database, clock: MovableClock) -> None:
    """Halving is calls like any other."""
    stage = await set_stage(sqlite, clock, calls_per_day=2)
    stage.marketo.poisonous = {"2"}
    await stage.arrive(*(lead(number) for number in range(1, 9)))
    await stage.work(at_most=timedelta(minutes=1))
    assert stage.marketo.sizes(Endpoint.TRIGGER) == [8, 4]
    assert await stage.states() == {KNOWN: 8}


@pytest.mark.parametrize("trouble", ["502", Trouble.TIMED_OUT, Trouble.ANSWER_LOST])
async def test_a_lost_answer_is_requested_again_or_held_by_policy(
    sqlite: Database, clock: MovableClock, trouble: str
) -> None:
    """The campaign ran and nobody told us: a second e-mail, or a person who looks."""
    for policy, webinar, emails in ((Policy(), "w-1", 2), (HOLD, "w-2", 1)):
        stage = await set_stage(sqlite, clock, policy=policy)
        stage.marketo.lost = [failure(Endpoint.TRIGGER, trouble, "lost")]
        await stage.arrive(lead(1, webinar))
        await stage.work()
        assert stage.marketo.sent == {(1, CAMPAIGN): emails}
        await stage.lease.give_back()
    assert {one.webinar_id: (one.state, one.cause) for one in await stage.registrations()} == {
        "w-1": (SENT, None),
        "w-2": (DEAD, "answer_lost"),
    }


async def test_a_defect_in_the_client_leaves_nobody_stuck(sqlite: Database, clock: MovableClock) -> None:
    """Whatever was raised, and in each kind of call: it is tried again."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.faults = [ValueError("a defect"), KeyError("another"), ZeroDivisionError()]
    stage.marketo.add("grace@example.com", 1)
    stage.marketo.add("grace@example.com", 2)
    await stage.arrive(registered("grace@example.com"), lead(3))
    await stage.work()
    assert await stage.states() == {SENT: 2}
    assert stage.sender.caller.window.in_flight == 0


async def test_a_long_request_id_can_be_stored(database: Database, clock: MovableClock) -> None:
    """PostgreSQL refuses what is longer than its column, and the answer would never be settled."""
    stage = await set_stage(database, clock)
    stage.marketo.request_id = "r" * 100
    stage.marketo.faults = [failure(Endpoint.SYNC, "608", "busy", request_id="r" * 100)]
    await stage.arrive(registered("ada@example.com"))
    await stage.work()
    assert await stage.states() == {SENT: 1}


async def test_an_answer_is_settled_when_the_store_is_back(impatient: Database, clock: MovableClock) -> None:
    """Forgetting it would send the e-mail a second time; also the halves of a split are not forgotten."""
    stage = await set_stage(impatient, clock)
    await stage.arrive(lead(1), lead(2))
    stage.marketo.poisonous = {"1"}
    stage.marketo.gate = asyncio.Event()
    await stage.sender.step()
    await until(lambda: len(stage.marketo.requests) == 1)
    async with locked(impatient):
        stage.marketo.gate.set()
        [task] = stage.sender._running
        with pytest.raises(StoreUnavailable):
            await stage.sender.sweep()
        assert not task.done()
    await task
    assert await stage.states() == {SENT: 1, DEAD: 1}
    assert stage.marketo.sent == {(2, CAMPAIGN): 1}


async def test_a_part_waits_for_its_place(sqlite: Database, clock: MovableClock) -> None:
    """Halving keeps to the window like any call."""
    stage = await set_stage(sqlite, clock, calls_per_window=2)
    stage.marketo.poisonous = {"2"}
    await stage.arrive(lead(1), lead(2))
    await stage.work()
    assert await stage.states() == {SENT: 1, DEAD: 1}
    assert stage.ticks() >= 1020


async def test_the_names_of_the_stages_in_the_figures(sqlite: Database, clock: MovableClock) -> None:
    """Each call is counted once, by kind and code; each end by source and state."""
    stage: Stage = await set_stage(sqlite, clock)
    stage.marketo.faults = [failure(Endpoint.SYNC, "608", "busy")]
    await stage.arrive(registered("ada@example.com"))
    await stage.work()
    figures = stage.sender.caller.metrics.render(clock()).decode()
    assert 'relay_marketo_calls_total{code="608",endpoint="upsert"} 1.0' in figures
    assert 'relay_marketo_calls_total{code="ok",endpoint="upsert"} 1.0' in figures
    assert 'relay_marketo_calls_total{code="ok",endpoint="trigger"} 1.0' in figures
    assert 'relay_registrations_total{source="custom",state="sent"} 1.0' in figures
