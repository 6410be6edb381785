"""What a relay is made of works together: without one part it says so, instead of looking well."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.bootstrap import running_relay
from app.errors import StoreUnavailable
from app.settings import Settings
from app.store.inbox import Inbox
from tests.e2e.harness import environment
from tests.store.given import new_event


async def test_without_a_writer_the_relay_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store takes the probe's own write; yet each webhook would hear 503, and no balancer look elsewhere."""
    monkeypatch.setattr(Inbox, "_taken", lambda _: 1 / 0)
    chosen = environment("http://127.0.0.1:9", f"sqlite:///{tmp_path / 'relay.db'}")
    known = Settings.model_fields
    values: dict[str, Any] = {name.lower(): value for name, value in chosen.items() if name.lower() in known}
    settings = Settings(**values)
    async with asyncio.timeout(30), running_relay(settings) as relay:
        await relay.web.probe()
        with pytest.raises(StoreUnavailable):
            await relay.web.inbox.accept(new_event(datetime.now(UTC)))
        with pytest.raises(StoreUnavailable, match="Nothing stores webhooks"):
            await relay.web.probe()
