"""Send one real reminder to one address and follow it through Marketo's activity log, step by step.

Each step is told when it is known. The first that fails is the last: it names where the reminder stopped.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from app.doctor.report import Outcome, Verdict, fail, ok, unknown, warn
from app.domain import CampaignId, Clock, LeadId
from app.marketo.activities import Activity, ActivityPage, ActivityTypes, PagingToken
from app.marketo.answers import FindAnswer, SyncAnswer, TriggerAnswer
from app.marketo.failures import CallFailed
from app.marketo.requests import PersonRecord

REQUESTED, SENT, DELIVERED = "request campaign", "send email", "email delivered"  # compared in lower case
BOUNCED = ("email bounced", "email bounced soft")
_BEFORE = timedelta(seconds=10)  # Marketo's clock may be behind ours
_MOST_PAGES = 5

Tell = Callable[[str, Outcome], None]


class Marketo(Protocol):
    """What a trial asks of Marketo."""

    async def sync_people(self, records: Sequence[PersonRecord]) -> SyncAnswer: ...

    async def find_people(self, values: Sequence[str]) -> FindAnswer: ...

    async def trigger(
        self, campaign: CampaignId, leads: Sequence[LeadId], tokens: Mapping[str, str]
    ) -> TriggerAnswer: ...

    async def activity_types(self) -> ActivityTypes: ...

    async def paging_token(self, since: datetime) -> PagingToken: ...

    async def activities(self, token: str, *, type_ids: Sequence[int], lead_ids: Sequence[LeadId]) -> ActivityPage: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminder:
    """What is sent to whom, `tokens` with the request and `fields` with the person.

    `may_create` is off where the relay only looks people up; `patience` bounds the waiting.
    """

    address: str
    campaign: CampaignId
    tokens: Mapping[str, str]
    fields: Mapping[str, str] = field(default_factory=dict)
    may_create: bool
    patience: timedelta
    poll: timedelta = timedelta(seconds=5)


class Trial:
    """One reminder on its way."""

    def __init__(
        self,
        marketo: Marketo,
        reminder: Reminder,
        *,
        tell: Tell,
        clock: Clock,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._marketo = marketo
        self._reminder = reminder
        self._tell = tell
        self._clock = clock
        self._wait = wait

    async def run(self) -> Verdict:
        """Return how the last step that was reached came out."""
        lead = await self._person()
        if lead is None:
            return Verdict.FAIL
        log = await self._open_log(lead)
        if not await self._request(lead):
            return Verdict.FAIL
        if isinstance(log, CallFailed):
            self._tell("Activity log", _unreadable(log))
            return Verdict.UNKNOWN
        return await self._follow(log)

    async def _person(self) -> LeadId | None:
        try:
            lead, outcome = await (self._save() if self._reminder.may_create else self._find())
        except CallFailed as failed:
            lead, outcome = None, _refused(failed)
        self._tell("Person", outcome)
        return lead

    async def _save(self) -> tuple[LeadId | None, Outcome]:
        fields = self._reminder.fields
        record = PersonRecord(self._reminder.address, fields=fields)
        [person] = (await self._marketo.sync_people([record])).people
        if person.lead_id is None:
            reason = person.reasons[0] if person.reasons else None
            said = f"{reason.code}: {reason.message}" if reason else "without a reason"
            return None, fail(f"Marketo did not save the person ({said})", reason.advice if reason else "")
        written = f", with what travels in {', '.join(fields)}" if fields else ""
        return person.lead_id, ok(f"{person.status.value} as person {person.lead_id}{written}")

    async def _find(self) -> tuple[LeadId | None, Outcome]:
        people = (await self._marketo.find_people([self._reminder.address])).people
        if not people:
            return None, fail(
                "Marketo knows nobody with this address, and MARKETO_LEAD_MODE is lookup",
                "Give an address that is in the Database, or create the person there (Database > New Person).",
            )
        return people[0].lead_id, ok(f"found as person {people[0].lead_id}")

    async def _request(self, lead: LeadId) -> bool:
        reminder = self._reminder
        try:
            answer = await self._marketo.trigger(reminder.campaign, [lead], reminder.tokens)
        except CallFailed as failed:
            self._tell("Request", _refused(failed))
            return False
        self._tell("Request", ok(f"Marketo took it for campaign {reminder.campaign}, request {answer.request_id}"))
        return True

    async def _open_log(self, lead: LeadId) -> "_Log | CallFailed":
        """Note what the person's activity log holds already: it is of other requests."""
        try:
            types = {name.lower(): one for name, one in (await self._marketo.activity_types()).ids.items()}
            token = (await self._marketo.paging_token(self._clock() - _BEFORE)).token
            log = _Log(lead, types, token, self._reminder.campaign)
            return replace(log, before=await log.entries(self._marketo))
        except CallFailed as failed:
            return failed

    async def _follow(self, log: "_Log") -> Verdict:
        """Wait for what Marketo writes down: that the campaign ran, the e-mail sent, the e-mail delivered."""
        try:
            return await self._watch(log)
        except CallFailed as failed:
            self._tell("Activity log", _unreadable(failed))
            return Verdict.UNKNOWN

    async def _watch(self, log: "_Log") -> Verdict:
        until = self._clock() + self._reminder.patience
        told: set[str] = set()
        while True:
            seen = await log.seen(self._marketo)
            for name, outcome in _steps(seen):
                if name not in told:
                    told.add(name)
                    self._tell(name, outcome)
            if seen & {DELIVERED, *BOUNCED}:
                return Verdict.FAIL if seen & set(BOUNCED) else Verdict.OK
            if self._clock() >= until:
                name, outcome = _stopped(seen, self._reminder.patience)
                self._tell(name, outcome)
                return outcome.verdict
            await self._wait(self._reminder.poll.total_seconds())


@dataclass(frozen=True, slots=True)
class _Log:
    """One person's activity log: what comes to it after `before` is of this reminder."""

    lead: LeadId
    types: Mapping[str, int]
    token: str
    campaign: CampaignId
    before: frozenset[Activity] = frozenset()

    async def seen(self, marketo: Marketo) -> set[str]:
        """Return the names of the new activities."""
        names = self._names()
        return {names[one.type_id] for one in await self.entries(marketo) - self.before}

    async def entries(self, marketo: Marketo) -> frozenset[Activity]:
        """Return the activities of this campaign and its e-mails."""
        names, found = self._names(), set[Activity]()
        token: str | None = self.token if names else None
        for _ in range(_MOST_PAGES):
            if token is None:
                break
            page = await marketo.activities(token, type_ids=sorted(names), lead_ids=[self.lead])
            found |= {one for one in page.activities if one.type_id in names and self._is_ours(one)}
            token = page.next_page_token
        return frozenset(found)

    def _names(self) -> Mapping[int, str]:
        return {self.types[name]: name for name in (REQUESTED, SENT, DELIVERED, *BOUNCED) if name in self.types}

    def _is_ours(self, activity: Activity) -> bool:
        """Tell whether an activity is of this campaign, where it names one."""
        about = activity.primary_id if self.types.get(REQUESTED) == activity.type_id else None
        named = activity.named_campaigns | {one for one in (activity.campaign_id, about) if one}
        return not named or self.campaign in named


def _steps(seen: set[str]) -> list[tuple[str, Outcome]]:
    steps = []
    if seen & {REQUESTED, SENT, DELIVERED}:
        steps.append(("Campaign", ok("the person runs through it")))
    if seen & {SENT, DELIVERED}:
        steps.append(("E-mail", ok("reported sent")))
    if seen & set(BOUNCED):
        steps.append(("Delivery", fail("the e-mail bounced", "Is the address right, and does its mailbox take mail?")))
    elif DELIVERED in seen:
        steps.append(("Delivery", ok("reported delivered")))
    return steps


def _stopped(seen: set[str], patience: timedelta) -> tuple[str, Outcome]:
    """Say at which step the reminder stopped, as far as the log shows."""
    waited = f"within {patience.total_seconds():g} s"
    if SENT in seen:
        return "Delivery", warn(f"not reported {waited}", "It left Marketo; look into the mailbox and its spam.")
    if REQUESTED in seen:
        return "E-mail", fail(
            f"not sent {waited}, though the campaign ran",
            "Marketing Activities: open the campaign > Flow: is there a Send Email step without a wait before it? Is "
            "the e-mail approved? Has the person unsubscribed, or is it blocklisted or marketing suspended (Database: "
            "open the person > Info)? Results of the campaign tells what was done.",
        )
    return "Campaign", fail(
        f"Marketo took the request, and nothing of it is in the person's activity log {waited}",
        "The person was passed over in silence: look at the checks of the smart campaign above (active, trigger, "
        "qualification rule, smart list). Marketo's log can also be late: look again in Database > the person > "
        "Activity Log.",
    )


def _refused(failed: CallFailed) -> Outcome:
    return fail(f"Marketo refused it ({failed.code}: {failed.message})", failed.advice)


def _unreadable(failed: CallFailed) -> Outcome:
    return unknown(f"what became of it cannot be read ({failed.code}: {failed.message})", failed.advice)
