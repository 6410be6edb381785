"""How the store stands, on both databases."""

from datetime import timedelta

from app.store.census import take_census
from app.store.database import Database
from tests.conftest import MovableClock
from tests.store.given import accept, ended, new_event


async def test_the_dead_are_counted_by_cause_and_sources_by_their_last_webhook(
    database: Database, clock: MovableClock
) -> None:
    for address in ("ada@example.com", "bob@example.com"):
        await ended(database, clock(), state="dead", email=address)
    await ended(database, clock(), state="ignored", email="eve@example.com")
    clock.move(timedelta(hours=1))
    await accept(database, new_event(clock()))
    found = await take_census(database, ["custom", "pendo"])
    assert found.dead == {"bad_payload": 2}
    assert found.last_webhooks == {"custom": clock()}
    assert found.size > 10_000
