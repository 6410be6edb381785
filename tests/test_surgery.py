"""The doctor in a terminal: each line when it is known, and why the next one is long in coming."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from app.store.database import open_database
from app.surgery import Surgery
from tests.doctor.patient import Patient, patient_at_hand
from tests.tables import make_tables

ONE_CALL = {"marketo_calls_per_window": 1}


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[Patient]:
    async with patient_at_hand(tmp_path) as at_hand:
        async with open_database(at_hand.given["database_url"]) as database:
            await make_tables(database)
        yield at_hand


class Desk:
    """A surgery whose two consoles are texts."""

    def __init__(self, patient: Patient, **changes: object) -> None:
        self.out, self.aside = io.StringIO(), io.StringIO()
        console, aside = (Console(file=file, width=120, color_system=None) for file in (self.out, self.aside))
        self.surgery = Surgery(console, aside, {**patient.given, **changes}, lambda _: False, timedelta(0))

    async def until_it_waits(self, *, as_json: bool) -> None:
        """Let it check until it says that it waits, and a little longer."""
        visit = asyncio.create_task(self.surgery.visit(as_json=as_json, may_mend=False))
        async with asyncio.timeout(30):
            while "This takes a while" not in self.aside.getvalue():  # noqa: ASYNC110  # it is written by another task
                await asyncio.sleep(0.05)
        await asyncio.sleep(1.1)  # it looks for a place every half second
        visit.cancel()
        await asyncio.gather(visit, return_exceptions=True)


async def test_what_is_known_is_shown_before_the_next_call_is_made(patient: Patient) -> None:
    """With a call in 20 seconds a whole report takes minutes, and a blank screen reads as a hang."""
    desk = Desk(patient, **ONE_CALL)
    await desk.until_it_waits(as_json=False)
    shown = desk.out.getvalue()
    assert "This relay" in shown
    assert "Calls left today" in shown
    assert "May request campaigns" not in shown


async def test_why_it_is_slow_is_said_once(patient: Patient) -> None:
    desk = Desk(patient, **ONE_CALL)
    await desk.until_it_waits(as_json=False)
    said = desk.aside.getvalue()
    assert said.count("This takes a while") == 1
    assert "MARKETO_CALLS_PER_WINDOW=1" in said


async def test_a_document_is_printed_whole_or_not_at_all(patient: Patient) -> None:
    desk = Desk(patient, **ONE_CALL)
    await desk.until_it_waits(as_json=True)
    assert desk.out.getvalue() == ""
    whole = Desk(patient)
    await whole.surgery.visit(as_json=True, may_mend=False)
    assert json.loads(whole.out.getvalue())["findings"]


async def test_a_report_that_came_line_by_line_is_whole(patient: Patient) -> None:
    """Each section has one heading, and the sentence counts all lines."""
    desk = Desk(patient)
    code = await desk.surgery.visit(as_json=False, may_mend=False)
    lines = desk.out.getvalue().splitlines()
    assert code == 1
    for heading in ("This relay", "Marketo", "People in Marketo", "Eventbrite", "Pendo"):
        assert lines.count(heading) == 1
    report = await patient.report()
    assert report.summary in lines
    assert desk.aside.getvalue() == ""
