"""What a set-up check and a look into the past can read."""

from datetime import timedelta
from typing import Any

import pytest

from app.sandbox import seed
from tests.sandbox.account import Account, code, opened


async def test_campaigns_are_listed_and_filtered(account: Account) -> None:
    async def ids(**query: str) -> list[int]:
        answer = await account.marketo("GET", "/v1/campaigns.json", params=query)
        return [record["id"] for record in answer["result"]]

    assert len(await ids()) == 7
    assert await ids(id="1234,1235") == [1234, 1235]
    assert await ids(id="1234,1235", isTriggerable="true") == [1234]
    assert seed.INACTIVE_CAMPAIGN_ID not in await ids(isTriggerable="true")
    assert await ids(name="Send Webinar Reminder") == [seed.CAMPAIGN_ID]
    assert await ids(programName="Webinar Reminders with personal links") == [seed.LINK_FIELD_CAMPAIGN_ID]


async def smart(account: Account, campaign: int) -> dict[str, Any]:
    [record] = (await account.marketo("GET", f"/asset/v1/smartCampaign/{campaign}.json"))["result"]
    found: dict[str, Any] = record
    return found


async def test_a_smart_campaign_tells_its_rules(account: Account) -> None:
    good, once = await smart(account, seed.CAMPAIGN_ID), await smart(account, seed.ONCE_CAMPAIGN_ID)
    assert (good["type"], good["isActive"], good["isRequestable"]) == ("trigger", True, True)
    assert (good["qualificationRuleType"], once["qualificationRuleType"]) == ("any", "once")
    assert good["parentProgramId"] == seed.PROGRAM_ID
    assert (await smart(account, seed.BATCH_CAMPAIGN_ID))["type"] == "batch"
    assert (await smart(account, seed.INACTIVE_CAMPAIGN_ID))["status"] == "Inactive"
    daily = await smart(account, seed.DAILY_CAMPAIGN_ID)
    assert (daily["qualificationRuleType"], daily["qualificationRuleInterval"]) == ("interval", 1)


async def test_an_asset_that_does_not_exist_is_a_success_with_a_warning(account: Account) -> None:
    for path in ("smartCampaign/9.json", "email/9/fullContent.json", 'emails.json?folder={"id":9,"type":"Program"}'):
        answer = await account.marketo("GET", f"/asset/v1/{path}")
        assert answer["success"]
        assert answer["result"] == []
        assert answer["warnings"]


async def test_sparse_assets_leave_out_what_is_not_set() -> None:
    async with opened(sparse=True) as account:
        await account.log_in()
        record = await smart(account, seed.CAMPAIGN_ID)
        assert record.keys() & {"recurrence", "qualificationRuleInterval"} == set()


async def test_tokens_of_a_program_are_its_own_without_braces(account: Account) -> None:
    """Those of the folder above are read at the folder."""

    async def names(number: int, kind: str) -> set[str]:
        answer = await account.marketo("GET", f"/asset/v1/folder/{number}/tokens.json?folderType={kind}")
        return {token["name"] for token in answer["result"][0]["tokens"]}

    assert await names(seed.PROGRAM_ID, "Program") == {"WebinarTitle", "JoinLink", "WebinarImage"}
    assert await names(seed.FOLDER_ID, "Folder") == {"CompanyName"}
    assert code(await account.marketo("GET", f"/asset/v1/folder/{seed.PROGRAM_ID}/tokens.json")) == "702"


async def test_a_token_can_be_created_and_then_used(account: Account) -> None:
    path = f"/asset/v1/folder/{seed.PROGRAM_ID}/tokens.json"
    good = {"name": "Speaker", "type": "text", "value": "Grace", "folderType": "Program"}
    assert (await account.marketo("POST", path, data=good))["result"][0]["tokens"][0]["name"] == "Speaker"
    await account.trigger([await account.lead()], {"Speaker": "Ada"})
    assert await account.violations() == []
    assert code(await account.marketo("POST", path, json=good)) == "612"


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"value": ""}, "701"),
        ({"name": "x" * 51}, "709"),
        ({"name": "{{my.X}}"}, "709"),
        ({"name": ""}, "1002"),
        ({"type": "picture"}, "1001"),
        ({"folderType": ""}, "1002"),
        ({"folderType": "Folder"}, "702"),
    ],
)
async def test_a_token_that_cannot_be_is_refused(account: Account, wrong: dict[str, str], expected: str) -> None:
    good = {"name": "Speaker", "type": "text", "value": "Grace", "folderType": "Program"}
    answer = await account.marketo("POST", f"/asset/v1/folder/{seed.PROGRAM_ID}/tokens.json", data=good | wrong)
    assert code(answer) == expected


async def test_the_emails_of_a_program_show_the_tokens_that_they_use(account: Account) -> None:
    folder = f'{{"id":{seed.PROGRAM_ID},"type":"Program"}}'
    [email] = (await account.marketo("GET", "/asset/v1/emails.json", params={"folder": folder}))["result"]
    assert email["subject"]["value"] == "Reminder: {{my.WebinarTitle}}"
    answer = await account.marketo("GET", f"/asset/v1/email/{email['id']}/fullContent.json")
    assert 'src="{{my.WebinarImage}}"' in answer["result"][0]["content"]
    assert 'href="{{my.JoinLink}}"' in answer["result"][0]["content"]
    assert "Hi {{lead.First Name:default=Customer}}" in answer["result"][0]["content"]
    assert len((await account.marketo("GET", "/asset/v1/emails.json"))["result"]) == 2


@pytest.mark.parametrize("folder", ["1001", "{}", '{"id":"x","type":"Program"}', '{"id":1,"type":"Zoo"}', "{"])
async def test_a_folder_that_is_no_json_object_is_refused(account: Account, folder: str) -> None:
    assert code(await account.marketo("GET", "/asset/v1/emails.json", params={"folder": folder})) == "1001"


async def activities(account: Account, since: str, **query: str) -> dict[str, Any]:
    asked = await account.marketo("GET", "/v1/activities/pagingtoken.json", params={"sinceDatetime": since})
    params = {"nextPageToken": asked["nextPageToken"], "activityTypeIds": "6,7,47", **query}
    return await account.marketo("GET", "/v1/activities.json", params=params)


async def test_the_activity_log_tells_what_ran_but_not_at_once(account: Account) -> None:
    """Who looks too early and then sends again sends twice."""
    since = account.clock().isoformat()
    lead, other = await account.lead("a@example.com"), await account.lead("b@example.com")
    await account.trigger([lead])
    assert (await activities(account, since))["result"] == []
    account.clock.move(timedelta(seconds=2))
    seen = (await activities(account, since, leadIds=str(lead)))["result"]
    assert [(one["activityTypeId"], one["campaignId"]) for one in seen] == [(47, 1234), (6, 1234), (7, 1234)]
    assert (await activities(account, since, leadIds=str(other)))["result"] == []
    assert (await activities(account, account.clock().isoformat()))["result"] == []


async def test_activities_are_paged(account: Account) -> None:
    since = account.clock().isoformat()
    leads = [outcome["id"] for outcome in (await account.sync(*({"email": f"{n}@e.io"} for n in range(9))))["result"]]
    await account.trigger(leads)
    account.clock.move(timedelta(minutes=1))
    first = await activities(account, since, batchSize="20")
    assert (len(first["result"]), first["moreResult"]) == (20, True)
    second = await activities(account, since, batchSize="20", nextPageToken=first["nextPageToken"])
    assert (len(second["result"]), second["moreResult"]) == (7, False)
    assert not {one["id"] for one in first["result"]} & {one["id"] for one in second["result"]}
    third = await activities(account, since, nextPageToken=second["nextPageToken"])
    assert third["result"] == []


async def test_types_are_found_by_name(account: Account) -> None:
    answer = await account.marketo("GET", "/v1/activities/types.json")
    names = {one["name"]: one["id"] for one in answer["result"]}
    assert names == {"Send Email": 6, "Email Delivered": 7, "Email Bounced": 8, "Request Campaign": 47}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/activities/pagingtoken.json", "1002"),
        ("/v1/activities/pagingtoken.json?sinceDatetime=yesterday", "1001"),
        ("/v1/activities.json?activityTypeIds=6", "1002"),
        ("/v1/activities.json?activityTypeIds=6&nextPageToken=x", "1003"),
        ("/v1/activities.json?nextPageToken=GIYDENRNGEYS2MRTKQYTEORQGA5DAMBLGAYDUMBQFQYA====", "1002"),
        ("/v1/leads/9/smartCampaignMembership.json", "1004"),
    ],
)
async def test_questions_that_cannot_be_are_refused(account: Account, path: str, expected: str) -> None:
    assert code(await account.marketo("GET", path)) == expected


async def test_at_most_thirty_people_are_asked_for(account: Account) -> None:
    since = account.clock().isoformat()
    assert code(await activities(account, since, leadIds=",".join(map(str, range(1, 32))))) == "1003"


async def test_membership_tells_when_first_and_last(account: Account) -> None:
    lead = await account.lead()
    for _ in range(2):
        await account.trigger([lead])
        account.clock.move(timedelta(minutes=20))
    answer = await account.marketo("GET", f"/v1/leads/{lead}/smartCampaignMembership.json")
    [record] = answer["result"]
    assert record["smartCampaignId"] == seed.CAMPAIGN_ID
    assert record["createdAt"] < record["updatedAt"]


async def test_usage_counts_by_user(account: Account) -> None:
    await account.lead()
    [day] = (await account.usage())["result"]
    assert day == {"date": "2026-11-23", "total": 2, "users": [{"userId": seed.API_USER, "count": 2}]}
