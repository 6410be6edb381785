"""Say what went wrong as RFC 9457 problems. One shape for every error, and nothing of the request in it.

`type` is always `about:blank`: the status says what kind of problem it is, `detail` what to do about it.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from app.errors import FieldProblem, Invalid, Malformed, NotAuthentic, RequestRefused, StoreUnavailable

CONTENT_TYPE = b"application/problem+json"
CLOSE = (b"connection", b"close")
RETRY_AFTER = (b"retry-after", b"5")  # seconds: longer than a lock or a restart of the database, short for a sender
CHALLENGE = (b"www-authenticate", b"Bearer")

MOST_FIELDS = 20  # a body of nothing but unknown keys must not be sent back whole
LONGEST_FIELD = 200  # characters

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """An error answer. `fact` is its short name in metrics and logs."""

    status: int
    fact: str
    detail: str
    errors: Sequence[FieldProblem] = ()
    headers: Headers = ()

    @property
    def title(self) -> str:
        return HTTPStatus(self.status).phrase

    def body(self, request_id: str) -> bytes:
        said: dict[str, object] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            named = self.errors[:MOST_FIELDS]
            said["errors"] = [{"field": e.field[:LONGEST_FIELD], "problem": e.problem} for e in named]
        return json.dumps(said | {"requestId": request_id}).encode()


class Refused(Exception):
    """A request that HTTP itself already settles: wrong method, type, size or address."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.fact)
        self.problem = problem


UNKNOWN_SOURCE = Problem(404, "unknown_source", "No such source is configured; compare the address with the README.")
NOTHING_HERE = Problem(404, "not_found", "There is nothing at this address; /docs lists what there is.")
NO_SUCH_ID = Problem(
    404,
    "no_such_id",
    "Nothing here has this id: look whether it is whole. /api/registrations?email=… finds a person, /api/events lists "
    "the webhooks.",
)
NOT_A_POST = Problem(405, "wrong_method", "Send webhooks with POST.", headers=((b"allow", b"POST"),))
NOT_JSON_TYPE = Problem(415, "wrong_type", "Send the body as Content-Type: application/json.")
UNREADABLE = Problem(400, "unreadable", "The body cannot be read: send JSON in UTF-8.")
ENCODED = Problem(415, "wrong_encoding", "Send the body as it is, without Content-Encoding.")
KEY_TAKEN = Problem(
    422,
    "key_taken",
    "A webhook that says something else came with this Idempotency-Key or webhook-id before, so this one was not "
    "stored: send it with a key of its own.",
)
TOO_MANY_GUESSES = Problem(
    429,
    "too_many_guesses",
    "Too many wrong tokens are being tried; wait a second.",
    headers=((b"retry-after", b"1"), CLOSE),
)
TOO_SLOW = Problem(408, "too_slow", "The body did not arrive in time; send it again.", headers=(CLOSE,))
CROWDED = Problem(
    503,
    "crowded",
    "Too many large bodies are on their way here; send it again later.",
    headers=(RETRY_AFTER, CLOSE),
)
UNSTORED = Problem(503, "store_unavailable", "It could not be stored; send it again later.", headers=(RETRY_AFTER,))
NO_STORE = Problem(
    503,
    "store_unavailable",
    "The store does not answer or takes no writes; ask again later. The relay's log says why.",
    headers=(RETRY_AFTER,),
)
STOPPING = Problem(503, "stopping", "The relay is stopping; send it again later.", headers=(RETRY_AFTER,))
DEFECT = Problem(500, "defect", "A defect in the relay; its log has the details under this requestId.")


def too_fast(seconds: float) -> Problem:
    """Return 503, not 429: it is what the contract lists, and no sender takes it for a final no."""
    again = (b"retry-after", b"%d" % math.ceil(seconds))
    return Problem(503, "too_fast", "This source sends faster than it may; send it again later.", headers=(again,))


def too_large(limit: int) -> Problem:
    return Problem(413, "too_large", f"The body is larger than {limit} bytes.", headers=(CLOSE,))


def problem_of(error: RequestRefused | StoreUnavailable) -> Problem:
    """Return the answer that an error of the relay means."""
    match error:
        case NotAuthentic():
            return Problem(401, "not_authentic", _sentence(error), headers=(CHALLENGE,))
        case Invalid():
            return Problem(422, "invalid", "Some fields are wrong; errors names each.", error.problems)
        case Malformed() | RequestRefused():
            return Problem(400, "malformed", _sentence(error))
        case StoreUnavailable():
            return UNSTORED


def _sentence(error: Exception) -> str:
    said = str(error).rstrip(".")
    return f"{said[:1].upper()}{said[1:]}."
