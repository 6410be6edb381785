"""From registrations to campaign requests: few calls, nobody twice, nobody held up by somebody else."""

import asyncio
from datetime import timedelta

import pytest

from app.dispatch.plan import TriggerJob
from app.dispatch.window import Pace
from app.domain import LeadId, Person, Registered, RegistrationState, Webinar
from app.errors import StoreUnavailable
from app.marketo.codes import Endpoint, Trouble
from app.marketo.failures import failure
from app.store.database import Database
from app.store.heads import Backlog
from app.store.people import RUNS_ON
from app.store.takeover import take_over
from tests.conftest import MovableClock
from tests.dispatch.simulated_marketo import SimulatedMarketo
from tests.dispatch.stage import CAMPAIGN, OTHER_CAMPAIGN, Stage, Ticks, locked, people, registered, set_stage, until

SENT, KNOWN, NEW, DEAD = (
    RegistrationState.SENT,
    RegistrationState.KNOWN,
    RegistrationState.NEW,
    RegistrationState.DEAD,
)


async def test_calls_that_a_dead_leader_left_take_places_in_flight(sqlite: Database, clock: MovableClock) -> None:
    """Marketo may still work on them: the next one waits out its time-out before it makes as many of its own."""
    first = await set_stage(sqlite, clock, most_in_flight=2)
    first.marketo.gate = asyncio.Event()
    await first.arrive(*(registered(f"p{number}@example.com", f"w-{number}") for number in range(4)))
    first.marketo.gate.set()
    await first.work_until_known()
    first.marketo.gate.clear()
    await first.work(at_most=timedelta(seconds=2))
    assert len(first.marketo.asked(Endpoint.TRIGGER)) == 2
    await first.lease.give_back()
    await take_over(sqlite, fence=first.lease.fence + 1, on_ambiguous="hold", now=clock())
    second = await set_stage(sqlite, clock, most_in_flight=2, ticks=first.ticks)
    await second.work(at_most=timedelta(seconds=25))
    assert second.marketo.asked(Endpoint.TRIGGER) == []
    await second.work(at_most=timedelta(seconds=10))
    assert len(second.marketo.asked(Endpoint.TRIGGER)) == 2
    await first.sender.close(timedelta(0))


async def test_a_registration_goes_the_whole_way(database: Database, clock: MovableClock) -> None:
    """New, known, sent: its timeline tells each step, with the calls' request ids."""
    stage = await set_stage(database, clock)
    await stage.arrive(registered("Ada@Example.com"))
    await stage.work()
    one = await stage.the_only_one()
    [request] = stage.marketo.asked(Endpoint.TRIGGER)
    assert (one.state, one.sent_at) == (SENT, clock())
    assert (request.campaign, request.leads) == (CAMPAIGN, (one.lead_id,))
    assert dict(request.tokens) == {"WebinarTitle": "Talk w-1", "JoinLink": "https://example.com/w-1"}
    assert [entry.what for entry in one.timeline] == ["registered", "person found", "sent"]
    assert {(call.kind, call.size, call.outcome, call.request_id) for call in one.calls} == {
        ("upsert", 1, "done", "1#abc"),
        ("trigger", 1, "done", "1#abc"),
    }
    assert stage.marketo.broken_rules == []


async def test_equal_registrations_share_calls(database: Database, clock: MovableClock) -> None:
    """⌈N/300⌉ look-ups and ⌈N/100⌉ requests are the best possible."""
    stage = await set_stage(database, clock)
    await stage.arrive(*people(650))
    await stage.work()
    assert await stage.states() == {SENT: 650}
    assert sorted(stage.marketo.sizes(Endpoint.SYNC), reverse=True) == [300, 300, 50]
    assert sorted(stage.marketo.sizes(Endpoint.TRIGGER), reverse=True) == [100] * 6 + [50]
    assert set(stage.marketo.sent.values()) == {1}
    assert stage.marketo.broken_rules == []


async def test_registrations_of_different_webinars_share_no_request(sqlite: Database, clock: MovableClock) -> None:
    """Tokens are the call's: one person's link would go to all of it."""
    stage = await set_stage(sqlite, clock)
    await stage.arrive(*people(3, "w-1"), *people(3, "w-2", first=3))
    await stage.work()
    requests = stage.marketo.asked(Endpoint.TRIGGER)
    assert sorted(dict(request.tokens)["JoinLink"] for request in requests) == [
        "https://example.com/w-1",
        "https://example.com/w-2",
    ]
    assert [len(request.leads) for request in requests] == [3, 3]


async def test_one_person_in_two_webinars_is_one_record(sqlite: Database, clock: MovableClock) -> None:
    """Two records of one key make Marketo create duplicates; both reminders go out all the same."""
    stage = await set_stage(sqlite, clock)
    await stage.arrive(registered("ada@example.com", "w-1"), registered("ADA@example.com", "w-2"))
    await stage.work()
    assert stage.marketo.sizes(Endpoint.SYNC) == [1]
    assert await stage.states() == {SENT: 2}
    assert list(stage.marketo.sent.values()) == [2]


async def test_a_second_webinar_needs_no_look_up(sqlite: Database, clock: MovableClock) -> None:
    """Known people are remembered."""
    stage = await set_stage(sqlite, clock)
    await stage.arrive(registered("ada@example.com", "w-1"))
    await stage.work()
    await stage.arrive(registered("ada@example.com", "w-2"))
    await stage.work()
    assert stage.marketo.sizes(Endpoint.SYNC) == [1]
    assert stage.marketo.sizes(Endpoint.TRIGGER) == [1, 1]


async def test_a_lead_id_needs_no_look_up_at_all(sqlite: Database, clock: MovableClock) -> None:
    """Who brings one is requested at once."""
    stage = await set_stage(sqlite, clock)
    webinar = Webinar("w-1", "Talk", "https://example.com/w-1")
    await stage.arrive(Registered(Person(lead_id=LeadId(42)), webinar))
    await stage.work()
    assert [request.endpoint for request in stage.marketo.requests] == [Endpoint.TRIGGER]
    assert stage.marketo.sent == {(42, CAMPAIGN): 1}


async def test_an_upsert_of_somebody_in_a_call_waits_for_it(database: Database, clock: MovableClock) -> None:
    """Two upserts of one key in flight create two people, and the second webinar needs no call after the first."""
    stage = await set_stage(database, clock)
    stage.marketo.gate = asyncio.Event()
    await stage.arrive(registered("ada@example.com", "w-1"))
    await stage.sender.step()
    await until(lambda: len(stage.marketo.requests) == 1)
    await stage.arrive(registered("ada@example.com", "w-2"))
    for _ in range(20):
        stage.pass_time(await stage.sender.step())
    assert len(stage.marketo.requests) == 1
    stage.marketo.gate.set()
    await stage.work()
    assert await stage.states() == {SENT: 2}
    assert stage.marketo.sizes(Endpoint.SYNC) == [1]
    assert stage.marketo.broken_rules == []


async def test_upserts_of_one_key_are_kept_apart(sqlite: Database, clock: MovableClock) -> None:
    """A skipped record is tried again, not within the seconds in which Marketo may not see the first."""
    stage = await set_stage(sqlite, clock)
    answer = stage.marketo.busy_once("ada@example.com")
    await stage.arrive(registered("ada@example.com"))
    await stage.work()
    assert answer == {}
    assert stage.marketo.sizes(Endpoint.SYNC) == [1, 1]
    assert await stage.states() == {SENT: 1}
    assert stage.marketo.broken_rules == []


async def test_people_who_are_busy_hold_up_nobody_else(sqlite: Database, clock: MovableClock) -> None:
    """An upsert that hangs for a minute, and a second registration of its person: others are sent meanwhile."""
    stage = await set_stage(sqlite, clock)
    slow = stage.marketo.gate = asyncio.Event()
    await stage.arrive(registered("ada@example.com", "w-1"))
    await stage.sender.step()
    await until(lambda: len(stage.marketo.requests) == 1)
    stage.marketo.gate = None
    await stage.arrive(registered("ada@example.com", "w-2"))
    stage.pass_time(1)
    await stage.arrive(Registered(Person(lead_id=LeadId(42)), Webinar("w-3", "Talk", "https://example.com/w-3")))
    for _ in range(20):
        stage.pass_time(min(0.3, await stage.sender.step()))
        await asyncio.sleep(0)
    await until(lambda: (42, CAMPAIGN) in stage.marketo.sent)
    slow.set()
    await stage.work()
    assert await stage.states() == {SENT: 3}


async def hold(stage: Stage, address: str) -> None:
    """Let the answer to this person's upsert be lost, and have the person register for another webinar then."""
    stage.sender.look_every = 900
    stage.marketo.faults = [failure(Endpoint.SYNC, Trouble.ANSWER_LOST, "cut")]
    await stage.arrive(registered(address))
    await stage.work_until_known()
    stage.pass_time(2)
    await stage.arrive(registered(address, "w-2"))


async def test_a_sender_sleeps_while_all_people_are_held(sqlite: Database, clock: MovableClock) -> None:
    """For 95 s Marketo may go on with an upsert whose answer was lost: it looks twice, not five times a second."""
    stage = await set_stage(sqlite, clock, runs_on=RUNS_ON)
    await hold(stage, "ada@example.com")
    assert await stage.sender.step() == 0
    seconds = await stage.sender.step()
    assert seconds == 93
    stage.pass_time(seconds)
    await stage.sender.step()
    await asyncio.gather(*stage.sender._running)
    assert stage.marketo.sizes(Endpoint.SYNC) == [1, 1]
    assert stage.marketo.broken_rules == []


async def test_who_comes_while_others_are_held_leaves_at_once(sqlite: Database, clock: MovableClock) -> None:
    """The bell tells of somebody who may not be held."""
    stage = await set_stage(sqlite, clock)
    await hold(stage, "ada@example.com")
    await stage.sender.step()
    await stage.arrive(registered("grace@example.com"))
    assert await stage.sender.step() == 0
    await asyncio.gather(*stage.sender._running)
    assert stage.marketo.asked(Endpoint.SYNC)[-1].keys == ("grace@example.com",)


async def test_whose_turn_comes_while_others_are_held_does_not_wait_for_them(
    sqlite: Database, clock: MovableClock
) -> None:
    """No bell tells of a time that has come."""
    stage = await set_stage(sqlite, clock)
    await hold(stage, "ada@example.com")
    stage.marketo.faults = [stage.marketo.unavailable(Endpoint.SYNC)]
    await stage.arrive(registered("grace@example.com"))
    await stage.work_until_known()
    stage.pass_time(1)
    await stage.sender.step()
    assert await stage.sender.step() <= 1
    stage.pass_time(1)
    await stage.work_until_known()
    assert stage.marketo.asked(Endpoint.SYNC)[-1].keys == ("grace@example.com",)


async def test_the_limits_are_kept_under_load(sqlite: Database, clock: MovableClock) -> None:
    """80 webinars at once are 80 requests: paced, five at a time, never over the window."""
    stage = await set_stage(sqlite, clock)
    await stage.arrive(*(registered(f"p{n}@example.com", f"w-{n}") for n in range(80)))
    begun = stage.ticks()
    await stage.work()
    assert await stage.states() == {SENT: 80}
    assert stage.marketo.broken_rules == []
    assert stage.marketo.most_at_once <= 5
    assert stage.ticks() - begun <= 35, "but the window is used"


async def test_a_window_is_taken_over_from_an_earlier_leader(sqlite: Database, clock: MovableClock) -> None:
    """A restart in the middle of a burst must not send another one."""
    first = await set_stage(sqlite, clock, calls_per_window=3)
    await first.arrive(*(registered(f"p{n}@example.com", f"w-{n}") for n in range(2)))
    await first.work()
    await first.lease.give_back()
    second = await set_stage(sqlite, clock, calls_per_window=3, ticks=first.ticks, marketo=first.marketo)
    assert second.sender.caller.window.used(second.ticks()) == 3
    await second.arrive(registered("ada@example.com"))
    assert await second.sender.step() > 0
    assert len(second.marketo.requests) == 3
    await second.work()
    assert await second.states() == {SENT: 3}


async def test_a_spent_day_makes_no_calls_until_midnight(sqlite: Database, clock: MovableClock) -> None:
    """The budget is the user's setting; what arrives is kept."""
    stage = await set_stage(sqlite, clock, calls_per_day=2)
    today = Webinar("w-1", "Talk w-1", "https://example.com/w-1", starts_at=clock() + timedelta(hours=10))
    await stage.arrive(Registered(Person("ada@example.com"), today))
    await stage.work()
    await stage.arrive(registered("ada@example.com", "w-2"))
    await stage.work(at_most=timedelta(minutes=1))
    assert len(stage.marketo.requests) == 2
    clock.move(timedelta(hours=17, minutes=58))  # 06:01 in Chicago becomes 23:59, and then midnight
    await stage.work(at_most=timedelta(minutes=2))
    assert await stage.states() == {SENT: 2}


async def test_a_new_leader_knows_what_the_day_has_used(sqlite: Database, clock: MovableClock) -> None:
    """Restarts do not refill the budget."""
    first = await set_stage(sqlite, clock)
    await first.arrive(registered("ada@example.com"))
    await first.work()
    await first.lease.give_back()
    second = await set_stage(sqlite, clock, calls_per_day=2)
    assert second.sender.caller.day.used == 2
    assert await second.sender.step() > 0


async def test_what_cannot_be_sent_in_time_is_dead(sqlite: Database, clock: MovableClock) -> None:
    """Given up by age, with what held it up; the webinar has begun."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.unknown_campaigns = {CAMPAIGN}
    await stage.arrive(registered("ada@example.com"))
    await stage.work(at_most=timedelta(seconds=30))
    clock.move(timedelta(days=8))
    await stage.sender.sweep()
    one = await stage.the_only_one()
    assert (one.state, one.cause) == (DEAD, "expired")
    assert "Last: Marketo 1013" in one.timeline[-1].detail


async def test_what_can_still_be_sent_is_not_swept(sqlite: Database, clock: MovableClock) -> None:
    """Neither what waits, nor what is in a call at that moment."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.gate = asyncio.Event()
    await stage.arrive(registered("ada@example.com"))
    await stage.sender.step()
    await until(lambda: len(stage.marketo.requests) == 1)
    clock.move(timedelta(days=9))
    await stage.sender.sweep()
    assert await stage.states() == {NEW: 1}
    await stage.sender.close(timedelta(0))


async def test_a_leader_without_its_lease_makes_no_call(sqlite: Database, clock: MovableClock) -> None:
    """Another process may already be in the middle of the same batch; what was claimed is left to it."""
    stage = await set_stage(sqlite, clock)
    await stage.arrive(registered("ada@example.com"))
    await stage.sender.step()  # claimed, its task has not begun
    stage.lose_the_lease()
    await asyncio.gather(*stage.sender._running)
    with pytest.raises(Exception, match="lease ran out"):
        await stage.sender.step()
    assert stage.marketo.requests == []
    assert await stage.states() == {NEW: 1}


async def test_an_idle_sender_sleeps_until_the_next_thing_is_due(sqlite: Database, clock: MovableClock) -> None:
    """It neither spins nor oversleeps."""
    stage = await set_stage(sqlite, clock)
    assert await stage.sender.step() == 1.0
    stage.marketo.faults = [stage.marketo.unavailable(Endpoint.SYNC)]
    await stage.arrive(registered("ada@example.com"))
    await stage.sender.step()
    await asyncio.gather(*stage.sender._running)
    assert 0 < await stage.sender.step() <= 1.0
    one = await stage.the_only_one()
    stage.pass_time((one.due_at - clock()).total_seconds() - 0.25)
    assert 0 < await stage.sender.step() <= 0.25  # less, where the pause of Marketo ends before


async def test_closing_waits_for_calls_that_end_in_time(sqlite: Database, clock: MovableClock) -> None:
    """A stop in the middle of a request is no lost answer."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.gate = asyncio.Event()
    await stage.arrive(Registered(Person(lead_id=LeadId(42)), Webinar("w-1", "Talk", "https://example.com/w-1")))
    await stage.sender.step()
    await until(lambda: len(stage.marketo.requests) == 1)
    closing = asyncio.create_task(stage.sender.close(timedelta(seconds=60)))
    await asyncio.sleep(0)
    stage.marketo.gate.set()
    await closing
    assert await stage.states() == {SENT: 1}


async def test_closing_does_not_wait_for_ever(sqlite: Database, clock: MovableClock) -> None:
    """The next leader settles the rest."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.gate = asyncio.Event()
    await stage.arrive(*people(1))
    await stage.sender.step()
    await until(lambda: len(stage.marketo.requests) == 1)
    await stage.sender.close(timedelta(0))
    assert not stage.sender._running


async def test_another_campaigns_batches_go_on_while_one_is_paused(sqlite: Database, clock: MovableClock) -> None:
    """1013: a person must mend that campaign, and its registrations wait for it, not as attempts."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.unknown_campaigns = {CAMPAIGN}
    await stage.arrive(registered("ada@example.com", "w-1"), registered("ada@example.com", "w-2", OTHER_CAMPAIGN))
    await stage.work(at_most=timedelta(seconds=9))
    assert await stage.states() == {KNOWN: 1, SENT: 1}
    assert len(stage.marketo.asked(Endpoint.TRIGGER)) == 2
    assert list(stage.sender.caller.pauses.described()) == ["campaign:7"]
    stage.marketo.unknown_campaigns.clear()
    await stage.work()
    assert await stage.states() == {SENT: 2}


@pytest.mark.parametrize("code", ["606", "615", "429"])
async def test_one_call_goes_first_after_a_limit(sqlite: Database, clock: MovableClock, code: str) -> None:
    """While others hold the instance at its limit, all that wait would only add to it."""
    stage = await set_stage(sqlite, clock)
    await stage.arrive(*(registered("ada@example.com", f"w-{number}") for number in range(4)))
    await stage.work_until_known()
    stage.marketo.faults = [failure(Endpoint.TRIGGER, code, "limit")]
    await stage.sender.step()
    await asyncio.gather(*stage.sender._running)
    stage.pass_time(stage.sender.caller.pauses.wait())
    stage.marketo.gate = asyncio.Event()
    for _ in range(10):
        await stage.sender.step()
        stage.pass_time(1)
    assert len(stage.sender._running) == 1
    stage.marketo.gate.set()
    await asyncio.gather(*stage.sender._running)
    stage.marketo.gate.clear()
    for _ in range(10):
        await stage.sender.step()
        stage.pass_time(1)
    assert len(stage.sender._running) == 3
    stage.marketo.gate.set()
    await stage.work()
    assert await stage.states() == {SENT: 4}


async def test_a_marketo_of_one_call_at_a_time_is_served(sqlite: Database, clock: MovableClock) -> None:
    """The smallest budget that can be set works, only slowly."""
    ticks = Ticks()
    marketo = SimulatedMarketo(ticks, poisonous={"p1@example.com"})
    stage = await set_stage(sqlite, clock, calls_per_window=1, most_in_flight=1, ticks=ticks, marketo=marketo)
    await stage.arrive(*people(2))
    await stage.work()
    assert await stage.states() == {SENT: 1, DEAD: 1}
    assert marketo.most_at_once == 1


async def test_a_claim_that_the_store_refuses_gives_its_place_back(impatient: Database, clock: MovableClock) -> None:
    """Else a locked database would use the window up without one call."""
    stage = await set_stage(impatient, clock)
    await stage.arrive(registered("ada@example.com"))
    async with locked(impatient):
        with pytest.raises(StoreUnavailable):
            await stage.sender.step()
    assert stage.sender.caller.window.used(stage.ticks()) == 0
    await stage.work()
    assert await stage.states() == {SENT: 1}


async def test_a_batch_that_is_gone_when_it_is_claimed_costs_nothing(sqlite: Database, clock: MovableClock) -> None:
    """A refund may come between the look and the claim."""
    stage = await set_stage(sqlite, clock)
    gone = TriggerJob(Backlog("no such key", CAMPAIGN, 1, clock()), Pace.SPACED)
    assert 0 < await stage.sender._begin(gone) < 1
    assert stage.sender.caller.window.used(stage.ticks()) == 0
    assert stage.marketo.requests == []


async def test_a_request_that_marketo_does_not_understand_stops_its_batch_alone(
    sqlite: Database, clock: MovableClock
) -> None:
    """609 is a defect of the relay or a wrong base URL: told, asked again after minutes, and others go on meanwhile."""
    stage = await set_stage(sqlite, clock)
    await stage.arrive(registered("ada@example.com", "w-1"))
    await stage.work_until_known()
    stage.marketo.faults = [failure(Endpoint.TRIGGER, "609", "Invalid JSON")]
    await stage.work(at_most=timedelta(seconds=2))
    await stage.arrive(registered("bob@example.com", "w-2"))
    await stage.work(at_most=timedelta(minutes=4))
    assert await stage.states() == {KNOWN: 1, SENT: 1}
    assert stage.sender.caller.pauses.described() == {}
    assert len(stage.marketo.asked(Endpoint.TRIGGER)) == 2
    await stage.work(at_most=timedelta(minutes=7))
    assert await stage.states() == {SENT: 2}


async def test_people_of_a_crowd_wait_for_those_who_are_being_read(sqlite: Database, clock: MovableClock) -> None:
    """Each call takes 300: one that left with the first 100 would cost a call more. Nobody waits for long."""
    stage = await set_stage(sqlite, clock)
    stage.sender.is_more_coming = lambda: True
    await stage.arrive(*people(100))
    assert 0 < await stage.sender.step() <= 0.1
    await stage.arrive(*people(200, first=100))
    await stage.sender.step()
    await stage.arrive(*people(7, first=300))
    stage.sender.is_more_coming = lambda: False
    await stage.work()
    assert stage.marketo.sizes(Endpoint.SYNC) == [300, 7]
    stage.sender.is_more_coming = lambda: True
    await stage.arrive(*people(5, first=400))
    await stage.work(at_most=timedelta(seconds=5))
    assert await stage.states() == {SENT: 312}
