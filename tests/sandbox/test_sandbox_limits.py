"""The simulation enforces Marketo's shared limits, and counts them as Adobe documents."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sandbox import SandboxConfig
from app.sandbox.config import steady_clock
from app.sandbox.limits import CENTRAL, DailyQuota, InFlight, SlidingWindow
from tests.sandbox.account import Account, Gate, code, opened

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TWENTY = timedelta(seconds=20)
GAPS = st.lists(st.integers(0, 18).map(lambda halves: 500 * halves), max_size=80)  # so that 20 s are often hit exactly


@given(limit=st.integers(1, 12), gaps=GAPS)
def test_no_span_of_20_seconds_admits_more_than_the_limit(limit: int, gaps: list[int]) -> None:
    """A true sliding window: wherever one puts the 20 s, ends included."""
    window, now, admitted = SlidingWindow(limit=limit, length=TWENTY), START, []
    for gap in gaps:
        now += timedelta(milliseconds=gap)
        if window.admits(now):
            admitted.append(now)
    for first in admitted:
        assert sum(first <= at <= first + TWENTY for at in admitted) <= limit
    assert window.peak <= limit


@given(limit=st.integers(1, 12), gaps=GAPS)
def test_a_call_is_refused_only_when_the_window_is_full(limit: int, gaps: list[int]) -> None:
    """Stricter, but not arbitrary: fewer than the limit in the last 20 s, refused ones counted, always get in."""
    window, now, tried = SlidingWindow(limit=limit, length=TWENTY), START, list[datetime]()
    for gap in gaps:
        now += timedelta(milliseconds=gap)
        recent = sum(now - at <= TWENTY for at in tried)
        tried.append(now)
        assert window.admits(now) is (recent < limit)


def test_both_ends_of_the_window_count() -> None:
    """Two calls just 20 s apart are in one window: whoever paces to the edge learns it here."""
    window = SlidingWindow(limit=1, length=TWENTY)
    assert [window.admits(START), window.admits(START + TWENTY)] == [True, False]
    assert window.admits(START + 2 * TWENTY + timedelta(milliseconds=1))


def test_who_hammers_stays_locked_out() -> None:
    """606 is not among the codes that do not count."""
    window = SlidingWindow(limit=2, length=TWENTY)
    assert [window.admits(START + timedelta(seconds=9 * i)) for i in range(6)] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    assert window.admits(START + timedelta(seconds=9 * 5 + 21))


def test_places_in_flight_are_given_back() -> None:
    places = InFlight(limit=1)
    with places.one() as first, places.one() as second:
        assert (first, second) == (True, False)
    with places.one() as third:
        assert third
    assert (places.now, places.peak) == (0, 1)


def test_the_day_ends_at_midnight_in_us_central_whatever_the_season() -> None:
    """00:00 US Central is 06:00 UTC in winter and 05:00 in summer."""
    for midnight in (datetime(2026, 11, 24, 6, 0, tzinfo=UTC), datetime(2026, 7, 1, 5, 0, tzinfo=UTC)):
        assert midnight.astimezone(CENTRAL).hour == 0
        quota = DailyQuota(limit=1)
        assert quota.admits(midnight - timedelta(seconds=2), "user")
        assert not quota.admits(midnight - timedelta(seconds=1), "user")
        assert quota.admits(midnight, "user")


@pytest.mark.parametrize(
    "kinder",
    [
        {"calls_per_window": 101},
        {"calls_per_window": 100, "window": timedelta(seconds=19)},
        {"max_in_flight": 11},
        {"max_in_flight": 0},
        {"calls_per_window": 0},
    ],
)
def test_limits_kinder_than_marketos_are_refused(kinder: dict[str, object]) -> None:
    """What passes here must pass there."""
    with pytest.raises(ValueError, match="Marketo's"):
        SandboxConfig(**kinder)  # type: ignore[arg-type]


async def test_the_101st_call_in_20_seconds_is_606(account: Account) -> None:
    for _ in range(100):
        assert (await account.usage())["success"]
    assert code(await account.usage()) == "606"
    account.clock.move(timedelta(seconds=20, milliseconds=1))
    assert (await account.usage())["success"]
    assert await account.violations() == ["rate"]


async def test_the_eleventh_call_in_flight_is_615() -> None:
    closed = Gate()
    async with opened(sleep=closed) as account:
        account.bearer = {"Authorization": f"Bearer {_token(account)}"}
        calls = [asyncio.create_task(account.usage()) for _ in range(10)]
        await closed.until(10)
        assert code(await account.usage()) == "615"
        closed.open()
        assert all(answer["success"] for answer in await asyncio.gather(*calls))
        assert (await account.usage())["success"]
        assert await account.violations() == ["concurrency"]


async def test_the_daily_quota_is_607_until_midnight_us_central() -> None:
    async with opened(calls_per_day=3) as account:
        await account.log_in()
        assert [(await account.usage())["success"] for _ in range(4)] == [True, True, True, False]
        assert code(await account.usage()) == "607"
        account.clock.now = datetime(2026, 11, 24, 6, 0, 1, tzinfo=UTC)
        await account.log_in()
        assert (await account.usage())["result"][0]["total"] == 1


async def test_calls_that_end_with_the_free_codes_are_not_counted(account: Account) -> None:
    """Adobe: 500, 502, 601, 602, 604, 605, 608 and 611 count against neither the quota nor the rate."""
    good, account.bearer = account.bearer, {"Authorization": "Bearer made-up"}
    assert code(await account.usage()) == "601"
    account.bearer = good
    assert code(await account.marketo("DELETE", "/v1/leads.json")) == "605"
    await account.fault(match="usage", kind="code:611")
    assert code(await account.usage()) == "611"
    assert code(await account.marketo("GET", "/v1/nothing.json")) == "610"
    assert (await account.usage())["result"][0]["total"] == 2, "610 and this one"


def _token(account: Account) -> str:
    world = account.simulation.world
    token = world.tokens.issue(
        world.config.credentials[0].client_id, world.config.credentials[0].client_secret, world.now()
    )
    assert token
    return token.text


def test_a_clock_of_its_own_only_goes_forward() -> None:
    """The window must not open because somebody sets the machine's clock."""
    now = steady_clock()
    first = now()
    assert first.tzinfo is not None
    assert now() >= first
