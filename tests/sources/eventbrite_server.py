"""A small Eventbrite with rules: it answers only what is asked rightly, and counts every call."""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

HOST = "eventbrite.test"
BASE_URL = f"https://{HOST}/v3"
TOKEN = "private-token"
ORDER, EVENT, FIRST, SECOND = "985359169", "64592778740", "1261812597", "1261812598"
SAMPLES = Path(__file__).parents[2] / "app" / "sources" / "eventbrite" / "samples"

Fault = Callable[[httpx.Request], httpx.Response]


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())["body"]


def error(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"status_code": status, "error": code, "error_description": "ada@example.com"})


class EventbriteServer:
    """Orders, attendees and events by id. `faults` holds answers that a path gives before it answers rightly."""

    def __init__(self) -> None:
        order = sample("api/order__composed")
        self.events = {EVENT: order.pop("event")}
        first = order.pop("attendees")[0]
        self.orders = {ORDER: order}
        self.attendees = {FIRST: first, SECOND: {**first, "id": SECOND}}
        self.content: dict[str, Any] = {EVENT: sample("api/structured_content__inferred")}
        self.digital_pages: dict[str, str] = {}
        self.faults: dict[str, list[httpx.Response | Exception]] = defaultdict(list)
        self.expansions_that_fail: set[str] = set()
        self.calls: list[str] = []
        self.answering = asyncio.Event()
        self.answering.set()

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def calls_of(self, kind: str) -> list[str]:
        return [call for call in self.calls if re.fullmatch(kind, call)]

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == HOST, "a request left for a host that nobody configured"
        assert request.method == "GET"
        path = request.url.path.removeprefix("/v3")
        self.calls.append(path)
        await asyncio.sleep(0)  # other tasks run while a real network answers
        await self.answering.wait()
        if self.faults[path]:
            return _raised_or_given(self.faults[path].pop(0))
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return error(400, "INVALID_AUTH")
        if not path.endswith("/"):
            return httpx.Response(301, headers={"location": f"https://elsewhere.test{path}/"})
        expand = set(filter(None, request.url.params.get("expand", "").split(",")))
        if expand & self.expansions_that_fail:
            return error(500, "EXPANSION_FAILED")
        return self._found(path, expand, request.url.params.get("purpose"))

    def _found(self, path: str, expand: set[str], purpose: str | None) -> httpx.Response:
        document: Any = None
        if match := re.fullmatch(r"/orders/(\d+)/", path):
            document = self._order(match[1], expand)
        elif match := re.fullmatch(r"/events/(\d+)/attendees/(\d+)/", path):
            document = self.attendees.get(match[2])
        elif match := re.fullmatch(r"/events/(\d+)/structured_content/", path):
            document = self.content.get(match[1]) if purpose == "digital_content" else None
        elif match := re.fullmatch(r"/events/(\d+)/", path):
            document = self._event(match[1], expand)
        return httpx.Response(200, json=document) if document is not None else error(404, "NOT_FOUND")

    def _order(self, order_id: str, expand: set[str]) -> Any:
        if order_id not in self.orders:
            return None
        order = dict(self.orders[order_id])
        if "attendees" in expand:
            order["attendees"] = [one for one in self.attendees.values() if one["order_id"] == order_id]
        if "event" in expand:
            order["event"] = self._event(order["event_id"], {"logo"} if "event.logo" in expand else set())
        return order

    def _event(self, event_id: str, expand: set[str]) -> Any:
        if event_id not in self.events:
            return None
        event = dict(self.events[event_id])
        if "logo" not in expand:
            event.pop("logo", None)
        if "has_digital_content" in expand:
            page = self.digital_pages.get(event_id)
            event["has_digital_content"] = {"has_digital_content": page is not None, "digital_content_url": page}
        return event


def _raised_or_given(fault: httpx.Response | Exception) -> httpx.Response:
    if isinstance(fault, Exception):
        raise fault
    return fault
