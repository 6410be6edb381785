"""The queue of events: claimed in order and once, settled only by who holds them."""

import asyncio
from datetime import timedelta

import pytest

from app.domain import Cause, Dedupe, Event, EventState
from app.store.database import Database
from app.store.events import EventFate, EventQueue, settle_events
from app.store.lookup import Lookup
from tests.conftest import MovableClock
from tests.store.given import accept, claimed_event, mapped, new_event


async def settle(database: Database, clock: MovableClock, fate: EventFate, *, fence: int = 1) -> bool:
    async with database.write() as connection:
        return bool(await settle_events(connection, [fate], fence=fence, now=clock()))


async def claim(database: Database, clock: MovableClock, *, fence: int = 1, limit: int = 100) -> list[Event]:
    return await EventQueue(database).claim(now=clock(), fence=fence, limit=limit)


async def test_the_oldest_are_claimed_first(database: Database, clock: MovableClock) -> None:
    """Whoever registered first is told first."""
    ids = []
    for _ in range(5):
        ids += await accept(database, new_event(clock()))
        clock.move(timedelta(seconds=1))
    first = await claim(database, clock, limit=3)
    assert [event.id for event in first] == ids[:3]
    assert [event.id for event in await claim(database, clock)] == ids[3:]


async def test_an_event_is_not_claimed_before_it_is_due(database: Database, clock: MovableClock) -> None:
    """Eventbrite pokes five times within seconds; waiting makes one fetch of them."""
    (later,) = await accept(database, new_event(clock(), due_at=clock() + timedelta(seconds=5)))
    assert await claim(database, clock) == []
    assert await EventQueue(database).next_due() == clock() + timedelta(seconds=5)
    clock.move(timedelta(seconds=5))
    assert [event.id for event in await claim(database, clock)] == [later]


async def test_a_claimed_event_comes_whole_and_counts_the_attempt(database: Database, clock: MovableClock) -> None:
    """The attempts fence its settling and set the pace of its retries."""
    event = await claimed_event(database, clock())
    assert (event.source, event.body, event.headers, event.fetched) == ("custom", b"{}", {}, None)
    assert (event.received_at, event.attempts) == (clock(), 1)


async def test_concurrent_claims_never_share_an_event(database: Database, clock: MovableClock) -> None:
    """A frozen leader that wakes may claim beside the new one; no event may be in both hands."""
    await accept(database, *(new_event(clock()) for _ in range(60)))
    hands = await asyncio.gather(*(claim(database, clock, fence=fence, limit=10) for fence in range(1, 9)))
    ids = [event.id for hand in hands for event in hand]
    assert len(ids) == len(set(ids))
    rest = [event.id for event in await claim(database, clock, fence=9)]
    assert len(set(ids) | set(rest)) == 60


async def test_what_is_claimed_is_not_due_again(database: Database, clock: MovableClock) -> None:
    """It comes back by its settling, or by a new leader; never by time alone."""
    await claimed_event(database, clock())
    clock.move(timedelta(days=1))
    assert await claim(database, clock, fence=2) == []
    assert await EventQueue(database).next_due() is None


async def test_a_settled_event_stays_settled(database: Database, clock: MovableClock) -> None:
    """Its fate and reason can be looked up for ever."""
    event = await claimed_event(database, clock())
    fate = EventFate(event, EventState.IGNORED, Cause.WEBINAR_OVER, "It began in May.", fetched={"a": [1]})
    assert await settle(database, clock, fate)
    clock.move(timedelta(days=9))
    assert await claim(database, clock) == []
    view = await Lookup(database).event(event.id)
    assert view is not None
    assert (view.state, view.cause, view.detail) == (EventState.IGNORED, "webinar_over", "It began in May.")


@pytest.mark.parametrize(("fence", "attempts"), [(2, 1), (1, 2), (1, 0)])
async def test_only_the_holder_settles(database: Database, clock: MovableClock, fence: int, attempts: int) -> None:
    """A slow worker must not settle what another holds now, nor what it holds itself for the second time."""
    event = await claimed_event(database, clock())
    other = Event(event.id, event.source, event.received_at, {}, b"", None, attempts)
    assert not await settle(database, clock, EventFate(other, EventState.DEAD), fence=fence)
    view = await Lookup(database).event(event.id)
    assert view is not None
    assert view.state is EventState.WAITING


async def test_an_event_is_settled_once(database: Database, clock: MovableClock) -> None:
    """A repeated settling finds nothing in its hands."""
    event = await claimed_event(database, clock())
    assert await settle(database, clock, mapped(event))
    assert not await settle(database, clock, EventFate(event, EventState.DEAD))


async def test_a_put_back_event_is_due_later(database: Database, clock: MovableClock) -> None:
    """The source did not answer: the event waits, keeps the reason, and counts its attempts."""
    event = await claimed_event(database, clock())
    again = clock() + timedelta(minutes=1)
    fate = EventFate(event, EventState.WAITING, Cause.SOURCE_UNAVAILABLE, "503", due_at=again)
    assert await settle(database, clock, fate)
    assert await claim(database, clock) == []
    assert await EventQueue(database).next_due() == again
    clock.move(timedelta(minutes=1))
    (back,) = await claim(database, clock)
    assert (back.id, back.attempts) == (event.id, 2)


async def test_a_put_back_event_without_a_time_is_due_now(database: Database, clock: MovableClock) -> None:
    """Nothing may wait for ever because a time was forgotten."""
    event = await claimed_event(database, clock())
    clock.move(timedelta(minutes=1))
    assert await settle(database, clock, EventFate(event, EventState.WAITING))
    assert await EventQueue(database).next_due() == clock()


async def test_what_a_source_fetched_is_kept_until_it_is_fetched_anew(database: Database, clock: MovableClock) -> None:
    """A replay need not fetch again, and a later failure does not forget it."""
    event = await claimed_event(database, clock())
    await settle(database, clock, EventFate(event, EventState.WAITING, fetched={"order": 1}))
    (event,) = await claim(database, clock)
    await settle(database, clock, EventFate(event, EventState.WAITING))
    (event,) = await claim(database, clock)
    assert event.fetched == {"order": 1}


async def test_the_backlog_is_counted_with_its_age(database: Database, clock: MovableClock) -> None:
    """What is in the leader's hands has not reached its end either."""
    queue, began = EventQueue(database), clock()
    assert await queue.waiting() == (0, None)
    await accept(database, new_event(clock()))
    clock.move(timedelta(minutes=1))
    await accept(database, new_event(clock()))
    first, _ = await claim(database, clock)
    assert await queue.waiting() == (2, began)
    await settle(database, clock, mapped(first))
    assert await queue.waiting() == (1, clock())


async def test_a_poke_after_a_failed_fetch_is_an_event_of_its_own(database: Database, clock: MovableClock) -> None:
    """The key is forgotten when work begins, and stays so: what the poke tells may be newer than the fetch."""
    key = Dedupe("order:1", "pending")
    (first,) = await accept(database, new_event(clock(), dedupe=key))
    (event,) = await claim(database, clock)
    await settle(database, clock, EventFate(event, EventState.WAITING))
    (second,) = await accept(database, new_event(clock(), dedupe=key))
    assert second != first
