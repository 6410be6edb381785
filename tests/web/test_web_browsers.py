"""What a browser may make of the relay: nothing that another site asks it for, whatever the route."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from app.domain import utc_now
from app.main import RelayApp, create_app
from app.setup_watch import SetupWatch
from app.store.database import Database
from app.store.dead import DeadLetters
from app.store.listing import Listing
from app.store.lookup import Lookup
from app.store.replays import Replays
from app.web.care_parts import CareParts
from tests.web.console.conftest import console_over, database, nothing_found, replaying_over, shared_over
from tests.web.relay_server import ADMIN_TOKEN, PATH_SECRET, Relay, Surroundings, serving

__all__ = ["database"]
ELSEWHERE = "https://evil.example"
UNROUTED = ["/webhooks/custom", f"/webhooks/eventbrite/{PATH_SECRET}", "/webhooks/nobody", "/", "/nope"]
PREFLIGHT = {
    "origin": ELSEWHERE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
    "access-control-request-private-network": "true",
}


@pytest.fixture
def whole(around: Surroundings, database: Database) -> RelayApp:
    """Every router that there is."""
    around.status = {"leader": False, "in_flight": 0, "window_used": 0, "paused": {}}
    parts = around.parts()
    care = CareParts(DeadLetters(database), replaying_over(database), Replays(database))
    changed = {
        "lookup": Lookup(database),
        "lists": Listing(database, clock=utc_now),
        "console": console_over(database),
        "setup": SetupWatch(nothing_found, shared=shared_over(database), clock=lambda: around.now),
    }
    app = create_app(replace(parts, **changed), care=care)  # type: ignore[arg-type]  # any field of WebParts
    assert isinstance(app, RelayApp)
    return app


@pytest.fixture
async def relay(whole: RelayApp) -> AsyncIterator[Relay]:
    async with serving(whole) as running:
        yield running


def routes(app: RelayApp) -> Iterator[tuple[str, str]]:
    """Yield method and path of each route, its parameters filled with something."""
    for route in iter_route_contexts(app.routes):
        path = re.sub(r"\{[^}]*\}", "x-1", route.path or "/")
        yield from ((method, path) for method in sorted(route.methods or ()))
    yield from ((method, path) for path in UNROUTED for method in ("GET", "POST"))


def allowances(answer: httpx.Response) -> list[str]:
    return [name for name in answer.headers if name.startswith("access-control-")]


async def test_no_other_site_may_ask_or_read(whole: RelayApp, relay: Relay) -> None:
    """A browser inside the network reaches the relay for any page that is open in it, also with a token."""
    asked = list(routes(whole))
    assert len(asked) > 50
    for path in {path for _, path in asked}:
        preflight = await relay.client.options(path, headers=PREFLIGHT)
        assert (path, preflight.is_success, allowances(preflight)) == (path, False, [])
    for method, path in asked:
        given = {"origin": ELSEWHERE, "authorization": f"Bearer {ADMIN_TOKEN}", "content-type": "application/json"}
        answer = await relay.client.request(method, path, headers=given)
        assert (method, path, allowances(answer)) == (method, path, [])


async def test_every_answer_is_taken_for_what_it_is_and_kept_nowhere(whole: RelayApp, relay: Relay) -> None:
    """Proxies and browsers keep what nobody forbids, and guess what is not said."""
    for method, path in routes(whole):
        answer = await relay.client.request(method, path, headers={"authorization": f"Bearer {ADMIN_TOKEN}"})
        assert (method, path, answer.headers["x-content-type-options"]) == (method, path, "nosniff")
        assert (method, path, answer.headers["cache-control"]) == (method, path, "no-store")
        if not path.startswith("/webhooks/"):
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["referrer-policy"] in ("no-referrer", "same-origin")
            assert "server" not in answer.headers


async def test_a_defect_is_answered_as_carefully(relay: Relay, around: Surroundings) -> None:
    """That answer is made outside of the framework."""
    around.status = {}
    answer = await relay.get("/api/forecast")
    assert (answer.status_code, answer.headers["x-frame-options"]) == (500, "DENY")
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]


async def test_what_never_became_a_request_is_answered_as_carefully(relay: Relay) -> None:
    """Such an answer is written past all that adds headers to the others."""
    answer = await relay.exchange(b"nonsense\r\n\r\n")
    assert b"HTTP/1.1 400 Bad Request\r\n" in answer
    assert b"\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\nconnection: close\r\n\r\n{" in answer
