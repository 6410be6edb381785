"""Everything that the simulation remembers between two requests, and one place to forget it all."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.sandbox import seed
from app.sandbox.config import SandboxConfig, steady_clock
from app.sandbox.emails import Email
from app.sandbox.eventbrite_objects import EventbriteAccount, seeded_account
from app.sandbox.faults import FaultBook
from app.sandbox.ledger import Call, Log, Violations
from app.sandbox.limits import DailyQuota, InFlight, SlidingWindow
from app.sandbox.marketo_identity import TokenDesk
from app.sandbox.people import PARTITIONS, People, PersonField, seeded_fields
from app.sandbox.programs import seeded_assets
from app.sandbox.wire import Request


class World:
    """The simulated accounts, their limits and the ledger of what was done to them."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.now = config.clock or steady_clock()
        self.began = now = self.now()
        self.ahead = timedelta(0)  # of the clock that the Date header shows
        self.tokens = TokenDesk(config.credentials, life=config.token_life, make=config.token_maker)
        self.window = SlidingWindow(limit=config.calls_per_window, length=config.window)
        self.in_flight = InFlight(limit=config.max_in_flight)
        self.quota = DailyQuota(limit=config.calls_per_day)
        self.people = People(duplicate_within=config.duplicate_within)
        self.assets = seeded_assets(now)
        self.fields: dict[str, PersonField] = seeded_fields()
        self.partitions = list(PARTITIONS)
        self.eventbrite: EventbriteAccount = seeded_account(now, config.eventbrite_calls_per_hour)
        self.visitors: dict[str, dict[str, Any]] = {seed.PENDO_VISITOR_ID: pendo_visitor(*seed.PENDO_VISITOR)}
        self.faults = FaultBook()
        self.calls: Log[Call] = Log(keep=config.keep_calls)
        self.emails: Log[Email] = Log(keep=config.keep_emails)
        self.violations = Violations(keep=config.keep_violations)
        self.activities: Log[Activity] = Log(keep=3 * config.keep_emails)
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.skips: Counter[str] = Counter()


@dataclass(frozen=True, slots=True)
class Activity:
    """One line of a person's activity log; it can be read only from `visible_from` on."""

    n: int
    at: datetime
    visible_from: datetime
    lead_id: int
    type_id: int
    campaign_id: int
    value: str
    value_id: int


@dataclass(slots=True)
class Work:
    """One request on its way: what it asks, its line in the ledger, and what is given back when its answer has left."""

    world: World
    request: Request
    call: Call
    held: ExitStack
    params: dict[str, str] = field(default_factory=dict)

    def violation(self, kind: str, detail: str) -> None:
        self.world.violations.add(self.world.now(), kind, detail, self.call.request_id)


class Simulation:
    """The current world; `reset` replaces it with a new one."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.world = World(config)

    def reset(self) -> None:
        self.world = World(self.config)


def pendo_visitor(first_name: str, last_name: str, email: str) -> dict[str, Any]:
    """Return a visitor's metadata as `pendo.initialize` would have set it."""
    agent = {"email": email, "first_name": first_name, "last_name": last_name, "full_name": f"{first_name} {last_name}"}
    return {"agent": agent, "auto": {"accountid": "acme"}, "custom": {}}
