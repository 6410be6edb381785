"""A check's calls: within the window, in flight and the day like any other, and never before a registration."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from sqlalchemy import select

from app.dispatch.errands import PATIENCE, Errands
from app.dispatch.window import Pace
from app.domain import RegistrationState
from app.errors import LeadershipLost, NotNow
from app.marketo.codes import Endpoint
from app.marketo.envelope import Reply
from app.marketo.failures import CallFailed, failure
from app.store.calls import CallLog
from app.store.database import Database
from app.store.tables import calls
from tests.conftest import MovableClock
from tests.dispatch.stage import Stage, locked, people, registered, set_stage, until

FINE = Reply(200, b'{"requestId": "a#1", "success": true, "result": []}')
_WINDOW = 50


def refused(code: str) -> Reply:
    return Reply(200, b'{"success": false, "errors": [{"code": "%s", "message": "no"}]}' % code.encode())


def errands(stage: Stage) -> Errands:
    log = CallLog(stage.database, clock=stage.clock)
    return Errands(stage.sender.caller, log, is_wanted=lambda: stage.sender.is_wanting, look_every=0.005)


def answering(reply: Reply = FINE) -> Callable[[], Awaitable[Reply]]:
    async def make() -> Reply:
        return reply

    return make


async def logged(database: Database) -> list[tuple[str, str | None, str | None]]:
    c = calls.c
    async with database.read() as connection:
        return [tuple(row) for row in await connection.execute(select(c.kind, c.outcome, c.code).order_by(c.id))]


async def test_an_errand_counts_in_the_window_the_day_and_the_store(sqlite: Database, clock: MovableClock) -> None:
    """So that a restart and the next leader count it as well."""
    stage = await set_stage(sqlite, clock)
    assert await errands(stage).run(answering()) is FINE
    caller = stage.sender.caller
    assert (caller.window.used(stage.ticks()), caller.window.in_flight, caller.day.own) == (1, 0, 1)
    assert await logged(sqlite) == [("setup", "done", None)]


async def test_a_check_leaves_most_of_the_window_to_registrations(sqlite: Database, clock: MovableClock) -> None:
    """A lone one that comes beside it waits for nothing, a crowd finds 60 % of the places."""
    stage = await set_stage(sqlite, clock, calls_per_window=_WINDOW)
    running, made = errands(stage), 0

    async def check() -> None:
        nonlocal made
        for _ in range(30):
            await running.run(answering())
            made += 1

    checking = asyncio.create_task(check())
    await until(lambda: made == _WINDOW * 0.4)
    window = stage.sender.caller.window
    assert window.wait(stage.ticks(), Pace.LONE) == 0
    stage.pass_time(20)
    await checking
    assert window.used(stage.ticks()) == 10


async def test_a_check_and_registrations_together_stay_within_the_limits(sqlite: Database, clock: MovableClock) -> None:
    """In no 20 s anywhere there are more than 50 calls, and no more than 5 in flight, whoever makes them."""
    stage = await set_stage(sqlite, clock)
    running, made, held_up = errands(stage), 0, set[RegistrationState]()

    async def make() -> Reply:
        held_up.update(await stage.states())
        with suppress(CallFailed):  # nobody is there
            await stage.marketo.find_people([f"check-{made}@example.com"])
        return FINE

    async def check() -> None:
        nonlocal made
        for made in range(1, 41):  # noqa: B007  # the count is what the test waits for
            await running.run(make)

    checking = asyncio.create_task(check())
    await until(lambda: made == 21)
    await stage.arrive(*(registered(f"p{n}@example.com", f"w-{n}") for n in range(40)))
    await stage.work()
    assert await stage.states() == {RegistrationState.SENT: 40}
    assert held_up <= {RegistrationState.SENDING, RegistrationState.SENT}
    while not checking.done():
        stage.pass_time(1)
        await asyncio.sleep(0.02)
    await checking
    assert stage.marketo.broken_rules == []


async def test_registrations_that_wait_go_first(sqlite: Database, clock: MovableClock) -> None:
    """Nobody is held up by a check: it is made when they are through."""
    stage = await set_stage(sqlite, clock)
    await stage.arrive(*people(3), registered("b@example.com", "w-2"))
    stage.sender.is_wanting = True
    states = []

    async def make() -> Reply:
        states.append(dict(await stage.states()))
        return FINE

    checking = asyncio.create_task(errands(stage).run(make))
    await asyncio.sleep(0.05)
    assert states == []
    await stage.work()
    await checking
    assert states == [{RegistrationState.SENT: 4}]


async def test_the_last_place_in_flight_is_a_registrations(sqlite: Database, clock: MovableClock) -> None:
    stage = await set_stage(sqlite, clock, most_in_flight=2)
    window = stage.sender.caller.window
    window.begin(stage.ticks())
    checking = asyncio.create_task(errands(stage).run(answering()))
    await asyncio.sleep(0.05)
    assert (window.in_flight, checking.done()) == (1, False)
    window.end(stage.ticks())
    assert await checking is FINE


async def test_a_check_does_not_wait_for_ever(sqlite: Database, clock: MovableClock) -> None:
    """Under a load without end its report says why nothing was looked at."""
    stage = await set_stage(sqlite, clock)
    stage.sender.is_wanting = True
    checking = asyncio.create_task(errands(stage).run(answering()))
    await asyncio.sleep(0.02)
    stage.pass_time(PATIENCE)
    with pytest.raises(NotNow, match="they go first"):
        await checking
    assert await logged(sqlite) == []


async def test_a_day_without_calls_is_not_made_worse(sqlite: Database, clock: MovableClock) -> None:
    """The 607 itself is taken to heart: nothing is sent until midnight US Central, and no further errand made."""
    stage = await set_stage(sqlite, clock)
    running = errands(stage)
    await running.run(answering(refused("607")))
    assert stage.sender.caller.pauses.wait() > 3600
    with pytest.raises(NotNow, match="607"):
        await running.run(answering())
    assert await logged(sqlite) == [("setup", "refused", "607")]


async def test_the_rest_of_a_day_is_kept_for_webinars(sqlite: Database, clock: MovableClock) -> None:
    stage = await set_stage(sqlite, clock, calls_per_day=100)
    stage.sender.caller.day.own = 95
    with pytest.raises(NotNow, match="only webinars that start before"):
        await errands(stage).run(answering())


async def test_a_full_window_at_marketo_is_waited_out(sqlite: Database, clock: MovableClock) -> None:
    """606 shrinks the window and pauses all for some seconds."""
    stage = await set_stage(sqlite, clock)
    running = errands(stage)
    await running.run(answering(refused("606")))
    assert stage.sender.caller.window.rate.is_shrunk(stage.ticks())
    again = asyncio.create_task(running.run(answering()))
    await asyncio.sleep(0.05)
    assert not again.done()
    stage.pass_time(20)
    assert await again is FINE


@pytest.mark.parametrize("code", ["601", "603", "610", "1013"])
async def test_what_else_marketo_refuses_is_the_checks_to_tell(
    sqlite: Database, clock: MovableClock, code: str
) -> None:
    """A check asks for what may be refused; registrations are not paused for it."""
    stage = await set_stage(sqlite, clock)
    await errands(stage).run(answering(refused(code)))
    assert stage.sender.caller.pauses.wait() == 0
    assert await logged(sqlite) == [("setup", "done", None)]


async def test_a_gateways_page_is_no_answer_of_marketos(sqlite: Database, clock: MovableClock) -> None:
    """The check tells it; nothing is paused for a call that no registration waits for."""
    stage = await set_stage(sqlite, clock)
    await errands(stage).run(answering(Reply(502, b"<html>")))
    assert [code for _, outcome, code in await logged(sqlite) if outcome != "done"] == ["502"]
    log = CallLog(sqlite, clock=clock)
    await errands(stage).run(answering())
    assert not await log.has_worked(clock(), fence=stage.lease.fence)


async def test_a_pause_for_wrong_credentials_lets_a_check_through(sqlite: Database, clock: MovableClock) -> None:
    """Whoever has mended them asks for a check, to see whether it is right now."""
    stage = await set_stage(sqlite, clock)
    await stage.arrive(*people(1))
    stage.marketo.faults = [failure(Endpoint.IDENTITY, "401", "bad client")]
    await stage.work_until_known()
    await stage.sender.step()
    assert stage.sender.caller.pauses.wait() > 0
    assert await errands(stage).run(answering()) is FINE


async def test_a_call_that_fails_gives_its_place_back(sqlite: Database, clock: MovableClock) -> None:
    stage = await set_stage(sqlite, clock)

    async def make() -> Reply:
        raise failure(Endpoint.SETUP, "timed_out", "nothing came")

    with pytest.raises(Exception, match="nothing came"):
        await errands(stage).run(make)
    assert stage.sender.caller.window.in_flight == 0
    assert await logged(sqlite) == [("setup", "lost", "timed_out")]


async def test_a_check_that_is_given_up_gives_its_place_back(sqlite: Database, clock: MovableClock) -> None:
    stage = await set_stage(sqlite, clock)

    async def unending() -> Reply:
        await asyncio.Event().wait()
        raise NotImplementedError

    hanging = asyncio.create_task(errands(stage).run(unending))
    window = stage.sender.caller.window
    await until(lambda: window.in_flight == 1)
    await asyncio.sleep(0.05)
    hanging.cancel()
    await asyncio.wait([hanging])
    assert window.in_flight == 0
    assert window.used(stage.ticks()) == 1  # Marketo may have counted it
    assert await logged(sqlite) == [("setup", "lost", None)]


async def test_what_cannot_be_written_down_is_not_called(impatient: Database, clock: MovableClock) -> None:
    stage = await set_stage(impatient, clock)
    async with locked(impatient):
        with pytest.raises(NotNow, match="store"):
            await errands(stage).run(answering())
    assert stage.sender.caller.window.used(stage.ticks()) == 0


async def test_whoever_leads_no_more_asks_nothing(sqlite: Database, clock: MovableClock) -> None:
    stage = await set_stage(sqlite, clock)
    stage.lose_the_lease()
    with pytest.raises(LeadershipLost):
        await errands(stage).run(answering())


async def test_a_stop_ends_the_waiting(sqlite: Database, clock: MovableClock) -> None:
    stage = await set_stage(sqlite, clock)
    stage.sender.is_wanting = True
    running = errands(stage)
    checking = asyncio.create_task(running.run(answering()))
    await asyncio.sleep(0)
    running.bell.stop()
    with pytest.raises(NotNow, match="stopping"):
        await checking


async def test_a_page_that_is_none_of_marketos_is_an_answer_all_the_same(sqlite: Database, clock: MovableClock) -> None:
    """What it means is the check's to tell."""
    stage = await set_stage(sqlite, clock)
    assert (await errands(stage).run(answering(Reply(200, b"<html>")))).body == b"<html>"
    assert await logged(sqlite) == [("setup", "done", None)]
