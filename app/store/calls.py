"""What is known of past calls: the window that survives a restart, and the pauses that Marketo asked for."""

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import and_, delete, func, insert, literal, or_, select, update

from app.domain import CallId, Clock, new_id
from app.store.claims import CallKind, CallResult
from app.store.database import Database
from app.store.sharing import IS_BESIDE, LONGEST_CALL, MAY_RUN, NO_TERM, Heed, enter
from app.store.tables import UtcDateTime, calls, pauses

QUOTA_USED_UP = "607"  # the code of a pause that ends with Marketo's day


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
    """Past calls and the pauses that follow from them. `heed` is what a leader's new call must pass."""

    def __init__(self, database: Database, *, clock: Clock, heed: Heed | None = None) -> None:
        self._database = database
        self._clock = clock
        self._heed = heed

    async def ended_since(self, since: datetime) -> list[datetime]:
        """Return when each call of a leader ended that may still be in Marketo's window, oldest first.

        Of one whose relay stopped nobody knows: it may run until Marketo's time-out, which may be still to come.
        """
        now, c = self._clock(), calls.c
        is_left = or_(c.finished_at.is_(None), and_(c.outcome == "lost", c.code.is_(None)))
        ended = func.coalesce(c.finished_at, literal(now, UtcDateTime))
        counts = or_(ended >= since, and_(is_left, c.started_at >= since - MAY_RUN))
        asked = select(ended, c.started_at, is_left).where(
            c.started_at >= since - LONGEST_CALL, counts, c.fence != NO_TERM
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(asked)).all()
        return sorted(max(at, started_at + MAY_RUN) if left else at for at, started_at, left in rows)

    async def count_since(self, since: datetime) -> int:
        """Return how many calls were written down since then."""
        async with self._database.read() as connection:
            counted = select(func.count()).select_from(calls).where(calls.c.started_at >= since)
            return await connection.scalar(counted) or 0

    async def count_beside_since(self, since: datetime) -> int:
        """Return how many of them were made beside a leader, or without one."""
        async with self._database.read() as connection:
            counted = select(func.count()).select_from(calls).where(IS_BESIDE, calls.c.started_at >= since)
            return await connection.scalar(counted) or 0

    async def has_worked(self, since: datetime, *, fence: int) -> bool:
        """Tell whether Marketo has done what a call of this term asked for that began since then, looks left aside."""
        c = calls.c
        is_look = c.kind.in_(("check", "setup"))
        worked = select(c.id).where(c.started_at >= since, c.fence == fence, ~is_look, c.outcome == "done")
        async with self._database.read() as connection:
            return await connection.scalar(worked.limit(1)) is not None

    async def begin(self, kind: CallKind, *, fence: int) -> CallId:
        """Write down a call that is for no registration, before it is made.

        Raises:
            WindowTaken: its place has gone to another process.
        """
        now = self._clock()
        call_id = CallId(new_id("call", now))
        row = {"id": call_id, "kind": kind, "campaign_id": None, "size": 0, "fence": fence, "started_at": now}
        async with self._database.write() as connection:
            await enter(connection, now, self._heed)
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
