"""Find one request to Marketo with the registrations that it was about. Reads only."""

from sqlalchemy import select

from app.store.database import Database
from app.store.lookup import call_views, registration_view
from app.store.tables import registrations, timeline
from app.store.views import CallWithRegistrations

_MOST_SHOWN = 300  # a call has no more people


class Calls:
    """Answers what a call was about."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def call(self, call_id: str) -> CallWithRegistrations | None:
        """Return one call and its registrations, also those that have moved on since; None when there is none."""
        async with self._database.read() as connection:
            found = await call_views(connection, {call_id})
            if not found:
                return None
            c = registrations.c
            told = select(timeline.c.registration_id).where(timeline.c.call_id == call_id)
            settled = await connection.execute(
                select(registrations).where(c.id.in_(told)).order_by(c.id).limit(_MOST_SHOWN)
            )
            rows = {row["id"]: row for row in settled.mappings()}
            if found[0].finished_at is None:
                under_way = select(registrations).where(c.state == "sending", c.call_id == call_id).limit(_MOST_SHOWN)
                rows |= {row["id"]: row for row in (await connection.execute(under_way)).mappings()}
        return CallWithRegistrations(found[0], [registration_view(row) for row in rows.values()])
