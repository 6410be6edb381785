"""What a source is: three moments in the way of one webhook, and nothing else.

`receive` and `map` are pure. `resolve` may ask the source's API; what it returns is stored with the event, so that
`map` can be repeated (a replay) without asking again. To add a source: `docs/write-a-source.md`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from app.domain import Dedupe, Event, Finding, Ignored, Json


@dataclass(frozen=True, slots=True)
class Inbound:
    """One webhook request, read whole. `headers` has lower-case names; `path_secret` is the last path segment."""

    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    path_secret: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The webhook is authentic and of interest: store it.

    `keep_headers` are the header values worth keeping (never secrets or signatures); `settle` is how long to wait
    before work begins, for senders that poke several times or whose API lags behind its webhooks. `body` is what to
    store where the body, as it came, may hold a secret.
    """

    dedupe: Dedupe | None = None
    keep_headers: Mapping[str, str] = field(default_factory=dict)
    settle: timedelta = timedelta(0)
    body: bytes | None = None


def lacks_something(fetched: Json) -> bool:
    """Tell whether some of what an event names could not be had: a source lists that under `unresolved`."""
    return isinstance(fetched, dict) and bool(fetched.get("unresolved"))


class Source(Protocol):
    """One kind of sender. Constructors take settings as arguments; `app.making` builds them."""

    @property
    def name(self) -> str:
        """The lower-case key of the source: in the URL, the store, metrics and settings."""
        ...

    def receive(self, request: Inbound) -> Accepted | Ignored:
        """Judge a request without I/O.

        Raises:
            NotAuthentic: no valid signature, key or secret.
            Malformed: the body is not JSON.
            Invalid: fields are wrong; it names them.
        """
        ...

    async def resolve(self, event: Event) -> Json:
        """Fetch what the event only names, as JSON; None when there is nothing to fetch.

        It is asked again only when it failed, or when what is in `event.fetched` lacks something (`lacks_something`).

        Raises:
            ResolveFailed: it could not be had; says whether and when to try again.
        """
        ...

    def map(self, event: Event, fetched: Json) -> Sequence[Finding]:
        """Say what the event means. An empty sequence counts as ignored. Never raises for any stored body."""
        ...
