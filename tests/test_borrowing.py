"""A check's call takes a place in one thread and is made in another: neither is left behind, however it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from app.backroom import Backroom
from app.borrowing import Borrowed
from app.doctor.pacing import Make
from app.errors import LeadershipLost, NotNow
from app.marketo.envelope import Reply

FINE, BESIDE = Reply(200, b"fine"), Reply(200, b"beside")


@dataclass
class Dispatcher:
    """Gives a place in the backroom's loop, or says that it does not lead."""

    leads: bool = True
    given: int = 0
    taken_back: int = 0
    loops: list[asyncio.AbstractEventLoop] = field(default_factory=list)

    async def errand(self, make: Make) -> Reply:
        if not self.leads:
            raise LeadershipLost("another process leads")
        self.given += 1
        self.loops.append(asyncio.get_running_loop())
        try:
            return await make()
        finally:
            self.taken_back += 1


async def beside(make: Make) -> Reply:
    return BESIDE


async def work(end: asyncio.Event) -> None:
    await end.wait()


@pytest.fixture
async def backroom() -> AsyncIterator[Backroom]:
    room = Backroom(work)
    await room.open()
    yield room
    await room.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # it comes true in another thread
            await asyncio.sleep(0.005)


async def unending() -> Reply:
    await asyncio.Event().wait()
    raise NotImplementedError


async def test_the_place_is_the_leaders_and_the_call_is_made_where_it_was_asked_for(backroom: Backroom) -> None:
    """A client belongs to the loop that it was made in."""
    dispatcher, made_in = Dispatcher(), list[asyncio.AbstractEventLoop]()

    async def make() -> Reply:
        made_in.append(asyncio.get_running_loop())
        return FINE

    assert await Borrowed(backroom, dispatcher.errand, beside)(make) is FINE
    assert made_in == [asyncio.get_running_loop()] != dispatcher.loops


async def test_what_a_call_raises_is_raised(backroom: Backroom) -> None:
    async def make() -> Reply:
        raise ValueError("of the call")

    dispatcher = Dispatcher()
    with pytest.raises(ValueError, match="of the call"):
        await Borrowed(backroom, dispatcher.errand, beside)(make)
    assert dispatcher.taken_back == 1


async def test_while_another_process_leads_the_call_is_made_beside_it(backroom: Backroom) -> None:
    assert await Borrowed(backroom, Dispatcher(leads=False).errand, beside)(unending) is BESIDE


async def test_a_check_that_is_given_up_ends_its_call_and_gives_the_place_back(backroom: Backroom) -> None:
    ended = asyncio.Event()

    async def make() -> Reply:
        try:
            return await unending()
        finally:
            ended.set()

    dispatcher = Dispatcher()
    check = asyncio.ensure_future(Borrowed(backroom, dispatcher.errand, beside)(make))
    await until(lambda: dispatcher.given == 1)
    check.cancel()
    await asyncio.wait([check])
    assert check.cancelled()
    await until(lambda: dispatcher.taken_back == 1)
    async with asyncio.timeout(10):
        await ended.wait()


async def test_a_relay_that_stops_says_so() -> None:
    """Its loop may end under a call, or be gone before it."""
    room = Backroom(work)
    await room.open()
    dispatcher = Dispatcher()
    gate = Borrowed(room, dispatcher.errand, beside)
    check = asyncio.ensure_future(gate(unending))
    await until(lambda: dispatcher.given == 1)
    await room.close()
    for asked in (check, gate(unending)):
        with pytest.raises(NotNow, match="stopping"):
            await asked
