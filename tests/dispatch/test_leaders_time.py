"""Whoever calls beside a leader counts by the leader's time, whatever the machines' clocks say."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from app.beside import Limits
from app.dispatch.leaders_time import LeadersTime
from app.store.calls import CallLog
from app.store.claims import CallResult
from app.store.database import Database
from app.store.leases import LEADER, Leases
from app.store.sharing import Begun, begin_beside
from tests.dispatch.stage import Ticks

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass
class Scene:
    """A leader that gives a sign of life every two seconds, and a process whose clock is `skew` seconds later."""

    database: Database
    skew: float = 0.0
    ticks: Ticks = field(default_factory=Ticks)
    fence: int = 0
    is_silent: bool = False
    _sign_at: float = 0.0
    _ahead: float = 0.0

    def __post_init__(self) -> None:
        self.leases = Leases(self.database)
        self.time = LeadersTime(self.ours, ticks=self.ticks, wait=self.wait)

    def leaders(self) -> datetime:
        return NOON + timedelta(seconds=self.ticks() + self._ahead)

    def ours(self) -> datetime:
        return NOON + timedelta(seconds=self.ticks() + self.skew)

    async def lead(self, ahead: float = 0.0) -> None:
        """Let a process lead, from now on, whose clock is so much later than the first one's."""
        taken = await self.leases.take(LEADER, holder="elsewhere", seen=await self.leases.look(LEADER))
        assert taken is not None
        self.fence, self._ahead, self._sign_at = taken, ahead, self.ticks() + 2

    async def sign(self) -> None:
        await self.leases.renew(LEADER, fence=self.fence, at=self.leaders())
        self._sign_at = self.ticks() + 2

    async def wait(self, seconds: float) -> None:
        self.ticks.move(seconds)
        if not self.is_silent and self.ticks() >= self._sign_at:
            await self.sign()

    async def waited(self) -> float:
        """Look, and return how many seconds that took."""
        began = self.ticks()
        await self.time.look(self.database)
        return self.ticks() - began

    def is_right(self) -> bool:
        earliest, latest = self.time.earliest(), self.time.latest()
        return earliest <= self.leaders() <= latest <= earliest + timedelta(seconds=0.3)


async def leading(database: Database, skew: float = 0.0) -> Scene:
    scene = Scene(database, skew)
    await scene.lead()
    await scene.sign()
    return scene


@pytest.mark.parametrize("skew", [-600, -6, -1, 0, 3, 6, 600])
async def test_the_next_sign_of_life_tells_the_time(sqlite: Database, skew: float) -> None:
    """The last one is of some seconds ago, nobody knows how many: a clock some seconds ahead looks the same."""
    scene = await leading(sqlite, skew)
    scene.ticks.move(0.3)
    assert 0 < await scene.waited() <= 2
    assert scene.is_right()
    scene.ticks.move(60)
    assert await scene.waited() == 0
    assert scene.is_right()


@pytest.mark.parametrize("skew", [0, 3, 6])
async def test_a_clock_that_is_ahead_leaves_the_window_whole(database: Database, skew: float) -> None:
    """Whatever of the leader's calls Marketo still counts is counted here."""
    scene, limits = await leading(database, skew), Limits(50, 5)
    log = CallLog(database, clock=scene.leaders)
    for _ in range(50):
        await log.end(await log.begin("usage", fence=scene.fence), CallResult("done"))
    for _ in range(4):
        scene.ticks.move(4)
        await scene.sign()
    scene.ticks.move(1)
    await scene.time.look(database)
    assert not isinstance(await begin_beside(database, "setup", scene.time.earliest(), limits.full), Begun)
    scene.ticks.move(3)
    assert isinstance(await begin_beside(database, "setup", scene.time.earliest(), limits.full), Begun)


async def test_each_term_has_a_time_of_its_own(sqlite: Database) -> None:
    """The next leader is another machine; between two terms, the last one's time goes on."""
    scene = await leading(sqlite)
    await scene.waited()
    await scene.leases.give_back(LEADER, fence=scene.fence)
    assert await scene.waited() == 0
    assert scene.is_right()
    for ahead in (600.0, -600.0):
        await scene.lead(ahead)
        assert await scene.waited() == pytest.approx(2, abs=0.2), "who has only taken it has told no time"
        assert scene.is_right()


async def test_a_jump_of_our_own_clock_changes_nothing(sqlite: Database) -> None:
    scene = await leading(sqlite)
    await scene.waited()
    scene.skew = -3600
    scene.ticks.move(60)
    assert scene.is_right()


async def test_it_is_measured_again_after_ten_minutes(sqlite: Database) -> None:
    """No two clocks run the same."""
    scene = await leading(sqlite)
    await scene.waited()
    scene._ahead = 1.0
    scene.ticks.move(600)
    assert await scene.waited() > 0
    assert scene.is_right()


async def test_a_leader_without_a_sign_of_life_has_no_time(sqlite: Database) -> None:
    """Others take over after as long; who was found silent is not waited for again, and heeded once it is back."""
    scene = await leading(sqlite, skew=600)
    scene.is_silent = True
    assert await scene.waited() == pytest.approx(9, abs=0.2)
    assert scene.time.earliest() == scene.time.latest() == scene.ours()
    assert await scene.waited() == 0
    scene.is_silent = False
    await scene.sign()
    assert await scene.waited() > 0
    assert scene.is_right()


async def test_who_gives_the_lease_back_meanwhile_is_not_waited_for(sqlite: Database) -> None:
    scene = await leading(sqlite, skew=600)
    scene.is_silent = True

    async def given_back(seconds: float) -> None:
        await scene.wait(seconds)
        await scene.leases.give_back(LEADER, fence=scene.fence)

    scene.time = LeadersTime(scene.ours, ticks=scene.ticks, wait=given_back)
    assert await scene.waited() == pytest.approx(0.1)
    assert scene.time.earliest() == scene.ours()
