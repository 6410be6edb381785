"""Traces: one from a sender's webhook to the campaign request, over the store and from process to process."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, format_trace_id

from app.bootstrap import opened_tracing
from app.dispatch.leader import Dispatcher
from app.dispatch.term import Work
from app.domain import RegistrationState
from app.marketo.codes import Endpoint
from app.metrics import Metrics
from app.otel import OpenTelemetry
from app.sources.custom import CustomSource
from app.store.database import Database, open_database
from app.store.inbox import Inbox
from app.store.lookup import Lookup
from app.tracing import is_wanted, make_tracing
from tests.dispatch.simulated_marketo import SimulatedMarketo
from tests.dispatch.stage import CAMPAIGN, JUDGE, RETRY, until
from tests.patience import PATIENT
from tests.tables import make_tables
from tests.web.relay_server import Relay, Surroundings, serving

KEY = "key-0123456789abcdef"
SENDERS = "4bf92f3577b34da6a3ce929d0e0e4736"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Collector:
    """Keeps the spans of one provider, which is what all processes of a test send to."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracing = OpenTelemetry(provider)

    def spans(self, name: str = "") -> Sequence[ReadableSpan]:
        return [span for span in self._kept.get_finished_spans() if name in span.name]

    def traces(self, name: str) -> list[str]:
        return [trace_of(span) for span in self.spans(name)]


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'relay.db'}")
    await make_tables(opened)
    yield opened
    await opened.close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.tracing.close()


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return format_trace_id(span.context.trace_id)


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


async def post(relay: Relay, address: str, trace: str | None = None) -> None:
    webinar = {"id": "w-1", "title": "Talk", "joinLink": "https://example.com/w-1"}
    headers = {"authorization": f"Bearer {KEY}"}
    if trace:
        headers["traceparent"] = f"00-{trace}-00f067aa0ba902b7-01"
    answer = await relay.post("/webhooks/custom", {"email": address, "webinar": webinar}, headers)
    assert answer.status_code == 202


async def go_the_way(
    database: Database, addresses: dict[str, str | None], *, web: OpenTelemetry | None, leader: OpenTelemetry | None
) -> SimulatedMarketo:
    """Let these people register over HTTP, each with its sender's trace, then a leader send."""
    custom = CustomSource(signing_secrets=[], api_keys=[KEY], allowed_campaigns=[CAMPAIGN])
    inbox = Inbox(database, writes=PATIENT)
    storing = asyncio.create_task(inbox.run())
    app = Surroundings().app(sources={"custom": custom}, inbox=inbox, tracing=web, clock=lambda: datetime.now(UTC))
    async with serving(app) as relay:
        for address, trace in addresses.items():
            await post(relay, address, trace)
    inbox.close()
    await storing
    marketo = SimulatedMarketo(time.monotonic)
    work = Work(
        database=database,
        sources={"custom": custom},
        marketo=marketo,
        judge=JUDGE,
        policy=RETRY,
        metrics=Metrics(),
        clock=lambda: datetime.now(UTC),
        calls_per_window=50,
        calls_per_day=50_000,
        most_in_flight=5,
        tracing=leader,
    )
    dispatcher = Dispatcher(work, holder="a")
    running = asyncio.create_task(dispatcher.run())

    async def all_sent() -> bool:
        return (await Lookup(database).counts()).get(RegistrationState.SENT, 0) == len(addresses)

    await until(all_sent)
    dispatcher.stop()
    await running
    return marketo


async def test_one_trace_leads_from_the_webhook_to_the_campaign_request(
    database: Database, collector: Collector
) -> None:
    """It is the sender's, and goes on over the store, whichever process leads."""
    leader = Collector()
    await go_the_way(database, {"ada@example.com": SENDERS}, web=collector.tracing, leader=leader.tracing)
    [webhook] = collector.spans()
    steps = [span for span in leader.spans() if trace_of(span) == SENDERS]
    assert (webhook.name, trace_of(webhook)) == ("relay webhook", SENDERS)
    assert [span.name for span in steps] == ["relay intake", "marketo upsert", "marketo trigger"]
    assert {span.parent.span_id for span in steps if span.parent} == {id_of(webhook)}
    assert all(span.status.status_code is not StatusCode.ERROR for span in steps)


async def test_a_call_links_to_every_trace_that_it_is_part_of(sqlite: Database, collector: Collector) -> None:
    """It serves many people, so it is no child of one; in each trace a span of its time links back to it."""
    people: dict[str, str | None] = {f"p{n}@example.com": f"{n:032x}" for n in range(1, 4)}
    marketo = await go_the_way(sqlite, people, web=collector.tracing, leader=collector.tracing)
    assert marketo.sizes(Endpoint.TRIGGER) == [3]
    spans = collector.spans("marketo trigger")
    [call] = [span for span in spans if span.parent is None]
    shares = [span for span in spans if span.parent]
    assert {format_trace_id(link.context.trace_id) for link in call.links} == set(people.values())
    assert {trace_of(span) for span in shares} == set(people.values())
    assert {link.context.span_id for span in shares for link in span.links} == {id_of(call)}


async def test_a_trace_begins_where_the_sender_names_none(sqlite: Database, collector: Collector) -> None:
    await go_the_way(sqlite, {"ada@example.com": None}, web=collector.tracing, leader=collector.tracing)
    [begun] = collector.traces("relay webhook")
    assert collector.traces("relay intake") == [begun]
    assert begun in collector.traces("marketo trigger")


async def test_spans_hold_nobodys_data_and_no_secret(sqlite: Database, collector: Collector) -> None:
    """They leave for a collector that others read."""
    await go_the_way(sqlite, {"ada@example.com": SENDERS}, web=collector.tracing, leader=collector.tracing)
    told = " ".join(span.to_json() for span in collector.spans())
    assert "evt_" in told
    assert [word for word in ("ada@", "example.com", KEY, "Talk") if word in told] == []


async def test_what_is_not_authentic_begins_no_trace(collector: Collector) -> None:
    """Strangers must not fill the collector."""
    async with serving(Surroundings().app(tracing=collector.tracing)) as relay:
        assert (await relay.post("/webhooks/custom", {}, {"x-key": "wrong"})).status_code == 401
    assert collector.spans() == []


async def test_a_webhook_that_could_not_be_stored_is_an_error_without_its_words(collector: Collector) -> None:
    around = Surroundings()
    around.inbox.broken = True
    async with serving(around.app(tracing=collector.tracing)) as relay:
        assert (await relay.post("/webhooks/custom", {})).status_code == 503
    [span] = collector.spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "StoreUnavailable")
    assert not span.events


async def test_a_leader_that_traces_leaves_untraced_webhooks_alone(sqlite: Database, collector: Collector) -> None:
    """Of a webhook that came before traces were turned on only the calls are told."""
    await go_the_way(sqlite, {"ada@example.com": SENDERS}, web=None, leader=collector.tracing)
    assert [span.name for span in collector.spans()] == ["marketo upsert", "marketo trigger"]
    assert SENDERS not in collector.traces("")


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({ENDPOINT: ""}, False),
        ({ENDPOINT: "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({ENDPOINT: "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "True"}, False),
        ({ENDPOINT: "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({ENDPOINT: "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_traces_are_made_only_when_the_standards_variables_ask_for_them(environ: dict[str, str], wanted: bool) -> None:
    assert is_wanted(environ) == wanted


def test_without_the_extra_there_are_no_traces_and_the_relay_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told in the log; a collector's address is no reason to refuse work."""
    monkeypatch.delitem(sys.modules, "app.otel", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert make_tracing({ENDPOINT: "http://127.0.0.1:4318"}) is None


async def test_the_last_spans_reach_the_collector_by_otlp_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop sends what is left."""
    heads: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{port}")
        async with opened_tracing() as tracing:
            assert tracing is not None
            with tracing.webhook("custom", None, datetime.now(UTC)) as span:
                assert span.traceparent.startswith("00-")
        await until(lambda: len(heads) == 1)
    assert heads[0].startswith(b"POST /v1/traces HTTP/1.1")


async def test_nothing_is_opened_where_no_collector_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENDPOINT, raising=False)
    async with opened_tracing() as tracing:
        assert tracing is None
