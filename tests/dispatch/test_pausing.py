"""Pauses: as long and as wide as the failure asks, ended by a call that shows it is over, kept for the next leader."""

from datetime import UTC, datetime, timedelta

import pytest

from app.dispatch.pausing import EVERYTHING, Pauses, pause_after, scope_of
from app.domain import CallId, CampaignId
from app.marketo.codes import Endpoint, Trouble
from app.marketo.failures import CallFailed, failure
from app.store.calls import CallLog, Pause
from app.store.claims import Call
from app.store.database import Database
from tests.conftest import MovableClock
from tests.dispatch.stage import locked

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TRIGGER = Call(CallId("call_1"), "trigger", CampaignId(7), ())
UPSERT = Call(CallId("call_2"), "upsert", None, ())
MIDNIGHT = datetime(2026, 11, 24, 6, tzinfo=UTC)
_A_LITTLE = timedelta(seconds=5)  # as no two clocks run the same


def refusal(code: str, *, retry_after: timedelta | None = None) -> CallFailed:
    return failure(Endpoint.TRIGGER, code, "Marketo's words", retry_after=retry_after)


def first_pause(code: str, *, retry_after: timedelta | None = None) -> Pause | None:
    return pause_after(refusal(code, retry_after=retry_after), TRIGGER, None, begun=NOON, now=NOON)


@pytest.mark.parametrize(
    ("code", "scope", "length"),
    [
        ("606", EVERYTHING, timedelta(seconds=5)),
        ("429", EVERYTHING, timedelta(seconds=5)),
        ("615", EVERYTHING, timedelta(seconds=1)),
        ("607", EVERYTHING, MIDNIGHT + _A_LITTLE - NOON),
        ("601", EVERYTHING, timedelta(seconds=10)),
        ("603", EVERYTHING, timedelta(seconds=10)),
        ("404", EVERYTHING, timedelta(seconds=10)),
        ("1006", EVERYTHING, timedelta(seconds=10)),
        ("1013", "campaign:7", timedelta(seconds=10)),
        ("1003", "campaign:7", timedelta(seconds=10)),
    ],
)
def test_each_failure_pauses_what_it_concerns(code: str, scope: str, length: timedelta) -> None:
    """A wrong campaign is nobody else's trouble; a limit of the instance is everybody's."""
    pause = first_pause(code)
    assert pause is not None
    assert (pause.scope, pause.until - NOON, pause.code, pause.times) == (scope, length, code, 1)
    assert "Marketo's words. " in pause.reason


@pytest.mark.parametrize("code", ["608", "500", Trouble.UNREACHABLE, Trouble.TIMED_OUT])
def test_a_stumble_pauses_everything_for_a_moment(code: str) -> None:
    """While Marketo is down each further call would only fail too."""
    pause = first_pause(code)
    assert pause is not None
    assert timedelta(seconds=0.5) <= pause.until - NOON <= timedelta(seconds=1)
    assert pause.scope == EVERYTHING


@pytest.mark.parametrize("code", ["413", "609", "709", "1004", "1007"])
def test_one_records_fault_pauses_nothing(code: str) -> None:
    """The others go on."""
    assert first_pause(code) is None


@pytest.mark.parametrize("code", ["606", "615", "608", "500"])
def test_a_pause_is_as_long_as_marketo_asks(code: str) -> None:
    """The server's own retry delay wins."""
    pause = first_pause(code, retry_after=timedelta(minutes=7))
    assert pause is not None
    assert pause.until == NOON + timedelta(minutes=7)


def row_of_pauses(code: str, count: int) -> list[timedelta]:
    """Return the lengths of pauses in a row, each failing again right at the end of the one before."""
    before, now, lengths = None, NOON, []
    for _ in range(count):
        before = pause_after(refusal(code), TRIGGER, before, begun=now, now=now)
        assert before is not None
        assert before.since == NOON, "the first one's: an operator wants to know since when it stands still"
        lengths.append(before.until - now)
        now = before.until
    return lengths


def test_pauses_for_a_person_to_mend_something_grow_to_ten_minutes() -> None:
    """A role is mended within seconds or hours; it goes on by itself soon after."""
    assert row_of_pauses("603", 8) == [timedelta(seconds=n) for n in (10, 20, 40, 80, 160, 320, 600, 600)]


def test_pauses_for_a_full_window_grow_to_a_whole_one() -> None:
    """The relay allows itself less after the first, which mostly suffices; if not, the others' calls must leave."""
    assert row_of_pauses("606", 4) == [timedelta(seconds=n) for n in (5, 10, 20, 20)]


def test_pauses_of_an_outage_grow_to_a_minute() -> None:
    """A night's outage costs a few hundred calls, and its end is noticed within a minute."""
    lengths = row_of_pauses("608", 12)
    assert all(timedelta(seconds=0.5) * 2**n <= length for n, length in enumerate(lengths[:6]))
    assert all(length <= timedelta(minutes=1) for length in lengths)
    assert all(length >= timedelta(seconds=30) for length in lengths[7:])


def test_calls_that_failed_together_are_one_outage() -> None:
    """Five in flight when the network blinks: a second's pause, not sixteen."""
    before = None
    for milliseconds in range(5):
        now = NOON + timedelta(milliseconds=milliseconds)
        before = pause_after(refusal("603"), TRIGGER, before, begun=NOON, now=now)
        assert before is not None
    assert before is not None
    assert (before.times, before.until) == (1, NOON + timedelta(seconds=10, milliseconds=4))


@pytest.fixture
def log(sqlite: Database, clock: MovableClock) -> CallLog:
    return CallLog(sqlite, clock=clock)


@pytest.fixture
def pauses(log: CallLog, clock: MovableClock) -> Pauses:
    return Pauses(log, clock=clock)


async def test_a_pause_is_in_force_until_its_end(pauses: Pauses, clock: MovableClock) -> None:
    """And the status says why, in words."""
    await pauses.failed(refusal("606"), UPSERT, begun=clock())
    assert pauses.wait() == 5
    assert pauses.paused_campaigns() == frozenset()
    assert pauses.described()[EVERYTHING].startswith("606: Marketo's words. Too many calls")
    clock.move(timedelta(seconds=5))
    assert (pauses.wait(), pauses.described()) == (0, {})


async def test_a_paused_campaign_holds_up_no_other(pauses: Pauses, clock: MovableClock) -> None:
    """Only its own registrations wait for the person who mends it."""
    await pauses.failed(refusal("1013"), TRIGGER, begun=clock())
    assert pauses.wait() == 0
    assert pauses.paused_campaigns() == {CampaignId(7)}
    assert list(pauses.described()) == ["campaign:7"]


async def test_a_shorter_pause_does_not_end_a_longer_one(pauses: Pauses, log: CallLog, clock: MovableClock) -> None:
    """A stumble of a call in flight must not forget the daily quota."""
    await pauses.failed(refusal("607"), TRIGGER, begun=clock())
    await pauses.failed(refusal("608"), TRIGGER, begun=clock())
    assert pauses.wait() == (MIDNIGHT + _A_LITTLE - clock()).total_seconds()
    assert [pause.code for pause in await log.pauses()] == ["607"]


async def test_a_fault_of_one_record_leaves_the_pauses_alone(pauses: Pauses, clock: MovableClock) -> None:
    """Nothing is written for it either."""
    await pauses.failed(refusal("1004"), TRIGGER, begun=clock())
    assert (pauses.wait(), pauses.described()) == (0, {})


async def test_only_a_call_begun_after_a_pause_shows_that_it_is_over(
    pauses: Pauses, log: CallLog, clock: MovableClock
) -> None:
    """An answer that was under way when the limit was hit says nothing about now."""
    begun = clock()
    await pauses.failed(refusal("603"), TRIGGER, begun=begun)
    await pauses.worked(TRIGGER, begun=begun)
    assert pauses.wait() == 10
    clock.move(timedelta(minutes=2))
    await pauses.failed(refusal("603"), TRIGGER, begun=clock())
    assert pauses.wait() == 20, "it had not worked since"
    clock.move(timedelta(minutes=3))
    await pauses.worked(TRIGGER, begun=clock())
    assert await log.pauses() == []
    await pauses.failed(refusal("603"), TRIGGER, begun=clock())
    assert pauses.wait() == 10


async def test_a_call_of_another_campaign_does_not_resume_one(pauses: Pauses, clock: MovableClock) -> None:
    """Pauses in a row of a campaign grow, though others work in between."""
    await pauses.failed(refusal("1013"), TRIGGER, begun=clock())
    clock.move(timedelta(minutes=2))
    await pauses.worked(Call(CallId("call_3"), "trigger", CampaignId(8), ()), begun=clock())
    await pauses.failed(refusal("1013"), TRIGGER, begun=clock())
    clock.move(timedelta(seconds=15))
    assert pauses.paused_campaigns() == {CampaignId(7)}


async def test_a_new_leader_keeps_limits_and_tries_the_rest(log: CallLog, clock: MovableClock) -> None:
    """Who restarts the relay has perhaps just mended the permission; the quota has not changed by that."""
    for code, scope in (("607", EVERYTHING), ("1013", scope_of(CampaignId(7))), ("606", "campaign:8")):
        await log.pause(Pause(scope, clock() + timedelta(hours=1), clock(), code, "words", 1))
    after = Pauses(log, clock=clock)
    await after.load()
    assert after.wait() == 3600
    assert after.paused_campaigns() == {CampaignId(8)}


async def test_a_pause_outlives_the_leader(pauses: Pauses, log: CallLog, clock: MovableClock) -> None:
    """Else each restart would spend calls on a day that has none left."""
    await pauses.failed(refusal("607"), TRIGGER, begun=clock())
    after = Pauses(log, clock=clock)
    await after.load()
    assert after.wait() == (MIDNIGHT + _A_LITTLE - clock()).total_seconds()


async def test_a_store_that_is_away_hinders_no_pause(impatient: Database, clock: MovableClock) -> None:
    """The call that failed or worked must still be settled; the pause is in memory all the same."""
    pauses = Pauses(CallLog(impatient, clock=clock), clock=clock)
    async with locked(impatient):
        await pauses.failed(refusal("603"), TRIGGER, begun=clock())
        assert pauses.wait() == 10
        clock.move(timedelta(seconds=10))
        await pauses.worked(TRIGGER, begun=clock())
    assert pauses.described() == {}
