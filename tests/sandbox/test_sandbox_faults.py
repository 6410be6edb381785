"""Faults on demand: what goes wrong, whether the request was carried out, and for how long."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from app.sandbox import SandboxConfig, seed
from app.sandbox.faults import KINDS, Fault
from app.sandbox.marketo import ENDPOINTS
from app.sandbox.server import RunningSandbox, sandbox_running
from tests.sandbox.account import CREDENTIALS, Account, code, opened

SANDBOX_PAGE = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")


async def test_a_code_is_answered_and_nothing_is_done(account: Account) -> None:
    lead = await account.lead()
    await account.fault(match="trigger", kind="code:606")
    assert code(await account.trigger([lead])) == "606"
    assert (await account.trigger([lead]))["success"], "once unless told otherwise"
    assert len(await account.seen("emails")) == 1
    assert (await account.seen("calls?kind=trigger"))[0]["fault"] == "code:606"


async def test_http_errors_are_json_or_html(account: Account) -> None:
    await account.fault(match="usage", kind="http:502")
    await account.fault(match="usage", kind="http:500 html")
    first = await account.http.get("/rest/v1/stats/usage.json", headers=account.bearer)
    second = await account.http.get("/rest/v1/stats/usage.json", headers=account.bearer)
    assert (first.status_code, second.status_code) == (502, 500)
    assert second.text.startswith("<html>")


async def test_a_request_can_be_carried_out_before_it_fails(account: Account) -> None:
    """A 502 after a trigger call is ambiguous: it may have run."""
    lead = await account.lead()
    await account.fault(match="trigger", kind="http:502", executes=True)
    path = f"/rest/v1/campaigns/{seed.CAMPAIGN_ID}/trigger.json"
    answer = await account.http.post(path, json={"input": {"leads": [{"id": lead}]}}, headers=account.bearer)
    assert answer.status_code == 502
    assert len(await account.seen("emails")) == 1


async def test_garbage_comes_after_the_work_was_done(account: Account) -> None:
    await account.fault(match="sync", kind="garbage")
    answer = await account.http.post(
        "/rest/v1/leads.json", json={"input": [{"email": "a@example.com"}]}, headers=account.bearer
    )
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"decode|JSON|Expecting"):
        answer.json()
    assert len(await account.seen("people")) == 1


async def test_who_follows_a_redirect_is_caught(account: Account) -> None:
    """An access token must not travel where an answer points to."""
    await account.fault(match="marketo", kind="redirect", times=2)
    stays = await account.http.get("/rest/v1/stats/usage.json", headers=account.bearer)
    assert stays.status_code == 302
    assert await account.violations() == []
    await account.http.get("/rest/v1/stats/usage.json", headers=account.bearer, follow_redirects=True)
    assert await account.violations() == ["followed_redirect"]


async def test_identity_fails_in_its_own_words(account: Account) -> None:
    await account.fault(match="identity", kind="http:503")
    await account.fault(match="identity", kind="code:601")
    answers = [await account.http.post("/identity/oauth/token", data=CREDENTIALS) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 401, 200]


async def test_faults_can_hit_one_record_a_share_or_a_time(account: Account) -> None:
    await account.fault(match="sync", kind="code:1003", contains="bad@example.com", times=None)
    assert (await account.sync({"email": "good@example.com"}))["success"]
    assert code(await account.sync({"email": "fine@example.com"}, {"email": "bad@example.com"})) == "1003"
    await account.http.delete("/sandbox/faults")
    await account.fault(match="usage", kind="code:611", seconds=15)
    assert [(await account.usage())["success"] for _ in range(3)] == [False] * 3
    account.clock.move(timedelta(seconds=15))
    assert (await account.usage())["success"]


async def test_a_rate_is_repeatable_by_its_seed() -> None:
    """A flaky test run can be had again."""
    runs = []
    for _ in range(2):
        async with opened() as account:
            await account.log_in()
            await account.fault(match="any", kind="code:611", rate=0.3, seed=7)
            runs.append([(await account.usage())["success"] for _ in range(60)])
    assert runs[0] == runs[1]
    assert 8 <= runs[0].count(False) <= 30


async def test_the_oldest_matching_fault_wins_and_all_can_be_cleared(account: Account) -> None:
    await account.fault(match="trigger", kind="code:611")
    await account.fault(match="any", kind="code:608", times=2)
    assert code(await account.usage()) == "608"
    assert [(fault["kind"], fault["hits"]) for fault in await account.seen("faults")] == [
        ("code:611", 0),
        ("code:608", 1),
    ]
    assert (await account.http.delete("/sandbox/faults")).json() == {"cleared": 2}
    assert (await account.usage())["success"]


@pytest.mark.parametrize(
    "order",
    [
        {"kind": "explode"},
        {"kind": "code:"},
        {"kind": "http:many"},
        {"kind": "slow"},
        {"kind": "lost", "match": "trigegr"},
        {"kind": "lost", "tiems": 3},
        {"kind": "lost", "times": 0},
        {"kind": "lost", "rate": 2},
    ],
)
async def test_a_misspelt_fault_is_told(account: Account, order: dict[str, object]) -> None:
    """A fault that never happens makes a test that proves nothing."""
    assert (await account.http.post("/sandbox/faults", json=order)).status_code == 422


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ({"kind": "606"}, ("code:606", "http:502", "slow:29", "redirect")),
        ({"kind": "lost", "match": "triger"}, ("'trigger'", "'sync'", "'pendo_visitor'")),
    ],
)
async def test_a_misspelt_fault_is_answered_with_what_can_be_written(
    account: Account, order: dict[str, object], told: tuple[str, ...]
) -> None:
    """Who tries `606` should not have to read the source to find `code:606`."""
    answer = (await account.http.post("/sandbox/faults", json=order)).text
    assert [word for word in told if word not in answer] == []


async def test_the_schema_describes_every_fault(account: Account) -> None:
    """It is the simulation's only documentation at hand: patterns, values and a sentence for each lever."""
    schemas = (await account.http.get("/sandbox/openapi.json")).json()["components"]["schemas"]
    levers = schemas["FaultOrder"]["properties"]
    assert [name for name, lever in levers.items() if not lever.get("description")] == []
    assert levers["kind"]["examples"] == list(KINDS)
    assert [kind for kind in KINDS if not re.search(levers["kind"]["pattern"], kind)] == []
    assert not re.search(levers["kind"]["pattern"], "606")
    assert {"any", "marketo", "eventbrite", *(endpoint.name for endpoint in ENDPOINTS)} <= set(levers["match"]["enum"])


async def test_every_fault_of_the_documentation_can_be_ordered(account: Account) -> None:
    """The table in docs/sandbox.md has one line to copy for each sort of fault."""
    orders = [json.loads(order) for order in re.findall(r"-d '(\{.*?\})' \$S/faults", SANDBOX_PAGE)]
    answers = [await account.http.post("/sandbox/faults", json=order) for order in orders]
    assert [answer.text for answer in answers if answer.status_code != 201] == []
    assert {order["kind"].partition(":")[0] for order in orders} == {kind.partition(":")[0] for kind in KINDS}


def test_only_some_kinds_carry_the_request_out() -> None:
    done = {kind for kind in ("lost", "timeout", "garbage", "half", "slow:1") if Fault("any", kind).runs_request}
    left = {kind for kind in ("cut", "hang", "code:606", "http:502", "redirect") if not Fault("any", kind).runs_request}
    assert (len(done), len(left)) == (5, 5)


async def test_without_a_socket_a_lost_answer_is_an_error(account: Account) -> None:
    await account.fault(match="usage", kind="lost")
    with pytest.raises(ConnectionResetError):
        await account.usage()


@pytest.fixture
async def running() -> AsyncIterator[RunningSandbox]:
    async with sandbox_running(SandboxConfig(latency=timedelta(0))) as sandbox:
        yield sandbox


async def real_account(running: RunningSandbox, http: httpx.AsyncClient) -> int:
    token = (await http.post("/identity/oauth/token", data=CREDENTIALS)).json()["access_token"]
    http.headers["Authorization"] = f"Bearer {token}"
    answer = await http.post("/rest/v1/leads.json", json={"input": [{"email": "ada@example.com"}]})
    return int(answer.json()["result"][0]["id"])


@pytest.mark.parametrize(
    ("kind", "mails"), [("lost", 1), ("timeout", 1), ("half", 1), ("slow:30", 1), ("cut", 0), ("hang", 0)]
)
async def test_over_a_socket_the_answer_never_comes(running: RunningSandbox, kind: str, mails: int) -> None:
    """`lost`, `timeout`, `half` and `slow` have run the campaign; `cut` and `hang` have not. The client can't tell."""
    async with httpx.AsyncClient(base_url=running.url, timeout=10) as http:
        lead = await real_account(running, http)
        await http.post("/sandbox/faults", json={"match": "trigger", "kind": kind})
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError, httpx.ReadTimeout)):
            await http.post(
                f"/rest/v1/campaigns/{seed.CAMPAIGN_ID}/trigger.json",
                json={"input": {"leads": [{"id": lead}]}},
                timeout=httpx.Timeout(10, read=0.3),
            )
        assert len((await http.get("/sandbox/emails")).json()) == mails


async def test_a_slow_answer_comes_in_the_end(running: RunningSandbox) -> None:
    async with httpx.AsyncClient(base_url=running.url) as http:
        lead = await real_account(running, http)
        await http.post("/sandbox/faults", json={"match": "trigger", "kind": "slow:0.05"})
        answer = await http.post(
            f"/rest/v1/campaigns/{seed.CAMPAIGN_ID}/trigger.json", json={"input": {"leads": [{"id": lead}]}}
        )
        assert answer.json()["success"]
        [call] = (await http.get("/sandbox/calls?kind=trigger")).json()
        assert call["ms"] >= 50


async def places_taken(http: httpx.AsyncClient, number: int) -> None:
    """Ask until so many calls are in flight; the test's own limit of time ends a wait in vain."""
    while True:
        if (await http.get("/sandbox/stats")).json()["inFlight"]["now"] == number:
            return


async def test_a_call_that_hangs_holds_its_place_in_flight(running: RunningSandbox) -> None:
    """Marketo works on it until it ends, whether or not somebody still listens."""
    async with httpx.AsyncClient(base_url=running.url, timeout=10) as http:
        await real_account(running, http)
        await http.post("/sandbox/faults", json={"match": "usage", "kind": "timeout"})
        hanging = asyncio.create_task(http.get("/rest/v1/stats/usage.json"))
        await places_taken(http, 1)
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)
        await places_taken(http, 0)
