"""Parts are made as the settings say."""

import pytest
from sqlalchemy import text

from app.errors import StoreUnavailable
from app.making import open_store
from app.settings import Settings


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_the_store_is_opened_within_the_bounds_of_the_settings(database_url: str) -> None:
    """Each of a process's two threads has half of the connections."""
    settings = Settings(database_url=database_url, database_pool_size=4, database_timeout_seconds=7)
    store = open_store(settings)
    async with store.read() as connection, store.read():
        assert await connection.scalar(text("SHOW statement_timeout")) == "7s"
        assert await connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "10s"
        with pytest.raises(StoreUnavailable, match="QueuePool limit of size 2 overflow 0"):
            async with store.read():
                pass
    await store.close()
