"""The simulated identity service and the checks on every access token."""

from datetime import timedelta

import pytest

from app.sandbox import Credential, SandboxConfig, seed
from tests.sandbox.account import CREDENTIALS, Account, code, opened


async def test_parameters_come_in_the_form_body_or_the_query(account: Account) -> None:
    """Adobe documents GET and POST with a query; a body keeps the secret out of logs and is taken as well."""
    answers = [
        await account.http.post("/identity/oauth/token", data=CREDENTIALS),
        await account.http.post("/identity/oauth/token", params=CREDENTIALS),
        await account.http.get("/identity/oauth/token", params=CREDENTIALS),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.json()["access_token"] for answer in answers}) == 1
    assert answers[0].json().keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert answers[0].json()["token_type"] == "bearer"


async def test_the_same_token_comes_again_with_the_seconds_that_remain(account: Account) -> None:
    """Who caches it for an hour from now on fails here."""
    first = (await account.http.post("/identity/oauth/token", data=CREDENTIALS)).json()
    account.clock.move(timedelta(seconds=3000))
    second = (await account.http.post("/identity/oauth/token", data=CREDENTIALS)).json()
    account.clock.move(timedelta(seconds=600))
    third = (await account.http.post("/identity/oauth/token", data=CREDENTIALS)).json()
    assert second["access_token"] == first["access_token"] != third["access_token"]
    assert [answer["expires_in"] for answer in (first, second, third)] == [3599, 599, 3599]


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"client_secret": "not it"}, 401),
        ({"client_id": "somebody"}, 401),
        ({"client_id": ""}, 401),
        ({"client_secret": "gehéim"}, 401),
        ({"grant_type": "password"}, 400),
    ],
)
async def test_wrong_parameters_get_no_token(account: Account, wrong: dict[str, str], status: int) -> None:
    answer = await account.http.post("/identity/oauth/token", data={**CREDENTIALS, **wrong})
    assert answer.status_code == status
    assert "access_token" not in answer.json()


async def test_a_json_body_holds_no_parameters(account: Account) -> None:
    assert (await account.http.post("/identity/oauth/token", json=CREDENTIALS)).status_code == 400


async def test_other_paths_and_methods_are_refused(account: Account) -> None:
    assert (await account.http.get("/identity/oauth/nothing")).status_code == 404
    assert (await account.http.delete("/identity/oauth/token")).status_code == 405


async def test_tokens_travel_in_the_header_only(account: Account) -> None:
    """The access_token query parameter was removed on 2026-08-31."""
    token = account.bearer["Authorization"].removeprefix("Bearer ")
    assert code(await account.marketo("GET", f"/v1/stats/usage.json?access_token={token}")) == "600"
    assert await account.violations() == ["token_in_query"]
    account.bearer = {}
    assert code(await account.usage()) == "600"
    account.bearer = {"Authorization": f"Basic {token}"}
    assert code(await account.usage()) == "600"


async def test_an_expired_token_is_602_and_an_unknown_one_601(account: Account) -> None:
    account.clock.move(timedelta(seconds=3601))
    assert code(await account.usage()) == "602"
    await account.log_in()
    assert (await account.usage())["success"]
    await account.http.post("/sandbox/marketo/tokens/expire")
    assert code(await account.usage()) == "602"
    await account.log_in()
    await account.http.post("/sandbox/marketo/tokens/revoke")
    assert code(await account.usage()) == "601"


async def test_revoked_credentials_get_no_token_until_they_are_restored(account: Account) -> None:
    """A revoked service stops everybody who holds its token, at once."""
    await account.http.post("/sandbox/marketo/credentials/revoke")
    assert code(await account.usage()) == "601"
    assert (await account.http.post("/identity/oauth/token", data=CREDENTIALS)).status_code == 401
    await account.http.post("/sandbox/marketo/credentials/restore")
    await account.log_in()
    assert (await account.usage())["success"]


async def test_each_operation_needs_its_own_permission(account: Account) -> None:
    lead = await account.lead()
    await account.http.put("/sandbox/marketo/permissions", json={"permissions": [seed.READ_LEAD]})
    filtered = await account.marketo("GET", "/v1/leads.json?filterType=email&filterValues=ada@example.com")
    assert [record["id"] for record in filtered["result"]] == [lead]
    refused = [
        await account.sync({"email": "b@example.com"}),
        await account.trigger([lead]),
        await account.marketo("GET", f"/v1/campaigns/{seed.CAMPAIGN_ID}.json"),
        await account.marketo("GET", f"/asset/v1/smartCampaign/{seed.CAMPAIGN_ID}.json"),
        await account.marketo("GET", "/v1/activities/types.json"),
    ]
    assert [code(answer) for answer in refused] == ["603"] * 5
    assert (await account.usage())["success"], "usage needs none"


async def test_unknown_permissions_are_told() -> None:
    async with opened() as account:
        answer = await account.http.put("/sandbox/marketo/permissions", json={"permissions": ["Everything"]})
        assert (answer.status_code, "Execute Campaign" in answer.text) == (422, True)


async def test_several_services_keep_several_tokens() -> None:
    """Tokens belong to a client id, not to the instance."""
    other = Credential(client_id="other", client_secret="another secret", user="other@sandbox.invalid")
    async with opened(SandboxConfig(latency=timedelta(0), credentials=(Credential(), other))) as account:
        first = await account.log_in()
        second = await account.http.post(
            "/identity/oauth/token", data={**CREDENTIALS, "client_id": "other", "client_secret": "another secret"}
        )
        assert second.json()["access_token"] != first
        assert second.json()["scope"] == "other@sandbox.invalid"


async def test_identity_calls_are_not_counted(account: Account) -> None:
    for _ in range(150):
        await account.log_in()
    assert (await account.usage())["result"][0]["total"] == 1
