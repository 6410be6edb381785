"""Name what the console is given besides what the rest of the web layer has."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from app.sources.trying import Sender, Tried
from app.store.tallies import CauseTally, Now, Pausing, Webinars
from app.store.views import CallWithRegistrations, EventFilter, EventLine, Page, RegistrationView, Wanted
from app.web.care_parts import CareParts


class Search(Protocol):
    """Finds registrations. Every method may raise StoreUnavailable."""

    async def registrations(self, wanted: Wanted, /, *, limit: int, cursor: str | None) -> Page[RegistrationView]:
        """Return a page.

        Raises:
            ValueError: the cursor is none that this very search gave.
        """
        ...

    def all(self, wanted: Wanted, /) -> AsyncIterator[RegistrationView]:
        """Yield everything that was searched for."""
        ...


class Webhooks(Protocol):
    """Lists webhooks. May raise StoreUnavailable."""

    async def events(self, which: EventFilter, /, *, limit: int, cursor: str | None) -> Page[EventLine]:
        """Return a page, newest first.

        Raises:
            ValueError: the cursor is none that this list gave.
        """
        ...


class Calls(Protocol):
    """Finds calls to Marketo. May raise StoreUnavailable."""

    async def call(self, call_id: str, /) -> CallWithRegistrations | None: ...


class Overview(Protocol):
    """Counts how things stand. Every method may raise StoreUnavailable."""

    async def now(
        self,
        sources: Sequence[str],
        at: datetime,
        /,
        *,
        since: datetime,
        until: datetime,
        buckets: int,
        day_began: datetime,
    ) -> Now: ...

    async def pauses(self, at: datetime, /) -> Sequence[Pausing]: ...

    async def webinars(self, since: datetime, /, *, most: int = ...) -> Webinars: ...

    async def causes(self) -> Sequence[CauseTally]: ...


@dataclass(frozen=True, slots=True)
class Letter:
    """A campaign's own e-mail: its HTML, and the program's My Tokens with their defaults."""

    html: str
    defaults: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NoLetter:
    """There is none to show; `why` is a sentence, with what to do. `passes`: in a minute there may be one."""

    why: str
    passes: bool = False


ReadLetter = Callable[[int], Awaitable[Letter | NoLetter]]
TryOut = Callable[[str, bytes], Awaitable[Tried]]


@dataclass(frozen=True, slots=True)
class Budget:
    """How many calls to Marketo the relay may make, by its settings."""

    window: int = 50
    day: int = 50_000


@dataclass(frozen=True, slots=True)
class WebinarTokens:
    """What the three My Tokens are called, without `{{my.}}`."""

    title: str = "WebinarTitle"
    join_link: str = "JoinLink"
    image: str = "WebinarImage"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleParts:
    """What the console needs.

    `read_letter` returns the e-mail of a campaign, or why there is none to show. `try_out` tells what would become of a
    body of a source; `senders` are the sources that are on, `examples` bodies of theirs. `public_url` is where senders
    reach the relay; without it, it is taken to be where the console is.
    """

    care: CareParts
    search: Search
    webhooks: Webhooks
    calls: Calls
    overview: Overview
    try_out: TryOut
    read_letter: ReadLetter
    senders: Mapping[str, Sender]
    examples: Mapping[str, str] = field(default_factory=dict)
    budget: Budget = Budget()
    tokens: WebinarTokens = WebinarTokens()
    public_url: str | None = None
