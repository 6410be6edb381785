"""Finished rows cost nothing: every query of the dispatcher's loops finds its rows by an index, on both databases."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy import event as listen

from app.domain import EventState, RegistrationState
from app.store.ahead import count_open, look_ahead
from app.store.calls import CallLog
from app.store.census import take_census
from app.store.database import Database
from app.store.events import EventQueue
from app.store.listing import Listing
from app.store.lookup import Lookup
from app.store.sending import Sending
from app.store.tables import metadata
from app.store.takeover import take_over
from app.store.views import ActivityFilter, CallFilter, EventFilter, RegistrationFilter
from tests.conftest import MovableClock
from tests.store.given import DONE, accept, batch, draft, ended, fate, found, new_event, people, record, sending, split

Statement = tuple[str, Any]
_GROWING = ("events", "registrations", "timeline", "calls", "people")
_FOR_FEW_ROWS = ("seqscan", "sort", "bitmapscan")  # what PostgreSQL does where there is little to read
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


async def plans(
    database: Database, statements: Sequence[Statement], costlies: Sequence[str] = ("seqscan",)
) -> list[tuple[str, str]]:
    """Return each statement with how the database would go about it, were its tables large."""
    told = []
    async with database.engine.connect() as connection:
        if not database.is_sqlite:
            for costly in costlies:  # few rows are read, or sorted, so otherwise
                await connection.execute(text(f"SET enable_{costly} = off"))
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
    half = await split(database, trigger, trigger.registrations, now=clock())
    sent = [fate(r, RegistrationState.SENT) for r in half.registrations]
    await store.settle(half, DONE, sent, fence=1, now=clock())
    await record(database, clock(), draft(clock(), "eve@example.com", "w-9", state=RegistrationState.KNOWN, lead_id=9))
    await store.waiting(clock())
    await look_ahead(database, clock())
    await count_open(database)
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


async def list_all(database: Database, clock: MovableClock) -> None:
    """Show every list of what came and what happened, each as it may be narrowed, and a page further on."""
    listing, now = Listing(database, clock=clock), clock()
    for which in (
        EventFilter(),
        EventFilter(since=now - timedelta(hours=1), until=now + timedelta(hours=1)),
        EventFilter(source="custom"),
        EventFilter(state=EventState.DEAD),
        EventFilter(state=EventState.WAITING),
        EventFilter(source="custom", state=EventState.MAPPED),
    ):
        first = await listing.events(which, limit=1)
        await listing.events(which, limit=1, cursor=first.items[0].id if first.items else "evt_z")
    for kinds in (CallFilter(), CallFilter(since=now), CallFilter(kind="trigger"), CallFilter(outcome="lost")):
        await listing.calls(kinds, limit=1)
    for watched in (ActivityFilter(), ActivityFilter(source="custom"), ActivityFilter(email="ada@example.com")):
        there = await listing.activity(watched, limit=10)
        await listing.activity(watched, limit=10, cursor=there.next_cursor)


def is_bounded(statement: str, plan: str, *, is_sqlite: bool) -> bool:
    """Tell whether a statement reads no further than its page: in the order of an index, without sorting all first."""
    if not reads_all(plan, is_sqlite=is_sqlite):
        return True
    sorts = "TEMP B-TREE" in plan if is_sqlite else "Sort" in plan or "Seq Scan" in plan
    return "LIMIT" in statement and not sorts


async def test_no_list_reads_further_than_its_page(database: Database, clock: MovableClock) -> None:
    """Years of webhooks and requests are listed from their end."""
    await sending(database, clock())
    with written_down() as statements:
        await list_all(database, clock)
    assert len(statements) > 20
    for statement, plan in await plans(database, statements, _FOR_FEW_ROWS):
        assert is_bounded(statement, plan, is_sqlite=database.is_sqlite), (statement, plan)
        assert "ix_events_" in plan or "events.source =" not in statement, (
            "a silent source's would be looked for in all"
        )


async def test_the_census_reads_what_is_dead_and_no_more(database: Database, clock: MovableClock) -> None:
    """It is taken every half a minute, over all sources."""
    await ended(database, clock(), state="dead")
    with written_down() as statements:
        await take_census(database, ["custom", "pendo"])
    asked = [told for told in await plans(database, statements, _FOR_FEW_ROWS) if "events" in told[0]]
    assert len(asked) >= 3
    for statement, plan in asked:
        assert not reads_all(plan, is_sqlite=database.is_sqlite), (statement, plan)
        assert "uq_events" not in plan, "all of a source's, sorted"
