"""Requests without a socket go wrong as with one, or faults in virtual time would be kinder than real ones."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.sandbox import seed
from app.sandbox.config import SandboxConfig
from app.sandbox.faults import Fault
from app.sandbox.simulation import create_sandbox
from bench.inprocess import InProcess

TOKEN = "/identity/oauth/token"
GRANT = {
    "grant_type": "client_credentials",
    "client_id": seed.CLIENT_ID,
    "client_secret": seed.CLIENT_SECRET,
}


@pytest.fixture
def sandbox() -> FastAPI:
    return create_sandbox(SandboxConfig())


@pytest.fixture
async def client(sandbox: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=InProcess(sandbox), base_url="http://127.0.0.1:8090") as opened:
        yield opened


def order(sandbox: FastAPI, kind: str) -> None:
    sandbox.state.simulation.world.faults.faults.append(Fault("identity", kind))


async def test_an_answer_comes_whole(client: httpx.AsyncClient) -> None:
    """Status, headers and body, for a form in the body and for a query."""
    posted = await client.post(TOKEN, data=GRANT)
    asked = await client.get(TOKEN, params=GRANT)
    assert posted.status_code == asked.status_code == 200
    assert posted.json()["access_token"] == asked.json()["access_token"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("cut", httpx.ReadError), ("lost", httpx.ReadError), ("half", httpx.RemoteProtocolError)],
)
async def test_a_broken_connection_is_told_as_httpx_tells_it(
    sandbox: FastAPI, client: httpx.AsyncClient, kind: str, expected: type[Exception]
) -> None:
    """The client tells lost answers from refusals by these."""
    order(sandbox, kind)
    with pytest.raises(expected):
        await client.post(TOKEN, data=GRANT)


async def test_who_hangs_up_is_noticed_by_the_server(sandbox: FastAPI, client: httpx.AsyncClient) -> None:
    """A call that nobody waits for any more ends, and stands in the ledger."""
    order(sandbox, "hang")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await client.post(TOKEN, data=GRANT)
    await client.post(TOKEN, data=GRANT)
    assert [call.fault for call in sandbox.state.simulation.world.calls] == ["hang", None]
