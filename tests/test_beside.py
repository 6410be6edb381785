"""A process that does not lead shares the leader's window, heeds its pauses, and writes its calls down."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from app.beside import Beside, Limits, gate_of_a_command
from app.checkup import reminder_of, send_one
from app.dispatch.holder import name_of_this_process
from app.doctor.pacing import Paced
from app.doctor.report import Verdict
from app.domain import utc_now
from app.errors import NotNow
from app.making import make_memory
from app.marketo.codes import Endpoint
from app.marketo.envelope import Reply
from app.marketo.failures import CallFailed, failure
from app.sandbox import seed
from app.store.calls import CallLog, Pause
from app.store.database import Database, open_database
from app.store.leases import LEADER, Leases
from app.store.people import People
from app.store.tables import calls, registrations
from tests.conftest import MovableClock
from tests.dispatch.stage import locked
from tests.doctor.patient import Patient, patient_at_hand
from tests.patience import PATIENT
from tests.store.given import draft, record
from tests.tables import make_tables

FINE = Reply(200, b'{"requestId": "a#1", "success": true, "result": []}')
ADA = "ada@example.com"


async def fine() -> Reply:
    return FINE


@pytest.fixture
async def store(patient: Patient) -> AsyncIterator[Database]:
    database = open_database(patient.given["database_url"])
    await make_tables(database)
    yield database
    await database.close()


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[Patient]:
    async with patient_at_hand(tmp_path, activity_delay=timedelta(0), duplicate_within=timedelta(0)) as at_hand:
        yield at_hand


def beside(patient: Patient, **more: Any) -> Beside:
    return Beside(patient.given["database_url"], Limits(5, 5), clock=utc_now, **more)


async def lead(store: Database) -> None:
    leases = Leases(store, within=PATIENT)
    await leases.take(LEADER, holder=name_of_this_process(), seen=await leases.look(LEADER))


async def logged(store: Database) -> list[tuple[str, str | None, str | None]]:
    c = calls.c
    async with store.read() as connection:
        return [tuple(row) for row in await connection.execute(select(c.kind, c.outcome, c.code).order_by(c.id))]


async def test_beside_an_idle_relay_a_command_waits_for_nothing(patient: Patient, store: Database) -> None:
    """Its calls are in the same window, so that it can have half of it."""
    await lead(store)
    told: list[str] = []
    gate = await gate_of_a_command(patient.settings(marketo_calls_per_window=10), clock=utc_now, slow=told.append)
    for _ in range(5):
        assert await gate(fine) is FINE
    assert told == []
    assert await logged(store) == [("setup", "done", None)] * 5


async def test_a_command_says_why_it_waits(patient: Patient, store: Database) -> None:
    """Nothing else would tell that it is at work."""
    told: list[str] = []
    gate = await gate_of_a_command(patient.settings(marketo_calls_per_window=1), clock=utc_now, slow=told.append)
    await gate(fine)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await gate(fine)
    assert told == ["MARKETO_CALLS_PER_WINDOW=1 holds for the relay and the checks together"]
    assert await logged(store) == [("setup", "done", None)]


async def test_a_relay_that_begins_later_is_heeded_from_the_next_call_on(patient: Patient, store: Database) -> None:
    gate = await gate_of_a_command(patient.settings(marketo_calls_per_window=5), clock=utc_now)
    for _ in range(4):
        await gate(fine)
    await lead(store)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):  # half of them are the leader's now
            await gate(fine)


async def test_before_there_is_a_store_it_asks_all_the_same(patient: Patient) -> None:
    """Before the first start, there is none, and no relay."""
    gate = await gate_of_a_command(patient.settings(marketo_calls_per_window=7), clock=utc_now)
    assert isinstance(gate, Paced)
    assert (gate.most, await gate(fine)) == (7, FINE)


async def test_where_the_store_cannot_be_asked_a_share_is_taken(patient: Patient) -> None:
    """A relay may lead where we cannot look."""
    url = "postgresql://relay:secret@127.0.0.1:1/relay"
    gate = await gate_of_a_command(patient.settings(marketo_calls_per_window=50, database_url=url), clock=utc_now)
    assert isinstance(gate, Paced)
    assert gate.most == 5


async def test_a_call_that_nobody_can_count_is_not_made(patient: Patient, store: Database) -> None:
    """The store went away meanwhile, perhaps for us alone; the relay would not know of the call."""
    gate = beside(patient, ticks=iter(range(0, 1000, 11)).__next__)
    await store.close()
    async with locked(store):
        with pytest.raises(NotNow, match="no call can be counted"):
            await gate(fine)


@pytest.mark.parametrize("hours", [-3, 3])
async def test_a_machine_whose_clock_is_wrong_counts_by_the_leaders(
    patient: Patient, store: Database, hours: int
) -> None:
    """Else it would overlook the leader's calls, or the leader leave places for its own for hours."""
    leases, theirs = Leases(store, within=PATIENT), utc_now() + timedelta(hours=hours)
    fence = await leases.take(LEADER, holder="elsewhere", seen=await leases.look(LEADER))
    assert fence is not None
    await leases.renew(LEADER, fence=fence, at=theirs)
    call = asyncio.create_task(beside(patient)(fine))
    await asyncio.sleep(0.2)
    await leases.renew(LEADER, fence=fence, at=theirs + timedelta(seconds=2))
    assert await call is FINE
    async with store.read() as connection:
        began = await connection.scalar(select(calls.c.started_at))
    assert began is not None
    assert theirs <= began <= theirs + timedelta(minutes=1)


async def test_the_clock_of_a_leader_that_is_no_more_is_not_heeded(patient: Patient, store: Database) -> None:
    leases = Leases(store, within=PATIENT)
    fence = await leases.take(LEADER, holder="elsewhere", seen=await leases.look(LEADER))
    assert fence is not None
    await leases.renew(LEADER, fence=fence, at=utc_now() - timedelta(days=1))
    assert await beside(patient, ticks=count(0, 11).__next__)(fine) is FINE
    async with store.read() as connection:
        began = await connection.scalar(select(calls.c.started_at))
    assert began is not None
    assert began > utc_now() - timedelta(minutes=1)


@pytest.mark.parametrize("code", ["606", "607"])
async def test_what_a_limit_paused_is_not_asked(patient: Patient, store: Database, code: str) -> None:
    """A day that is used up is not made worse; the report says why nothing was looked at."""
    now = utc_now()
    pause = Pause("marketo", now + timedelta(hours=3), now, code, "Used up.", 1)
    await CallLog(store, clock=utc_now).pause(pause)
    with pytest.raises(NotNow, match=code):
        await beside(patient)(fine)
    report = await patient.report()
    seen = {one.check: one for one in report.findings}
    for check in ("marketo_network", "marketo_credentials", "daily_calls", "may_request_campaigns"):
        assert (seen[check].verdict, code in seen[check].found) == (Verdict.UNKNOWN, True)
    assert await logged(store) == []


@pytest.mark.parametrize(("code", "seconds"), [("606", 5), ("615", 1), ("607", 3600)])
async def test_a_limit_that_it_meets_itself_pauses_it(
    patient: Patient, store: Database, clock: MovableClock, code: str, seconds: int
) -> None:
    """A further call makes it worse. Until the day ends only for an hour: somebody may add calls meanwhile."""
    refused = Reply(200, b'{"requestId":"a#1","success":false,"errors":[{"code":"%b","message":"No"}]}' % code.encode())

    async def limited() -> Reply:
        return refused

    gate = Beside(patient.given["database_url"], Limits(50, 5), clock=clock)
    assert await gate(limited) is refused, "the check says itself what it came across"
    clock.move(timedelta(seconds=seconds - 0.5))
    with pytest.raises(NotNow, match=code):
        await gate(fine)
    clock.move(timedelta(seconds=0.5))
    assert await gate(fine) is FINE
    assert await gate(fine) is FINE
    assert await logged(store) == [("setup", "refused", code), *[("setup", "done", None)] * 2]


async def test_a_limit_that_is_met_again_pauses_for_longer(
    patient: Patient, store: Database, clock: MovableClock
) -> None:
    async def limited() -> Reply:
        return Reply(200, b'{"requestId":"a#1","success":false,"errors":[{"code":"606","message":"No"}]}')

    gate = Beside(patient.given["database_url"], Limits(50, 5), clock=clock)
    await gate(limited)
    clock.move(timedelta(seconds=5))
    await gate(limited)
    clock.move(timedelta(seconds=6))
    with pytest.raises(NotNow, match="606"):
        await gate(fine)


async def test_a_call_that_fails_is_written_down_as_such(patient: Patient, store: Database) -> None:
    async def broken() -> Reply:
        raise failure(Endpoint.SETUP, "unreachable", "no route")

    with pytest.raises(CallFailed):
        await beside(patient)(broken)
    assert await logged(store) == [("setup", "refused", "unreachable")]


async def test_a_trial_waits_while_the_relay_saves_the_same_person(patient: Patient, store: Database) -> None:
    """Two upserts of one key close together make two people."""
    settings = patient.settings()
    relay = People(store, make_memory(settings))
    assert await relay.take(ADA, utc_now())
    told: list[str] = []
    reminder = reminder_of(settings, ADA.upper(), patience=timedelta(0))
    sending = asyncio.create_task(send_one(settings, reminder, tell=lambda title, _: told.append(title)))
    await asyncio.sleep(0.3)
    assert told == []
    await relay.leave(ADA, "refused", utc_now())
    await sending
    assert told[:2] == ["Person", "Request"]
    assert not await relay.take(ADA, utc_now())  # for some seconds, the relay leaves this person alone in turn


async def trial_by_field(patient: Patient, store: Database, **changes: Any) -> tuple[Verdict, list[str]]:
    """Send a trial whose link travels in a person field; return how it ended and what was said."""
    settings = patient.settings(marketo_join_link_field=seed.JOIN_LINK_FIELD, **changes)
    said: list[str] = []
    reminder = reminder_of(settings, ADA.upper(), patience=timedelta(0))
    ended = await send_one(settings, reminder, tell=lambda title, outcome: said.append(f"{title}: {outcome.found}"))
    return ended, said


async def by_field(store: Database, at: datetime, link: str) -> None:
    """Let the relay have a registration of Ada whose link is to travel in her field."""
    fields = {"JoinLink": seed.JOIN_LINK_FIELD}
    await record(store, at, draft(at, ADA, tokens={"JoinLink": link}, fields=fields, by_field=True))


async def test_a_trial_writes_nothing_over_the_link_of_an_email_to_come(patient: Patient, store: Database) -> None:
    """It would be made with the trial's: nobody ever gets another webinar's link."""
    await by_field(store, utc_now(), "https://meet.example.com/ada")
    verdict, said = await trial_by_field(patient, store)
    assert verdict is Verdict.UNKNOWN
    [sentence] = said
    assert sentence.startswith("Marketo: not asked: an e-mail to this person is still to be made")
    assert seed.JOIN_LINK_FIELD in sentence
    assert await logged(store) == []
    assert await People(store, make_memory(patient.settings())).take(ADA, utc_now()), "the relay may save her at once"


async def test_a_trial_writes_what_harms_no_email(patient: Patient, store: Database) -> None:
    """The same link, or no field at all."""
    await by_field(store, utc_now(), "https://www.example.com/")
    assert (await trial_by_field(patient, store))[1][0].startswith("Person: ")


async def test_a_trial_writes_once_the_email_is_surely_made(patient: Patient, store: Database) -> None:
    long_ago = utc_now() - timedelta(minutes=11)
    await by_field(store, long_ago, "https://meet.example.com/ada")
    async with store.write() as connection:
        await connection.execute(update(registrations).values(state="sent", updated_at=long_ago))
    assert (await trial_by_field(patient, store))[1][0].startswith("Person: ")
    verdict, _ = await trial_by_field(patient, store, marketo_link_field_hold_seconds=3600)
    assert verdict is Verdict.UNKNOWN


async def test_a_trial_says_that_marketo_is_paused(patient: Patient, store: Database) -> None:
    now = utc_now()
    await CallLog(store, clock=utc_now).pause(Pause("marketo", now + timedelta(hours=3), now, "607", "Used up.", 1))
    told: list[str] = []
    settings = patient.settings()
    reminder = reminder_of(settings, ADA, patience=timedelta(0))
    assert await send_one(settings, reminder, tell=lambda title, _: told.append(title)) is Verdict.UNKNOWN
    assert told == ["Marketo"]
