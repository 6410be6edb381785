"""Speak HTTP a little more strictly than uvicorn: bounded headers and pipelines, and problems for what is no HTTP."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

import httptools
import structlog
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.web.backlog import Backlog
from app.web.body import Room
from app.web.edge import FOR_MACHINES, WHOLE_ANSWER
from app.web.farewell import PatientTransport
from app.web.problems import CLOSE, CONTENT_TYPE, STOPPING, Problem, Refused

LARGEST_HEADERS = 65_536  # bytes, also of trailers: uvicorn sets no limit, so one sender could fill the memory
MOST_HEADERS = 256  # of a request: in the memory a header of two letters takes a hundred bytes
LONGEST_ADDRESS = 8_192  # bytes; RFC 9110, section 4.1 wants 8,000 at least
READ_AHEAD = 2  # requests of a connection: the one that is being answered, and one that is read meanwhile
NOT_HTTP = Problem(400, "not_http", "This is not HTTP/1.1.")
HEADERS_TOO_LARGE = Problem(
    431, "headers_too_large", f"The headers are larger than {LARGEST_HEADERS} bytes, or more than {MOST_HEADERS}."
)
ADDRESS_TOO_LONG = Problem(414, "address_too_long", f"The address is longer than {LONGEST_ADDRESS} bytes.")
WRONG_HOST = Problem(400, "wrong_host", "Send exactly one Host header.")
WRONG_CODING = Problem(
    400, "wrong_coding", "Send the body by Content-Length, or with Transfer-Encoding: chunked alone."
)
HEADERS_TOO_SLOW = Problem(408, "headers_too_slow", "The headers did not arrive in time; send the request again.")
_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("app.web")


def raw_answer(problem: Problem) -> bytes:
    """Return a whole HTTP answer for a request that never became one; it ends the connection."""
    body = problem.body("none")
    headers = (
        (b"content-type", CONTENT_TYPE),
        (b"content-length", b"%d" % len(body)),
        *FOR_MACHINES,
        *problem.headers,
        CLOSE,
    )
    head = [f"HTTP/1.1 {problem.status} {problem.title}".encode(), *(b"%b: %b" % header for header in headers)]
    return b"\r\n".join([*head, b"", body])


class _InTurn(FlowControl):
    """Reads no more from a connection while what it has sent waits; whoever handles a request would read on."""

    def __init__(self, transport: asyncio.Transport, may_read: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._may_read = may_read

    def resume_reading(self) -> None:
        if self._may_read():
            super().resume_reading()


class StrictHttp(HttpToolsProtocol):
    """Give this to uvicorn as `http`.

    A connection may be idle for uvicorn's `timeout_keep_alive`, from its start on; once a request has begun, its
    headers must be here within `headers_within`. A body is waited for by whoever reads it. Answers that nobody reads
    are kept for `drains_within`, and requests that follow them wait unread, large ones of all connections in `room`.

    When the port closes, an idle connection stays open for `stays_for`, so that a request which is on its way over it
    is answered, as its last.
    """

    transport: PatientTransport
    lingers_for: ClassVar[float] = 2.0  # seconds
    headers_within: ClassVar[float] = 15.0  # seconds
    stays_for: ClassVar[float] = 0.5  # seconds
    drains_within: ClassVar[float] = 30.0  # seconds
    room: ClassVar[Room] = Room()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._backlog = Backlog(self.room)
        self._running: RequestResponseCycle | None = None
        self._in_headers = False
        self._in_body = False
        self._unfinished = 0  # bytes of headers or trailers that are not complete
        self._size = 0  # bytes of the headers
        self._came_on = False  # past its headers, or in its body, with what was fed to the parser last
        self._patience: asyncio.TimerHandle | None = None  # runs while headers are incomplete
        self._offer = b""  # the headers of a request that offers to upgrade, without the offer
        self._unanswered = 0  # requests whose headers were complete
        self._is_leaving = False
        self._has_ended = False  # what the sender sends
        self._refusal: Problem | None = None  # waits for the answers to earlier requests

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own way
        patient = PatientTransport(
            transport,
            is_half_read=self._is_half_read,
            lingers_for=self.lingers_for,
            drains_within=self.drains_within,
        )
        super().connection_made(patient)
        self.flow = _InTurn(patient, lambda: not (self._backlog or self.pipeline))
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport.lost()
        self._stop_waiting_for_headers()
        self._unset_keepalive_if_required()
        self._backlog.drop()
        self.pipeline.clear()
        if self._running is not None:  # uvicorn tells the newest, which may be another
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        self.transport.expect_to_drain()
        super().pause_writing()

    def resume_writing(self) -> None:
        self.transport.drained()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None or self.transport.is_lingering:
            self.transport.throw_away(data)
            return
        self._backlog.add(data)
        self._read_on()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio asks for an answer, uvicorn gives none
        """Keep the connection for the answers to what was asked before its sender ended its half of it."""
        self._has_ended = True
        self._stop_waiting_for_headers()
        self._cut_off()
        if not self._unanswered or self.transport.is_closing():
            self.transport.finish()
        return True

    def _read_on(self) -> None:
        """Read what has come, no further ahead of the answers than may be."""
        while self._backlog and self._unanswered < READ_AHEAD and self._refusal is None:
            self._feed(self._backlog.next_piece())
        if self._refusal is not None:
            self._backlog.drop()
        elif self._backlog:
            self._hold_back()
        elif not self._unanswered:
            self.flow.resume_reading()

    def _hold_back(self) -> None:
        self.flow.pause_reading()
        try:
            self._backlog.hold()
        except Refused as refused:
            self._backlog.drop()
            self._refuse(refused.problem)

    def _feed(self, piece: bytes) -> None:
        self._came_on = False
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as offer:
            self._backlog.put_back(piece[offer.args[0] :])
            self._pass_over_the_offer()
        except httptools.HttpParserError as error:
            refused = error.__context__
            self._refuse(refused.problem if isinstance(refused, Refused) else NOT_HTTP)
        else:
            if self._in_headers:
                self._bound_headers(len(piece))
            elif self._in_body:
                self._bound_trailers(len(piece))

    def on_message_begin(self) -> None:
        # Not at each byte that comes, as uvicorn has it: line breaks between requests would keep a connection for ever.
        self._unset_keepalive_if_required()
        self._in_headers = True
        self._size = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > LONGEST_ADDRESS:
            raise Refused(ADDRESS_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:
            return  # a trailer, which must not pass for a header (RFC 9110, section 6.5.1)
        self._size += len(name) + len(value)
        if self._size > LARGEST_HEADERS or len(self.headers) >= MOST_HEADERS:
            raise Refused(HEADERS_TOO_LARGE)
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._came_on = True
        super().on_body(body)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._offer = self._headers_without_offer()
            return
        self._check_headers()
        super().on_headers_complete()
        if self._is_leaving:
            self.cycle.keep_alive = False
        self.scope["extensions"] = {WHOLE_ANSWER: {"hold": self.transport.hold}}
        self._in_headers = False
        self._in_body = True
        self._came_on = True
        self._unfinished = 0
        self._unanswered += 1
        if self._patience is not None:
            self._stop_waiting_for_headers()

    def on_message_complete(self) -> None:
        if self._in_body:  # else it ended at an offer
            self._in_body = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        self.transport.release()
        self._unanswered -= 1
        super().on_response_complete()
        if self._in_headers:
            self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        if self._refusal is None:
            self._read_on()
        elif not self._unanswered:
            self._end_with(self._refusal)
        if self._has_ended and not self._unanswered:
            self.transport.finish()

    def shutdown(self) -> None:
        """Let the connection end with the request that is under way, or with one that comes soon."""
        self._is_leaving = True
        if self._unanswered:
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(self.stays_for, self.leave)

    def leave(self) -> None:
        """End the connection unless a request is under way, or has arrived and waits to be read."""
        if self._unanswered or self.transport.is_closing() or self.transport.has_unread:
            return
        if self._in_headers:
            self._refuse(STOPPING)
        else:
            self.transport.close()

    def _is_half_read(self) -> bool:
        return not self._has_ended and (self._in_headers or self._in_body or bool(self._backlog))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _check_headers(self) -> None:
        """Refuse what two servers in a row could read in two ways (RFC 9112, sections 3.2 and 6.1)."""
        names = [name for name, _ in self.headers]
        is_old = self.parser.get_http_version() == "1.0"
        if names.count(b"host") != 1 and not (is_old and b"host" not in names):
            raise Refused(WRONG_HOST)
        if b"transfer-encoding" in names:
            codings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
            if is_old or codings != [b"chunked"]:
                raise Refused(WRONG_CODING)

    def _bound_trailers(self, more: int) -> None:
        self._unfinished = 0 if self._came_on else self._unfinished + more
        if self._unfinished > LARGEST_HEADERS:
            self._refuse(HEADERS_TOO_LARGE)

    def _bound_headers(self, more: int) -> None:
        self._unfinished += more
        if self._unfinished > LARGEST_HEADERS:
            self._refuse(HEADERS_TOO_LARGE)
        elif self._patience is None:
            self._patience = self.loop.call_later(self.headers_within, self._refuse, HEADERS_TOO_SLOW)

    def _stop_waiting_for_headers(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _headers_without_offer(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _pass_over_the_offer(self) -> None:
        """Read a request that offers HTTP/2 or WebSocket as if it did not, as a server may (RFC 9110, section 7.8).

        Java's own client makes that offer with each request, and the parser loses the body of such a one.
        """
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        again, self._offer = self._offer, b""
        self._feed(again)

    def _refuse(self, problem: Problem) -> None:
        """Answer and end the connection, once all earlier requests on it are answered."""
        self._stop_waiting_for_headers()
        self._refusal = problem
        self._cut_off()
        if not self._unanswered:
            self._end_with(problem)

    def _cut_off(self) -> None:
        """Give up the request that is being read, if any; whoever handles it learns that the rest will not come."""
        if not self._in_body or self.cycle.response_complete or self.cycle.disconnected:
            return
        self._unanswered -= 1
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        if self.pipeline:
            self.pipeline.popleft()

    def _end_with(self, problem: Problem) -> None:
        _log.info("connection_refused", reason=problem.fact)
        if not (self._in_body and self.cycle.response_started):  # nothing is answered twice
            self.transport.write(raw_answer(problem))
        self.transport.linger()
