"""One real reminder is followed until it arrives, or to the step at which it stopped, which is named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.checkup import reminder_of, send_one
from app.doctor.report import Outcome, Verdict
from app.doctor.trial import DELIVERED, REQUESTED, SENT, Reminder, Trial
from app.domain import CampaignId, LeadId
from app.marketo.activities import Activity, ActivityPage, ActivityTypes, PagingToken
from app.marketo.answers import FindAnswer, PersonOutcome, PersonStatus, SyncAnswer, TriggerAnswer
from app.marketo.requests import PersonRecord
from app.sandbox import seed
from tests.conftest import MovableClock
from tests.doctor.patient import Patient, patient_at_hand

ADA = "ada@example.com"
CAMPAIGN = f"marketo/campaigns/{seed.CAMPAIGN_ID}"
EMAIL = f"marketo/programs/{seed.PROGRAM_ID}/email"
AT_ONCE = {"activity_delay": timedelta(0)}
Steps = list[tuple[str, Verdict]]


async def send(patient: Patient, address: str = ADA, *, patience: float = 0.2, **changes: Any) -> tuple[Verdict, Steps]:
    """Send a reminder, and return how it ended and the steps that were told."""
    steps: Steps = []
    settings = patient.settings(**changes)
    reminder = reminder_of(settings, address, patience=timedelta(seconds=patience))
    quick = replace(reminder, poll=timedelta(seconds=0.05))
    verdict = await send_one(settings, quick, tell=lambda title, outcome: steps.append((title, outcome.verdict)))
    return verdict, steps


async def emails(patient: Patient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await patient.http.get("/sandbox/emails")).json()
    return found


@pytest.fixture
async def quick(tmp_path: Path) -> Any:
    """A Marketo whose activity log is never late."""
    async with patient_at_hand(tmp_path, **AT_ONCE, duplicate_within=timedelta(0)) as at_hand:
        yield at_hand


async def test_a_good_one_is_followed_to_the_mailbox(quick: Patient) -> None:
    verdict, steps = await send(quick, patience=30)
    assert verdict is Verdict.OK
    assert [name for name, _ in steps] == ["Person", "Request", "Campaign", "E-mail", "Delivery"]
    assert {outcome for _, outcome in steps} == {Verdict.OK}
    [email] = await emails(quick)
    assert (email["to"], email["passedTokens"]["JoinLink"]) == (ADA, "https://www.example.com/")


async def test_what_travels_in_a_person_field_does_so_in_the_trial_too(quick: Patient) -> None:
    """Else it proves the way that no registration takes."""
    await quick.lever("PUT", "marketo/fields/webinarSpeaker", {"displayName": "Webinar Speaker", "type": "string"})
    mapped = {"marketo_join_link_field": seed.JOIN_LINK_FIELD, "marketo_token_fields": "Speaker=webinarSpeaker"}
    verdict, steps = await send(quick, patience=30, marketo_campaign_id=str(seed.LINK_FIELD_CAMPAIGN_ID), **mapped)
    assert (verdict, steps[-1]) == (Verdict.OK, ("Delivery", Verdict.OK))
    [email] = await emails(quick)
    assert email["passedTokens"] == {"WebinarTitle": "A test of the webinar relay"}
    [person] = (await quick.http.get("/sandbox/people")).json()
    assert person["fields"][seed.JOIN_LINK_FIELD] == "https://www.example.com/"
    assert person["fields"]["webinarSpeaker"] == "A test of the webinar relay"


async def test_a_field_that_marketo_does_not_have_stops_it_at_the_person(quick: Patient) -> None:
    steps: list[tuple[str, Outcome]] = []
    settings = quick.settings(marketo_join_link_field="joinLink")
    reminder = reminder_of(settings, ADA, patience=timedelta(0))
    verdict = await send_one(settings, reminder, tell=lambda title, outcome: steps.append((title, outcome)))
    [(step, outcome)] = steps
    assert (verdict, step, outcome.verdict) == (Verdict.FAIL, "Person", Verdict.FAIL)
    assert "MARKETO_JOIN_LINK_FIELD" in f"{outcome.found} {outcome.advice}"


async def test_people_are_looked_up_by_the_field_that_the_relay_uses(quick: Patient) -> None:
    await quick.lever("POST", "marketo/people", {"externalId": ADA, "email": "else@example.com"})
    found = await send(quick, patience=30, marketo_lead_mode="lookup", marketo_lookup_field="externalId")
    assert found[0] is Verdict.OK


async def test_the_log_is_waited_for(tmp_path: Path) -> None:
    """It is late by a moment, in truth by minutes."""
    async with patient_at_hand(tmp_path, activity_delay=timedelta(seconds=1)) as late:
        assert (await send(late, patience=30))[0] is Verdict.OK


async def test_an_inactive_campaign_stops_it_in_silence(quick: Patient) -> None:
    """Marketo has answered success."""
    await quick.lever("PATCH", CAMPAIGN, {"active": False})
    verdict, steps = await send(quick)
    assert (verdict, steps[-1]) == (Verdict.FAIL, ("Campaign", Verdict.FAIL))
    assert ("Request", Verdict.OK) in steps


async def test_a_rule_that_lets_people_run_once_stops_the_second(quick: Patient) -> None:
    """What the first one left in the log is not taken for the second's."""
    await quick.lever("PATCH", CAMPAIGN, {"qualification": "once"})
    assert (await send(quick, patience=30))[0] is Verdict.OK
    verdict, steps = await send(quick)
    assert (verdict, steps[-1]) == (Verdict.FAIL, ("Campaign", Verdict.FAIL))


async def test_a_draft_stops_it_after_the_campaign_ran(quick: Patient) -> None:
    await quick.lever("PATCH", EMAIL, {"approved": False})
    verdict, steps = await send(quick)
    assert (verdict, steps[-2:]) == (Verdict.FAIL, [("Campaign", Verdict.OK), ("E-mail", Verdict.FAIL)])
    assert await emails(quick) == []


async def test_whoever_has_unsubscribed_is_not_mailed(quick: Patient) -> None:
    await quick.lever("PATCH", EMAIL, {"operational": False})
    await quick.lever("POST", "marketo/people", {"email": ADA, "unsubscribed": True})
    assert (await send(quick))[1][-1] == ("E-mail", Verdict.FAIL)


async def test_a_bounce_is_told(quick: Patient) -> None:
    verdict, steps = await send(quick, f"nobody@{seed.BOUNCING_DOMAIN}", patience=30)
    assert (verdict, steps[-2:]) == (Verdict.FAIL, [("E-mail", Verdict.OK), ("Delivery", Verdict.FAIL)])


async def test_without_the_permission_it_is_sent_and_not_followed(quick: Patient) -> None:
    rest = sorted(seed.ALL_PERMISSIONS - {seed.READ_ACTIVITY})
    await quick.lever("PUT", "marketo/permissions", {"permissions": rest})
    verdict, steps = await send(quick)
    assert (verdict, steps[-1]) == (Verdict.UNKNOWN, ("Activity log", Verdict.UNKNOWN))
    assert len(await emails(quick)) == 1


@pytest.mark.parametrize(("missing", "step"), [(seed.WRITE_LEAD, "Person"), (seed.EXECUTE_CAMPAIGN, "Request")])
async def test_what_marketo_refuses_is_the_last_step(quick: Patient, missing: str, step: str) -> None:
    await quick.lever("PUT", "marketo/permissions", {"permissions": sorted(seed.ALL_PERMISSIONS - {missing})})
    verdict, steps = await send(quick)
    assert (verdict, steps[-1]) == (Verdict.FAIL, (step, Verdict.FAIL))
    assert await emails(quick) == []


async def test_nobody_is_created_where_people_are_only_looked_up(quick: Patient) -> None:
    assert (await send(quick, marketo_lead_mode="lookup"))[1] == [("Person", Verdict.FAIL)]
    assert (await quick.http.get("/sandbox/people")).json() == []
    await quick.lever("POST", "marketo/people", {"email": ADA})
    assert (await send(quick, patience=30, marketo_lead_mode="lookup"))[0] is Verdict.OK


async def test_a_person_that_marketo_does_not_save_is_told_with_its_reason(quick: Patient) -> None:
    """Two people have the address."""
    for _ in range(2):
        await quick.lever("POST", "marketo/people", {"email": ADA})
    assert (await send(quick))[1] == [("Person", Verdict.FAIL)]


@dataclass
class Recorded:
    """A Marketo whose activity log is what a test says."""

    clock: MovableClock
    names: tuple[str, ...]
    asked: list[str] = field(default_factory=list)

    async def sync_people(self, records: Sequence[PersonRecord]) -> SyncAnswer:
        return SyncAnswer("1#a", (), (PersonOutcome(LeadId(7), PersonStatus.UPDATED),))

    async def find_people(self, values: Sequence[str]) -> FindAnswer:
        return FindAnswer("1#a", (), (), None)

    async def trigger(self, campaign: CampaignId, leads: Sequence[LeadId], tokens: Mapping[str, str]) -> TriggerAnswer:
        self.asked.append("trigger")
        return TriggerAnswer("1#a", ())

    async def activity_types(self) -> ActivityTypes:
        return ActivityTypes("1#a", (), {REQUESTED: 47, SENT: 6, DELIVERED: 7})

    async def paging_token(self, since: datetime) -> PagingToken:
        return PagingToken("1#a", (), "t")

    async def activities(self, token: str, *, type_ids: Sequence[int], lead_ids: Sequence[LeadId]) -> ActivityPage:
        ids = {REQUESTED: 47, SENT: 6, DELIVERED: 7}
        found = [Activity(LeadId(7), ids[name], self.clock.now, CampaignId(1234)) for name in self.names]
        other = Activity(LeadId(7), 47, self.clock.now, CampaignId(99))
        return ActivityPage("1#a", (), (*found, other) if self.asked else (), None)


async def ended(clock: MovableClock, *names: str) -> tuple[Verdict, list[tuple[str, Outcome]]]:
    told: list[tuple[str, Outcome]] = []

    async def wait(seconds: float) -> None:
        clock.move(timedelta(seconds=seconds))

    reminder = reminder_of_test()
    trial = Trial(Recorded(clock, names), reminder, tell=lambda t, o: told.append((t, o)), clock=clock, wait=wait)
    return await trial.run(), told


def reminder_of_test() -> Reminder:
    minute = timedelta(minutes=1)
    return Reminder(address=ADA, campaign=CampaignId(1234), tokens={}, may_create=True, patience=minute)


async def test_a_delivery_that_is_not_reported_in_time_is_a_doubt(clock: MovableClock) -> None:
    """The mailbox knows; the log may be late."""
    verdict, told = await ended(clock, REQUESTED, SENT)
    assert (verdict, told[-1][0], told[-1][1].verdict) == (Verdict.WARN, "Delivery", Verdict.WARN)


async def test_another_campaigns_activities_are_not_taken_for_this_ones(clock: MovableClock) -> None:
    assert (await ended(clock))[1][-1][0] == "Campaign"


async def test_an_instance_that_writes_no_request_shows_it_by_the_email(clock: MovableClock) -> None:
    """Which kinds of activities there are depends on the instance."""
    verdict, told = await ended(clock, SENT, DELIVERED)
    assert (verdict, [name for name, _ in told][-3:]) == (Verdict.OK, ["Campaign", "E-mail", "Delivery"])
