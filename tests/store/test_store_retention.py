"""After the retention time nobody can be read out of the store any more; what became of each can."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.domain import Cancelled, Cause, EventState, RegistrationState
from app.store.census import take_census
from app.store.database import Database
from app.store.dead import DeadFilter, DeadLetters
from app.store.drafts import identity_of
from app.store.events import EventFate
from app.store.overview import Overview
from app.store.people import People
from app.store.registrations import Meaning, Registrations
from app.store.retention import Retention
from app.store.tables import events, metadata, registrations
from tests.conftest import MovableClock
from tests.store.given import FENCE, claimed_event, draft, ended, history, record, seen, sending
from tests.store.test_store_plans import plans, reads_all, written_down

MONTH = timedelta(days=30)


async def purge(database: Database, clock: MovableClock) -> None:
    retention = Retention(database, keep=MONTH)
    while await retention.step(clock()):
        pass


async def everything(database: Database) -> str:
    """Return all that stands in the store, as one text."""
    found: list[Any] = []
    async with database.read() as connection:
        for table in metadata.sorted_tables:
            if table.name != "keys":
                found += [tuple(row) for row in await connection.execute(select(table))]
    return repr(found).lower()


async def fill(database: Database, clock: MovableClock) -> str:
    """Somebody who was sent a link of one's own, from a webhook that names them."""
    one = await ended(database, clock(), state="sent")
    values = {
        "tokens": {"JoinLink": "https://example.com/ada-only"},
        "last_name": "Lovelace",
        "name_key": "ada lovelace",
        "surname_key": "lovelace",
        "subject": "order:ada",
    }
    async with database.write() as connection:
        await connection.execute(update(registrations).values(values))
        body = {"body": b'{"email": "ada@example.com"}', "fetched": {"who": "Lovelace"}, "headers": {"x": "ada"}}
        await connection.execute(update(events).values(body))
    return one


async def test_nobody_is_left_after_the_retention_time(database: Database, clock: MovableClock) -> None:
    """No address, name, link, order: not in any table, nor in a hash that one could try addresses on."""
    await fill(database, clock)
    assert "lovelace" in await everything(database)
    clock.move(MONTH + timedelta(seconds=2))
    await purge(database, clock)
    left = await everything(database)
    assert not re.search(r"(?<![0-9a-f])ada(?![0-9a-f])", left), "an id may hold these three letters among others"
    for trace in ("lovelace", identity_of("custom", "w-1", "ada@example.com")):
        assert trace not in left


async def test_the_outcome_stays(database: Database, clock: MovableClock) -> None:
    """State, cause, times, webinar, campaign and what happened when."""
    one = await fill(database, clock)
    before = await seen(database, one)
    clock.move(MONTH + timedelta(seconds=2))
    await purge(database, clock)
    after = await seen(database, one)
    assert (after.state, after.sent_at, after.webinar_id) == (before.state, before.sent_at, before.webinar_id)
    assert (after.created_at, after.updated_at) == (before.created_at, before.updated_at)
    assert [entry.what for entry in after.timeline] == [entry.what for entry in before.timeline]
    assert [entry.at for entry in after.timeline] == [entry.at for entry in before.timeline]


async def test_what_is_blanked_is_no_dead_letter_any_more(database: Database, clock: MovableClock) -> None:
    """It could not be taken up again, and would be told as in need of a person for ever."""
    await ended(database, clock(), state="dead")
    dead = await claimed_event(database, clock())
    fate = EventFate(dead, EventState.DEAD, Cause.BAD_PAYLOAD, "No.")
    await Registrations(database).record([Meaning(fate)], fence=FENCE, now=clock())
    letters = DeadLetters(database)
    assert len((await letters.page(DeadFilter(), limit=10)).items) == 2
    clock.move(MONTH + timedelta(seconds=2))
    await purge(database, clock)
    page = await letters.page(DeadFilter(), limit=10)
    assert (page.items, page.causes, (await take_census(database, [])).dead) == ([], [], {})
    assert await Overview(database).causes() == []


async def test_nothing_is_purged_before_its_time(database: Database, clock: MovableClock) -> None:
    one = await fill(database, clock)
    clock.move(MONTH - timedelta(seconds=2))
    await purge(database, clock)
    assert (await seen(database, one)).email == "ada@example.com"


@pytest.mark.parametrize("state", ["new", "known", "sending"])
async def test_what_is_not_at_its_end_is_never_purged(database: Database, clock: MovableClock, state: str) -> None:
    """However old it is."""
    if state == "sending":
        await sending(database, clock())
    else:
        await record(database, clock(), draft(clock(), state=RegistrationState(state), lead_id=7))
    clock.move(MONTH * 2)
    await purge(database, clock)
    async with database.read() as connection:
        assert await connection.scalar(select(registrations.c.email)) == "ada@example.com"


async def test_whoever_registers_again_after_a_purge_is_not_mailed_twice(
    database: Database, clock: MovableClock
) -> None:
    """The sealed identity knows the person again, and a refund that comes so late changes nothing."""
    one = await fill(database, clock)
    clock.move(MONTH + timedelta(seconds=2))
    await purge(database, clock)
    await record(database, clock(), draft(clock()))
    await record(database, clock(), gone=[Cancelled("ada@example.com", "w-1", None)])
    assert await history(database, one) == ["registered", "to sent", "repeated", "cancelled late"]
    assert (await seen(database, one)).state is RegistrationState.SENT


async def test_a_dead_one_that_begins_anew_is_purged_anew(database: Database, clock: MovableClock) -> None:
    """A later webhook brings the person again; a cancellation brings nobody."""
    one = await ended(database, clock(), state="dead")
    clock.move(MONTH + timedelta(seconds=2))
    await purge(database, clock)
    await record(database, clock(), gone=[Cancelled("ada@example.com", "w-1", None)])
    assert (await seen(database, one)).cause == Cause.REFUNDED
    await record(database, clock(), draft(clock(), state=RegistrationState.IGNORED, cause=Cause.WEBINAR_OVER))
    assert (await seen(database, one)).email == "ada@example.com"
    clock.move(MONTH + timedelta(seconds=2))
    await purge(database, clock)
    assert "ada@" not in await everything(database)
    assert (await seen(database, one)).cause == Cause.WEBINAR_OVER


async def test_the_purge_goes_in_small_steps(database: Database, clock: MovableClock) -> None:
    """Each is over before anybody who accepts webhooks notices."""
    await record(
        database, clock(), *(draft(clock(), f"p{n}@example.com", state=RegistrationState.DEAD) for n in range(5))
    )
    clock.move(MONTH + timedelta(seconds=2))
    retention = Retention(database, keep=MONTH)
    steps = [await retention.step(clock(), limit=2) for _ in range(4)]
    assert [(one.events, one.registrations) for one in steps] == [(1, 2), (0, 2), (0, 1), (0, 0)]


async def test_a_step_reads_no_more_than_it_blanks(database: Database, clock: MovableClock) -> None:
    """However many millions were blanked before."""
    await fill(database, clock)
    clock.move(MONTH + timedelta(seconds=2))
    with written_down() as statements:
        await Retention(database, keep=MONTH).step(clock())
    slow = [told for told in await plans(database, statements) if reads_all(told[1], is_sqlite=database.is_sqlite)]
    assert slow == []


async def test_the_same_person_has_the_same_hash_in_every_instance(database: Database) -> None:
    """So that who was registered before a move to another Marketo is found too."""
    first, second = People(database), People(database)
    await first.prepare()
    await second.prepare()
    assert first.sealed("ada@example.com") == second.sealed("ada@example.com")
    async with database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(metadata.tables["keys"])) == 1
