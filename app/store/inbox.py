"""Accept events durably: all that wait at one moment share one transaction (group commit).

By what a sender repeats itself is kept as a keyed hash: it may be somebody's address, and stays for good.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import structlog
from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import EventId, EventState, NewEvent, Ticks, steady_seconds
from app.errors import StoreUnavailable
from app.store.database import Database, answered_within
from app.store.people import People
from app.store.tables import events
from app.store.views import Receipt

_TRIES = 3
WAITS = timedelta(seconds=5)  # in the queue; most senders have hung up soon after, and come again
WRITES = timedelta(seconds=5)  # one transaction
MOST_WAITING = 2000  # webhooks
MOST_BYTES = 32 * 1024 * 1024  # of their bodies; as much again may be in the transaction
_UNHEARD = timedelta(seconds=1)  # more, and nobody relies on the writer any longer, whose thread may hang
_AFTER_TROUBLE = 0.1  # seconds in which the writer's loop is the others', who need many turns of it
_log = structlog.get_logger(__name__)


class _Key(NamedTuple):
    """What a sender repeats, if anything, as it is kept."""

    source: str
    sealed: str | None


@dataclass(frozen=True, slots=True)
class _Mark:
    """What an event is known again by, and what a repeat must say too, as it is kept."""

    key: _Key
    content: str | None = None


@dataclass(frozen=True, slots=True)
class _Waiting:
    event: NewEvent
    receipt: "asyncio.Future[Receipt]"
    since: float


class Inbox:
    """Where webhooks are stored. `accept` returns after the commit, so an answer of 202 means stored.

    `run` does the writing, in the same event loop or in another thread's; it must run for as long as `accept` is
    called. `on_stored` is called there after each commit. At most `most_waiting` requests wait for a commit, with
    bodies of `most_bytes` together (one alone may be larger), and none longer than `waits` for its turn, so that a slow
    disk makes senders try again instead of filling the memory or hearing of it long after they have hung up. A
    transaction that takes longer than `writes` is given up.
    """

    def __init__(
        self,
        database: Database,
        *,
        on_stored: Callable[[], None] = lambda: None,
        most_waiting: int = MOST_WAITING,
        most_bytes: int = MOST_BYTES,
        most_together: int = 500,
        waits: timedelta = WAITS,
        writes: timedelta = WRITES,
        ticks: Ticks = steady_seconds,
    ) -> None:
        self._database = database
        self._people = People(database)
        self._on_stored = on_stored
        self._most_waiting = most_waiting
        self._most_bytes = most_bytes
        self._most_together = most_together
        self._waits = waits
        self._writes = writes
        self._ticks = ticks
        self._unheard = (waits + writes + _UNHEARD).total_seconds()
        self._waiting: deque[_Waiting] = deque()  # one thread appends, the other takes: both are atomic
        self._bytes_come, self._bytes_gone = 0, 0  # so far; each is counted by one of the two
        self._arrived = asyncio.Event()
        self._writer: asyncio.AbstractEventLoop | None = None
        self._is_closing = False

    @property
    def is_open(self) -> bool:
        """Tell whether anybody can be stored: until `close`, and for as long as `run` does not end by a defect."""
        return not self._is_closing

    @property
    def waiting(self) -> tuple[int, int]:
        """Return how many wait for their turn, and how many bytes their bodies have."""
        return len(self._waiting), self._bytes_come - self._bytes_gone

    async def accept(self, event: NewEvent) -> Receipt:
        """Store one event and return its receipt, or that of the event it repeats.

        Raises:
            StoreUnavailable: nothing was stored, or it is not known to be; the sender should try again.
        """
        if self._is_closing:
            raise StoreUnavailable("the relay is stopping")
        self._refuse_if_full(len(event.body))
        receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._bytes_come += len(event.body)
        self._waiting.append(_Waiting(event, receipt, self._ticks()))
        if len(self._waiting) == 1:
            self._ring()
        try:
            async with asyncio.timeout(self._unheard):  # if it still waits for its turn, it has missed it
                return await receipt
        except TimeoutError:
            raise StoreUnavailable("what stores webhooks gives no sign of life") from None

    async def run(self) -> None:
        """Write what arrives, until `close` and what waits then.

        Whoever still waits is refused when this is cancelled, or the store does not take what comes before.
        """
        self._writer = asyncio.get_running_loop()
        try:
            while not (self._is_closing and not self._waiting):
                if not self._waiting:
                    await self._arrived.wait()
                self._arrived.clear()
                if together := self._taken():
                    is_well = await self._write(together)
                    # On SQLite nothing above gives way to others, and under a burst somebody waits at each moment.
                    await asyncio.sleep(0 if is_well else _AFTER_TROUBLE)
                    if self._is_closing and not is_well:
                        break
        finally:
            self._is_closing = True
            _refuse(self._waiting, "the relay is stopping")

    def close(self) -> None:
        """Refuse new events, and let `run` end when those that wait are written."""
        self._is_closing = True
        self._ring()

    def _refuse_if_full(self, more: int) -> None:
        waiting, size = self.waiting
        if waiting >= self._most_waiting:
            raise StoreUnavailable(f"{waiting} webhooks wait for the database already")
        if waiting and size + more > self._most_bytes:
            raise StoreUnavailable(f"webhooks of {size} bytes wait for the database already")

    def _ring(self) -> None:
        if self._writer is not None and not self._writer.is_closed():
            self._writer.call_soon_threadsafe(self._arrived.set)

    def _taken(self) -> list[_Waiting]:
        """Return those whose turn it is, and refuse whoever came too long ago."""
        since = self._ticks() - self._waits.total_seconds()
        late: list[_Waiting] = []
        while self._waiting and self._waiting[0].since < since:
            late.append(self._next())
        _refuse(late, f"the database is too slow: nobody's turn came within {self._waits.total_seconds():g} s")
        return [self._next() for _ in range(min(len(self._waiting), self._most_together))]

    def _next(self) -> _Waiting:
        one = self._waiting.popleft()
        self._bytes_gone += len(one.event.body)
        return one

    async def _write(self, together: Sequence[_Waiting]) -> bool:
        """Store these and tell them; return whether that went well."""
        new = [one.event for one in together]
        try:
            async with answered_within(self._writes):
                await self._people.prepare()
                marks = {event.id: self._mark(event) for event in new}
                async with self._database.write() as connection:
                    receipts = await _store(connection, self._database, new, marks)
        except asyncio.CancelledError:
            _refuse(together, "the relay is stopping")
            raise
        except Exception as problem:  # noqa: BLE001  # whatever it was, those who wait must hear of it
            if not isinstance(problem, StoreUnavailable):
                _log.exception("writing the inbox failed")
            _answer(together, [problem] * len(together))
            return False
        self._on_stored()
        _answer(together, receipts)
        return True

    def _mark(self, event: NewEvent) -> _Mark:
        if event.dedupe is None:
            return _Mark(_Key(event.source, None))
        key, content = self._people.sealed(event.dedupe.key), event.dedupe.content
        return _Mark(_Key(event.source, key), self._people.sealed(content) if content else None)


def _refuse(waiting: Collection[_Waiting], why: str) -> None:
    _answer(waiting, [StoreUnavailable(why)] * len(waiting))


def _answer(together: Collection[_Waiting], answers: Sequence[Receipt | Exception]) -> None:
    """Tell those who wait, in their own event loop: one call for all of it."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Receipt], Receipt | Exception]]] = {}
    for waiting, answer in zip(together, answers, strict=True):
        by_loop.setdefault(waiting.receipt.get_loop(), []).append((waiting.receipt, answer))
    for loop, pairs in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_tell, pairs)


def _tell(pairs: Sequence[tuple["asyncio.Future[Receipt]", Receipt | Exception]]) -> None:
    for waiting, answer in pairs:
        if waiting.done():
            continue  # its request was cancelled meanwhile; the event is stored all the same
        if isinstance(answer, Receipt):
            waiting.set_result(answer)
        else:
            refusal = StoreUnavailable(str(answer))
            refusal.__cause__ = answer
            waiting.set_exception(refusal)


async def _store(
    connection: AsyncConnection, database: Database, new: Sequence[NewEvent], marks: Mapping[EventId, _Mark]
) -> list[Receipt]:
    receipts: dict[EventId, Receipt] = {}
    left = list(new)
    for _ in range(_TRIES):
        stored = await _insert(connection, database, left, marks)
        receipts |= {event.id: Receipt(event.id, is_new=True) for event in left if event.id in stored}
        repeats = [event for event in left if event.id not in stored]
        first = await _first_of(connection, {marks[event.id].key for event in repeats}) if repeats else {}
        receipts |= {e.id: found for e in repeats if (found := _receipt_of_repeat(marks[e.id], first))}
        left = [event for event in repeats if event.id not in receipts]  # its first was claimed in between: insert it
        if not left:
            break
    if left:
        raise StoreUnavailable("the events that these repeat keep changing")
    return [receipts[event.id] for event in new]


async def _insert(
    connection: AsyncConnection, database: Database, new: Sequence[NewEvent], marks: Mapping[EventId, _Mark]
) -> set[str]:
    statement = database.insert_or_ignore(events, on=["source", "dedupe_key"]).returning(events.c.id)
    rows = sorted(
        (_row(event, marks[event.id]) for event in new), key=lambda row: row["dedupe_key"] or ""
    )  # or two would deadlock
    return set((await connection.execute(statement, rows)).scalars())


def _row(event: NewEvent, mark: _Mark) -> dict[str, Any]:
    return {
        "id": event.id,
        "source": event.source,
        "received_at": event.received_at,
        "headers": dict(event.headers),
        "body": event.body,
        "dedupe_key": mark.key.sealed,
        "dedupe_scope": event.dedupe.scope if event.dedupe else None,
        "dedupe_content": mark.content,
        "state": EventState.WAITING,
        "due_at": event.due_at,
        "attempts": 0,
        "traceparent": event.traceparent,
    }


def _receipt_of_repeat(mark: _Mark, first: Mapping[_Key, tuple[str, str | None]]) -> Receipt | None:
    if mark.key not in first:
        return None
    event_id, content = first[mark.key]
    return Receipt(event_id, is_new=False, is_other=content != mark.content)


async def _first_of(connection: AsyncConnection, wanted: set[_Key]) -> dict[_Key, tuple[str, str | None]]:
    """Return the id of the event that has each key, and what a repeat of it must say too."""
    c = events.c
    rows = await connection.execute(
        select(c.id, c.source, c.dedupe_key, c.dedupe_content).where(tuple_(c.source, c.dedupe_key).in_(wanted))
    )
    return {_Key(row.source, row.dedupe_key): (row.id, row.dedupe_content) for row in rows}
