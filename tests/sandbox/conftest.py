"""Fixtures of the simulation's own tests."""

from collections.abc import AsyncIterator

import pytest

from tests.sandbox.account import Account, opened


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    """A simulated instance, logged in."""
    async with opened() as fresh:
        await fresh.log_in()
        yield fresh
