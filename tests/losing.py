"""A store whose commits are done, and whose answers to them never come."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import StoreUnavailable
from app.store.database import Database


@asynccontextmanager
async def losing(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Within the block, each write is committed and its answer never comes."""
    write = database.write

    @asynccontextmanager
    async def lossy() -> AsyncIterator[AsyncConnection]:
        async with write() as connection:
            yield connection
        raise StoreUnavailable("OperationalError: server closed the connection unexpectedly")

    with monkeypatch.context() as patched:
        patched.setattr(database, "write", lossy)
        yield
