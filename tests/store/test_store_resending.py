"""A second e-mail that is under way: that there was a first is kept, however the second one ends."""

from datetime import timedelta

from app.domain import Cancelled, Cause, RegistrationState
from app.store.claims import Call, CallResult
from app.store.database import Database
from app.store.registrations import Again, Registrations
from app.store.sending import Sending
from app.store.unsettled import Decision, Unsettled
from tests.conftest import MovableClock
from tests.store.given import FENCE, REFUSED, batch, draft, ended, fate, record, seen

ADA = "ada@example.com"
SENT, KNOWN, SENDING = RegistrationState.SENT, RegistrationState.KNOWN, RegistrationState.SENDING


async def second_request(database: Database, clock: MovableClock) -> Call:
    """Mail Ada, take her up again a day later, and bring that as far as the campaign request."""
    first = await seen(database, await ended(database, clock(), state="sent", email=ADA))
    clock.move(timedelta(days=1))
    again = Again(first.id, first.updated_at, draft(clock(), ADA, state=KNOWN, lead_id=7), None)
    store = Registrations(database)
    await store.prepare()
    async with database.write() as connection:
        await store.take_up(connection, [again], said="Replayed by bob (rpl_1).", now=clock())
    call = await batch(database, clock())
    assert call is not None
    return call


async def test_a_second_request_that_did_not_run_leaves_the_first_told(database: Database, clock: MovableClock) -> None:
    """Its answer was lost, and Marketo's activity log does not show it: it waits again."""
    mailed_at = clock()
    call = await second_request(database, clock)
    end = fate(call.registrations[0], SENDING, due_at=clock())
    await Sending(database).settle(call, CallResult("lost"), [end], fence=FENCE, now=clock())
    store = Unsettled(database)
    (lost,) = await store.due(clock())
    decision = Decision(lost.registrations[0], KNOWN, "checked", "It did not run.")
    await store.settle(lost, [decision], look_at=None, check_id=None, now=clock())
    one = await seen(database, call.registrations[0].id)
    assert (one.state, one.sent_at) == (KNOWN, mailed_at)


async def test_who_cancels_during_a_second_request_that_is_refused_was_mailed_once(
    database: Database, clock: MovableClock
) -> None:
    """And gets no second e-mail by registering again."""
    mailed_at = clock()
    call = await second_request(database, clock)
    await record(database, clock(), gone=[Cancelled(ADA, "w-1", None)])
    end = fate(call.registrations[0], KNOWN)
    await Sending(database).settle(call, REFUSED, [end], fence=FENCE, now=clock())
    one = await seen(database, call.registrations[0].id)
    assert (one.state, one.cause, one.sent_at) == (RegistrationState.CANCELLED, Cause.REFUNDED, mailed_at)
    (change,) = await record(database, clock(), draft(clock(), ADA))
    assert change.what == "repeated"


async def test_the_time_of_a_second_email_takes_the_place_of_the_first(database: Database, clock: MovableClock) -> None:
    call = await second_request(database, clock)
    await Sending(database).settle(call, REFUSED, [fate(call.registrations[0], SENT)], fence=FENCE, now=clock())
    assert (await seen(database, call.registrations[0].id)).sent_at == clock()
