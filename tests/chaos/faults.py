"""The faults. Each is done so many times to relays under load, and tells what it saw; `truth` judges afterwards."""

import random
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from tests.chaos.senders import Senders
from tests.chaos.stage import Stage
from tests.e2e.harness import Relay, leader, leads, until

Fault = Callable[[Stage, random.Random, int], Senders]
_HEALED = 0.5  # seconds of load after the last fault of a round
_NOTICED = 0.01  # seconds until the senders know that their connections have ended
_AT_START = 0.15  # of all kills
_LONGEST_LIFE = 1.6  # seconds from its being ready to its being killed
_FROZEN = 10.0  # seconds: longer than a leader believes in its last sign of life


def killed(stage: Stage, rng: random.Random, times: int) -> Senders:
    """SIGKILL at random moments: while it starts, accepts, leads, waits for Marketo."""
    port = stage.port()
    with stage.senders([port]) as senders:
        for _ in range(times):
            before = senders.unanswered
            if rng.random() < _AT_START:
                starting = stage.start_unseen(port)
                time.sleep(rng.uniform(0, 1))
                starting.kill()
                stage.hits["while it started"] += 1
            else:
                relay = stage.start(port)
                time.sleep(rng.uniform(0, _LONGEST_LIFE))
                relay.process.kill()
                time.sleep(_NOTICED)
                stage.hits["while a webhook was being accepted"] += senders.unanswered > before
        stage.start(port)
        time.sleep(_HEALED)
    return senders


def stopped(stage: Stage, rng: random.Random, times: int) -> Senders:
    """SIGTERM under load, to each of two replicas in turn: their senders reach the other one."""
    ports = [stage.port(), stage.port()]
    relays = [stage.start(port) for port in ports]
    with stage.senders(ports) as senders:
        for number in range(times):
            time.sleep(rng.uniform(0, 1))
            assert relays[number % 2].process.stop() == 0
            relays[number % 2] = stage.start(ports[number % 2])
    return senders


def leader_killed(stage: Stage, rng: random.Random, times: int) -> Senders:
    """SIGKILL of the leading one of two replicas."""
    ports = [stage.port(), stage.port()]
    relays = {port: stage.start(port) for port in ports}
    with stage.senders(ports) as senders:
        for _ in range(times):
            port = _leading(relays)
            time.sleep(rng.uniform(0, 0.5))
            relays[port].process.kill()
            relays[port] = stage.start(port)
    return senders


def leader_frozen(stage: Stage, rng: random.Random, times: int, *, for_seconds: float = 0.0) -> Senders:
    """SIGSTOP of the leader for some seconds, at least until another has taken over; then it wakes, and notices.

    On SQLite nobody can take over before it wakes, should it be frozen in the middle of a write: it has the lock.
    """
    ports = [stage.port(), stage.port()]
    relays = {port: stage.start(port) for port in ports}
    with stage.senders(ports) as senders:
        for _ in range(times):
            port = _leading(relays)
            frozen, other = relays[port], next(relay for other, relay in relays.items() if other != port)
            time.sleep(rng.uniform(0, 0.5))
            end, terms = time.monotonic() + max(for_seconds, _FROZEN), _terms_ended(frozen)
            frozen.process.child.send_signal(signal.SIGSTOP)
            try:
                if not stage.is_sqlite:
                    _until_leads(other)
                time.sleep(max(0.0, end - time.monotonic()))
            finally:
                frozen.process.child.send_signal(signal.SIGCONT)
            _until_noticed(frozen, terms)
    return senders


def started_at_one_instant(stage: Stage, _: random.Random, times: int) -> Senders:
    """Two replicas at the same moment, again and again; each time one of them leads."""
    ports = [stage.port(), stage.port()]
    with ThreadPoolExecutor(2) as pool, stage.senders(ports) as senders:
        for _number in range(times):
            relays = dict(zip(ports, pool.map(stage.start, ports), strict=True))
            _leading(relays)
            for one in relays.values():
                one.process.kill()
        for port in ports:
            stage.start(port)
    return senders


def _leading(relays: Mapping[int, Relay]) -> int:
    """Wait until one of them leads, and return its port."""
    found = leader(relays.values())
    return next(port for port, relay in relays.items() if relay is found)


def _until_leads(relay: Relay) -> None:
    until(lambda: leads(relay), within=15, what="another leader within 15 s")


def _terms_ended(relay: Relay) -> int:
    return sum("not leading any more" in line for line in relay.process.lines)


def _until_noticed(relay: Relay, terms: int) -> None:
    until(lambda: _terms_ended(relay) > terms, within=15, what="the frozen leader to notice")
