"""Speak HTTP a little more strictly than uvicorn: bounded headers, and problems for what is no HTTP at all."""

import asyncio
from typing import Any, ClassVar

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.web.edge import FOR_MACHINES, WHOLE_ANSWER
from app.web.farewell import PatientTransport
from app.web.problems import CLOSE, CONTENT_TYPE, STOPPING, Problem, Refused

LARGEST_HEADERS = 65_536  # bytes, also of trailers: uvicorn sets no limit, so one sender could fill the memory
LONGEST_ADDRESS = 8_192  # bytes; RFC 9110, section 4.1 wants 8,000 at least
NOT_HTTP = Problem(400, "not_http", "This is not HTTP/1.1.")
HEADERS_TOO_LARGE = Problem(431, "headers_too_large", f"The headers are larger than {LARGEST_HEADERS} bytes.")
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


class StrictHttp(HttpToolsProtocol):
    """Give this to uvicorn as `http`.

    A connection may be idle for uvicorn's `timeout_keep_alive`, from its start on; once a request has begun, its
    headers must be here within `headers_within`. A body is waited for by whoever reads it.

    When the port closes, an idle connection stays open for `stays_for`, so that a request which is on its way over it
    is answered, as its last.
    """

    transport: PatientTransport
    lingers_for: ClassVar[float] = 2.0  # seconds
    headers_within: ClassVar[float] = 15.0  # seconds
    stays_for: ClassVar[float] = 0.5  # seconds

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_headers = False
        self._in_body = False
        self._unfinished = 0  # bytes of headers or trailers that are not complete
        self._size = 0  # bytes of the headers
        self._body_came = False  # with what was fed to the parser last
        self._patience: asyncio.TimerHandle | None = None  # runs while headers are incomplete
        self._offer = b""  # the headers of a request that offers to upgrade, without the offer
        self._unanswered = 0  # requests whose headers were complete
        self._is_leaving = False
        self._refusal: Problem | None = None  # waits for the answers to earlier requests

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own way
        super().connection_made(
            PatientTransport(
                transport, is_half_read=lambda: self._in_headers or self._in_body, lingers_for=self.lingers_for
            )
        )
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport.lost()
        self._stop_waiting_for_headers()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None or self.transport.is_lingering:
            self.transport.throw_away(data)
            return
        self._body_came = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._pass_over_the_offer(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            refused = error.__context__
            self._refuse(refused.problem if isinstance(refused, Refused) else NOT_HTTP)
        else:
            if self._in_headers:
                self._bound_headers(len(data))
            elif self._in_body:
                self._bound_trailers(len(data))

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
        if self._size > LARGEST_HEADERS:
            raise Refused(HEADERS_TOO_LARGE)
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._body_came = True
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
        if self._refusal is not None and not self._unanswered:
            self._end_with(self._refusal)

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
        self._unfinished = 0 if self._body_came else self._unfinished + more
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

    def _pass_over_the_offer(self, rest: bytes) -> None:
        """Read a request that offers HTTP/2 or WebSocket as if it did not, as a server may (RFC 9110, section 7.8).

        Java's own client makes that offer with each request, and the parser loses the body of such a one.
        """
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        again, self._offer = self._offer + rest, b""
        self.data_received(again)

    def _refuse(self, problem: Problem) -> None:
        """Answer and end the connection, once all earlier requests on it are answered."""
        self._stop_waiting_for_headers()
        self._refusal = problem
        if self._in_body and not self.cycle.response_complete:
            self._cut_off()
        if not self._unanswered:
            self._end_with(problem)

    def _cut_off(self) -> None:
        """Give up the request that is being read; whoever handles it learns that the rest will not come."""
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
