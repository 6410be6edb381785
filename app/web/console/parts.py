"""Name what the console is given besides what the rest of the web layer has."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from app.store.views import CallWithRegistrations, Found, RegistrationView, Wanted


class Search(Protocol):
    """Finds registrations. Every method may raise StoreUnavailable."""

    async def registrations(self, wanted: Wanted, /, *, limit: int, cursor: str | None) -> Found:
        """Return a page.

        Raises:
            ValueError: the cursor is none that this very search gave.
        """
        ...

    def all(self, wanted: Wanted, /) -> AsyncIterator[RegistrationView]:
        """Yield everything that was searched for."""
        ...


class Calls(Protocol):
    """Finds calls to Marketo. May raise StoreUnavailable."""

    async def call(self, call_id: str, /) -> CallWithRegistrations | None: ...


@dataclass(frozen=True, slots=True)
class WebinarTokens:
    """What the three My Tokens are called, without `{{my.}}`."""

    title: str = "WebinarTitle"
    join_link: str = "JoinLink"
    image: str = "WebinarImage"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleParts:
    """What the console needs. `secrets` are masked wherever a payload holds one."""

    search: Search
    calls: Calls
    tokens: WebinarTokens = WebinarTokens()
    secrets: Sequence[SecretStr] = ()
