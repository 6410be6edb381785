"""How uvicorn is told to serve: connections that outlive a balancer's, and proxies believed only when named."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.bootstrap import LAST_COMMIT, Relay
from app.serve import KEEP_ALIVE, LAST_ANSWERS, make_config
from app.settings import Settings
from app.store.database import LOCK_WAIT
from tests.web.relay_server import Surroundings

ROOT = Path(__file__).parents[1]


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


def config_of(around: Surroundings, **settings: Any) -> Any:
    config = make_config(Settings(**settings), Relay(around.parts(), begin_stop=lambda: None))
    config.load()
    return config


async def seen_by_the_relay(config: Any, *, peer: str) -> tuple[str, str]:
    """Send a request with a proxy's headers; return the client's address and scheme that the application is told."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/livez",
        "query_string": b"",
        "headers": [(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-proto", b"https")],
        "client": (peer, 4711),
        "scheme": "http",
        "app": None,
    }

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: object) -> None:
        pass

    await config.loaded_app(scope, receive, send)
    return scope["client"][0], scope["scheme"]


def test_connections_outlive_those_of_a_load_balancer(around: Surroundings) -> None:
    """A balancer reuses one for up to 60 s; if the relay closed it first, a webhook would meet the end."""
    config = config_of(around)
    assert config.timeout_keep_alive == KEEP_ALIVE > 60
    assert config.http_protocol_class.headers_within < KEEP_ALIVE


def test_a_stop_takes_ten_seconds_at_most() -> None:
    """The longest drain, the last answers, the last commit; the turns of uvicorn's loop take less than a second.

    What a commit waits for is a lock in the thread itself, or an answer that is given up. Containers have more.
    """
    [longest] = [limit.le for limit in Settings.model_fields["drain_seconds"].metadata if hasattr(limit, "le")]
    all_in_all = timedelta(seconds=longest + LAST_ANSWERS + 1) + max(LOCK_WAIT, LAST_COMMIT)
    assert all_in_all <= timedelta(seconds=10)
    compose, kubernetes = (ROOT / "docker-compose.yml").read_text(), (ROOT / "deploy" / "kubernetes.yaml").read_text()
    assert all_in_all < timedelta(seconds=_number(compose, r"stop_grace_period: (\d+)s # the relay"))
    assert all_in_all < timedelta(seconds=_number(kubernetes, r"terminationGracePeriodSeconds: (\d+)"))


def _number(text: str, pattern: str) -> int:
    found = re.search(pattern, text)
    assert found
    return int(found[1])


async def test_nobody_is_taken_for_a_proxy_by_default(around: Surroundings) -> None:
    """Or everybody could write any address into what is told of them."""
    assert await seen_by_the_relay(config_of(around), peer="127.0.0.1") == ("127.0.0.1", "http")


@pytest.mark.parametrize("named", [("10.0.0.0/8",), ("10.1.2.3", "192.0.2.1"), ("*",)])
async def test_a_named_proxy_is_believed(around: Surroundings, named: tuple[str, ...]) -> None:
    config = config_of(around, forwarded_allow_ips=named)
    assert await seen_by_the_relay(config, peer="10.1.2.3") == ("203.0.113.9", "https")


async def test_another_than_the_named_proxy_is_not(around: Surroundings) -> None:
    config = config_of(around, forwarded_allow_ips=("10.0.0.0/8",))
    assert await seen_by_the_relay(config, peer="192.168.1.1") == ("192.168.1.1", "http")
