"""Take webhooks in: read, let the source judge, store, answer. The hot path: no routing, no models, bytes out."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from starlette.types import Receive, Scope

from app.domain import EventId, Ignored, NewEvent, new_id
from app.errors import RequestRefused, StoreUnavailable
from app.sources.base import Accepted, Inbound
from app.store.views import Receipt
from app.tracing import Tracing
from app.web.body import Disconnected, check_announced_length, read_body
from app.web.parts import WebParts
from app.web.problems import (
    CONTENT_TYPE,
    ENCODED,
    KEY_TAKEN,
    NOT_A_POST,
    NOT_JSON_TYPE,
    UNKNOWN_SOURCE,
    Headers,
    Problem,
    Refused,
    problem_of,
    too_fast,
)

PREFIX = "/webhooks/"
JSON = b"application/json"
UNKNOWN = "unknown"
# Vendors' captured deliveries do not all name a type; a custom app's author can be told to.
TYPE_NEEDED = frozenset({"custom"})


class Answer(NamedTuple):
    """What a webhook is answered, ready to be sent. `result` and `source` are bounded: they are metric labels.

    `status` is 0 when the sender is gone and nothing can be sent.
    """

    status: int
    body: bytes
    result: str
    source: str
    content_type: bytes = JSON
    headers: Headers = ()
    event_id: str | None = None
    reason: str | None = None  # why an authentic webhook is of no interest


def refusal(problem: Problem, *, source: str, request_id: str) -> Answer:
    return Answer(
        problem.status,
        problem.body(request_id),
        problem.fact,
        source,
        content_type=CONTENT_TYPE,
        headers=problem.headers,
    )


def address(path: str) -> tuple[str, str | None]:
    """Return the source's name and its secret path segment, if there is one, from a path below `/webhooks/`."""
    name, _, secret = path[len(PREFIX) :].partition("/")
    return name, secret or None


def one_of_each(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by lower-case name; repeated ones are joined by a comma, as RFC 9110 has it."""
    headers: dict[str, str] = {}
    for key, value in raw:
        name, text = key.decode("latin-1"), value.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers


def is_json_type(value: str) -> bool:
    """Tell whether a Content-Type is application/json or application/…+json, with any parameters."""
    kind = value.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def check_type(headers: Mapping[str, str], *, needed: bool) -> None:
    """Let JSON through, and what names no type unless one is needed.

    Raises:
        Refused: 415.
    """
    kind = headers.get("content-type")
    if needed if kind is None else not is_json_type(kind):
        raise Refused(NOT_JSON_TYPE)
    if headers.get("content-encoding", "identity") != "identity":
        raise Refused(ENCODED)


class Webhooks:
    """The endpoints `/webhooks/{source}` and `/webhooks/{source}/{secret}`."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts

    async def answer(self, scope: Scope, receive: Receive, request_id: str) -> Answer:
        """Return what the sender hears: 202 only after the event is committed. Errors become problems here."""
        name, secret = address(scope["path"])
        source = self._parts.sources.get(name)
        if source is None:
            return refusal(UNKNOWN_SOURCE, source=UNKNOWN, request_id=request_id)
        try:
            inbound = await self._read(scope, receive, name, secret)
            return await self._store(name, inbound, source.receive(inbound))
        except Refused as error:
            return refusal(error.problem, source=name, request_id=request_id)
        except (RequestRefused, StoreUnavailable) as error:
            return refusal(problem_of(error), source=name, request_id=request_id)
        except Disconnected:
            return Answer(0, b"", "disconnected", name)

    async def _read(self, scope: Scope, receive: Receive, name: str, secret: str | None) -> Inbound:
        if scope["method"] != "POST":
            raise Refused(NOT_A_POST)
        headers = one_of_each(scope["headers"])
        check_type(headers, needed=name in TYPE_NEEDED)
        parts = self._parts
        check_announced_length(headers, parts.max_body)
        body = await read_body(receive, limit=parts.max_body, within=parts.read_timeout, room=parts.room)
        return Inbound(headers=headers, body=body, received_at=parts.clock(), path_secret=secret)

    async def _store(self, name: str, inbound: Inbound, verdict: Accepted | Ignored) -> Answer:
        if isinstance(verdict, Ignored):
            body = b'{"status":"ignored","reason":"%s"}' % verdict.cause.encode()
            return Answer(200, body, "ignored", name, reason=verdict.cause.value)
        if (rate := self._parts.rates.get(name)) and (wait := rate.pass_one()):
            raise Refused(too_fast(wait))
        now = inbound.received_at
        event = NewEvent(
            id=EventId(new_id("evt", now)),
            source=name,
            received_at=now,
            due_at=now + verdict.settle,
            headers=verdict.keep_headers,
            body=inbound.body if verdict.body is None else verdict.body,
            dedupe=verdict.dedupe,
        )
        parts = self._parts
        accepted = parts.inbox.accept(event) if parts.tracing is None else self._traced(parts.tracing, event, inbound)
        receipt = await accepted
        if receipt.is_other:
            raise Refused(KEY_TAKEN)
        parts.wake()
        status, word = (202, "accepted") if receipt.is_new else (200, "duplicate")
        body = f'{{"id":"{receipt.event_id}","status":"{word}"}}'.encode()
        return Answer(status, body, word, name, event_id=receipt.event_id)

    async def _traced(self, tracing: Tracing, event: NewEvent, inbound: Inbound) -> Receipt:
        with tracing.webhook(event.source, inbound.headers.get("traceparent"), event.received_at) as span:
            receipt = await self._parts.inbox.accept(replace(event, traceparent=span.traceparent))
            span.tell({"relay.event_id": receipt.event_id, "relay.is_new": receipt.is_new})
            return receipt
