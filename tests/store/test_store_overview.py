"""How things stand: counted by source, webinar, time and cause, without reading more than the time asked for."""

from datetime import timedelta

from app.domain import Cause, EventState, RegistrationState
from app.store.calls import CallLog, Pause
from app.store.database import Database
from app.store.events import EventFate, EventQueue
from app.store.overview import Overview
from app.store.registrations import Meaning, Registrations
from app.store.tallies import Backlog, Now, Webinars
from tests.conftest import MovableClock
from tests.store.given import FENCE, accept, draft, ended, new_event, record, tried_in_vain
from tests.store.test_store_plans import plans, reads_all, written_down

DAY = timedelta(days=1)


async def now(database: Database, clock: MovableClock, *, buckets: int = 24) -> Now:
    at = clock()
    return await Overview(database).now(["custom"], at, since=at - DAY, until=at, buckets=buckets, day_began=at - DAY)


async def dead_event(database: Database, clock: MovableClock, cause: Cause, state: EventState = EventState.DEAD) -> str:
    (event_id,) = await accept(database, new_event(clock()))
    (event,) = await EventQueue(database).claim(now=clock(), fence=FENCE, limit=1)
    fate = EventFate(event, state, cause, "It made no sense.")
    await Registrations(database).record([Meaning(fate)], fence=FENCE, now=clock())
    return event_id


async def test_everything_is_counted_by_source(database: Database, clock: MovableClock) -> None:
    for state in ("sent", "dead", "ignored", "cancelled"):
        await ended(database, clock(), state=state, email=f"{state}@example.com")
    await record(database, clock(), draft(clock(), "new@example.com"))
    await dead_event(database, clock, Cause.BAD_PAYLOAD)
    clock.move(timedelta(minutes=1))
    (tally,) = (await now(database, clock)).tallies
    assert (tally.source, tally.received, tally.registered, tally.waiting, tally.unread) == ("custom", 6, 5, 1, 1)
    assert [tally.of(state) for state in ("sent", "dead", "ignored", "cancelled")] == [1, 1, 1, 1]
    assert tally.last_at == clock() - timedelta(minutes=1)


async def test_webhooks_that_registered_nobody_are_counted_apart(database: Database, clock: MovableClock) -> None:
    """They are no fault, and without a figure they would be missing between received and registered."""
    await dead_event(database, clock, Cause.NOT_A_REGISTRATION, EventState.IGNORED)
    (tally,) = (await now(database, clock)).tallies
    assert (tally.received, tally.registered, tally.unread, tally.of_no_interest) == (1, 0, 0, 1)


async def test_what_is_older_is_left_out_and_still_heard_of(database: Database, clock: MovableClock) -> None:
    """'Eventbrite has been silent for 3 days' needs to know of the last webhook, whenever it came."""
    last = clock()
    await ended(database, clock(), state="sent")
    clock.move(3 * DAY)
    (tally,) = (await now(database, clock)).tallies
    assert (tally.registered, tally.received, tally.last_at) == (0, 0, last)


async def test_a_webhook_that_waits_is_the_last_one_too(database: Database, clock: MovableClock) -> None:
    await ended(database, clock(), state="sent")
    clock.move(timedelta(hours=1))
    await accept(database, new_event(clock()))
    (tally,) = (await now(database, clock)).tallies
    assert tally.last_at == clock()


async def test_a_source_that_never_sent_is_listed(database: Database, clock: MovableClock) -> None:
    (tally,) = (await now(database, clock)).tallies
    assert (tally.source, tally.registered, tally.last_at) == ("custom", 0, None)


async def test_each_falls_into_its_bucket(database: Database, clock: MovableClock) -> None:
    for n in range(3):
        await ended(database, clock(), state="sent", email=f"p{n}@example.com")
        clock.move(timedelta(hours=1))
    buckets = (await now(database, clock)).buckets
    assert [b.registrations.get(RegistrationState.SENT, 0) for b in buckets] == [0] * 21 + [1, 1, 1]
    assert [b.calls for b in buckets] == [0] * 21 + [1, 1, 1]
    assert buckets[-3].begins_at == clock() - timedelta(hours=3)


async def test_what_waits_is_known_with_its_age(database: Database, clock: MovableClock) -> None:
    assert (await now(database, clock)).backlog == Backlog(0, 0, None)
    began = clock()
    await record(database, clock(), draft(clock()))
    clock.move(timedelta(minutes=5))
    await accept(database, new_event(clock()))
    assert (await now(database, clock)).backlog == Backlog(1, 1, began)


async def test_webhooks_that_were_tried_in_vain_are_told_with_the_next_try(
    database: Database, clock: MovableClock
) -> None:
    """They wait for their own time: when they will be through nobody can say."""
    began, soon = clock(), clock() + timedelta(minutes=2)
    await tried_in_vain(database, began, again_at=soon + timedelta(minutes=1))
    await tried_in_vain(database, began, again_at=soon)
    await accept(database, new_event(began))
    assert (await now(database, clock)).backlog == Backlog(0, 3, began, 2, soon)


async def test_pauses_in_force_and_calls_of_the_day_are_told(database: Database, clock: MovableClock) -> None:
    log = CallLog(database, clock=clock)
    until = clock() + timedelta(minutes=1)
    await log.pause(Pause("marketo", until, clock(), "606", "Too many calls.", 1))
    await ended(database, clock(), state="sent")
    found = await now(database, clock)
    assert [(p.scope, p.until, p.reason) for p in found.pauses] == [("marketo", until, "606: Too many calls.")]
    assert found.calls_today == 1
    clock.move(timedelta(minutes=1))
    assert (await now(database, clock)).pauses == []


async def test_webinars_come_with_their_latest_tokens(database: Database, clock: MovableClock) -> None:
    starts = clock() + DAY
    await record(database, clock(), draft(clock(), "a@example.com", "w-1", tokens={"WebinarTitle": "Old"}))
    clock.move(timedelta(seconds=1))
    await record(
        database, clock(), draft(clock(), "b@example.com", "w-1", tokens={"WebinarTitle": "New"}, starts_at=starts)
    )
    clock.move(timedelta(seconds=1))
    await record(database, clock(), draft(clock(), "a@example.com", "w-2", state=RegistrationState.DEAD))
    latest, first = (await Overview(database).webinars(clock() - DAY)).latest
    assert (latest.webinar_id, latest.tally.of("dead"), latest.tally.registered) == ("w-2", 1, 1)
    assert (first.webinar_id, first.tokens, first.starts_at) == ("w-1", {"WebinarTitle": "New"}, starts)
    assert (first.tally.registered, first.tally.waiting) == (2, 2)
    assert await Overview(database).webinars(clock() + DAY) == Webinars([], 0)
    assert await Overview(database).webinars(clock() - DAY, most=1) == Webinars([latest], 2)


async def test_the_dead_are_grouped_by_cause(database: Database, clock: MovableClock) -> None:
    assert await Overview(database).causes() == []
    for n in range(2):
        flaw = {"state": RegistrationState.DEAD, "cause": Cause.TITLE_MISSING, "detail": "No title."}
        await record(database, clock(), draft(clock(), f"p{n}@example.com", **flaw))
    event_id = await dead_event(database, clock, Cause.BAD_PAYLOAD)
    often, seldom = await Overview(database).causes()
    assert (often.cause, often.registrations, often.webhooks, often.detail) == ("title_missing", 2, 0, "No title.")
    assert (seldom.cause, seldom.registrations, seldom.webhooks) == ("bad_payload", 0, 1)
    assert seldom.event_ids == (event_id,)
    assert seldom.last_at == clock()


async def test_the_overview_reads_the_time_asked_for_only(database: Database, clock: MovableClock) -> None:
    """A store of years costs no more than one of a day."""
    await ended(database, clock(), state="sent")
    await dead_event(database, clock, Cause.BAD_PAYLOAD)
    with written_down() as statements:
        await now(database, clock)
        await Overview(database).webinars(clock() - DAY)
        await Overview(database).causes()
    growing = [told for told in await plans(database, statements) if "FROM pauses" not in told[0]]
    assert len(growing) > 10
    for statement, plan in growing:
        assert not reads_all(plan, is_sqlite=database.is_sqlite), (statement, plan)
