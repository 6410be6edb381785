"""Requests that the stop cannot wait for any longer: told to come again, not cut off."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message

from tests.web.log_capture import Lines
from tests.web.relay_server import Surroundings


@pytest.mark.parametrize(("method", "path"), [("POST", "/webhooks/pendo"), ("GET", "/readyz")])
async def test_a_request_that_is_cancelled_is_503(around: Surroundings, log: Lines, method: str, path: str) -> None:
    """As uvicorn does at the end of its patience, to a body that never comes or a store that does not answer."""
    around.hold_probe = asyncio.Event()
    waiting, sent = asyncio.Event(), list[dict[str, Any]]()
    around.probe_begun = waiting
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": [JSON], "app": None}

    async def receive() -> Message:
        waiting.set()
        never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await never

    async def send(message: Message) -> None:
        sent.append(dict(message))

    async def answer() -> None:
        await around.app()(scope, receive, send)

    request = asyncio.create_task(answer())
    await waiting.wait()
    request.cancel()
    await request
    assert [message.get("status") for message in sent] == [503, None]
    assert (b"retry-after", b"5") in sent[0]["headers"]
    assert b"stopping" in sent[1]["body"]
    assert "Traceback" not in log.text


JSON = (b"content-type", b"application/json")
