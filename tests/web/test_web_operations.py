"""What load balancers and Prometheus hear."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.errors import StoreUnavailable
from app.web.body import Room
from app.web.edge import Edge
from app.web.problems import NOTHING_HERE
from tests.web.log_capture import Lines
from tests.web.relay_server import NOW, Relay, Surroundings, serving


async def test_it_is_alive_and_ready(relay: Relay) -> None:
    assert (await relay.client.get("/livez")).json() == {"status": "ok", "version": "1.2.3", "checks": {}}
    ready = await relay.client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ok",
        "version": "1.2.3",
        "checks": {"store": {"status": "ok"}, "draining": {"status": "ok"}, "marketo": {"status": "ok"}},
    }
    assert (await relay.client.get("/healthz")).json() == ready.json()


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
async def test_health_answers_head_without_a_body(relay: Relay, path: str) -> None:
    answer = await relay.client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_store_that_does_not_commit_makes_it_unready_but_alive(
    relay: Relay, around: Surroundings, log: Lines
) -> None:
    """The answer says what fails, not where the store is; the log says it once for each change."""
    around.probe_fails = lambda: StoreUnavailable("disk full at /var/lib/secret-place")
    answer = await relay.client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert answer.json()["checks"]["store"]["status"] == "failing"
    assert "secret-place" not in answer.text
    assert (await relay.client.get("/livez")).status_code == 200
    assert "relay_ready 0.0" in (await relay.client.get("/metrics")).text

    around.now += timedelta(seconds=3)
    await relay.client.get("/readyz")
    around.probe_fails = lambda: None
    around.now += timedelta(seconds=3)
    assert (await relay.client.get("/readyz")).status_code == 200
    assert [fact["status"] for fact in log.facts("store_check_changed")] == ["failing", "ok"]


async def test_the_figures_tell_of_the_store_though_nobody_asks_whether_it_is_ready(
    relay: Relay, around: Surroundings
) -> None:
    """Where no balancer asks /readyz, the figure stood at 0 from the start, and an alert with it."""
    assert "relay_ready 1.0" in (await relay.client.get("/metrics")).text
    around.probe_fails = lambda: StoreUnavailable("disk full")
    around.now += timedelta(seconds=3)
    assert "relay_ready 0.0" in (await relay.client.get("/metrics")).text


async def test_the_store_is_asked_once_in_two_seconds(relay: Relay, around: Surroundings) -> None:
    """Several balancers asking each second must not write to the disk each second."""
    for _ in range(5):
        await relay.client.get("/readyz")
    assert around.probes == 1
    around.now += timedelta(seconds=2)
    await relay.client.get("/readyz")
    assert around.probes == 2
    around.now -= timedelta(hours=1)
    await relay.client.get("/readyz")
    assert around.probes == 3  # a clock that was set back must not freeze the answer


async def test_those_who_ask_at_once_share_one_probe(relay: Relay, around: Surroundings) -> None:
    """And one who loses patience does not end it for the others."""
    around.hold_probe = asyncio.Event()
    async with relay.connection() as (_, impatient):
        impatient.write(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")
        await impatient.drain()
        waiting = [asyncio.create_task(relay.client.get("/readyz")) for _ in range(3)]
        await asyncio.wait(waiting, timeout=0.1)
    around.hold_probe.set()
    assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200, 200, 200]
    assert around.probes == 1


async def test_a_store_that_hangs_makes_it_unready(relay: Relay, around: Surroundings) -> None:
    """A balancer's own time-out would tell nothing."""
    around.hold_probe = asyncio.Event()
    answer = await relay.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["store"]["detail"] == "The store did not answer within 2 s."


async def test_draining_makes_it_unready_and_it_still_accepts(relay: Relay, around: Surroundings) -> None:
    around.drain.is_draining = True
    answer = await relay.client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["draining"]["status"]) == (503, "failing")
    assert (await relay.post("/webhooks/custom", {})).status_code == 202


async def test_a_draining_relay_lets_nobody_keep_a_connection(relay: Relay, around: Surroundings) -> None:
    """A webhook that is under way on one when the port closes would get no answer."""
    assert "connection" not in (await relay.post("/webhooks/custom", {"id": "a"})).headers
    around.drain.is_draining = True
    answers = [await relay.post("/webhooks/custom", body) for body in ({"id": "b"}, {"wrong": ["x"]})]
    assert [answer.headers.get_list("connection") for answer in answers] == [["close"], ["close"]]


@pytest.mark.parametrize(
    ("paused", "detail"),
    [({"all": "Marketo refuses the token"}, "all: Marketo refuses the token"), ("daily quota", "paused: daily quota")],
)
async def test_a_pause_of_marketo_is_told_and_it_stays_ready(
    relay: Relay, around: Surroundings, paused: object, detail: str
) -> None:
    """It still accepts: nothing is lost while Marketo is down."""
    around.status = {"paused": paused}
    answer = await relay.client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["checks"]["marketo"] == {"status": "paused", "detail": detail}


async def test_metrics_count_webhooks_with_bounded_labels(relay: Relay) -> None:
    """A stranger's path must not make a time series."""
    await relay.post("/webhooks/custom", {"id": "a"})
    await relay.post("/webhooks/custom", {"id": "a"})
    await relay.post("/webhooks/no-such-source-1", {})
    await relay.post("/webhooks/no-such-source-2", {})
    text = (await relay.client.get("/metrics")).text
    assert 'relay_webhooks_total{result="accepted",source="custom"} 1.0' in text
    assert 'relay_webhooks_total{result="duplicate",source="custom"} 1.0' in text
    assert 'relay_webhooks_total{result="unknown_source",source="unknown"} 2.0' in text
    assert "relay_accept_seconds_count 4.0" in text
    assert "no-such-source" not in text


async def test_metrics_show_the_dispatcher_as_it_is_now(relay: Relay, around: Surroundings) -> None:
    around.status = {"leader": True, "in_flight": 2, "window_used": 17, "paused": {"all": "token"}}
    answer = await relay.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    for line in ("relay_leader 1.0", "relay_calls_in_flight 2.0", "relay_window_calls_used 17.0"):
        assert line in answer.text
    assert 'relay_paused{scope="all"} 1.0' in answer.text


async def test_the_age_of_the_backlog_is_reckoned_when_asked(around: Surroundings) -> None:
    parts = around.parts()
    parts.metrics.backlog_counted({"events": 3}, NOW)
    around.now += timedelta(minutes=1)
    async with serving(around.app(metrics=parts.metrics)) as relay:
        assert "relay_oldest_waiting_seconds 60.0" in (await relay.client.get("/metrics")).text


class TestAccessLines:
    """One line an answer, with ids and without anything that a sender wrote."""

    async def test_a_webhook_is_logged_with_its_event_and_request(self, relay: Relay, log: Lines) -> None:
        answer = await relay.post("/webhooks/custom", {"id": "a"}, {"x-request-id": "req-1"})
        [fact] = log.facts("webhook_answered")
        del fact["ms"], fact["at"]
        assert fact == {
            "event": "webhook_answered",
            "request_id": "req-1",
            "method": "POST",
            "route": "/webhooks/{source}",
            "source": "custom",
            "result": "accepted",
            "status": 202,
            "event_id": answer.json()["id"],
            "reason": None,
            "level": "info",
        }

    async def test_no_secret_segment_address_or_query_is_logged(self, relay: Relay, log: Lines) -> None:
        """Paths hold secrets and queries hold addresses; not even unknown ones may show."""
        await relay.post("/webhooks/eventbrite/another-secret?email=ada@example.com", {"wrong": ["x"]})
        await relay.post("/webhooks/evntbrite/another-secret", {})
        await relay.client.get("/webhook/eventbrite/another-secret")
        await relay.get("/api/registrations?email=ada%40example.com")
        await relay.get("/api/registrations/reg_1?email=ada@example.com")
        await relay.client.get("/api/registrations?email=ada@example.com", headers={"authorization": "Bearer guess-1"})
        assert len(log.facts()) == 7  # a wrong token has a line of its own
        for personal in ("another-secret", "ada@", "ada%40", "guess-1", "evntbrite"):  # ids may hold "ada"
            assert personal not in log.text

    async def test_routes_are_logged_by_template(self, relay: Relay, log: Lines) -> None:
        await relay.get("/api/events/evt_1")
        await relay.client.get("/nothing")
        assert [(f["route"], f["status"]) for f in log.facts("request_answered")] == [
            ("/api/events/{event_id}", 404),
            ("unmatched", 404),
        ]
        assert all(f["request_id"] for f in log.facts())

    async def test_what_begins_like_no_route_is_refused_before_the_router(self, log: Lines) -> None:
        """Strangers try many addresses, and the router compares each with all of its routes."""
        seen: list[str] = []

        async def router(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope["path"])
            await Response(status_code=204)(scope, receive, send)

        transport = httpx.ASGITransport(Edge(router, {"api"}, Room(), 1000))
        async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
            for path in ("/.env", "/apis/events", "/%2fapi", "/"):
                answer = await client.get(path)
                assert (answer.status_code, answer.json()["detail"]) == (404, NOTHING_HERE.detail)
            assert (await client.get("/api/events")).status_code == 204
        assert seen == ["/api/events"]
        await asyncio.sleep(0)  # the lines of one turn are written at its end
        assert sorted(f["status"] for f in log.facts("request_answered")) == [204, 404, 404, 404, 404]

    async def test_probes_of_machines_are_quiet(self, relay: Relay, log: Lines) -> None:
        for path in ("/livez", "/readyz", "/healthz", "/metrics"):
            assert (await relay.client.get(path)).status_code == 200
        assert log.facts() == []

    async def test_a_defect_is_logged_with_its_traceback_and_no_data(self, relay: Relay, log: Lines) -> None:
        await relay.post("/webhooks/custom", {"bug": "boom"}, {"x-request-id": "req-2"})
        [fact] = log.facts("webhook_failed")
        assert (fact["source"], fact["request_id"], fact["level"]) == ("custom", "req-2", "error")
        assert "KeyError: 'boom *** ***'" in fact["exception"]
        [line] = log.facts("webhook_answered")
        assert (line["result"], line["status"]) == ("defect", 500)
