"""The transport without a socket keeps what a socket promises: whoever waits too long is told so."""

import asyncio

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from bench.inprocess import InProcess
from bench.virtual_time import run_in_virtual_time


async def _never(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await receive()  # until the caller hangs up


def test_an_answer_that_never_comes_is_given_up_after_the_clients_patience() -> None:
    """Else one hanging request would stop the whole simulation."""

    async def ask() -> float:
        async with httpx.AsyncClient(transport=InProcess(_never), timeout=7) as http:
            with pytest.raises(httpx.ReadTimeout):
                await http.get("http://marketo.test/")
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(ask()) == pytest.approx(7)
