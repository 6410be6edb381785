"""What every request passes: request ids, access lines, figures, headers, the last answer when something breaks.

`Door` answers webhooks by itself, before the framework has a hand in them: its layers cost as much as all the rest of
accepting one. `Edge` stands around the router for everything else. No path and no query is ever logged, since paths
hold secrets and queries hold addresses: a line names the route's template.
"""

import asyncio
import random
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from app.log import prepared_line
from app.web.body import Disconnected, Room, check_announced_length, read_body, replayed
from app.web.parts import WebParts
from app.web.problems import CLOSE, DEFECT, NOTHING_HERE, STOPPING, Headers, Problem, Refused
from app.web.webhooks import UNKNOWN, Answer, Webhooks, address, one_of_each, refusal

UNMATCHED = "unmatched"
WHOLE_ANSWER = "relay.whole_answer"  # what a server may offer: to write an answer's head and body in one piece
QUIET = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})  # asked every few seconds by machines
_NO_OFFER: Mapping[str, Callable[[], None]] = {"hold": lambda: None}  # of a server that writes as it likes
_BODY_WITHIN = timedelta(seconds=20)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
FOR_MACHINES: Headers = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
_FOR_BROWSERS: Headers = (
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


def chosen_request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the sender's X-Request-Id when it is harmless, else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode()
    return f"{random.getrandbits(128):032x}"  # must be unlike others, not unguessable


def route_template(scope: Scope) -> str:
    """Return the path of the route that was taken, with its parameters unfilled."""
    return getattr(scope.get("route"), "path", UNMATCHED)


def with_defaults(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    """Add the security headers that an answer does not set itself, and the request id."""
    given = list(headers)
    names = {name.lower() for name, _ in given}
    ours = (*FOR_MACHINES, *_FOR_BROWSERS)
    return [*given, *(h for h in ours if h[0] not in names), (b"x-request-id", request_id.encode())]


def _this_turn(write: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(write)


class Door:
    """The endpoints below `/webhooks/`."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        self._webhooks = Webhooks(parts)
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger("app.web").bind()
        fields = ("request_id", "method", "route", "source", "result", "status", "ms", "event_id", "reason")
        self._line = prepared_line("webhook_answered", *fields, soon=_this_turn)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request_id = chosen_request_id(scope["headers"])
        try:
            answer = await self._webhooks.answer(scope, receive, request_id)
        except asyncio.CancelledError:  # the stop has waited long enough for it
            answer = self._refusal(STOPPING, scope, request_id)
        except Exception:  # noqa: BLE001  # outermost: a defect is loud in the log and says nothing to the sender
            answer = self._refusal(DEFECT, scope, request_id)
            self._log.exception("webhook_failed", source=answer.source, request_id=request_id)
        if answer.status:
            if self._parts.drain.is_draining and CLOSE not in answer.headers:
                # Else the next request may be on its way over this connection when the port closes.
                answer = answer._replace(headers=(*answer.headers, CLOSE))
            scope.get("extensions", {}).get(WHOLE_ANSWER, _NO_OFFER)["hold"]()
            await send_answer(answer, send, request_id)
        seconds = time.perf_counter() - started
        self._parts.metrics.webhook_answered(answer.source, answer.result, seconds)
        self._line(
            request_id,
            scope["method"],
            "/webhooks/{source}",  # the rest of the path may be a secret
            answer.source,
            answer.result,
            answer.status,
            round(seconds * 1000, 2),
            answer.event_id,
            answer.reason,
        )

    def _refusal(self, problem: Problem, scope: Scope, request_id: str) -> Answer:
        name = address(scope["path"])[0]
        return refusal(problem, source=name if name in self._parts.sources else UNKNOWN, request_id=request_id)


class Edge:
    """ASGI middleware around the router, whose addresses begin with these words.

    What begins with another is refused here: the router compares it with each of its routes, and strangers try many.
    Bodies are read here, of `most` bytes each and in `room` together: FastAPI reads any, before it asks for a token.
    """

    def __init__(self, app: ASGIApp, first_words: Collection[str], room: Room, most: int) -> None:
        self._app = app
        self._first_words = first_words
        self._room = room
        self._most = most
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger("app.web").bind()
        self._line = prepared_line("request_answered", "request_id", "method", "route", "status", "ms", soon=_this_turn)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = chosen_request_id(scope["headers"])
        if first_word(scope["path"]) not in self._first_words:
            await self._refuse(scope, send, request_id)
            return
        bind_contextvars(request_id=request_id)  # not for webhooks, whose lines name it: it costs as much as their JSON
        await self._route(scope, receive, send, request_id)

    async def _refuse(self, scope: Scope, send: Send, request_id: str) -> None:
        started = time.perf_counter()
        await _send_refusal(NOTHING_HERE, send, request_id)
        ms = round((time.perf_counter() - started) * 1000, 2)
        self._line(request_id, scope["method"], UNMATCHED, NOTHING_HERE.status, ms)

    async def _route(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = with_defaults(message.get("headers", ()), request_id)
            await send(message)

        scope.setdefault("state", {})["request_id"] = request_id
        problem = None
        try:
            await self._app(scope, await self._with_body(scope, receive), send_with_headers)
        except Refused as refused:
            problem = refused.problem
        except asyncio.CancelledError:  # as above
            problem = STOPPING
        except (Disconnected, ClientDisconnect):  # in the middle of a form: nobody is left to answer
            pass
        except Exception:  # noqa: BLE001  # the outermost handler, as above
            problem = DEFECT
            self._log.exception("request_failed", route=route_template(scope))
        if problem and not status:
            status = problem.status
            await _send_refusal(problem, send, request_id)
        route = route_template(scope)
        line = self._log.debug if route in QUIET else self._log.info
        ms = round((time.perf_counter() - started) * 1000, 2)
        line("request_answered", method=scope["method"], route=route, status=status, ms=ms)

    async def _with_body(self, scope: Scope, receive: Receive) -> Receive:
        if scope["method"] != "POST":
            return receive  # no other is read by anybody
        check_announced_length(one_of_each(scope["headers"]), self._most)
        return replayed(await read_body(receive, limit=self._most, within=_BODY_WITHIN, room=self._room), receive)


def first_word(path: str) -> str:
    """Return what an address begins with, up to its second slash."""
    return path[1:].partition("/")[0]


async def _send_refusal(problem: Problem, send: Send, request_id: str) -> None:
    answer = refusal(problem, source=UNKNOWN, request_id=request_id)
    await send_answer(answer._replace(headers=answer.headers + _FOR_BROWSERS), send, request_id)


async def send_answer(answer: Answer, send: Send, request_id: str) -> None:
    """Send a prepared answer."""
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-request-id", request_id.encode()),
        *FOR_MACHINES,
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
