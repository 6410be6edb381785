"""A Marketo with rules, in memory: what a wrong dispatcher does to it fails by itself."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.domain import CampaignId, LeadId
from app.marketo.activities import ActivityPage, ActivityTypes, PagingToken
from app.marketo.answers import (
    DayUsage,
    FindAnswer,
    FoundPerson,
    PersonOutcome,
    PersonStatus,
    Reason,
    SyncAnswer,
    TriggerAnswer,
)
from app.marketo.codes import Endpoint, Executed
from app.marketo.failures import CallFailed, failure
from app.marketo.requests import PersonRecord


@dataclass(frozen=True)
class Request:
    """One request as Marketo saw it: what was asked, for whom, and when it came and ended."""

    endpoint: Endpoint
    keys: tuple[str, ...]
    leads: tuple[int, ...] = ()
    campaign: int | None = None
    tokens: tuple[tuple[str, str], ...] = ()


@dataclass
class Mail:
    """One e-mail: what it is about and which link it shows, which is read from the person when it is not passed."""

    lead: int
    title: str
    link: str | None
    made_at: float
    is_passed: bool


_MADE_AFTER = 300.0  # seconds; an e-mail reads the person's fields some time after the campaign request
RUNS_ON = timedelta(seconds=10)  # of an upsert whose answer was lost; Marketo's 90 s take hundreds of looks


@dataclass
class SimulatedMarketo:
    """Knows people by address, takes upserts, searches and campaign requests, and counts the e-mails.

    `ticks` is the time of its window. `faults` are raised in turn, one a call (None: none), before anything is done;
    `lost` after a campaign ran. While there is a `gate`, no answer comes before it is set. What a dispatcher must not
    do is in `broken_rules`.
    """

    ticks: Callable[[], float]
    people: dict[str, list[FoundPerson]] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)  # lead ids that Marketo no longer knows
    poisonous: set[str] = field(default_factory=set)  # addresses and lead ids for which a whole call is refused
    skipped: dict[str, Reason] = field(default_factory=dict)  # addresses of records that are skipped for a reason
    unknown_campaigns: set[int] = field(default_factory=set)
    most_in_a_call: int = 300  # more are too large
    faults: Sequence[Exception | None] = ()
    lost: list[Exception] = field(default_factory=list)
    gate: asyncio.Event | None = None
    page: int = 300
    request_id: str = "1#abc"
    requests: list[Request] = field(default_factory=list)
    link_fields: dict[int, str] = field(default_factory=dict)  # what the person field holds, by lead
    mails: list[Mail] = field(default_factory=list)
    sent: Counter[tuple[int, int]] = field(default_factory=Counter)  # (lead, campaign) → e-mails
    most_at_once: int = 0
    usage_asked: int = 0
    broken_rules: list[str] = field(default_factory=list)
    _busy_once: set[str] = field(default_factory=set)
    _in_flight: int = 0
    _moments: list[float] = field(default_factory=list)
    _upserting: dict[str, float] = field(default_factory=dict)  # key → when its last upsert ended, inf while it runs

    async def sync_people(self, records: Sequence[PersonRecord], /) -> SyncAnswer:
        keys = tuple(record.key.lower() for record in records)
        self._rule(len(set(keys)) == len(keys) <= 300, "one record a person, at most 300")
        for key in keys:
            self._rule(self._upserting.get(key, -100.0) + 5 <= self.ticks(), "two upserts of one key close together")
        self._upserting |= dict.fromkeys(keys, float("inf"))
        ended = self.ticks()
        try:
            await self._take(Request(Endpoint.SYNC, keys))
        except CallFailed as failed:
            ended = -100.0 if failed.executed is Executed.NO else self.ticks() + RUNS_ON.total_seconds()
            if failed.executed is not Executed.NO:
                self._save(records)
            raise
        finally:
            self._upserting |= dict.fromkeys(keys, ended)
        return SyncAnswer(self.request_id, (), tuple(self._save(records)))

    async def find_people(self, values: Sequence[str], /, *, next_page_token: str | None = None) -> FindAnswer:
        keys = tuple(value.lower() for value in values)
        self._rule(len(set(keys)) == len(keys) <= 300, "each value once, at most 300")
        await self._take(Request(Endpoint.FIND, keys))
        found = [person for key in keys for person in self.people.get(key, [])]
        if not found:
            raise failure(Endpoint.FIND, "702", "nobody")
        first = int(next_page_token or 0)
        rest = first + self.page
        return FindAnswer(self.request_id, (), tuple(found[first:rest]), str(rest) if rest < len(found) else None)

    async def trigger(
        self, campaign_id: CampaignId, lead_ids: Sequence[LeadId], tokens: "dict[str, str]", /
    ) -> TriggerAnswer:
        self._rule(0 < len(set(lead_ids)) == len(lead_ids) <= 100, "each lead once, at most 100")
        keys = tuple(str(lead) for lead in lead_ids)
        request = Request(Endpoint.TRIGGER, keys, tuple(lead_ids), campaign_id, tuple(sorted(tokens.items())))
        await self._take(request, refuse=lambda: self._refuse_request(request))
        self.sent.update((lead, campaign_id) for lead in lead_ids)
        self.mails += [self._mail(lead, tokens) for lead in lead_ids]
        if self.lost:
            raise self.lost.pop(0)
        return TriggerAnswer(self.request_id, ())

    async def usage(self) -> DayUsage:
        self.usage_asked += 1
        await asyncio.sleep(0)
        return DayUsage(len(self.requests) + self.usage_asked)

    async def activity_types(self) -> ActivityTypes:
        raise self._not_permitted()

    async def paging_token(self, since: datetime, /) -> PagingToken:
        raise self._not_permitted()

    async def activities(self, token: str, /, *, type_ids: Collection[int], lead_ids: Sequence[LeadId]) -> ActivityPage:
        raise self._not_permitted()

    def add(self, address: str, lead: int, updated_at: datetime | None = None) -> None:
        """Let there be one more person with this address."""
        self.people.setdefault(address, []).append(FoundPerson(LeadId(lead), address, updated_at))

    def busy_once(self, address: str) -> dict[str, Reason]:
        """Skip this record once, for another transaction's lock on it; return what is left of that."""
        return self.skip_once(address, Reason("719", "lock wait"))

    def skip_once(self, address: str, reason: Reason) -> dict[str, Reason]:
        """Skip this record once for this reason."""
        self.skipped[address] = reason
        self._busy_once.add(address)
        return self.skipped

    def unavailable(self, endpoint: Endpoint) -> CallFailed:
        return failure(endpoint, "608", "unavailable")

    def asked(self, endpoint: Endpoint) -> list[Request]:
        return [request for request in self.requests if request.endpoint is endpoint]

    def sizes(self, endpoint: Endpoint) -> list[int]:
        return [len(request.keys) for request in self.asked(endpoint)]

    @staticmethod
    def _not_permitted() -> CallFailed:
        return failure(Endpoint.ACTIVITIES, "603", "the API user may not read activities")

    async def _take(self, request: Request, refuse: Callable[[], None] = lambda: None) -> None:
        self._count()
        self.requests.append(request)
        try:
            await (self.gate.wait() if self.gate else asyncio.sleep(0))
            fault, self.faults = next(iter(self.faults), None), self.faults[1:]
            if fault:
                raise fault
            refuse()
            self._refuse_data(request)
        finally:
            self._in_flight -= 1

    def _count(self) -> None:
        now = self.ticks()
        self._moments = [at for at in self._moments if at > now - 20 + 1e-6] + [now]
        self._in_flight += 1
        self.most_at_once = max(self.most_at_once, self._in_flight)
        self._rule(len(self._moments) <= 50, "more than 50 calls in 20 s")
        self._rule(self._in_flight <= 5, "more than 5 calls in flight")

    def _refuse_data(self, request: Request) -> None:
        if len(request.keys) > self.most_in_a_call:
            raise failure(request.endpoint, "413", "too large")
        if self.poisonous & set(request.keys):
            raise failure(request.endpoint, "709", "a record broke a rule")

    def _refuse_request(self, request: Request) -> None:
        if request.campaign in self.unknown_campaigns:
            raise failure(Endpoint.TRIGGER, "1013", "no such campaign")
        if self.gone & set(request.leads):
            raise failure(Endpoint.TRIGGER, "1004", "lead not found")

    def _upsert(self, key: str) -> PersonOutcome:
        if key in self.skipped:
            reason = self.skipped.pop(key) if key in self._busy_once else self.skipped[key]
            return PersonOutcome(None, PersonStatus.SKIPPED, (reason,))
        if len(self.people.get(key, [])) > 1:
            return PersonOutcome(None, PersonStatus.SKIPPED, (Reason("1007", "several"),))
        known = key in self.people
        if not known:
            self.add(key, 1000 + len(self.people))
        return PersonOutcome(self.people[key][0].lead_id, PersonStatus.UPDATED if known else PersonStatus.CREATED)

    def _save(self, records: Sequence[PersonRecord]) -> list[PersonOutcome]:
        outcomes = [self._upsert(record.key.lower()) for record in records]
        for record, outcome in zip(records, outcomes, strict=True):
            if outcome.lead_id is not None and (link := record.fields.get("webinarJoinLink")):
                self.link_fields[outcome.lead_id] = link
                for mail in self.mails:
                    if mail.lead == outcome.lead_id and mail.made_at > self.ticks() and not mail.is_passed:
                        mail.link = link
        return outcomes

    def _mail(self, lead: int, tokens: dict[str, str]) -> Mail:
        link = tokens.get("JoinLink", self.link_fields.get(lead))
        made_at = self.ticks() + _MADE_AFTER
        return Mail(lead, tokens["WebinarTitle"], link, made_at, "JoinLink" in tokens)

    def _rule(self, is_kept: bool, rule: str) -> None:
        if not is_kept:
            self.broken_rules.append(rule)
