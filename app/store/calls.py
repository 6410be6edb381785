"""What is known of past calls: the window that survives a restart, and the pauses that Marketo asked for."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, insert, literal, select, update

from app.domain import CallId, Clock, new_id
from app.store.database import Database
from app.store.sending import CallKind, CallResult
from app.store.tables import UtcDateTime, calls, pauses

_LONGEST_CALL = timedelta(minutes=3)  # Marketo itself gives up after 90 s


@dataclass(frozen=True, slots=True)
class Pause:
    """Calls of one scope wait until a time: `marketo`, or `campaign:1234`. `times` counts them in a row."""

    scope: str
    until: datetime
    since: datetime
    code: str
    reason: str
    times: int


class CallLog:
    """Past calls and the pauses that follow from them."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def ended_since(self, since: datetime) -> list[datetime]:
        """Return when each call ended that may still be in Marketo's window, oldest first; now, if that is unknown."""
        c = calls.c
        ended = func.coalesce(c.finished_at, literal(self._clock(), UtcDateTime))
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(ended).where(c.started_at >= since - _LONGEST_CALL, ended >= since).order_by(ended)
            )
            return list(rows.scalars())

    async def count_since(self, since: datetime) -> int:
        """Return how many calls were written down since then."""
        async with self._database.read() as connection:
            counted = select(func.count()).select_from(calls).where(calls.c.started_at >= since)
            return await connection.scalar(counted) or 0

    async def has_worked(self, since: datetime, *, fence: int) -> bool:
        """Tell whether Marketo has done what a call of this term asked for that began since then, looks left aside."""
        c = calls.c
        worked = select(c.id).where(c.started_at >= since, c.fence == fence, c.kind != "check", c.outcome == "done")
        async with self._database.read() as connection:
            return await connection.scalar(worked.limit(1)) is not None

    async def begin(self, kind: CallKind, *, fence: int) -> CallId:
        """Write down a call that is for no registration, before it is made."""
        now = self._clock()
        call_id = CallId(new_id("call", now))
        row = {"id": call_id, "kind": kind, "campaign_id": None, "size": 0, "fence": fence, "started_at": now}
        async with self._database.write() as connection:
            await connection.execute(insert(calls).values(row))
        return call_id

    async def end(self, call_id: CallId, result: CallResult) -> None:
        """Write down how such a call ended."""
        async with self._database.write() as connection:
            await connection.execute(
                update(calls).where(calls.c.id == call_id).values(finished_at=self._clock(), **asdict(result))
            )

    async def pauses(self) -> list[Pause]:
        """Return the pauses that are not over."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(pauses).where(pauses.c.until > self._clock()))
            return [Pause(**row) for row in rows.mappings()]

    async def pause(self, pause: Pause) -> None:
        """Write down a pause, in the place of an earlier one of its scope."""
        values = {name: getattr(pause, name) for name in Pause.__dataclass_fields__}
        async with self._database.write() as connection:
            await connection.execute(self._database.insert_or_update(pauses, values, on=["scope"]))

    async def resume(self, scope: str) -> None:
        """Forget the pause of a scope."""
        async with self._database.write() as connection:
            await connection.execute(delete(pauses).where(pauses.c.scope == scope))
