"""Webhooks and stored events as the tests of the sources need them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.domain import Event, EventId, Json
from app.sources.base import Inbound

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def inbound(body: Any, *, headers: Mapping[str, str] | None = None, path_secret: str | None = None) -> Inbound:
    return Inbound(headers=headers or {}, body=as_bytes(body), received_at=NOW, path_secret=path_secret)


def stored(body: Any, *, source: str = "eventbrite", received_at: datetime = NOW, fetched: Json = None) -> Event:
    return Event(
        id=EventId("evt_1"),
        source=source,
        received_at=received_at,
        headers={},
        body=as_bytes(body),
        fetched=fetched,
        attempts=0,
    )


def as_bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def eventbrite_body(action: str, path: str, **config: Any) -> dict[str, Any]:
    return {
        "config": {"action": action, "user_id": "1", "webhook_id": "2", **config},
        "api_url": f"https://www.eventbriteapi.com/v3{path}",
    }
