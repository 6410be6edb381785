"""Faults on demand: which request goes wrong, and how. Pure; `door` carries them out."""

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.sandbox.wire import Request

ANY = "any"
KINDS = (
    "code:606",
    "http:502",
    "http:502 html",
    "http:429 after 90",
    "http:429 until 90",
    "redirect",
    "cut",
    "hang",
    "lost",
    "timeout",
    "garbage",
    "half",
    "slow:29",
)  # one of each sort; numbers, codes and seconds may be others
KIND_PATTERN = (
    r"code:\w+|http:[1-5]\d\d( html| (after|until) \d{1,6})?|redirect|cut|hang|lost|timeout|garbage|half"
    r"|slow:\d+(\.\d+)?"
)
_MANGLED = ("lost", "timeout", "garbage", "half", "slow")  # the request is carried out, and its answer goes wrong


@dataclass(slots=True)
class Fault:
    """One order to go wrong.

    match: `any`, a service (`marketo`, `identity`, `eventbrite`, `pendo`) or an endpoint (`trigger`, `sync`, …).
    kind: `code:606` (Marketo's envelope), `http:502`, `http:500 html`, `http:429 after 90` and `http:429 until 90`
    (with Retry-After, in seconds and as a date), `redirect`; `cut` and `hang` (no answer, nothing done); `lost` and
    `timeout` (done, then no answer); `garbage`, `half`, `slow:29` (done, answer spoilt or late).
    times: how often at most (None: without end); rate: the share of matching requests, drawn by `seed`;
    until: the moment when it stops; contains: only requests whose body or target has this text;
    executes: overrides whether the request is carried out before it goes wrong.
    """

    match: str
    kind: str
    times: int | None = 1
    rate: float = 1.0
    seed: int = 0
    until: datetime | None = None
    contains: str | None = None
    executes: bool | None = None
    hits: int = 0
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(KIND_PATTERN, self.kind):
            raise ValueError(f"unknown kind {self.kind!r}: write {', '.join(KINDS)}; with the number that you want")
        self._random = random.Random(self.seed)  # noqa: S311  # repeatable, not secret

    @property
    def name(self) -> str:
        return self.kind.partition(":")[0]

    @property
    def argument(self) -> str:
        return self.kind.partition(":")[2]

    @property
    def runs_request(self) -> bool:
        """Tell whether the request is carried out before things go wrong."""
        return self.name in _MANGLED if self.executes is None else self.executes

    def hits_request(self, names: Sequence[str], request: Request, now: datetime) -> bool:
        """Tell whether this request is hit, and count it when it is."""
        if self.match not in names or (self.times is not None and self.hits >= self.times):
            return False
        if self.until is not None and now >= self.until:
            return False
        if self.contains is not None and not _holds(request, self.contains):
            return False
        if self.rate < 1 and self._random.random() >= self.rate:
            return False
        self.hits += 1
        return True

    def as_json(self) -> dict[str, object]:
        return {
            "match": self.match,
            "kind": self.kind,
            "times": self.times,
            "rate": self.rate,
            "seed": self.seed,
            "until": self.until and self.until.isoformat(),
            "contains": self.contains,
            "executes": self.runs_request,
            "hits": self.hits,
        }


class FaultBook:
    """The faults in force; the oldest that matches wins."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def take(self, service: str, endpoint: str, request: Request, now: datetime) -> Fault | None:
        names = (ANY, service, endpoint)
        return next((fault for fault in self.faults if fault.hits_request(names, request, now)), None)


def _holds(request: Request, text: str) -> bool:
    """Look for the text as it is and as JSON escapes it."""
    body = request.body or b""
    return text in request.target or text.encode() in body or json.dumps(text)[1:-1].encode() in body
