"""The store's answer to a COMMIT may be lost. Nothing that was claimed so stays in nobody's hands."""

import asyncio
from typing import Any

import pytest

from app.domain import RegistrationState
from app.errors import StoreUnavailable
from app.marketo.codes import Endpoint
from app.store.database import Database
from app.store.people import IN_FLIGHT
from tests.conftest import MovableClock
from tests.dispatch.stage import ScriptedSource, Stage, new_event, people, registered, set_stage, store_events
from tests.losing import losing


@pytest.fixture
async def stage(database: Database, clock: MovableClock) -> Stage:
    return await set_stage(database, clock)


async def read_all(stage: Stage) -> None:
    for _ in range(10):
        await stage.intake.step()


async def test_an_event_whose_claim_was_not_confirmed_is_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It carries the fence of a leader that does not know of it."""
    stage.source.read = lambda event, _: [registered(event.body.decode())]
    await store_events(stage.database, [new_event(stage.clock, b"ada@example.com")])
    async with losing(stage.database, monkeypatch):
        with pytest.raises(StoreUnavailable):
            await stage.intake.step()
    await read_all(stage)
    assert len(await stage.registrations()) == 1


async def test_what_is_being_read_is_not_freed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier event is in the adapter's hands while a later one's claim fails."""
    source: ScriptedSource = stage.source
    source.read = lambda event, _: [registered(event.body.decode())]
    for address in (b"ada@example.com", b"grace@example.com"):
        await store_events(stage.database, [new_event(stage.clock, address)])
        async with losing(stage.database, monkeypatch):
            with pytest.raises(StoreUnavailable):
                await stage.intake.step()
    await read_all(stage)
    assert len(await stage.registrations()) == 2
    assert len(source.fetched) == 2


async def test_people_whose_claim_was_not_confirmed_are_found_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asked Marketo about them: they need not be left alone either."""
    await stage.arrive(*people(3))
    async with losing(stage.database, monkeypatch):
        with pytest.raises(StoreUnavailable):
            await stage.sender.step()
    await stage.work(at_most=IN_FLIGHT / 2)
    assert await stage.states() == {RegistrationState.SENT: 3}
    assert stage.marketo.sizes(Endpoint.SYNC) == [3]


async def test_a_campaign_request_whose_claim_was_not_confirmed_is_made(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was surely not made, so it is no lost answer: everybody gets one e-mail, and nobody has to be asked."""
    await stage.arrive(*people(3))
    await stage.work_until_known()
    async with losing(stage.database, monkeypatch):
        with pytest.raises(StoreUnavailable):
            await stage.sender.step()
    assert await stage.states() == {RegistrationState.SENDING: 3}
    await stage.work()
    assert await stage.states() == {RegistrationState.SENT: 3}
    assert set(stage.marketo.sent.values()) == {1}
    assert stage.marketo.sizes(Endpoint.TRIGGER) == [3]


async def test_a_call_under_way_is_not_freed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is in none of our calls is loose."""
    stage.marketo.gate = asyncio.Event()
    await stage.arrive(*people(2))
    await stage.sender.step()
    await asyncio.sleep(0)
    await stage.arrive(*people(2, first=2))
    async with losing(stage.database, monkeypatch):
        with pytest.raises(StoreUnavailable):
            await stage.sender.step()
    stage.marketo.gate.set()
    await stage.work()
    assert await stage.states() == {RegistrationState.SENT: 4}
    assert stage.marketo.sizes(Endpoint.SYNC) == [2, 2]


async def test_a_half_whose_writing_was_not_confirmed_is_requested_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile a claim of the sender's fails too, and it frees what is loose; the half is not."""
    await stage.arrive(*people(4))
    await stage.work_until_known()
    stage.marketo.poisonous = {str(stage.marketo.people["p3@example.com"][0].lead_id)}
    sending, lost = stage.sender.caller.sending, asyncio.Event()
    split = sending.split

    async def split_in_vain(*part: Any, **more: Any) -> Any:
        if lost.is_set():
            return await split(*part, **more)
        try:
            async with losing(stage.database, monkeypatch):
                return await split(*part, **more)
        finally:
            lost.set()

    monkeypatch.setattr(sending, "split", split_in_vain)
    await stage.sender.step()
    await asyncio.wait_for(lost.wait(), 20)
    stage.sender._is_unclear = True
    for _ in range(4):
        await stage.sender.step()
        await asyncio.sleep(0.02)
    await stage.work()
    assert await stage.states() == {RegistrationState.SENT: 3, RegistrationState.DEAD: 1}
    assert set(stage.marketo.sent.values()) == {1}
