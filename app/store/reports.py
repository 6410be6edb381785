"""The last report on the set-up, where every process of one store finds it: one looks, whichever is asked tells."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select

from app.domain import Json
from app.store.database import Database
from app.store.tables import reports

_SETUP = "setup"


class SetupReports:
    """Keeps one report, as JSON: the last that was made."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, report: Mapping[str, Json], *, at: datetime) -> None:
        values: dict[str, object] = {"name": _SETUP, "made_at": at, "report": dict(report)}
        async with self._database.write() as connection:
            await connection.execute(self._database.insert_or_update(reports, values, on=["name"]))

    async def last(self) -> Mapping[str, Json] | None:
        """Return the last report; None before the first."""
        async with self._database.read() as connection:
            found: Mapping[str, Json] | None = await connection.scalar(
                select(reports.c.report).where(reports.c.name == _SETUP)
            )
            return found
