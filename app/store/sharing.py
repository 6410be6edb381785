"""Share Marketo's window among processes: every call is counted in the store before it is made, by whoever makes it.

The leader keeps its own calls in mind, and is told those of others. Whoever calls beside it counts all calls, its own
and the leader's. A row of `leases` keeps the two apart: who calls beside the leader holds it alone while it counts and
writes its call down, the leader holds it, as often as it likes at a time, while it writes down one of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, insert, literal_column, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import MARKETO_WINDOW, CallId, new_id
from app.errors import WindowTaken
from app.store.claims import CallKind
from app.store.database import Database
from app.store.leases import BESIDE, LEADER
from app.store.tables import calls, leases

LONGEST_CALL = timedelta(minutes=3)  # with its token and time-outs; an upsert of `relay doctor --send` the longest
MAY_RUN = timedelta(seconds=30)  # from its beginning, a call whose relay stopped: Marketo's time-out
NO_TERM = 0  # the fence of calls that are made beside the leader, in no term of its
_WAITS_FOR = timedelta(seconds=3)  # from its last sign on, somebody is taken to wait for a place
LATER = timedelta(seconds=1)  # who is beside takes the place that its last call left: a leader looks every half second
IS_BESIDE = calls.c.fence == literal_column(str(NO_TERM))  # a parameter finds no partial index


@dataclass(frozen=True, slots=True)
class Stay:
    """One call in the window: when it began and ended, as far as that is known (None: it may still run)."""

    began: datetime
    ended: datetime | None
    is_beside: bool = True


@dataclass(frozen=True, slots=True)
class Others:
    """What a leader is told: the calls of others in the window, and whether somebody else waits for a place."""

    calls: Sequence[Stay] = ()
    is_waiting: bool = False


Heed = Callable[[Others], bool]  # tells whether a call still has a place beside those of others


async def enter(connection: AsyncConnection, now: datetime, heed: Heed | None) -> None:
    """Let nobody else count calls until the end of this transaction, in which the leader writes one down.

    Raises:
        WindowTaken: its place has gone to another process.
    """
    if heed is None:
        return
    asked = select(leases.c.at, leases.c.is_free).where(leases.c.name == BESIDE).with_for_update(read=True)
    row = (await connection.execute(asked)).one_or_none()
    others = Others()
    if row is not None and row.at is not None and abs(now - row.at) <= LONGEST_CALL + MARKETO_WINDOW:
        is_waiting = not row.is_free and abs(now - row.at) <= _WAITS_FOR
        others = Others(await _window(connection, now, MARKETO_WINDOW, IS_BESIDE), is_waiting)
    if not heed(others):
        raise WindowTaken("a process beside this one has taken the place in Marketo's window")


@dataclass(frozen=True, slots=True)
class Begun:
    """A call that was written down, and may be made."""

    call_id: CallId


@dataclass(frozen=True, slots=True)
class Rest:
    """No call was written down; `because` says why as the end of a sentence."""

    because: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What whoever calls beside the leader is told: all calls in the window, and whether somebody leads."""

    calls: Sequence[Stay]
    is_led: bool
    now: datetime


Judge = Callable[[Seen], str | None]  # says why there is no room; None: there is


async def begin_beside(database: Database, kind: CallKind, now: datetime, judge: Judge) -> Begun | Rest:
    """Write down a call of a process that does not lead if `judge` finds room for it, else that it is waited for."""
    row = leases.c
    async with database.write() as connection:
        first = {"name": BESIDE, "holder": "", "fence": NO_TERM, "beats": 0, "is_free": 1}
        await connection.execute(database.insert_or_ignore(leases, on=["name"]).values(first))
        await connection.execute(select(row.name).where(row.name == BESIDE).with_for_update())
        leader = await connection.execute(select(row.is_free).where(row.name == LEADER))
        is_led = leader.scalar_one_or_none() == 0
        stays = await _window(connection, now, MARKETO_WINDOW + LATER)
        full = judge(Seen([one for one in stays if one.is_beside or _is_in_window(one, now)], is_led, now))
        sign = update(leases).where(row.name == BESIDE).values(at=now, is_free=int(full is None))
        await connection.execute(sign)
        if full is not None:
            return Rest(full)
        call_id = CallId(new_id("call", now))
        values = {"id": call_id, "kind": kind, "campaign_id": None, "size": 0, "fence": NO_TERM, "started_at": now}
        await connection.execute(insert(calls).values(values))
    return Begun(call_id)


async def _window(
    connection: AsyncConnection, now: datetime, span: timedelta, which: ColumnElement[bool] | None = None
) -> list[Stay]:
    """Return the calls that may be in Marketo's window, in the order in which they began."""
    c, since = calls.c, now - span
    is_cut = and_(c.outcome == "lost", c.code.is_(None), c.started_at >= since - MAY_RUN)
    asked = select(c.started_at, c.finished_at, IS_BESIDE.label("is_beside"), is_cut.label("is_cut"))
    counts = or_(c.finished_at.is_(None), c.finished_at >= since, is_cut)
    asked = asked.where(c.started_at >= since - LONGEST_CALL, counts).order_by(c.started_at)
    rows = await connection.execute(asked if which is None else asked.where(which))
    return [_stay(row.started_at, row.finished_at, row.is_beside, row.is_cut, now) for row in rows]


def _is_in_window(stay: Stay, now: datetime) -> bool:
    return stay.ended is None or stay.ended >= now - MARKETO_WINDOW


def _stay(began: datetime, ended: datetime | None, is_beside: bool, is_cut: bool, now: datetime) -> Stay:
    latest = began + LONGEST_CALL  # after it, its process has died
    if ended is None:
        return Stay(began, None if latest > now else latest, bool(is_beside))
    if is_cut:  # its relay stopped, and nobody knows when Marketo is through with it
        ended = max(ended, began + MAY_RUN)
    return Stay(began, ended if ended <= now else None, bool(is_beside))
