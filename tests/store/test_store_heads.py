"""The heads of the queue: every source and every urgent webinar is seen, however much stands before it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from app.domain import CampaignId, EventId, EventState, NewEvent, RegistrationState, new_id
from app.store.ahead import Ahead, look_ahead
from app.store.claims import Call
from app.store.database import Database
from app.store.drafts import Draft
from app.store.events import EventQueue
from app.store.heads import Backlog, Horizon, People, fair
from app.store.sending import Sending
from app.store.tables import events, registrations
from tests.conftest import MovableClock
from tests.store.given import CAMPAIGN, FENCE, accept, draft, new_event, people

NEW, KNOWN = RegistrationState.NEW, RegistrationState.KNOWN
MANY = 20_000
SOON, LATE = timedelta(minutes=10), timedelta(days=7)


async def fill(database: Database, drafts: Sequence[Draft]) -> None:
    """Put registrations into the store as they are, without the webhooks that would make them."""
    rows: list[dict[str, Any]] = []
    for one in drafts:
        made = {"attempts": 0, "relooked": 0, "created_at": one.due_at, "updated_at": one.due_at}
        own = {"identity": one.identity, "lookup": int(one.lookup), "person_hash": one.id, "fields": {}, "by_field": 0}
        rows.append(asdict(one) | made | own)
    async with database.write() as connection:
        for first in range(0, len(rows), 1000):
            await connection.execute(insert(registrations), rows[first : first + 1000])


def crowd(now: datetime, count: int, state: RegistrationState, **changes: Any) -> list[Draft]:
    """Return many registrations of one source, the first a second old."""
    lead = 7 if state is KNOWN else None
    changes = {"source": "crowd", "starts_at": now + LATE, "lead_id": lead, **changes}
    early = now - timedelta(seconds=1)
    return [draft(early, f"p{n}@example.com", f"w-{n % 3}", state=state, due_at=early, **changes) for n in range(count)]


def names(call: Call | None) -> list[str]:
    return [registration.person_key for registration in call.registrations] if call else []


async def test_a_crowd_hides_nobody(database: Database, clock: MovableClock) -> None:
    """One source with tens of thousands waiting, another with one person, at each step: that one is next."""
    now = clock()
    ada: dict[str, Any] = {"source": "other", "starts_at": now + LATE}
    drafts = [*crowd(now, MANY // 2, NEW), *crowd(now, MANY // 2, KNOWN)]
    for number, one in enumerate(drafts):
        object.__setattr__(one, "person_key", f"{number}@example.com")
    lone = [draft(now, **ada), draft(now, "eve@example.com", "w-9", state=KNOWN, lead_id=9, **ada)]
    await fill(database, [*drafts, *lone])
    waiting = await Sending(database).waiting(now)
    assert {some.source: some.size for some in waiting.people} == {"crowd": 300, "other": 1}
    assert Counter(one.source for one in waiting.batches) == {"crowd": 3, "other": 1}
    assert {one.size for one in waiting.batches if one.source == "crowd"} == {100}
    call = await people(database, now)
    assert call is not None
    assert len(call.registrations) == 300
    assert "ada@example.com" in names(call)


async def test_an_urgent_webinar_is_seen_over_all_that_came_before(database: Database, clock: MovableClock) -> None:
    """It starts in ten minutes, and 2,000 registrations of next week's webinar are older, of the same source."""
    now = clock()
    soon: dict[str, Any] = {"source": "crowd", "starts_at": now + SOON}
    urgent = [draft(now, **soon), draft(now, "eve@example.com", "w-9", state=KNOWN, lead_id=9, **soon)]
    await fill(database, [*crowd(now, 2000, NEW), *crowd(now, 2000, KNOWN, subject="k", source="crowd ")])
    await fill(database, urgent)
    horizon = Horizon(now + timedelta(minutes=30))
    waiting = await Sending(database).waiting(now, horizon)
    assert {some.starts_at for some in waiting.people} == {now + SOON}
    assert now + SOON in {one.starts_at for one in waiting.batches}
    call = await Sending(database).claim_people(
        lookup=False, now=now, fence=FENCE, limit=300, urgent_until=horizon.until
    )
    assert "ada@example.com" in names(call)
    assert len(names(call)) == 300


async def test_with_little_left_of_the_day_only_the_soonest_are_seen(database: Database, clock: MovableClock) -> None:
    """What starts after midnight, or nobody knows when, waits; but what a call takes along costs nothing."""
    now = clock()
    starts = {"today": now + SOON, "tomorrow": now + LATE, "unknown": None}
    new = [draft(now, f"{name}@example.com", starts_at=at) for name, at in starts.items()]
    known = [
        draft(now, f"k-{name}@example.com", f"w-{name}", state=KNOWN, lead_id=7, starts_at=at)
        for name, at in starts.items()
    ]
    await fill(database, [*new, *known])
    midnight = now + timedelta(hours=12)
    waiting = await Sending(database).waiting(now, Horizon(midnight, only=True))
    assert list(waiting.people) == [People("custom", False, 1, now, now + SOON)]
    assert list(waiting.batches) == [Backlog("key of w-today", CAMPAIGN, 1, now, "custom", now + SOON)]
    call = await Sending(database).claim_people(lookup=False, now=now, fence=FENCE, limit=300, urgent_until=midnight)
    assert sorted(names(call)) == sorted(f"{name}@example.com" for name in starts)


async def test_a_paused_campaigns_batches_hide_nobody(database: Database, clock: MovableClock) -> None:
    """A thousand that wait for a person to mend their campaign stand before one that does not."""
    now = clock()
    await fill(database, [*crowd(now, 1000, KNOWN), draft(now, "w-9", state=KNOWN, lead_id=9, source="crowd")])
    async with database.write() as connection:
        await connection.execute(
            registrations.update().where(registrations.c.due_at < now).values(campaign_id=CampaignId(9))
        )
    waiting = await Sending(database).waiting(now, paused={CampaignId(9)})
    assert [one.campaign_id for one in waiting.batches] == [CAMPAIGN]


async def test_what_is_ahead_is_counted_in_calls(database: Database, clock: MovableClock) -> None:
    """Known and new people of one webinar share a request later; what is not due yet costs one, too."""
    now = clock()
    await fill(database, [*crowd(now, 150, NEW), *crowd(now, 150, KNOWN, source="b"), draft(now, "x@e", "w-9")])
    await fill(database, [draft(now, "y@e", "w-8", lookup=True, due_at=now + LATE)])
    told = await look_ahead(database, clock(), webhooks=2)
    assert told == Ahead(302, upserts=151, lookups=1, requests=3 * 1 + 2, webhooks=2, held_until=now + LATE)
    await fill(database, crowd(now, 3, KNOWN, source="c"))
    assert (await look_ahead(database, clock())).requests == 3 * 2 + 2


async def test_each_source_has_its_share_of_the_inbox(database: Database, clock: MovableClock) -> None:
    """One that sends thousands of webhooks delays nobody else's."""
    now = clock()
    rows = [
        {
            "id": new_id("evt", now),
            "source": "crowd",
            "received_at": now,
            "headers": {},
            "state": EventState.WAITING,
            "due_at": now - timedelta(seconds=1),
            "attempts": 0,
        }
        for _ in range(2000)
    ]
    async with database.write() as connection:
        await connection.execute(insert(events), rows)
    other = NewEvent(EventId(new_id("evt", now)), "other", now, now, {}, b"{}", None)
    await accept(database, other, new_event(now))
    claimed = await EventQueue(database).claim(now=now, fence=FENCE, limit=300)
    assert Counter(event.source for event in claimed) == {"crowd": 298, "other": 1, "custom": 1}


lines = st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(), max_size=12))


@given(lines, st.integers(0, 20))
def test_shares_are_fair(by_source: dict[str, list[int]], limit: int) -> None:
    """Nobody twice, nobody left out while there is room, each in its order, none with two more than another has."""
    marked = {name: [(name, one) for one in line] for name, line in by_source.items()}
    taken = fair(marked, limit)
    once = {name: list(dict.fromkeys(line)) for name, line in marked.items()}
    assert len(set(taken)) == len(taken) == min(limit, sum(map(len, once.values())))
    shares = {name: [one for one in taken if one[0] == name] for name in once}
    for name, share in shares.items():
        assert share == once[name][: len(share)]
        assert all(len(other) <= len(share) + 1 for other in shares.values()) or share == once[name]


@pytest.mark.parametrize("limit", [1, 2])
async def test_a_claim_takes_no_more_than_its_limit(database: Database, clock: MovableClock, limit: int) -> None:
    """Even fewer than there are sources."""
    await fill(database, [draft(clock(), f"{name}@e", source=name) for name in "abc"])
    assert len(names(await people(database, clock(), limit=limit))) == limit
