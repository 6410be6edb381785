"""What the console's overview counts. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain import OPEN_STATES, RegistrationState


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of one source (and webinar) are in each state; `received` counts webhooks."""

    source: str
    registrations: Mapping[RegistrationState, int]
    received: int = 0
    unread: int = 0  # webhooks that could not be used
    last_at: datetime | None = None
    of_no_interest: int = 0  # webhooks that registered nobody, and were not meant to

    @property
    def registered(self) -> int:
        return sum(self.registrations.values())

    @property
    def waiting(self) -> int:
        return sum(self.registrations.get(state, 0) for state in OPEN_STATES)

    def of(self, state: str) -> int:
        """Return how many are in one state."""
        return self.registrations.get(RegistrationState(state), 0)


@dataclass(frozen=True, slots=True)
class WebinarTally:
    """One webinar of one source, with what became of its registrations. `tokens` are those of the latest one."""

    webinar_id: str
    tally: Tally
    tokens: Mapping[str, str]
    starts_at: datetime | None


@dataclass(frozen=True, slots=True)
class Webinars:
    """The webinars with the latest registrations, the latest first, and of how many in all they are."""

    latest: Sequence[WebinarTally]
    number: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """What came in one stretch of time: registrations by state, and calls to Marketo."""

    begins_at: datetime
    registrations: Mapping[RegistrationState, int]
    calls: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits now: registrations and webhooks, and since when the oldest.

    Of the webhooks, `retried` were tried in vain already; the first of them is tried again at `next_try_at`.
    """

    registrations: int
    webhooks: int
    oldest: datetime | None
    retried: int = 0
    next_try_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pausing:
    """A pause in force: everything (`marketo`) or one campaign waits until then."""

    scope: str
    until: datetime
    reason: str

    @property
    def is_routine(self) -> bool:
        """Tell whether it ends by itself, as Marketo's limits do."""
        return self.reason.startswith(("606", "607", "615"))


@dataclass(frozen=True, slots=True)
class CauseTally:
    """How many registrations, or webhooks, ended as dead for one cause, and when the last one did."""

    cause: str
    registrations: int
    webhooks: int
    last_at: datetime
    detail: str | None
    event_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Now:
    """What the overview shows."""

    tallies: Sequence[Tally]
    buckets: Sequence[Bucket]
    backlog: Backlog
    pauses: Sequence[Pausing]
    calls_today: int


@dataclass(frozen=True, slots=True)
class Stats:
    """What came between two times, and how things stand; `now.calls_today` counts the calls between them."""

    since: datetime
    until: datetime
    now: Now
    causes: Sequence[CauseTally]
