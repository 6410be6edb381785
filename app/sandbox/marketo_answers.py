"""Marketo's envelope: HTTP 200 whatever happened, with codes, a requestId and arrays in the body."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.sandbox.wire import Answer, json_answer

# Adobe: calls that end with these are not counted against the quota or the rate.
NOT_COUNTED = frozenset({"500", "502", "601", "602", "604", "605", "608", "611"})

MESSAGES = {
    "600": "Access token not specified",
    "601": "Access token invalid",
    "602": "Access token expired",
    "603": "Access denied",
    "604": "Request timed out",
    "605": "HTTP Method not supported",
    "606": "Max rate limit '100' exceeded with in '20' secs",
    "607": "Daily quota reached",
    "608": "API Temporarily Unavailable",
    "609": "Invalid JSON",
    "610": "Requested resource not found",
    "611": "System error",
    "612": "Invalid Content Type",
    "613": "Invalid Multipart Request",
    "614": "Invalid Subscription",
    "615": "Concurrent access limit reached",
    "616": "Invalid subscription type",
    "701": "Field cannot be blank",
    "702": "No data found for a given search scenario",
    "704": "Invalid parameter",
    "709": "Business Rule Violation",
    "713": "Transient Error",
    "719": "Lock wait timeout exception",
    "1001": "Invalid value",
    "1002": "Missing value for required parameter",
    "1003": "Invalid data",
    "1004": "Lead not found",
    "1005": "Lead already exists",
    "1006": "Field not found",
    "1007": "Multiple leads match lookup criteria",
    "1008": "Access to partition denied",
    "1009": "Lead partition not found",
    "1011": "Lookup field is not supported",
    "1013": "Object not found",
}


class Refusal(Exception):  # Marketo's word on a whole request
    """The whole request is refused with this code; without a message, with the code's own."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code, message)
        self.code = code
        self.said = message or MESSAGES.get(code, "Error")


@dataclass(frozen=True, slots=True)
class Result:
    """A success: the records, warnings, and what stands beside them (paging)."""

    records: Sequence[Any] = ()
    warnings: Sequence[str] = ()
    beside: dict[str, Any] = field(default_factory=dict)
    without_result: bool = False


def success(request_id: str, result: Result, *, sparse: bool) -> Answer:
    arrays: dict[str, Any] = {"result": list(result.records), "errors": [], "warnings": list(result.warnings)}
    if result.without_result:
        del arrays["result"]
    elif sparse:
        arrays = {name: value for name, value in arrays.items() if value or name == "result"}
    return json_answer(200, {"requestId": request_id, "success": True, **arrays, **result.beside})


def failure(request_id: str, refusal: Refusal, *, sparse: bool) -> Answer:
    errors = [{"code": refusal.code, "message": refusal.said}]
    arrays: dict[str, Any] = {"errors": errors} if sparse else {"result": [], "errors": errors, "warnings": []}
    return json_answer(200, {"requestId": request_id, "success": False, **arrays})


def request_id(n: int, now: datetime) -> str:
    """Return an id like Marketo's, e.g. `e42b#14272d07d78`; unique in one run."""
    return f"{(n * 40503) & 0xFFFF:x}#{int(now.timestamp() * 1000):x}"


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def asset_stamp(at: datetime) -> str:
    """Return a time as the Asset API writes it."""
    return stamp(at) + "+0000"
