"""The client at its edge: what goes over the wire, and what each way to fail means for the three kinds of calls."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
import respx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from app.domain import CampaignId, LeadId
from app.marketo.address import MarketoAddress, base_urls
from app.marketo.auth import MarketoAuth
from app.marketo.client import MarketoClient
from app.marketo.codes import Consequence, Executed, Trouble
from app.marketo.failures import CallFailed
from app.marketo.requests import PersonRecord
from app.marketo.transport import open_http
from tests.marketo.fake_marketo import ADDRESS, FakeMarketo, envelope, refusal
from tests.marketo.shapes_of_marketo import assert_shape
from tests.marketo.test_marketo_transport import read_request, server

TOKEN = {"access_token": "t0ken", "token_type": "bearer", "expires_in": 3599, "scope": "x"}
CAMPAIGN = CampaignId(1234)

Call = Callable[[MarketoClient], Awaitable[object]]
CALLS: dict[str, Call] = {
    "sync": lambda client: client.sync_people([PersonRecord("ada@example.com", "Ada")]),
    "find": lambda client: client.find_people(["ada@example.com"]),
    "trigger": lambda client: client.trigger(CAMPAIGN, [LeadId(7)], {"JoinLink": "https://example.com/j"}),
    "usage": lambda client: client.usage(),
    "campaign": lambda client: client.campaign(CAMPAIGN),
}
EACH = pytest.mark.parametrize("name", CALLS)


def client_at(address: MarketoAddress, http: httpx.AsyncClient, **more: Any) -> MarketoClient:
    auth = MarketoAuth(address=address, client_id="id", client_secret=SecretStr("secret"))
    return MarketoClient(http=http, address=address, auth=auth, **more)


@pytest.fixture
def marketo() -> respx.MockRouter:
    router = respx.MockRouter(base_url=ADDRESS.origin, assert_all_called=False)
    router.post("/identity/oauth/token").respond(json=TOKEN)
    return router


@pytest.fixture
async def client(marketo: respx.MockRouter) -> AsyncIterator[MarketoClient]:
    with marketo:
        async with open_http(ADDRESS) as http:
            yield client_at(ADDRESS, http)


async def failing(client: MarketoClient, name: str) -> CallFailed:
    with pytest.raises(CallFailed) as failed:
        await CALLS[name](client)
    return failed.value


async def test_people_are_synced_in_one_call(marketo: respx.MockRouter, client: MarketoClient) -> None:
    answer = envelope([{"id": 5, "status": "created"}])
    assert_shape("sync_answer", answer)
    route = marketo.post("/rest/v1/leads.json").respond(json=answer)
    (person,) = (await client.sync_people([PersonRecord("ada@example.com", "Ada", "Lovelace")])).people
    assert person.lead_id == 5
    request = route.calls.last.request
    assert_shape("sync_request", json.loads(request.content))
    assert request.headers["Authorization"] == "Bearer t0ken"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Accept"] == "application/json"


async def test_lookup_field_and_partition_are_the_clients(marketo: respx.MockRouter) -> None:
    """They are settings of the instance, not of one call."""
    with marketo:
        route = marketo.post("/rest/v1/leads.json").respond(json=envelope([{"id": 5, "status": "updated"}]))
        async with open_http(ADDRESS) as http:
            client = client_at(ADDRESS, http, lookup_field="externalId", partition="EMEA")
            await client.sync_people([PersonRecord("x-1")])
        sent = json.loads(route.calls.last.request.content)
    assert (sent["lookupField"], sent["partitionName"]) == ("externalId", "EMEA")


async def test_people_are_found_page_by_page(marketo: respx.MockRouter, client: MarketoClient) -> None:
    """One page a call: the caller paces each of them."""
    first = envelope([{"id": 1, "email": "ada@example.com"}], nextPageToken="NEXT")
    last = envelope([{"id": 2, "email": "ada@example.com"}])
    route = marketo.post("/rest/v1/leads.json", params={"_method": "GET"})
    route.side_effect = [httpx.Response(200, json=first), httpx.Response(200, json=last)]
    page = await client.find_people(["ada@example.com"])
    assert page.next_page_token == "NEXT"
    assert (await client.find_people(["ada@example.com"], next_page_token="NEXT")).next_page_token is None
    assert b"nextPageToken=NEXT" in route.calls.last.request.content
    assert route.calls.last.request.headers["Content-Type"] == "application/x-www-form-urlencoded"


async def test_a_campaign_is_requested(marketo: respx.MockRouter, client: MarketoClient) -> None:
    answer = envelope([{"id": 1234}])
    assert_shape("trigger_answer", answer)
    route = marketo.post("/rest/v1/campaigns/1234/trigger.json").respond(json=answer)
    assert (await client.trigger(CAMPAIGN, [LeadId(7)], {"JoinLink": "ü"})).request_id == "a1b2#19"
    assert_shape("trigger_request", json.loads(route.calls.last.request.content))


async def test_usage_and_campaign_are_read(marketo: respx.MockRouter, client: MarketoClient) -> None:
    """For the start check and for what is left of the day."""
    marketo.get("/rest/v1/stats/usage.json").respond(json=envelope([{"date": "2026-11-23", "total": 12}]))
    campaign = {"id": 1234, "name": "Reminder", "type": "trigger", "active": True}
    marketo.get("/rest/v1/campaigns/1234.json").respond(json=envelope([campaign]))
    assert (await client.usage()).calls == 12
    assert (await client.campaign(CAMPAIGN)).active


async def test_a_call_that_breaks_a_limit_is_never_sent(marketo: respx.MockRouter, client: MarketoClient) -> None:
    """Neither is a token fetched for it."""
    with pytest.raises(ValueError, match="300"):
        await client.sync_people([])
    with pytest.raises(CallFailed) as failed:
        await client.trigger(CAMPAIGN, [LeadId(7)], {"T": "x" * 1_000_001})
    assert failed.value.consequence is Consequence.SPLIT
    assert not marketo.calls


@pytest.mark.parametrize(
    ("name", "read"), [("sync", 95), ("find", 65), ("trigger", 35), ("usage", 35), ("campaign", 35)]
)
async def test_each_call_waits_a_little_longer_than_marketo_works(
    marketo: respx.MockRouter, client: MarketoClient, name: str, read: float
) -> None:
    """Marketo gives up after 90, 60 and 30 s; who gives up first never learns what happened."""
    marketo.route().respond(json=refusal("611"))
    await failing(client, name)
    limits = marketo.calls.last.request.extensions["timeout"]
    assert limits == {"connect": 10.0, "read": read, "write": 10.0, "pool": 10.0}


NEVER_SENT = [
    httpx.ConnectError("refused"),
    httpx.ConnectTimeout("slow"),
    httpx.PoolTimeout("busy"),
    httpx.ProxyError("no"),
    httpx.UnsupportedProtocol("?"),
]
PERHAPS_DONE = {
    httpx.ReadTimeout("slow"): Trouble.TIMED_OUT,
    httpx.WriteTimeout("slow"): Trouble.TIMED_OUT,
    httpx.ReadError("reset"): Trouble.ANSWER_LOST,
    httpx.WriteError("reset"): Trouble.ANSWER_LOST,
    httpx.RemoteProtocolError("gone"): Trouble.ANSWER_LOST,
    httpx.DecodingError("no gzip"): Trouble.UNREADABLE,
}


@EACH
@pytest.mark.parametrize("error", NEVER_SENT, ids=repr)
async def test_what_was_never_sent_is_safe_to_repeat(
    marketo: respx.MockRouter, client: MarketoClient, name: str, error: Exception
) -> None:
    """Nothing left this machine: a trigger call too is simply retried."""
    marketo.route(path__startswith="/rest").mock(side_effect=error)
    failed = await failing(client, name)
    assert (failed.consequence, failed.executed, failed.code) == (
        Consequence.RETRY,
        Executed.NO,
        Trouble.UNREACHABLE,
    )
    assert type(error).__name__ in failed.message


@EACH
@pytest.mark.parametrize(("error", "code"), PERHAPS_DONE.items(), ids=repr)
async def test_a_lost_answer_is_ambiguous_at_a_trigger_call_and_harmless_elsewhere(
    marketo: respx.MockRouter, client: MarketoClient, name: str, error: Exception, code: Trouble
) -> None:
    """The campaign may have run; an upsert or a search may simply be repeated."""
    marketo.route(path__startswith="/rest").mock(side_effect=error)
    failed = await failing(client, name)
    expected = Consequence.AMBIGUOUS if name == "trigger" else Consequence.RETRY
    assert (failed.consequence, failed.executed, failed.code) == (expected, Executed.MAYBE, code)


async def test_the_servers_own_delay_is_passed_on(marketo: respx.MockRouter, client: MarketoClient) -> None:
    marketo.route(path__startswith="/rest").respond(429, headers={"Retry-After": "17"})
    failed = await failing(client, "sync")
    assert (failed.consequence, failed.retry_after) == (Consequence.RATE, timedelta(seconds=17))


async def test_a_delay_until_a_date_is_reckoned_by_the_servers_clock(
    marketo: respx.MockRouter, client: MarketoClient
) -> None:
    """Ours may be days behind, and would wait as long."""
    until = {"Date": "Thu, 31 Dec 2037 10:00:00 GMT", "Retry-After": "Thu, 31 Dec 2037 10:00:17 GMT"}
    marketo.route(path__startswith="/rest").respond(429, headers=until)
    assert (await failing(client, "sync")).retry_after == timedelta(seconds=17)


async def test_a_redirect_is_a_wrong_address_and_is_not_followed(
    marketo: respx.MockRouter, client: MarketoClient
) -> None:
    """The token would be sent to wherever it points."""
    elsewhere = marketo.route(host="elsewhere.example")
    marketo.route(path__startswith="/rest").respond(307, headers={"Location": "https://elsewhere.example/"})
    assert (await failing(client, "trigger")).consequence is Consequence.CONFIGURATION
    assert not elsewhere.called


async def test_nobodys_address_and_no_secret_is_logged(
    marketo: respx.MockRouter, client: MarketoClient, caplog: pytest.LogCaptureFixture
) -> None:
    """httpx writes each URL into its log."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="httpx")  # another test may have quietened it
    marketo.route(path__startswith="/rest").respond(json=refusal("1003", "ada@example.com is bad"))
    for name in CALLS:
        assert "ada" not in str(await failing(client, name))
    assert caplog.records
    for personal in ("ada@example.com", "ada%40example.com", "t0ken", "secret=", "example.com/j"):
        assert personal not in caplog.text


async def test_a_refused_connection_was_never_sent() -> None:
    """Over a real socket: nobody listens."""
    async with server(_silence) as url:
        pass
    address = base_urls(url)
    async with open_http(address) as http:
        failed = await failing(client_at(address, http), "trigger")
    assert (failed.code, failed.consequence) == (Trouble.UNREACHABLE, Consequence.RETRY)


async def _silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer nothing."""


async def test_a_connection_that_breaks_after_the_request_is_ambiguous() -> None:
    """Over a real socket: the token came, the campaign request was read whole, then the line went dead."""
    received: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        body = json.dumps(TOKEN).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        received.append(await read_request(reader))

    async with server(talk) as url, open_http(base_urls(url)) as http:
        failed = await failing(client_at(base_urls(url), http), "trigger")
    assert received[0].startswith(b"POST /rest/v1/campaigns/1234/trigger.json ")
    assert (failed.code, failed.consequence) == (Trouble.ANSWER_LOST, Consequence.AMBIGUOUS)


async def test_a_connection_that_breaks_while_the_token_is_fetched_is_not_ambiguous() -> None:
    """Over a real socket: the campaign request had not been sent."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)

    async with server(talk) as url, open_http(base_urls(url)) as http:
        failed = await failing(client_at(base_urls(url), http), "trigger")
    assert (failed.code, failed.consequence) == (Trouble.ANSWER_LOST, Consequence.RETRY)
    assert failed.executed is Executed.NO


async def test_a_cancelled_call_leaves_the_client_usable() -> None:
    """A shutdown or a lost lease may cancel anything at any moment."""
    marketo = FakeMarketo()
    arrived = asyncio.Event()

    async def hold() -> None:
        marketo.before_rest = None
        arrived.set()
        await asyncio.Event().wait()

    marketo.before_rest = hold
    async with marketo.http() as http:
        client = marketo.client(http, marketo.auth())
        call = asyncio.ensure_future(CALLS["trigger"](client))
        await arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await CALLS["trigger"](client)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(CALLS)),
    st.integers(200, 599),
    st.binary(max_size=60) | st.sampled_from([b'{"success":true}', b'{"success":false,"errors":[{"code":"601"}]}']),
    st.dictionaries(
        st.sampled_from(["Retry-After", "Location", "Content-Type", "Set-Cookie", "Content-Encoding"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20),
    ),
)
def test_no_answer_makes_anything_but_a_value_or_a_failed_call(
    name: str, status: int, body: bytes, headers: dict[str, str]
) -> None:
    """Any status, any bytes, odd headers: through httpx, the transport and the token's renewal."""
    marketo = respx.MockRouter(base_url=ADDRESS.origin, assert_all_called=False)
    marketo.post("/identity/oauth/token").respond(json=TOKEN)
    raw = [(key.encode(), value.encode("latin-1")) for key, value in headers.items()]
    marketo.route(path__startswith="/rest").mock(
        return_value=httpx.Response(status, headers=raw, stream=httpx.ByteStream(body))
    )

    async def call() -> str:
        with marketo:
            async with open_http(ADDRESS) as http:
                try:
                    await CALLS[name](client_at(ADDRESS, http))
                except CallFailed as failed:
                    return str(failed)
        return ""

    assert asyncio.run(call()).isprintable()
