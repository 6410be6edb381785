"""Make OpenTelemetry's spans. Only what the extra `otel` is installed for imports this module."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app import __version__
from app.tracing import Passenger, Step

_SERVICE = "marketo-webhook-relay"
_MOST_LINKS = 300  # people in the largest call; OpenTelemetry would keep 128
_LAST_SPANS = 1.0  # seconds that a stop waits for a collector
_FORMAT = TraceContextTextMapPropagator()


def open_tracing() -> "OpenTelemetry":
    """Send spans by OTLP over HTTP, as OpenTelemetry's variables have it."""
    provider = TracerProvider(resource=_resource(), span_limits=SpanLimits(max_links=_MOST_LINKS))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetry(provider)


class OpenTelemetry:
    """Takes the relay's spans for one provider; from any thread."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer: Tracer = provider.get_tracer("relay", __version__)

    @contextmanager
    def webhook(self, source: str, parent: str | None, received_at: datetime) -> Iterator["_Webhook"]:
        """Span what storing a webhook takes; of an error its kind is told, since its words may hold data."""
        span = self._tracer.start_span(
            "relay webhook",
            context=_context(parent),
            kind=SpanKind.SERVER,
            attributes={"relay.source": source},
            start_time=_nanoseconds(received_at),
        )
        try:
            yield _Webhook(span)
        except BaseException as problem:
            span.set_status(Status(StatusCode.ERROR, type(problem).__name__))
            raise
        finally:
            span.end()

    def followed(self, step: Step, traceparent: str | None) -> None:
        """Span a step of an event; of one that came untraced nothing is told."""
        if traceparent is not None:
            self._told(step, SpanKind.CONSUMER, _context(traceparent), step.facts, ())

    def called(self, step: Step, passengers: Sequence[Passenger]) -> None:
        """Span a call by itself, with a link to each trace that it served, and once in each of these."""
        traced = [(_context(one.traceparent), one) for one in passengers if one.traceparent is not None]
        links = [Link(get_current_span(context).get_span_context(), one.facts) for context, one in traced]
        call = self._told(step, SpanKind.CLIENT, Context(), step.facts, links)
        back = Link(call.get_span_context())
        for context, one in traced:
            self._told(step, SpanKind.CLIENT, context, {**step.facts, **one.facts}, [back])

    def close(self) -> None:
        """Send what is left, for a second at most: a collector that is away must not hold up a stop."""
        last = threading.Thread(target=self._provider.shutdown, daemon=True)
        last.start()
        last.join(_LAST_SPANS)

    def _told(
        self, step: Step, kind: SpanKind, context: Context, facts: Mapping[str, str | int], links: Sequence[Link]
    ) -> Span:
        span = self._tracer.start_span(
            step.name, context=context, kind=kind, attributes=facts, links=links, start_time=_nanoseconds(step.begun)
        )
        if step.failed is not None:
            span.set_status(Status(StatusCode.ERROR, step.failed))
        span.end(_nanoseconds(step.ended))
        return span


class _Webhook:
    """The span of one webhook."""

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        carrier: dict[str, str] = {}
        _FORMAT.inject(carrier, _within(self._span))
        return carrier["traceparent"]

    def tell(self, facts: Mapping[str, str | int]) -> None:
        self._span.set_attributes(facts)


def _context(traceparent: str | None) -> Context:
    """Return the context that a `traceparent` names; one of its own when it names none or is misshapen."""
    return _FORMAT.extract({"traceparent": traceparent} if traceparent else {}, Context())


def _within(span: Span) -> Context:
    return set_span_in_context(span, Context())


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1000


def _resource() -> Resource:
    given = Resource.create({"service.version": __version__})
    is_named = not str(given.attributes["service.name"]).startswith("unknown_service")
    return given if is_named else given.merge(Resource({"service.name": _SERVICE}))
