"""What a relay is made of works together: without one part it says so, instead of looking well."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from app.bootstrap import running_relay
from app.errors import StoreUnavailable
from app.settings import Settings
from app.store.inbox import Inbox
from tests.e2e.harness import environment


async def test_without_a_writer_the_relay_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store takes the probe's own write; yet each webhook would hear 503, and no balancer look elsewhere."""

    async def ended(_: Inbox) -> NoReturn:
        raise AssertionError("a defect")

    monkeypatch.setattr(Inbox, "run", ended)
    chosen = environment("http://127.0.0.1:9", f"sqlite:///{tmp_path / 'relay.db'}")
    known = Settings.model_fields
    values: dict[str, Any] = {name.lower(): value for name, value in chosen.items() if name.lower() in known}
    settings = Settings(**values)
    async with asyncio.timeout(30), running_relay(settings) as relay:
        with pytest.raises(StoreUnavailable, match="has ended"):
            await asked_until_it_fails(relay.web.probe)


async def asked_until_it_fails(probe: Callable[[], Awaitable[None]]) -> NoReturn:
    while True:
        await probe()
