"""Who goes first over a real store: urgent webinars, other sources, and the soonest when the day's calls run short."""

from datetime import timedelta

from app.domain import Person, Registered, RegistrationState, Webinar
from app.marketo.codes import Endpoint
from app.marketo.failures import failure
from app.store.database import Database
from tests.conftest import MovableClock
from tests.dispatch.stage import Stage, people, registered, set_stage

SENT, NEW = RegistrationState.SENT, RegistrationState.NEW


def starting(clock: MovableClock, address: str, webinar: str, after: timedelta) -> Registered:
    link = f"https://example.com/{webinar}"
    return Registered(Person(address), Webinar(webinar, f"Talk {webinar}", link, starts_at=clock() + after))


def webinars_asked(stage: Stage) -> list[str]:
    return [dict(request.tokens)["JoinLink"].rpartition("/")[2] for request in stage.marketo.asked(Endpoint.TRIGGER)]


async def test_an_urgent_webinar_passes_next_weeks(sqlite: Database, clock: MovableClock) -> None:
    """It came last, and its request is the first."""
    stage = await set_stage(sqlite, clock)
    later = [starting(clock, f"p{n}@example.com", f"w-{n}", timedelta(days=7)) for n in range(12)]
    await stage.arrive(*later)
    await stage.arrive(starting(clock, "ada@example.com", "soon", timedelta(minutes=10)))
    await stage.work()
    assert webinars_asked(stage)[0] == "soon"
    assert await stage.states() == {SENT: 13}


async def test_the_last_tenth_of_a_day_is_for_webinars_that_start_before_it_ends(
    sqlite: Database, clock: MovableClock
) -> None:
    """Tomorrow's go tomorrow, as do those of which nobody knows when; nobody loses a try by waiting."""
    stage = await set_stage(sqlite, clock, calls_per_day=100)
    stage.sender.caller.day.own = 92
    for webinar, after in (
        ("tomorrow", timedelta(hours=30)),
        ("evening", timedelta(hours=10)),
        ("noon", timedelta(hours=2)),
    ):
        await stage.arrive(starting(clock, f"{webinar}@example.com", webinar, after))
    await stage.arrive(registered("ada@example.com", "unknown"))
    await stage.work(at_most=timedelta(minutes=1))
    assert webinars_asked(stage) == ["noon", "evening"]
    assert stage.sender.caller.day.used == 95
    clock.move(timedelta(hours=18))
    await stage.work(at_most=timedelta(minutes=5))
    assert sorted(webinars_asked(stage)[2:]) == ["tomorrow", "unknown"]
    assert all(one.state is SENT for one in await stage.registrations())


async def test_a_quota_that_others_used_up_is_waited_out_until_midnight(sqlite: Database, clock: MovableClock) -> None:
    """607 although the relay's own count is low: it accepts, keeps, and goes on in the next day."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.faults = [failure(Endpoint.SYNC, "607", "Daily API Request Limit Reached")]
    await stage.arrive(*people(3))
    await stage.work(at_most=timedelta(minutes=2))
    await stage.arrive(registered("late@example.com"))
    assert len(stage.marketo.requests) == 1
    assert await stage.states() == {NEW: 4}
    clock.move(timedelta(hours=17, minutes=57))
    await stage.work(at_most=timedelta(minutes=2))
    assert await stage.states() == {SENT: 4}


async def test_refusals_for_others_calls_shrink_the_allowance_and_are_nobodys_try(
    sqlite: Database, clock: MovableClock
) -> None:
    """606 and 615 say that others use the instance, too: fewer calls for a while, then all of them again."""
    stage = await set_stage(sqlite, clock)
    stage.marketo.faults = [failure(Endpoint.SYNC, code, "too many") for code in ("606", "615")]
    await stage.arrive(*people(5))
    await stage.work()
    window = stage.sender.caller.window
    assert (window.rate.at(stage.ticks()), window.concurrency.at(stage.ticks())) == (36, 3)
    assert await stage.states() == {SENT: 5}
    timelines = await stage.registrations()
    assert all(one.detail is None or "606" not in one.detail for one in timelines if one.state is SENT)
    stage.pass_time(200)
    assert (window.rate.at(stage.ticks()), window.concurrency.at(stage.ticks())) == (50, 5)
