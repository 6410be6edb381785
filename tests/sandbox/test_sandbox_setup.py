"""The simulation's set-up reads as Adobe documents it, and its levers make one mistake each."""

import json
from typing import Any

import pytest

from app.sandbox import seed
from tests.marketo.shapes_of_marketo import assert_shape
from tests.sandbox.account import Account, code

ASSET = "/asset/v1"
FOLDER = json.dumps({"id": seed.PROGRAM_ID, "type": "Program"})
READABLE = {
    "smart_campaign_answer": f"{ASSET}/smartCampaign/{seed.CAMPAIGN_ID}.json",
    "smart_list_answer": f"{ASSET}/smartCampaign/{seed.CAMPAIGN_ID}/smartList.json?includeRules=true",
    "program_answer": f"{ASSET}/program/{seed.PROGRAM_ID}.json",
    "folder_answer": f"{ASSET}/folder/{seed.FOLDER_ID}.json?type=Folder",
    "tokens_answer": f"{ASSET}/folder/{seed.PROGRAM_ID}/tokens.json?folderType=Program",
    "emails_answer": f"{ASSET}/emails.json?folder={FOLDER}",
    "email_content_answer": f"{ASSET}/email/{seed.EMAIL_ID}/fullContent.json",
    "describe_answer": "/v1/leads/describe.json",
    "partitions_answer": "/v1/leads/partitions.json",
}


async def first(account: Account, path: str) -> Any:
    return (await account.marketo("GET", path))["result"][0]


@pytest.mark.parametrize("shape", READABLE)
async def test_what_a_set_up_check_reads_has_the_documented_shape(account: Account, shape: str) -> None:
    """A relay that reads the simulation must also read the real thing."""
    assert_shape(shape, await account.marketo("GET", READABLE[shape]))


async def test_folders_lead_up_to_the_top(account: Account) -> None:
    number: int | None = seed.FOLDER_ID
    names = []
    while number:
        record = await first(account, f"{ASSET}/folder/{number}.json?type=Folder")
        names.append(record["name"])
        number = (record["parent"] or {}).get("id")
    assert names == ["Webinars", "Default", "Marketing Activities"]


@pytest.mark.parametrize("path", ["folder/9.json?type=Folder", "program/9.json", "smartCampaign/9/smartList.json"])
async def test_a_place_that_does_not_exist_is_a_success_without_a_result(account: Account, path: str) -> None:
    answer = await account.marketo("GET", f"{ASSET}/{path}")
    assert (answer["success"], answer["result"]) == (True, [])


async def test_a_folder_needs_its_type(account: Account) -> None:
    """Programs are counted separately."""
    assert code(await account.marketo("GET", f"{ASSET}/folder/{seed.FOLDER_ID}.json")) == "1002"
    assert code(await account.marketo("GET", f"{ASSET}/folder/{seed.FOLDER_ID}.json?type=Program")) == "1001"


async def test_a_smart_list_shows_its_rules_only_when_asked(account: Account) -> None:
    path = f"{ASSET}/smartCampaign/{seed.CAMPAIGN_ID}/smartList.json"
    assert "rules" not in await first(account, path)
    assert (await first(account, f"{path}?includeRules=true"))["rules"]["triggers"] == ["Campaign is Requested"]


async def test_every_answer_shows_the_simulated_clock(account: Account) -> None:
    """A machine whose clock is wrong is found out by it."""

    async def shown() -> str:
        answer = await account.http.get("/rest/v1/stats/usage.json", headers=account.bearer)
        return str(answer.headers["date"])

    assert await shown() == "Mon, 23 Nov 2026 12:00:00 GMT"
    await account.http.put("/sandbox/marketo/clock", json={"ahead": 600})
    assert await shown() == "Mon, 23 Nov 2026 12:10:00 GMT"


async def test_tokens_and_fields_can_be_put_and_taken_away(account: Account) -> None:
    program = f"/sandbox/marketo/programs/{seed.PROGRAM_ID}"
    await account.http.put(f"{program}/tokens/WebinarImage", json={"value": "<p>x</p>", "type": "rich text"})
    await account.http.delete(f"{program}/tokens/JoinLink")
    tokens = (await first(account, READABLE["tokens_answer"]))["tokens"]
    assert {token["name"]: token["type"] for token in tokens} == {"WebinarTitle": "text", "WebinarImage": "rich text"}
    await account.http.put("/sandbox/marketo/fields/joinUrl", json={"displayName": "Join URL", "length": 40})
    fields = (await account.marketo("GET", READABLE["describe_answer"]))["result"]
    assert {"name": "joinUrl", "readOnly": False} in [field.get("rest") for field in fields]
    assert (await account.http.delete("/sandbox/marketo/fields/joinUrl")).json() == {"deleted": True}


async def test_an_email_can_be_rewritten_withdrawn_and_deleted(account: Account) -> None:
    email = f"/sandbox/marketo/programs/{seed.PROGRAM_ID}/email"
    await account.http.patch(email, json={"html": "<p>Hi</p>", "subject": "S", "approved": False, "operational": False})
    record = await first(account, READABLE["emails_answer"])
    assert (record["subject"]["value"], record["status"], record["operational"]) == ("S", "draft", False)
    assert (await first(account, READABLE["email_content_answer"]))["content"] == "<p>Hi</p>"
    assert (await account.http.delete(email)).json() == {"deleted": True}
    assert (await account.marketo("GET", READABLE["emails_answer"]))["result"] == []
    assert (await account.marketo("GET", READABLE["email_content_answer"]))["result"] == []


async def test_a_program_that_does_not_exist_has_no_levers(account: Account) -> None:
    assert (await account.http.delete("/sandbox/marketo/programs/9/email")).status_code == 404


EVENTBRITE = "/eventbrite/v3"
EVENTBRITE_BEARER = {"Authorization": f"Bearer {seed.EVENTBRITE_API_TOKEN}"}


async def eventbrite(account: Account, path: str) -> Any:
    return (await account.http.get(f"{EVENTBRITE}{path}", headers=EVENTBRITE_BEARER)).json()


async def test_eventbrite_tells_whose_token_it_is_and_for_which_organizations(account: Account) -> None:
    assert (await eventbrite(account, "/users/me/"))["id"] == seed.EVENTBRITE_USER_ID
    found = (await eventbrite(account, "/users/me/organizations/"))["organizations"]
    assert [one["id"] for one in found] == [seed.EVENTBRITE_ORGANIZATION_ID]


async def test_webhooks_belong_to_an_organization(account: Account) -> None:
    hook = {"endpoint": "https://relay.example.com/x", "actions": ["order.placed"]}
    assert (await account.http.put("/sandbox/eventbrite/webhooks", json=[hook])).json() == {"webhooks": 1}
    path = f"/organizations/{seed.EVENTBRITE_ORGANIZATION_ID}/webhooks/"
    [found] = (await eventbrite(account, path))["webhooks"]
    assert (found["endpoint_url"], found["event_id"]) == ("https://relay.example.com/x", None)
    assert (await eventbrite(account, "/organizations/9/webhooks/"))["error"] == "NOT_FOUND"
