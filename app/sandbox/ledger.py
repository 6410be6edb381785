"""What happened in the simulation: calls, violations, e-mails. Bounded in memory; counts stay exact."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar


class Numbered(Protocol):
    """A record with a running number, counted from 1."""

    @property
    def n(self) -> int: ...


Record = TypeVar("Record", bound=Numbered)


class Log(Generic[Record]):
    """The newest records of one sort, and how many there ever were."""

    def __init__(self, *, keep: int) -> None:
        self._records: deque[Record] = deque(maxlen=keep)
        self.total = 0

    def next_number(self) -> int:
        self.total += 1
        return self.total

    def add(self, record: Record) -> None:
        self._records.append(record)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def after(self, number: int, limit: int, wanted: Callable[[Record], bool] = lambda _: True) -> list[Record]:
        """Return up to `limit` of the kept records that are wanted and have a number above `number`, oldest first."""
        return list(islice((record for record in self._records if record.n > number and wanted(record)), limit))

    def newest(self, count: int) -> list[Record]:
        """Return the newest records, newest first."""
        return list(self._records)[-count:][::-1] if count else []

    def get(self, number: int) -> Record | None:
        return next((record for record in self._records if record.n == number), None)


@dataclass(slots=True)
class Call:
    """One request to a simulated service and what became of it. Holds no credentials.

    `service` is `marketo`, `identity`, `eventbrite` or `pendo`, `kind` the operation (`sync`, `trigger`, …), `endpoint`
    the path. `size` is the number of people in it, `window` the calls counted in the 20 s that end with it,
    `in_flight` the Marketo calls at that moment, `fault` the fault that was asked for, `ms` from the request's
    beginning to the answer's end.
    """

    n: int
    at: datetime
    service: str
    kind: str
    endpoint: str
    method: str
    started: datetime
    size: int = 0
    campaign: int | None = None
    tokens: Mapping[str, str] = field(default_factory=dict)
    sent: int = 0
    skipped: int = 0
    skip_reason: str | None = None
    status: int = 0
    code: str = ""
    message: str = ""
    request_id: str = ""
    window: int | None = None
    in_flight: int | None = None
    fault: str | None = None
    ms: float = 0.0

    def as_json(self) -> dict[str, Any]:
        fields = asdict(self)
        del fields["started"]
        request_id = fields.pop("request_id")
        return {**fields, "at": self.at.isoformat(), "code": self.code or "ok", "requestId": request_id}


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that a careful integration does not do."""

    n: int
    at: datetime
    kind: str
    detail: str
    request_id: str

    def as_json(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "at": self.at.isoformat(),
            "kind": self.kind,
            "detail": self.detail,
            "requestId": self.request_id,
        }


class Violations:
    """The violations, counted by kind."""

    def __init__(self, *, keep: int) -> None:
        self.log: Log[Violation] = Log(keep=keep)
        self.by_kind: Counter[str] = Counter()

    def add(self, at: datetime, kind: str, detail: str, request_id: str = "") -> None:
        self.by_kind[kind] += 1
        self.log.add(Violation(self.log.next_number(), at, kind, detail, request_id))
