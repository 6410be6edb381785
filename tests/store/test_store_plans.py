"""Finished rows cost nothing: every query of the dispatcher's loops finds its rows by an index, on both databases."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy import event as listen

from app.domain import RegistrationState
from app.store.calls import CallLog
from app.store.database import Database
from app.store.events import EventQueue
from app.store.lookup import Lookup
from app.store.sending import Sending
from app.store.tables import metadata
from app.store.takeover import take_over
from app.store.views import RegistrationFilter
from tests.conftest import MovableClock
from tests.store.given import DONE, accept, batch, draft, fate, found, new_event, people, record, sending

Statement = tuple[str, Any]
_GROWING = ("events", "registrations", "timeline", "calls", "people")
_LINES = (
    "ix_events_waiting_of_source",
    "ix_registrations_new_of_source",
    "ix_registrations_new_by_start",
    "ix_registrations_known_of_source",
    "ix_registrations_known_by_start",
    "ix_registrations_known",
)
_PARTIAL = {
    index.name
    for table in metadata.tables.values()
    for index in table.indexes
    if index.dialect_options["sqlite"]["where"] is not None
}


@contextmanager
def written_down() -> Iterator[list[Statement]]:
    """Collect the statements that are executed meanwhile, with their parameters."""
    statements: list[Statement] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, _x: object, is_many: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE", "WITH", "DELETE")):
            statements.append((statement, parameters[0] if is_many else parameters))

    listen.listen(Engine, "before_cursor_execute", note)  # of whichever connections the store makes
    try:
        yield statements
    finally:
        listen.remove(Engine, "before_cursor_execute", note)


async def plans(database: Database, statements: Sequence[Statement]) -> list[tuple[str, str]]:
    """Return each statement with how the database would go about it, were its tables large."""
    told = []
    async with database.engine.connect() as connection:
        if not database.is_sqlite:
            await connection.execute(text("SET enable_seqscan = off"))  # few rows are read in sequence otherwise
        explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
        for statement, parameters in statements:
            rows = (await connection.exec_driver_sql(explain + statement, parameters)).all()
            told.append((statement, "\n".join(str(row[-1]) for row in rows)))
        await connection.rollback()
    return told


def reads_all(plan: str, *, is_sqlite: bool) -> bool:
    """Tell whether a growing table, or an index of all its rows, is read from one end to the other."""
    lines = plan.splitlines()
    if is_sqlite:
        scans = [line.split() for line in lines if line.startswith("SCAN ")]
        return any(words[1] in _GROWING and words[-1] not in _PARTIAL for words in scans)
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if any(f"Seq Scan on {table}" in line for table in _GROWING):
            return True
        index = re.search(r"(?:Scan using|Bitmap Index Scan on) (\w+)", line)
        if index and index[1] not in _PARTIAL and "Index Cond" not in below:
            return True
    return False


async def work(database: Database, clock: MovableClock) -> None:
    """Do all that a leader does again and again."""
    queue, store = EventQueue(database), Sending(database)
    await accept(database, new_event(clock()))
    await queue.claim(now=clock(), fence=1, limit=10)
    await queue.next_due()
    await queue.waiting()
    await record(database, clock(), draft(clock()), draft(clock(), "bob@example.com"))
    call = await people(database, clock())
    assert call is not None
    await store.settle(call, DONE, [found(r) for r in call.registrations], fence=1, now=clock())
    trigger = await batch(database, clock())
    assert trigger is not None
    half = await store.split(trigger, trigger.registrations, fence=1, now=clock())
    sent = [fate(r, RegistrationState.SENT) for r in half.registrations]
    await store.settle(half, DONE, sent, fence=1, now=clock())
    await record(database, clock(), draft(clock(), "eve@example.com", "w-9", state=RegistrationState.KNOWN, lead_id=9))
    await store.waiting(clock())
    await store.ahead()
    await store.counted()
    await store.expire(clock())
    await take_over(database, fence=2, on_ambiguous="hold", now=clock())
    log = CallLog(database, clock=clock)
    await log.ended_since(clock() - timedelta(seconds=20))
    await log.count_since(clock() - timedelta(days=1))


async def test_no_query_of_the_leader_reads_what_is_finished(database: Database, clock: MovableClock) -> None:
    """A store of ten million finished events costs no more per claim than an empty one."""
    with written_down() as statements:
        await work(database, clock)
    assert len(statements) > 20
    slow = [told for told in await plans(database, statements) if reads_all(told[1], is_sqlite=database.is_sqlite)]
    assert slow == []


@pytest.mark.parametrize(
    "which",
    [
        RegistrationFilter(),
        RegistrationFilter(email="ada@example.com"),
        RegistrationFilter(source="custom"),
    ],
)
async def test_looking_somebody_up_reads_only_what_is_shown(
    database: Database, clock: MovableClock, which: RegistrationFilter
) -> None:
    """'Why did Ada get no e-mail?' is answered at once, also after years."""
    call = await sending(database, clock())
    with written_down() as statements:
        await Lookup(database).registrations(which, limit=10)
        view = await Lookup(database).registration(call.registrations[0].id)
        assert view is not None
        await Lookup(database).event(view.timeline[0].event_id or "")
    for statement, plan in await plans(database, statements):
        assert "TEMP B-TREE" not in plan or "timeline" in statement
        assert "autoindex" in plan or "USING INDEX" in plan or "Index" in plan


async def test_claims_use_the_indexes_of_what_is_due(database: Database, clock: MovableClock) -> None:
    """And take their rows in the order of those indexes, without sorting all that waits."""
    now = clock()
    await accept(database, new_event(now))
    known = draft(now, "bob@example.com", state=RegistrationState.KNOWN, lead_id=7, starts_at=now)
    await record(database, now, draft(now, starts_at=now), known)
    with written_down() as statements:
        await EventQueue(database).claim(now=now, fence=1, limit=10)
        await Sending(database).waiting(now)
        await people(database, now)
        await batch(database, now)
    lines = [told for told in await plans(database, statements) if "ORDER BY" in told[0]]
    for index in _LINES:
        assert any(index in plan for _, plan in lines), index
    if database.is_sqlite:  # PostgreSQL sorts few rows, whatever index there is
        for statement, plan in lines:
            assert "USE TEMP B-TREE FOR ORDER BY" not in plan, (statement, plan)


async def test_the_dead_are_listed_by_an_index_of_their_own(database: Database, clock: MovableClock) -> None:
    """They are few among millions, and what a person who looks after the relay asks for."""
    with written_down() as statements:
        await Lookup(database).registrations(RegistrationFilter(state=RegistrationState.DEAD), limit=10)
    ((_, plan),) = await plans(database, statements)
    assert "ix_registrations_dead" in plan
