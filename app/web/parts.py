"""Name what the web layer is given. It builds nothing itself and knows nobody's concrete class."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import SecretStr

from app.domain import Clock, Json, NewEvent, utc_now
from app.metrics import Metrics
from app.sources.base import Source
from app.store.tallies import Stats
from app.store.views import (
    ActivityFilter,
    ActivityPage,
    CallFilter,
    CallView,
    CallWithRegistrations,
    EventFilter,
    EventLine,
    EventView,
    Page,
    Receipt,
    RegistrationFilter,
    RegistrationView,
)
from app.tracing import Tracing
from app.web.body import Room
from app.web.console.parts import ConsoleParts
from app.web.masking import Masking
from app.web.rate import Rate
from app.web.waiting import WaitingRoom

Status = Callable[[], Mapping[str, object]]


class Inbox(Protocol):
    """Where accepted webhooks go."""

    @property
    def waiting(self) -> tuple[int, int]:
        """How many are not stored yet, and the bytes of their bodies."""

    async def accept(self, event: NewEvent, /) -> Receipt:
        """Return once the event is committed, or known already.

        Raises:
            StoreUnavailable: it is not committed; the sender must try again.
        """
        ...


class Lookup(Protocol):
    """What one can ask about events and registrations. Every method may raise StoreUnavailable."""

    async def registrations(
        self, which: RegistrationFilter, /, *, limit: int, cursor: str | None
    ) -> Page[RegistrationView]:
        """Return a page, newest first.

        Raises:
            ValueError: the cursor is none that an earlier page gave.
        """
        ...

    async def registration(self, id: str, /) -> RegistrationView | None:  # noqa: A002  # the store's own name
        ...

    async def event(self, id: str, /) -> EventView | None:  # noqa: A002  # the store's own name
        ...


class Setup(Protocol):
    """The last check of the set-up, whichever process made it; another one runs beside the relay's work."""

    @property
    def is_running(self) -> bool:
        """Tell whether this process is checking."""
        ...

    async def last(self) -> Mapping[str, Json] | None:
        """Return the last report, None before the first is made."""
        ...

    def begin(self) -> bool:
        """Start a check; False when one is under way."""
        ...


class Lists(Protocol):
    """What one can list. Every method may raise StoreUnavailable, and ValueError for a cursor of other making."""

    async def events(self, which: EventFilter, /, *, limit: int, cursor: str | None) -> Page[EventLine]: ...

    async def calls(self, which: CallFilter, /, *, limit: int, cursor: str | None) -> Page[CallView]: ...

    async def stats(self, sources: Sequence[str], /, *, since: datetime) -> Stats: ...

    async def call(self, call_id: str, /) -> CallWithRegistrations | None: ...

    async def activity(self, which: ActivityFilter, /, *, limit: int, cursor: str | None) -> ActivityPage: ...


class Drain(Protocol):
    """Whether this process has been told to stop: it still answers, but wants no new connections."""

    @property
    def is_draining(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WebParts:
    """Everything that the web layer needs.

    `status` is the dispatcher's: `leader` (bool), `in_flight` and `window_used` (int), `paused` (scope → reason).
    `probe` commits a tiny write or raises StoreUnavailable. `max_body` counts bytes of a webhook; `room` is what all
    bodies share that are not whole yet. `read_timeout` is how long a
    sender may take for its body. Without tokens the admin API is off;
    with `admin_read_tokens` one can only look. `waiting` is where wrong tokens are held back. A source without one of
    the `rates` sends as much as it likes. `masking` hides secrets wherever a webhook is shown.
    """

    sources: Mapping[str, Source]
    inbox: Inbox
    lookup: Lookup
    probe: Callable[[], Awaitable[None]]
    drain: Drain
    wake: Callable[[], None] = lambda: None
    status: Status = dict
    metrics: Metrics = field(default_factory=Metrics)
    admin_tokens: tuple[SecretStr, ...] = ()
    admin_read_tokens: tuple[SecretStr, ...] = ()
    waiting: WaitingRoom = field(default_factory=WaitingRoom)
    masking: Masking = field(default_factory=Masking)
    max_body: int = 262_144
    room: Room = field(default_factory=Room)
    rates: Mapping[str, Rate] = field(default_factory=dict)
    read_timeout: timedelta = timedelta(seconds=20)
    clock: Clock = utc_now
    version: str = "0"
    public_docs: bool = True
    docs_need_token: bool = False
    metrics_need_token: bool = False
    console: ConsoleParts | None = None
    setup: Setup | None = None
    lists: Lists | None = None
    tracing: Tracing | None = None
