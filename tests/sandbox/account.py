"""A client of the simulated services as tests use it: no relay in sight, time stands still until it is moved."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx

from app.sandbox import SandboxConfig, create_sandbox, seed
from app.sandbox.world import Simulation
from tests.conftest import MovableClock

CREDENTIALS = {
    "grant_type": "client_credentials",
    "client_id": seed.CLIENT_ID,
    "client_secret": seed.CLIENT_SECRET,
}


class Gate:
    """Stands in for the services' latency: everyone who arrives waits until it is opened."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._arrival = asyncio.Event()
        self.waiting = 0

    async def __call__(self, seconds: float) -> None:
        self.waiting += 1
        self._arrival.set()
        await self._opened.wait()

    async def until(self, number: int) -> None:
        while self.waiting < number:
            self._arrival.clear()
            await self._arrival.wait()

    def open(self) -> None:
        self._opened.set()


@dataclass
class Account:
    """The simulated services, called within this process."""

    http: httpx.AsyncClient
    clock: MovableClock
    simulation: Simulation
    bearer: dict[str, str] = field(default_factory=dict)

    async def log_in(self) -> str:
        answer = await self.http.post("/identity/oauth/token", data=CREDENTIALS)
        token = str(answer.json()["access_token"])
        self.bearer = {"Authorization": f"Bearer {token}"}
        return token

    async def marketo(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        headers = {**self.bearer, **request.pop("headers", {})}
        answer = await self.http.request(method, f"/rest{path}", headers=headers, **request)
        assert answer.status_code == 200
        return cast("dict[str, Any]", answer.json())

    async def sync(self, *records: dict[str, Any], **more: Any) -> dict[str, Any]:
        return await self.marketo("POST", "/v1/leads.json", json={"lookupField": "email", "input": records, **more})

    async def lead(self, email: str = "ada@example.com", **fields: Any) -> int:
        """Create one person who is settled: no later upsert is close to this one."""
        answer = await self.sync({"email": email, **fields})
        self.clock.move(timedelta(seconds=60))
        return int(answer["result"][0]["id"])

    async def trigger(
        self, leads: Sequence[int], tokens: dict[str, str] | None = None, *, campaign: int = seed.CAMPAIGN_ID
    ) -> dict[str, Any]:
        written = [{"name": "{{my." + name + "}}", "value": value} for name, value in (tokens or {}).items()]
        body = {"input": {"leads": [{"id": lead} for lead in leads], "tokens": written}}
        return await self.marketo("POST", f"/v1/campaigns/{campaign}/trigger.json", json=body)

    async def usage(self) -> dict[str, Any]:
        return await self.marketo("GET", "/v1/stats/usage.json")

    async def seen(self, what: str) -> Any:
        return (await self.http.get(f"/sandbox/{what}")).json()

    async def violations(self) -> list[str]:
        return [violation["kind"] for violation in await self.seen("violations")]

    async def fault(self, **order: Any) -> None:
        (await self.http.post("/sandbox/faults", json=order)).raise_for_status()


def code(answer: dict[str, Any]) -> str:
    """Return the one error code of a refusal."""
    assert answer["success"] is False
    [error] = answer["errors"]
    assert error["message"]
    return str(error["code"])


def reason(answer: dict[str, Any], position: int = 0) -> str:
    """Return why one record was skipped."""
    outcome = answer["result"][position]
    assert outcome["status"] == "skipped"
    assert "id" not in outcome
    return str(outcome["reasons"][0]["code"])


@asynccontextmanager
async def opened(config: SandboxConfig | None = None, **changes: Any) -> AsyncIterator[Account]:
    """Open an account whose token is at hand, without latency and with a clock that stands still."""
    clock = MovableClock(datetime(2026, 11, 23, 12, 0, tzinfo=UTC))
    chosen = replace(config or SandboxConfig(latency=timedelta(0)), clock=clock, **changes)
    app = create_sandbox(chosen)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sandbox") as http:
        account = Account(http, clock, cast("Simulation", app.state.simulation))
        yield account
