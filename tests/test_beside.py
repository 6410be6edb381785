"""A process that does not lead takes little of the window, heeds the leader's pauses, and writes its calls down."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from app.beside import Beside, gate_of_a_command
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
from app.store.calls import CallLog, Pause
from app.store.database import Database, open_database
from app.store.leases import LEADER, Leases
from app.store.people import People
from app.store.tables import calls
from tests.doctor.patient import Patient, patient_at_hand
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


async def lead(store: Database) -> None:
    leases = Leases(store)
    await leases.take(LEADER, holder=name_of_this_process(), seen=await leases.look(LEADER))


async def logged(store: Database) -> list[tuple[str, str | None, str | None]]:
    c = calls.c
    async with store.read() as connection:
        return [tuple(row) for row in await connection.execute(select(c.kind, c.outcome, c.code).order_by(c.id))]


@pytest.mark.parametrize(("window", "share"), [(50, 5), (4, 2)])
async def test_beside_a_relay_a_command_takes_a_tenth(
    patient: Patient, store: Database, window: int, share: int
) -> None:
    await lead(store)
    gate = await gate_of_a_command(patient.settings(marketo_calls_per_window=window), clock=utc_now)
    assert isinstance(gate, Beside)
    assert gate.pace.most == share
    assert await gate(fine) is FINE
    assert await logged(store) == [("setup", "done", None)]


async def test_without_a_relay_a_command_has_the_window_for_itself(patient: Patient, store: Database) -> None:
    gate = await gate_of_a_command(patient.settings(marketo_calls_per_window=7), clock=utc_now)
    assert isinstance(gate, Beside)
    assert gate.pace.most == 7


async def test_without_a_store_it_asks_all_the_same(patient: Patient) -> None:
    """Before the first start, there is none."""
    gate = await gate_of_a_command(patient.settings(), clock=utc_now)
    assert isinstance(gate, Paced)
    assert await gate(fine) is FINE
    assert await Beside(patient.given["database_url"], Paced(5), clock=utc_now)(fine) is FINE


@pytest.mark.parametrize("code", ["606", "607"])
async def test_what_a_limit_paused_is_not_asked(patient: Patient, store: Database, code: str) -> None:
    """A day that is used up is not made worse; the report says why nothing was looked at."""
    now = utc_now()
    pause = Pause("marketo", now + timedelta(hours=3), now, code, "Used up.", 1)
    await CallLog(store, clock=utc_now).pause(pause)
    with pytest.raises(NotNow, match=code):
        await Beside(patient.given["database_url"], Paced(5), clock=utc_now)(fine)
    report = await patient.report()
    seen = {one.check: one for one in report.findings}
    for check in ("marketo_network", "marketo_credentials", "daily_calls", "may_request_campaigns"):
        assert (seen[check].verdict, code in seen[check].found) == (Verdict.UNKNOWN, True)
    assert await logged(store) == []


async def test_a_call_that_fails_is_written_down_as_such(patient: Patient, store: Database) -> None:
    async def broken() -> Reply:
        raise failure(Endpoint.SETUP, "unreachable", "no route")

    with pytest.raises(CallFailed):
        await Beside(patient.given["database_url"], Paced(5), clock=utc_now)(broken)
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


async def test_a_trial_says_that_marketo_is_paused(patient: Patient, store: Database) -> None:
    now = utc_now()
    await CallLog(store, clock=utc_now).pause(Pause("marketo", now + timedelta(hours=3), now, "607", "Used up.", 1))
    told: list[str] = []
    settings = patient.settings()
    reminder = reminder_of(settings, ADA, patience=timedelta(0))
    assert await send_one(settings, reminder, tell=lambda title, _: told.append(title)) is Verdict.UNKNOWN
    assert told == ["Marketo"]
