"""What a simulation is told when it starts. It may be made stricter than the real services, never kinder."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.sandbox import seed

Clock = Callable[[], datetime]
Sleep = Callable[[float], Awaitable[None]]

MOST_CALLS_PER_WINDOW = 100  # Adobe: 100 calls per 20 s and instance
SHORTEST_PACE = timedelta(seconds=0.2)  # 20 s / 100 calls
MOST_IN_FLIGHT = 10  # Adobe: 10 calls at a time and instance


def steady_clock() -> Clock:
    """Return a clock that begins at the present time and never jumps, whatever is done to the machine's clock."""
    began, mark = datetime.now(UTC), time.monotonic()
    return lambda: began + timedelta(seconds=time.monotonic() - mark)


@dataclass(frozen=True, slots=True)
class Credential:
    """One custom service: its id and secret, the API user behind it and what that user may do."""

    client_id: str = seed.CLIENT_ID
    client_secret: str = seed.CLIENT_SECRET
    user: str = seed.API_USER
    permissions: frozenset[str] = seed.ALL_PERMISSIONS


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """How the simulated services behave.

    `duplicate_within` is how long after one upsert of a key another one still makes a duplicate person; `sparse` leaves
    empty arrays out of Marketo's answers, as the examples in Adobe's documentation do (its Swagger requires them).
    `email_delay` is how long after a campaign request its e-mails are made, with the fields that the person then has.
    `keep_…` bound what is held in memory; counts stay exact beyond that.

    Raises:
        ValueError: the limits would be kinder than Marketo's documented ones.
    """

    latency: timedelta = timedelta(milliseconds=50)
    calls_per_window: int = MOST_CALLS_PER_WINDOW
    window: timedelta = timedelta(seconds=20)
    max_in_flight: int = MOST_IN_FLIGHT
    calls_per_day: int = 50_000
    duplicate_within: timedelta = timedelta(seconds=3)
    token_life: timedelta = timedelta(seconds=3600)
    activity_delay: timedelta = timedelta(seconds=2)
    email_delay: timedelta = timedelta(seconds=5)
    sparse: bool = False
    credentials: tuple[Credential, ...] = (Credential(),)
    eventbrite_token: str = seed.EVENTBRITE_API_TOKEN
    eventbrite_calls_per_hour: int = 2_000
    pendo_key: str = seed.PENDO_INTEGRATION_KEY
    keep_calls: int = 20_000
    keep_emails: int = 50_000
    keep_violations: int = 1_000
    clock: Clock | None = None
    sleep: Sleep = asyncio.sleep
    token_maker: Callable[[], str] = lambda: secrets.token_hex(16)

    def __post_init__(self) -> None:
        if not 1 <= self.calls_per_window <= MOST_CALLS_PER_WINDOW:
            raise ValueError(f"calls_per_window must be 1 to {MOST_CALLS_PER_WINDOW}, as Marketo's")
        if self.window / self.calls_per_window < SHORTEST_PACE:
            raise ValueError("calls_per_window by window must not exceed Marketo's 100 calls per 20 s")
        if not 1 <= self.max_in_flight <= MOST_IN_FLIGHT:
            raise ValueError(f"max_in_flight must be 1 to {MOST_IN_FLIGHT}, as Marketo's")
