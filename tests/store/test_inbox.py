"""Accepting: stored before the answer, repeats known again, refusals heard by all who wait."""

import asyncio
import hashlib
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import Dedupe, EventId, NewEvent, new_id
from app.errors import StoreUnavailable
from app.store.database import Database, open_database
from app.store.events import EventQueue
from app.store.inbox import Inbox
from app.store.lookup import Lookup
from app.store.people import People
from app.store.retention import blank_events
from app.store.tables import events
from tests.conftest import MovableClock
from tests.patience import PATIENT
from tests.tables import make_tables


def make_event(clock: MovableClock, dedupe: Dedupe | None = None, body: bytes = b"{}") -> NewEvent:
    now = clock()
    return NewEvent(EventId(new_id("evt", now)), "custom", now, now, {"a": "b"}, body, dedupe)


@pytest.fixture
async def inbox(database: Database) -> AsyncIterator[Inbox]:
    inbox = Inbox(database, writes=PATIENT)
    running = asyncio.create_task(inbox.run())
    yield inbox
    inbox.close()
    await running


async def test_what_is_accepted_is_stored_as_it_came(database: Database, inbox: Inbox, clock: MovableClock) -> None:
    """The body is evidence: it must come back byte for byte."""
    body = b'\xff\x00 {"a": 1}\r\n'
    receipt = await inbox.accept(make_event(clock, body=body))
    stored = await Lookup(database).event(receipt.event_id)
    assert receipt.is_new
    assert stored is not None
    assert (stored.body, stored.headers, stored.received_at) == (body, {"a": "b"}, clock())


async def test_a_repeat_gets_the_id_of_the_first(inbox: Inbox, clock: MovableClock) -> None:
    """Senders repeat when an answer was lost; the second must not become a second registration."""
    key = Dedupe("msg_1", "forever")
    first = await inbox.accept(make_event(clock, key))
    second = await inbox.accept(make_event(clock, key))
    assert (second.event_id, second.is_new) == (first.event_id, False)


async def test_repeats_that_arrive_together_are_known_too(inbox: Inbox, clock: MovableClock) -> None:
    """They share one transaction, where the unique index has not seen a commit yet."""
    key = Dedupe("msg_1", "forever")
    receipts = await asyncio.gather(*(inbox.accept(make_event(clock, key)) for _ in range(20)))
    assert len({receipt.event_id for receipt in receipts}) == 1
    assert sum(receipt.is_new for receipt in receipts) == 1


async def test_what_says_something_else_under_a_key_is_told_and_not_stored(
    database: Database, inbox: Inbox, clock: MovableClock
) -> None:
    """As a repeat it would be lost without a word. Also within one transaction, and when the first was purged."""
    one, other = (Dedupe("key:1001", "forever", said) for said in ("first@example.com", "second@example.com"))
    told = await asyncio.gather(*(inbox.accept(make_event(clock, key)) for key in (one, other, one)))
    assert [(r.event_id == told[0].event_id, r.is_new, r.is_other) for r in told] == [
        (True, True, False),
        (True, False, True),
        (True, False, False),
    ]
    await EventQueue(database).claim(now=clock(), fence=1, limit=10)
    async with database.write() as connection:
        await blank_events(connection, [told[0].event_id])
    assert [(await inbox.accept(make_event(clock, key))).is_other for key in (other, one)] == [True, False]
    async with database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(events)) == 1


async def test_events_without_a_key_are_all_kept(inbox: Inbox, clock: MovableClock) -> None:
    """Equal bodies can both be meant."""
    receipts = await asyncio.gather(*(inbox.accept(make_event(clock)) for _ in range(30)))
    assert len({receipt.event_id for receipt in receipts}) == 30


async def test_a_pending_key_counts_until_work_begins(database: Database, inbox: Inbox, clock: MovableClock) -> None:
    """Five pokes become one fetch, and a change after that fetch is not swallowed."""
    key = Dedupe("order:1", "pending")
    first = await inbox.accept(make_event(clock, key))
    poke = await inbox.accept(make_event(clock, key))
    claimed = await EventQueue(database).claim(now=clock(), fence=1, limit=10)
    later = await inbox.accept(make_event(clock, key))
    assert (poke.event_id, poke.is_new) == (first.event_id, False)
    assert [event.id for event in claimed] == [first.event_id]
    assert later.is_new


async def test_a_forever_key_counts_after_the_work_too(database: Database, inbox: Inbox, clock: MovableClock) -> None:
    """A true event id names one event for all time."""
    key = Dedupe("msg_1", "forever")
    await inbox.accept(make_event(clock, key))
    await EventQueue(database).claim(now=clock(), fence=1, limit=10)
    assert not (await inbox.accept(make_event(clock, key))).is_new


async def test_a_cancelled_request_does_not_disturb_its_neighbours(inbox: Inbox, clock: MovableClock) -> None:
    """A sender that hangs up shares its transaction with others."""
    gone = asyncio.create_task(inbox.accept(make_event(clock)))
    stays = asyncio.create_task(inbox.accept(make_event(clock)))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await stays).is_new


async def test_a_full_queue_refuses_at_once(database: Database, clock: MovableClock) -> None:
    """Memory is bounded: past the limit a sender is told to come again."""
    inbox = Inbox(database, most_waiting=3)  # nothing runs, so nothing is written
    waiting = [asyncio.create_task(inbox.accept(make_event(clock))) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="3 webhooks wait"):
        await inbox.accept(make_event(clock))
    for task in waiting:
        task.cancel()


async def test_large_bodies_fill_the_queue_by_their_size(database: Database, clock: MovableClock) -> None:
    """Two thousand of the largest would be half a gigabyte; one alone may be as large as the web half lets through."""
    inbox = Inbox(database, most_bytes=10)
    waiting = [asyncio.create_task(inbox.accept(make_event(clock, body=b"larger than ten bytes")))]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="webhooks of 21 bytes wait"):
        await inbox.accept(make_event(clock, body=b"1"))
    running = asyncio.create_task(inbox.run())
    await waiting.pop()
    waiting += [asyncio.create_task(inbox.accept(make_event(clock, body=b"12345"))) for _ in range(3)]
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(answer, StoreUnavailable) for answer in answers] == [False, False, True]
    inbox.close()
    await running
    assert inbox.waiting == (0, 0)


async def test_who_relies_on_a_writer_that_hangs_is_refused_all_the_same(
    database: Database, clock: MovableClock
) -> None:
    """Its thread may be blocked by the disk; what its sender was told not to be stored is not stored later."""
    ticks = [0.0]
    inbox = Inbox(database, waits=timedelta(), writes=timedelta(), ticks=lambda: ticks[0])  # which does not run
    with pytest.raises(StoreUnavailable, match="no sign of life"):
        await inbox.accept(make_event(clock))
    ticks[0] = 1.0
    inbox.close()
    await inbox.run()
    assert (await EventQueue(database).waiting())[0] == 0


async def test_closing_writes_what_waits_and_refuses_the_rest(database: Database, clock: MovableClock) -> None:
    """A stop loses nothing that was taken in."""
    inbox = Inbox(database)
    waiting = [asyncio.create_task(inbox.accept(make_event(clock))) for _ in range(5)]
    await asyncio.sleep(0)
    inbox.close()
    await inbox.run()
    assert all(receipt.is_new for receipt in await asyncio.gather(*waiting))
    with pytest.raises(StoreUnavailable, match="stopping"):
        await inbox.accept(make_event(clock))


async def test_everybody_hears_of_a_locked_database(tmp_path: Path, clock: MovableClock) -> None:
    """Another process holds the write lock: 503, not a lost event or a hang; afterwards it goes on by itself."""
    path = tmp_path / "relay.db"
    database = open_database(f"sqlite:///{path}", lock_wait=timedelta(milliseconds=50))
    await make_tables(database)
    inbox = Inbox(database)
    running = asyncio.create_task(inbox.run())
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    answers = await asyncio.gather(*(inbox.accept(make_event(clock)) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 3
    holder.execute("ROLLBACK")
    holder.close()
    assert (await inbox.accept(make_event(clock))).is_new
    inbox.close()
    await running
    await database.close()


@pytest.mark.parametrize("chosen", ["a\x00b", "half a pair \ud800", "k" * 5000, "\n", "é" * 200])
async def test_any_text_may_be_a_key(inbox: Inbox, clock: MovableClock, chosen: str) -> None:
    """Senders choose it; one that the database refused would take its neighbours' commit with it."""
    key = Dedupe(chosen, "forever")
    first, neighbour = await asyncio.gather(inbox.accept(make_event(clock, key)), inbox.accept(make_event(clock)))
    assert (first.is_new, neighbour.is_new) == (True, True)
    assert (await inbox.accept(make_event(clock, key))).event_id == first.event_id
    assert (await inbox.accept(make_event(clock, Dedupe(chosen + "x", "forever")))).is_new


async def test_what_a_sender_repeats_itself_by_cannot_be_read(
    database: Database, inbox: Inbox, clock: MovableClock
) -> None:
    """It stays for good, past the retention time and past forgetting, and a sender may take the person's address."""
    assert (await inbox.accept(make_event(clock, Dedupe("ada@example.com", "forever", "ada@example.com")))).is_new
    async with database.read() as connection:
        (row,) = await connection.execute(select(events.c.dedupe_key, events.c.dedupe_content))
    for kept in row:
        assert re.fullmatch(r"[0-9a-f]{64}", kept)
        assert kept != hashlib.sha256(b"ada@example.com").hexdigest()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer
async def test_equal_keys_in_another_order_do_not_deadlock(
    database: Database, inbox: Inbox, clock: MovableClock
) -> None:
    """Two processes write what one sender sent them twice; PostgreSQL would end one of them with all its events."""
    people = People(database)
    await people.prepare()
    first, second, third = sorted("xyz", key=people.sealed)
    async with database.write() as other:
        await _insert_as_another_process(other, people.sealed(second), clock)
        keys = [Dedupe(key, "forever") for key in (third, second, first)]
        together = [asyncio.create_task(inbox.accept(make_event(clock, key))) for key in keys]
        await _until_somebody_waits(database)
        await _insert_as_another_process(other, people.sealed(third), clock)
    receipts = await asyncio.gather(*together)
    assert [receipt.is_new for receipt in receipts] == [False, False, True]


async def _insert_as_another_process(connection: AsyncConnection, key: str, clock: MovableClock) -> None:
    row = {
        "id": f"evt_{key[:20]}",
        "source": "custom",
        "dedupe_key": key,
        "dedupe_scope": "forever",
        "state": "waiting",
    }
    times = {"received_at": clock(), "due_at": clock()}
    await connection.execute(insert(events).values(**row, **times, headers={}, body=b"", attempts=0))


async def _until_somebody_waits(database: Database) -> None:
    async with asyncio.timeout(20), database.engine.connect() as connection:
        while not await connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            await connection.rollback()


async def test_who_waits_too_long_for_a_turn_is_refused_and_not_stored(database: Database, clock: MovableClock) -> None:
    """Its sender has hung up by then and comes again; stored all the same, it would be there twice."""
    ticks = [0.0]
    inbox = Inbox(database, waits=timedelta(seconds=5), ticks=lambda: ticks[0])  # which does not run yet
    late = asyncio.create_task(inbox.accept(make_event(clock)))
    await asyncio.sleep(0)
    ticks[0] = 4.0
    in_time = asyncio.create_task(inbox.accept(make_event(clock)))
    await asyncio.sleep(0)
    ticks[0] = 5.5
    inbox.close()
    await inbox.run()
    with pytest.raises(StoreUnavailable, match="nobody's turn came within 5 s"):
        await late
    assert (await in_time).is_new
    assert (await EventQueue(database).waiting())[0] == 1


async def test_between_two_transactions_its_loop_is_the_others(database: Database, clock: MovableClock) -> None:
    """On SQLite no statement gives way: under a burst nobody would lead, send, or hear that the process must end."""
    turns, at_commits = 0, list[int]()
    inbox = Inbox(database, most_together=1, on_stored=lambda: at_commits.append(turns))
    waiting = [asyncio.create_task(inbox.accept(make_event(clock))) for _ in range(5)]
    await asyncio.sleep(0)
    running = asyncio.create_task(inbox.run())
    while not all(task.done() for task in waiting):
        await asyncio.sleep(0)
        turns += 1
    inbox.close()
    await running
    assert at_commits == sorted(set(at_commits))
    assert len(at_commits) == 5


async def test_a_store_that_is_locked_leaves_its_loop_time_for_the_others(tmp_path: Path, clock: MovableClock) -> None:
    """Each try blocks the thread for the lock's wait; to stop, or to give back the lease, takes many turns."""
    path = tmp_path / "relay.db"
    async with open_database(f"sqlite:///{path}", lock_wait=timedelta(milliseconds=50)) as database:
        await make_tables(database)
        inbox = Inbox(database, most_together=1)
        running = asyncio.create_task(inbox.run())
        await inbox.accept(make_event(clock))
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            waiting = [asyncio.create_task(inbox.accept(make_event(clock))) for _ in range(20)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for _ in range(200):
                await asyncio.sleep(0)
            refused = sum(task.done() for task in waiting)
            running.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
    assert refused < 20


async def test_a_store_that_refuses_is_not_tried_again_once_the_relay_stops(
    tmp_path: Path, clock: MovableClock
) -> None:
    """Each try would wait for the lock, and a stop takes ten seconds in all; their senders come again."""
    path = tmp_path / "relay.db"
    async with open_database(f"sqlite:///{path}", lock_wait=timedelta(milliseconds=50)) as database:
        await make_tables(database)
        inbox = Inbox(database, most_together=1)
        waiting = [asyncio.create_task(inbox.accept(make_event(clock))) for _ in range(3)]
        await asyncio.sleep(0)
        inbox.close()
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            await inbox.run()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert ["locked" in str(answer) for answer in answers] == [True, False, False]
    assert {str(answer) for answer in answers[1:]} == {"the relay is stopping"}


async def test_a_writer_that_is_cancelled_leaves_nobody_waiting(database: Database, clock: MovableClock) -> None:
    """A process that must end does not wait for its store; a sender that is still there hears 503."""
    inbox = Inbox(database)
    running = asyncio.create_task(inbox.run())
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(inbox.accept(make_event(clock))) for _ in range(3)]
    await asyncio.sleep(0)
    running.cancel()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["the relay is stopping"] * 3
