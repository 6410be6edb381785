"""What one process found of the set-up is there for all, on both databases."""

from datetime import timedelta

from app.domain import Json
from app.store.database import Database
from app.store.reports import SetupReports
from tests.conftest import MovableClock


async def test_the_last_report_is_kept_and_no_other(database: Database, clock: MovableClock) -> None:
    assert await SetupReports(database).last() is None
    for number in (1, 2):
        report: dict[str, Json] = {"summary": f"Größe {number}", "findings": [{"check": "clock", "subject": None}]}
        await SetupReports(database).keep(report, at=clock() + timedelta(hours=number))
    assert await SetupReports(database).last() == report
