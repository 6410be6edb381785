"""Whatever comes when: no two upserts of one person near each other, and every e-mail has its own webinar's link.

The machine drives the store with the leader's own verdicts, over answers of all kinds, crashes and changes of leader.
It keeps its own book of what Marketo may be doing and what its e-mails may still read.
"""

import asyncio
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from app.dispatch import verdicts
from app.dispatch.verdicts import Policy
from app.domain import CallId, CampaignId, Cancelled, LeadId, Person, Registered, Webinar, new_id
from app.marketo.answers import FoundPerson, PersonOutcome, PersonStatus, Reason, SyncAnswer, TriggerAnswer
from app.marketo.codes import Consequence, Endpoint, Executed
from app.marketo.failures import CallFailed, failure
from app.store.ahead import count_open
from app.store.claims import Call, CallResult
from app.store.database import open_database
from app.store.drafts import Draft
from app.store.fates import Fate
from app.store.people import APART, IN_FLIGHT, RUNS_ON
from app.store.sending import Sending
from app.store.takeover import take_over
from tests.dispatch.stage import JUDGE, all_registrations
from tests.store.given import record
from tests.tables import make_tables

pytestmark = pytest.mark.no_cover  # under a tracer it takes three times as long, and each part has tests of its own

HOLD = timedelta(minutes=10)
GIVEN_UP = timedelta(seconds=100)  # later than any client of ours waits
FIELD = "webinarJoinLink"
FIELD_JUDGE = replace(JUDGE, fields={"JoinLink": FIELD})
POLICY = Policy()
NEVER = datetime.max.replace(tzinfo=UTC)
PEOPLE = ("ada@example.com", "bob@example.com")
CODES = {"unavailable": "608", "lost": "502", "data": "709", "settings": "1006", "several": "1007", "gone": "1004"}


@dataclass
class Truth:
    """What Marketo may have done for one person, whatever the relay knows of it."""

    lead: int
    free_at: datetime  # when the next upsert makes no duplicate
    link: set[str | None] = field(default_factory=lambda: {None})  # what the person field may hold
    readers: list[tuple[datetime, str]] = field(default_factory=list)  # e-mails that read this value until then


class UniqueLinks(RuleBasedStateMachine):
    """Two people, three webinars, two sources, one leader at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.database = open_database(f"sqlite:///{Path(self.folder.name) / 'relay.db'}")
        self.runner.run(make_tables(self.database))
        self.sending = Sending(self.database)
        self.now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
        self.fence = 1
        self.under_way: list[Call] = []
        self.began: dict[str, datetime] = {}
        self.truth = {name: Truth(n, self.now) for n, name in enumerate(PEOPLE, start=1)}

    def teardown(self) -> None:
        self.finish()
        self.runner.run(self.database.close())
        self.runner.close()
        self.folder.cleanup()

    # --- what comes -----------------------------------------------------------------------------------------------

    @rule(
        who=st.sampled_from(PEOPLE),
        webinar=st.sampled_from(["w-1", "w-2", "w-3"]),
        source=st.sampled_from(["custom", "pendo"]),
        revision=st.sampled_from([0, 0, 0, 1]),
        is_known=st.sampled_from([False, False, False, True]),
    )
    def register(self, who: str, webinar: str, source: str, revision: int, is_known: bool) -> None:
        lead = LeadId(self.truth[who].lead) if is_known else None
        link = f"https://meet.example.com/{webinar}/{who}/{revision}"
        found = Registered(Person(who, lead), Webinar(webinar, "Talk", link))
        judge = replace(FIELD_JUDGE, campaigns={source: CampaignId(7)})
        self.record(judge.draft(found, source=source, received_at=self.now, now=self.now))

    @rule(who=st.sampled_from(PEOPLE), webinar=st.sampled_from(["w-1", "w-2", "w-3"]))
    def cancel(self, who: str, webinar: str) -> None:
        self.record(gone=[Cancelled(who, webinar, None)])

    def record(self, *drafts: Draft, gone: list[Cancelled] | None = None) -> None:
        self.runner.run(record(self.database, self.now, *drafts, gone=gone or (), fence=self.fence, hold=HOLD))

    @rule(seconds=st.sampled_from([1, 4, 30, 100, 130, 599, 601]))
    def pass_time(self, seconds: int) -> None:
        """The client gives up an upsert that is not answered, long before others may take its people."""
        until = self.now + timedelta(seconds=seconds)
        for call in [one for one in self.under_way if one.kind == "upsert"]:
            given_up = self.began[call.id] + GIVEN_UP
            if given_up <= until:
                self.now = max(self.now, given_up)
                self.under_way.remove(call)
                self.fail(call, failure(Endpoint.SYNC, "502", "no answer"))
        self.now = until

    @rule()
    def crash(self) -> None:
        """Another leads at once; what was under way may end whenever it likes."""
        for call in self.under_way:
            if call.kind == "upsert":
                self.may_write(call, free_at=self.began[call.id] + IN_FLIGHT)
        self.under_way.clear()
        self.fence += 1
        self.runner.run(take_over(self.database, fence=self.fence, on_ambiguous="retry", now=self.now))

    # --- what goes ------------------------------------------------------------------------------------------------

    @rule(lookup=st.booleans(), limit=st.integers(1, 5))
    def claim_people(self, lookup: bool, limit: int) -> None:
        call = self.runner.run(self.sending.claim_people(lookup=lookup, now=self.now, fence=self.fence, limit=limit))
        if call is None:
            return
        if not lookup:
            self.begin_upsert(call)
        self.under_way.append(call)

    def begin_upsert(self, call: Call) -> None:
        records = verdicts.records_of(call)
        assert len({r.key for r in records}) == len(records)
        for one in records:
            truth = self.truth[one.key]
            assert self.now >= truth.free_at
            truth.free_at = NEVER
            if FIELD in one.fields:
                assert {value for until, value in truth.readers if until > self.now} <= {one.fields[FIELD]}
        self.began[call.id] = self.now

    @rule(which=st.integers(0, 9))
    def claim_batch(self, which: int) -> None:
        batches = self.runner.run(self.sending.waiting(self.now)).batches
        if not batches:
            return
        backlog = batches[which % len(batches)]
        call = self.runner.run(self.sending.claim_batch(backlog, now=self.now, fence=self.fence, limit=100))
        assert call is not None
        self.check_request(call)
        self.under_way.append(call)

    def check_request(self, call: Call) -> None:
        """Each e-mail shows the link of its own registration, by token or by field."""
        for registration in call.registrations:
            link = registration.tokens["JoinLink"]
            assert dict(registration.passed) == dict(call.registrations[0].passed)
            if "JoinLink" in registration.passed:
                assert registration.passed["JoinLink"] == link
            else:
                assert self.truth[registration.person_key].link == {link}

    # --- what is answered -----------------------------------------------------------------------------------------

    @precondition(lambda self: self.under_way)
    @rule(
        which=st.integers(0, 9),
        how=st.sampled_from(["done", "done", "done", "skipped", *CODES]),
    )
    def answer(self, which: int, how: str) -> None:
        call = self.under_way.pop(which % len(self.under_way))
        if how == "done" or (how == "skipped" and call.kind == "upsert"):
            self.settle(call, CallResult("done"), self.done(call, how))
            return
        code = CODES.get(how, "709")
        endpoint = {"upsert": Endpoint.SYNC, "lookup": Endpoint.FIND, "trigger": Endpoint.TRIGGER}[call.kind]
        failed = failure(endpoint, code, "no")
        if failed.consequence is Consequence.PERSON_GONE and call.kind != "trigger":
            failed = failure(endpoint, "608", "no")
        self.fail(call, failed)

    def fail(self, call: Call, failed: CallFailed) -> None:
        outcome = "refused" if failed.executed is Executed.NO else "lost"
        result = CallResult(outcome, failed.code)  # type: ignore[arg-type]
        self.note_failure(call, failed)
        if verdicts.must_split(call, failed):
            self.settle(call, result, [])
            for part in verdicts.halves(call):
                again = CallId(new_id("call", self.now))
                smaller = self.runner.run(self.sending.split(call, part, again=again, fence=self.fence, now=self.now))
                assert smaller is not None
                if call.kind == "upsert":
                    self.begin_upsert(smaller)
                self.under_way.append(smaller)
            return
        self.settle(call, result, verdicts.after_refusal(call, failed, policy=POLICY, now=self.now))

    def note_failure(self, call: Call, failed: CallFailed) -> None:
        if call.kind == "upsert" and failed.executed is Executed.MAYBE:
            self.may_write(call, free_at=self.now + RUNS_ON + APART)
        elif call.kind == "upsert":
            for one in verdicts.records_of(call):
                self.truth[one.key].free_at = self.now
        elif call.kind == "trigger" and failed.executed is Executed.MAYBE:
            self.read_fields(call)
        elif call.kind == "trigger" and failed.consequence is Consequence.PERSON_GONE and len(call.registrations) == 1:
            truth = self.truth[call.registrations[0].person_key]
            truth.lead, truth.link = truth.lead + 10, {None}

    def done(self, call: Call, how: str) -> list[Fate]:
        if call.kind == "trigger":
            self.read_fields(call)
            return verdicts.after_trigger(call, TriggerAnswer("r#1", ()))
        if call.kind == "lookup":
            found = [
                FoundPerson(LeadId(self.truth[key].lead), key, None) for key in verdicts.by_person(call.registrations)
            ]
            return verdicts.after_find(call, found, policy=POLICY)
        outcomes = tuple(self.outcome(one.key, dict(one.fields), how) for one in verdicts.records_of(call))
        return verdicts.after_sync(call, SyncAnswer("r#1", (), outcomes), now=self.now)

    def outcome(self, key: str, values: dict[str, str], how: str) -> PersonOutcome:
        truth = self.truth[key]
        truth.free_at = self.now + APART
        if how == "skipped":
            return PersonOutcome(None, PersonStatus.SKIPPED, (Reason("1003", "no"),))
        if FIELD in values:
            truth.link = {values[FIELD]}
        return PersonOutcome(LeadId(truth.lead), PersonStatus.UPDATED)

    def may_write(self, call: Call, *, free_at: datetime) -> None:
        for one in verdicts.records_of(call):
            truth = self.truth[one.key]
            truth.free_at = free_at
            if FIELD in one.fields:
                truth.link = truth.link | {one.fields[FIELD]}

    def read_fields(self, call: Call) -> None:
        for registration in call.registrations:
            if "JoinLink" not in registration.passed:
                reader = (self.now + HOLD, registration.tokens["JoinLink"])
                self.truth[registration.person_key].readers.append(reader)

    def settle(self, call: Call, result: CallResult, fates: list[Fate]) -> None:
        self.runner.run(self.sending.settle(call, result, fates, fence=self.fence, now=self.now))

    def finish(self) -> None:
        """Let Marketo be well: everybody gets through, by calls that break no rule."""
        for _ in range(60):
            while self.under_way:
                call = self.under_way.pop()
                self.settle(call, CallResult("done"), self.done(call, "done"))
            if not self.runner.run(count_open(self.database))[0]:
                return
            self.now += timedelta(seconds=60)
            self.claim_people(lookup=False, limit=300)
            self.claim_people(lookup=True, limit=300)
            self.claim_batch(0)
        raise AssertionError([one for one in self.runner.run(all_registrations(self.database)) if not one.sent_at])


UniqueLinks.TestCase.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestUniqueLinks = UniqueLinks.TestCase
