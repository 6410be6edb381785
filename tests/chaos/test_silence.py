"""A PostgreSQL that is not heard any more while no connection ends: what senders hear, and who leads."""

import random
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.chaos.postgres import PostgresStage
from tests.chaos.proxy import Proxy
from tests.e2e.harness import API_KEY, Relay, leader, leads, registration, until

pytestmark = pytest.mark.no_cover  # the parts have tests of their own


@pytest.fixture
def own_way(postgres_stage: PostgresStage) -> Iterator[Proxy]:
    """Give a second way to the stage's PostgreSQL, for the relays that are started from now on."""
    proxy = Proxy(postgres_stage.postgres.socket, random.Random(5))
    proxy.start()
    postgres_stage.relay_store = f"postgresql://postgres@127.0.0.1:{proxy.port}/relay?sslmode=disable"
    yield proxy
    proxy.stop()


def test_a_leader_whose_store_says_nothing_refuses_is_replaced_and_can_be_stopped(
    postgres_stage: PostgresStage, own_way: Proxy
) -> None:
    """The kernel believes in such a connection for a quarter of an hour. (15 s: two lifetimes of a lease.)"""
    cut_off = postgres_stage.start(postgres_stage.port())
    leader([cut_off])
    postgres_stage.relay_store = postgres_stage.relay_store.replace(
        f":{own_way.port}/", f":{postgres_stage.proxy.port}/"
    )
    other = postgres_stage.start(postgres_stage.port())
    own_way.fall_silent()
    with ThreadPoolExecutor(3) as pool:
        heard = [pool.submit(_post, cut_off, f"p{number}@example.com") for number in range(3)]
        until(lambda: leads(other), within=15, what="another leader within 15 s")
        answers = [one.result() for one in heard]
    assert [(answer.status_code, "retry-after" in answer.headers) for answer in answers] == [(503, True)] * 3
    assert cut_off.readiness()[0] == 503
    cut_off.process.child.send_signal(signal.SIGTERM)
    try:
        assert cut_off.process.child.wait(10) == 0
    except subprocess.TimeoutExpired:
        pytest.fail("it has not ended within 10 s")


def test_connections_that_died_in_silence_are_not_used_again(postgres_stage: PostgresStage) -> None:
    """A firewall has forgotten them, and takes new ones: whoever is ready must also accept, lead and send.

    What was under way on one is given up a second after the statement's time-out.
    """
    postgres_stage.settings["DATABASE_TIMEOUT_SECONDS"] = "3"
    relay = postgres_stage.start(postgres_stage.port())
    leader([relay])
    postgres_stage.proxy.fall_silent()
    postgres_stage.proxy.speak()
    until(lambda: _post(relay, "ada@example.com").is_success, within=15, what="an acceptance")
    relay.in_state("ada@example.com", "sent")


def _post(relay: Relay, address: str) -> httpx.Response:
    """Wait as long as patient senders do."""
    url, headers = f"{relay.url}/webhooks/custom", {"Authorization": f"Bearer {API_KEY}"}
    return httpx.post(url, json=registration(address), headers=headers, timeout=12)
