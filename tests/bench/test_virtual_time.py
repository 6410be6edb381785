"""Virtual time: hours pass at once, in order, and never while something is still at work."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from app.store.opening import prepare_store
from bench.virtual_time import NothingWillHappen, clock_from, open_in_virtual_time, run_in_virtual_time


async def elapsed(*sleeps: float) -> list[float]:
    ends: list[float] = []

    async def one(seconds: float) -> None:
        await asyncio.sleep(seconds)
        ends.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(one(seconds) for seconds in sleeps))
    return ends


def test_a_week_passes_at_once_and_timers_end_in_their_order() -> None:
    """Each timer sees exactly its own moment."""
    week = 7 * 86_400.0
    assert run_in_virtual_time(elapsed(week, 0.05, 3600.0)) == pytest.approx([0.05, 3600.0, week])


def test_time_outs_are_virtual_too() -> None:
    """A call that hangs for Marketo's 30 s costs a test nothing, and is still given up."""

    async def hangs() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(hangs()) == pytest.approx(30.0)


def test_a_threads_work_takes_no_virtual_time() -> None:
    """Else a time-out beside it would end before the thread had a chance."""

    async def beside_a_thread() -> float:
        async with asyncio.timeout(0.001):
            await asyncio.to_thread(time.sleep, 0.02)
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(beside_a_thread()) == 0.0


def test_waiting_for_nothing_is_told() -> None:
    """In real time it would hang for ever."""
    with pytest.raises(NothingWillHappen):
        run_in_virtual_time(asyncio.Event().wait())


def test_the_clock_follows_the_loop() -> None:
    """Dates and timers must agree, or a lease would end at another time than it is believed to."""
    began = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

    async def later() -> datetime:
        clock = clock_from(began)
        await asyncio.sleep(90)
        return clock()

    assert run_in_virtual_time(later()) == began + timedelta(seconds=90)


def test_the_store_takes_no_virtual_time(tmp_path: Path) -> None:
    """Neither a read nor a write hands work to a thread that the clock would not wait for."""
    url = f"sqlite:///{tmp_path / 'relay.db'}"
    asyncio.run(prepare_store(url))

    async def use() -> float:
        database = open_in_virtual_time(url)
        async with asyncio.timeout(0.001):
            async with database.read() as connection:
                assert await connection.scalar(select(1)) == 1
            async with database.write() as connection:
                assert await connection.scalar(select(1)) == 1
        await database.close()
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(use()) == 0.0


def test_a_statement_of_postgresql_takes_no_virtual_time(postgres_url: str) -> None:
    """Else a time-out beside it would end while the answer is on its way."""

    async def use() -> float:
        async with open_in_virtual_time(postgres_url) as database, asyncio.timeout(0.001):
            async with database.read() as connection:
                await connection.execute(text("SELECT pg_sleep(0.05)"))
            async with database.write() as connection:
                assert await connection.scalar(select(1)) == 1
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(use()) == 0.0
