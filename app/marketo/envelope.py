"""Read what all answers share: success or an error's code, the request's id, warnings. No I/O.

HTTP is 200 even for errors, so the body decides; the status speaks only where the body is none of Marketo's.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.dates import read_http_date
from app.domain import Json
from app.marketo.codes import Endpoint, Trouble
from app.marketo.failures import CallFailed, failure, presentable
from app.marketo.shapes import WrongShape, as_object, items, optional_text, parse

_CODE = re.compile(r"[0-9]{3,4}")
_MOST_WARNINGS = 20
_LONGEST_WAIT = timedelta(days=1)
_REFUSED_TOKEN = frozenset({"601", "602"})


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer, read whole. `retry_after` is the header's wait, if any; `date` is the server's own clock."""

    status: int
    body: bytes
    retry_after: timedelta | None = None
    date: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What every answer brings: the id that Marketo's support asks for, and warnings."""

    request_id: str | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Envelope(Answer):
    """A call that succeeded, its result not yet looked into."""

    result: list[Json]
    next_page_token: str | None
    has_more: bool = False


@contextmanager
def explaining(endpoint: Endpoint, reply: Reply) -> Iterator[None]:
    """Turn a `WrongShape` into the `CallFailed` that it means at this endpoint."""
    try:
        yield
    except WrongShape as wrong:
        raise failure(
            endpoint, Trouble.UNREADABLE, str(wrong), retry_after=reply.retry_after, http_status=reply.status
        ) from None


def open_envelope(endpoint: Endpoint, reply: Reply) -> Envelope:
    """Return the envelope of a call that succeeded.

    Raises:
        CallFailed: Marketo, or something on the way to it, refused the call.
        WrongShape: it is none of Marketo's answers.
    """
    document = _document(endpoint, reply)
    success = document.get("success")
    if not isinstance(success, bool):
        raise WrongShape("success is neither true nor false")
    if not success:
        raise _refusal(endpoint, reply, document)
    return Envelope(
        request_id=_request_id(document),
        warnings=_warnings(document),
        result=items(document, "result"),
        next_page_token=optional_text(document, "nextPageToken") or None,
        has_more=document.get("moreResult") is True,
    )


def refuses_token(reply: Reply) -> bool:
    """Tell whether Marketo refused the call for its token: invalid (601) or expired (602). Never raises."""
    try:
        document = as_object(parse(reply.body))
        return document.get("success") is not True and _error(document)[0] in _REFUSED_TOKEN
    except WrongShape:
        return False


def coded(record: Mapping[str, Json]) -> tuple[str, str]:
    """Return an error's code and message. Codes are documented as strings; numbers are taken as well."""
    code = record.get("code")
    if isinstance(code, int) and not isinstance(code, bool) and 0 <= code < 10_000:
        code = str(code)
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise WrongShape("an error has no code")
    message = record.get("message")
    return code, message if isinstance(message, str) else ""


def read_retry_after(header: str | None, *, now: datetime) -> timedelta | None:
    """Read a Retry-After header, seconds or a date; at most a day, None when it is absent or neither. Never raises.

    `now` is what the answer's own Date says, if it has one: our clock may be wrong.
    """
    if header is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", header.strip()):
        return min(timedelta(seconds=int(header)), _LONGEST_WAIT)
    until = read_http_date(header)
    return min(max(until - now, timedelta(0)), _LONGEST_WAIT) if until else None


def _document(endpoint: Endpoint, reply: Reply) -> Mapping[str, Json]:
    try:
        document = as_object(parse(reply.body))
    except WrongShape:
        if reply.status >= 300:
            raise _status_failure(endpoint, reply) from None
        raise
    if reply.status >= 300 and document.get("success") is not False:
        raise _status_failure(endpoint, reply)
    return document


def _refusal(endpoint: Endpoint, reply: Reply, document: Mapping[str, Json]) -> CallFailed:
    try:
        code, message = _error(document)
    except WrongShape:
        if reply.status >= 300:
            return _status_failure(endpoint, reply)
        raise
    return failure(
        endpoint,
        code,
        message,
        retry_after=reply.retry_after,
        request_id=_request_id(document),
        http_status=reply.status,
    )


def _status_failure(endpoint: Endpoint, reply: Reply) -> CallFailed:
    return failure(
        endpoint,
        str(reply.status),
        f"HTTP {reply.status} without one of Marketo's codes",
        retry_after=reply.retry_after,
        http_status=reply.status,
    )


def _error(document: Mapping[str, Json]) -> tuple[str, str]:
    errors = items(document, "errors")
    if not errors:
        raise WrongShape("success is false and errors is empty")
    return coded(as_object(errors[0]))


def _request_id(document: Mapping[str, Json]) -> str | None:
    value = document.get("requestId")
    return presentable(value, longest=100) if isinstance(value, str) else None


def _warnings(document: Mapping[str, Json]) -> tuple[str, ...]:
    """Read warnings: texts in Adobe's examples, objects in its Swagger file. Nothing depends on them."""
    warnings = document.get("warnings")
    return tuple(_warning(value) for value in warnings[:_MOST_WARNINGS]) if isinstance(warnings, list) else ()


def _warning(value: Json) -> str:
    parts = [value.get("code"), value.get("message")] if isinstance(value, dict) else [value]
    return presentable(": ".join(str(part) for part in parts if isinstance(part, str | int)))
