"""Several `relay serve` on one store: all accept, one leads, and whatever becomes of it, another goes on."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.conftest import StartRelay
from tests.e2e.harness import Relay, Sandbox, leader, registration, until

pytestmark = pytest.mark.no_cover  # under a tracer it takes three times as long, and each part has tests of its own


@pytest.fixture
def store_url(database_url: str) -> str:
    return database_url


def people(count: int, prefix: str = "p") -> list[str]:
    return [f"{prefix}{n}@example.com" for n in range(count)]


def accepted_by(relays: Sequence[Relay], addresses: Sequence[str]) -> set[int]:
    """Send each registration to another replica, several at a time; return the answers' codes."""
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(relays[n % len(relays)].send, registration(to)) for n, to in enumerate(addresses)]
        return {future.result().status_code for future in sent}


def mailed(sandbox: Sandbox) -> list[str]:
    return sorted(email["to"] for email in sandbox.get("emails"))


def all_mailed(sandbox: Sandbox, addresses: Sequence[str]) -> None:
    """Wait for as many e-mails as there are people: one each, and no rule of Marketo's broken."""
    until(lambda: len(sandbox.get("emails")) >= len(addresses), within=60, what=f"{len(addresses)} e-mails")
    assert mailed(sandbox) == sorted(addresses)
    assert sandbox.get("violations") == []


def test_of_three_replicas_all_accept_and_one_leads(start: StartRelay, sandbox: Sandbox) -> None:
    """Marketo's limits belong to the instance; the inbox belongs to all."""
    replicas = [start(), start(), start()]
    assert accepted_by(replicas, people(60)) == {202}
    all_mailed(sandbox, people(60))
    leader(replicas)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_fewest_connections_are_enough(start: StartRelay, sandbox: Sandbox) -> None:
    """Nothing holds one and waits for another: that would stop for good when there is none left."""
    relay = start(DATABASE_POOL_SIZE="4")
    assert accepted_by([relay], people(60)) == {202}
    all_mailed(sandbox, people(60))
    assert not [line for line in relay.process.lines if "QueuePool" in line]


def test_a_repeat_is_known_to_every_replica(start: StartRelay, sandbox: Sandbox) -> None:
    """A sender that tries again reaches another one behind the load balancer."""
    first, second = start(), start()
    key = {"Idempotency-Key": "r-1"}
    stored, repeated = (one.send(registration("ada@example.com"), headers=key) for one in (first, second))
    assert (stored.status_code, repeated.status_code) == (202, 200)
    assert repeated.json() == {"id": stored.json()["id"], "status": "duplicate"}
    all_mailed(sandbox, ["ada@example.com"])


def test_a_replay_asked_for_at_two_replicas_at_once_mails_everybody_once_more(
    start: StartRelay, sandbox: Sandbox
) -> None:
    """As an impatient script does, with a key of its own."""
    replicas, everybody = [start(), start()], people(20)
    assert accepted_by(replicas, everybody) == {202}
    all_mailed(sandbox, everybody)
    until(lambda: len(replicas[0].registrations(state="sent")) == len(everybody), what="all to be sent")
    asked = {"webinar": "w-1", "sent": True, "resend": True, "confirm": True}
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(replicas[n % 2].post, "replay", {**asked, "key": "wrong-link"}) for n in range(8)]
        assert len({future.result().json()["replay"]["id"] for future in sent}) == 1
    all_mailed(sandbox, everybody * 2)


def test_another_leads_when_the_leader_stops(start: StartRelay, sandbox: Sandbox) -> None:
    """It gives the lease back; no request fails, and nobody hears twice."""
    replicas = [start(), start()]
    gone = leader(replicas)
    [other] = [one for one in replicas if one is not gone]
    assert accepted_by(replicas, people(30)) == {202}
    assert gone.process.stop() == 0
    assert accepted_by([other], people(30, "q")) == {202}
    all_mailed(sandbox, people(30) + people(30, "q"))
    assert leader([other]) is other
