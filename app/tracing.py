"""What the relay tells of its way as OpenTelemetry traces; `app.otel` makes them, where it is installed and wanted.

A trace begins with a webhook, whose `traceparent` is stored with the event and with what comes of it. So it goes on
in whichever process leads, after any restart.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

_WHERE_TO = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """What was done from `begun` to `ended`; `facts` are ids, states and codes, never people's data."""

    name: str
    begun: datetime
    ended: datetime
    facts: Mapping[str, str | int]
    failed: str | None = None  # the code of what went wrong


@dataclass(frozen=True, slots=True)
class Passenger:
    """One of the registrations that a call serves, by the trace that it belongs to."""

    traceparent: str | None
    facts: Mapping[str, str | int]


class Webhook(Protocol):
    """The span of a webhook that is being stored."""

    @property
    def traceparent(self) -> str: ...

    def tell(self, facts: Mapping[str, str | int], /) -> None:
        """Add what is known once it is stored."""
        ...


class Tracing(Protocol):
    """Takes spans; none of its methods waits or fails."""

    def webhook(self, source: str, parent: str | None, received_at: datetime, /) -> AbstractContextManager[Webhook]:
        """Go on with the sender's trace, if it names one, for as long as the webhook is being stored."""
        ...

    def followed(self, step: Step, traceparent: str | None, /) -> None:
        """Tell of a step of one event, in the event's trace."""
        ...

    def called(self, step: Step, passengers: Sequence[Passenger], /) -> None:
        """Tell of a call to Marketo: a trace of its own that links to each of the traces that it is part of."""
        ...

    def close(self) -> None:
        """Send what is left; a collector that is away is not waited for."""
        ...


def make_tracing(environ: Mapping[str, str]) -> Tracing | None:
    """Return what sends spans to the collector that OpenTelemetry's own variables name; None when they name none."""
    if not is_wanted(environ):
        return None
    try:
        from app.otel import open_tracing  # noqa: PLC0415  # an extra: it may not be installed, and is slow to import
    except ImportError:
        _log.warning("no traces: OpenTelemetry is not installed", advice="pip install 'marketo-webhook-relay[otel]'")
        return None
    return open_tracing()


def is_wanted(environ: Mapping[str, str]) -> bool:
    is_off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    is_elsewhere = environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() not in ("", "otlp")
    return any(environ.get(name) for name in _WHERE_TO) and not is_off and not is_elsewhere
