"""What the APIs let one mend is shown before, done when one agrees, and right afterwards."""

from typing import Any

import pytest

from app.checkup import check_up, mend
from app.doctor.mending import Fix
from app.doctor.report import Verdict
from app.errors import ResolveFailed
from app.marketo.failures import CallFailed
from app.sandbox import seed
from tests.doctor.patient import PUBLIC_URL, Patient, webhook

PROGRAM = f"marketo/programs/{seed.PROGRAM_ID}"
LINK_PROGRAM = f"marketo/programs/{seed.LINK_FIELD_PROGRAM_ID}"


async def fixes(patient: Patient, **changes: Any) -> tuple[Fix, ...]:
    return (await check_up(patient.settings(**changes))).fixes


async def mended(patient: Patient, **changes: Any) -> list[str]:
    """Do all that can be done, and return what is wrong then."""
    for fix in await fixes(patient, **changes):
        await mend(patient.settings(**changes), fix)
    report = await patient.report(**changes)
    return [one.key for one in report.findings if one.verdict is Verdict.FAIL]


async def test_where_all_is_well_there_is_nothing_to_mend(patient: Patient) -> None:
    assert await fixes(patient) == ()


@pytest.mark.parametrize("name", ["WebinarTitle", "JoinLink", "WebinarImage"])
async def test_a_missing_token_is_created_with_a_default(patient: Patient, name: str) -> None:
    await patient.lever("DELETE", f"{PROGRAM}/tokens/{name}")
    [fix] = await fixes(patient)
    assert f"create the My Token {{{{my.{name}}}}} in the program Webinar Reminders, type Text, default “" in fix.what
    assert await mended(patient) == []
    assert await fixes(patient) == ()


async def test_the_default_is_the_one_of_the_settings(patient: Patient) -> None:
    await patient.lever("DELETE", f"{PROGRAM}/tokens/WebinarTitle")
    [fix] = await fixes(patient, default_webinar_title="Talks of the year")
    assert "Talks of the year" in fix.what


async def test_a_token_whose_value_travels_in_a_field_is_created_to_read_it(patient: Patient) -> None:
    await patient.lever("DELETE", f"{LINK_PROGRAM}/tokens/JoinLink")
    personal = {
        "marketo_campaign_id": str(seed.LINK_FIELD_CAMPAIGN_ID),
        "marketo_join_link_field": seed.JOIN_LINK_FIELD,
    }
    [fix] = await fixes(patient, **personal)
    assert "{{lead.Webinar Join Link}}" in fix.what
    assert await mended(patient, **personal) == []


async def test_what_may_stand_where_one_may_not_look_is_not_created(patient: Patient) -> None:
    """A second token of the same name would hide the one above."""
    await patient.lever("DELETE", f"{PROGRAM}/tokens/JoinLink")
    await patient.lever("POST", "faults", {"match": "folder", "kind": "code:603", "times": None, "seconds": 600})
    assert await fixes(patient) == ()


async def test_a_token_that_one_may_not_create_is_refused_with_the_permission(patient: Patient) -> None:
    await patient.lever("DELETE", f"{PROGRAM}/tokens/JoinLink")
    rest = sorted(seed.ALL_PERMISSIONS - {seed.WRITE_ASSET})
    await patient.lever("PUT", "marketo/permissions", {"permissions": rest})
    [fix] = await fixes(patient)
    with pytest.raises(CallFailed):
        await mend(patient.settings(), fix)
    assert "Read-Write Asset" in fix.needs


async def test_the_webhook_is_created_for_all_events_and_with_every_action(patient: Patient) -> None:
    await patient.lever("PUT", "eventbrite/webhooks", [])
    [fix] = await fixes(patient)
    assert f"create a webhook to {PUBLIC_URL}/webhooks/eventbrite/…" in fix.what
    assert seed.EVENTBRITE_WEBHOOK_TOKEN not in fix.what
    before = await patient.verdicts()
    assert await mended(patient) == []
    after = await patient.verdicts()
    assert {key for key in after if after[key] is not before[key]} == {
        "eventbrite_webhook",
        "eventbrite_actions",
        "eventbrite_scope",
    }


async def test_the_newest_secret_is_used_while_rotating(patient: Patient) -> None:
    """It stands first, as the runbook has it."""
    await patient.lever("PUT", "eventbrite/webhooks", [])
    rotating = {"eventbrite_webhook_token": f"{seed.EVENTBRITE_WEBHOOK_TOKEN},old-secret-Qm4vT9xLzR2b"}
    assert await mended(patient, **rotating) == []
    assert (await patient.verdicts())["eventbrite_webhook"] is Verdict.OK


@pytest.mark.parametrize("organizations", [[], ["1", "2"]])
async def test_without_one_organization_no_webhook_is_created(patient: Patient, organizations: list[str]) -> None:
    """Which of two is the right one, only a person knows."""
    await patient.lever("PUT", "eventbrite/webhooks", [])
    await patient.lever("PUT", "eventbrite/organizations", organizations)
    assert await fixes(patient) == ()


async def test_without_a_public_address_no_webhook_is_created(patient: Patient) -> None:
    await patient.lever("PUT", "eventbrite/webhooks", [])
    assert await fixes(patient, public_url=None) == ()


async def test_a_second_webhook_is_not_created_beside_the_first(patient: Patient) -> None:
    """Every order would come twice."""
    await patient.lever("PUT", "eventbrite/webhooks", [webhook(actions=["order.placed"])])
    assert await fixes(patient) == ()


async def test_a_webhook_that_eventbrite_refuses_is_told(patient: Patient) -> None:
    await patient.lever("PUT", "eventbrite/webhooks", [])
    [fix] = await fixes(patient)
    await patient.lever("POST", "faults", {"match": "eventbrite_subscribe", "kind": "http:403"})
    with pytest.raises(ResolveFailed):
        await mend(patient.settings(), fix)
