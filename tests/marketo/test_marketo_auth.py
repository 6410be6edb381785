"""The token: one renewal at a time, a second refusal is told, and a cancelled renewal blocks nobody."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from app.domain import CampaignId, LeadId
from app.marketo.auth import MarketoAuth
from app.marketo.client import MarketoClient
from app.marketo.codes import Consequence, Executed
from app.marketo.failures import CallFailed
from tests.marketo.fake_marketo import ADDRESS, SECRET, FakeMarketo, watch

MANY = 8


async def request_campaign(client: MarketoClient) -> None:
    await client.trigger(CampaignId(1234), [LeadId(1)], {"JoinLink": "https://example.com"})


async def test_many_first_calls_share_one_identity_request() -> None:
    """Each new token revokes the one before, so a second request would make the others' first calls fail."""
    marketo = FakeMarketo()
    async with marketo.http() as http:
        client = marketo.client(http, marketo.auth())
        await asyncio.gather(*(request_campaign(client) for _ in range(MANY)))
    assert marketo.identity_calls == 1
    assert len(marketo.rest_calls) == MANY


@pytest.mark.parametrize("code", ["601", "602"])
async def test_calls_that_are_refused_together_share_one_renewal(code: str) -> None:
    """All of them are in flight with the old token; the fake revokes for everybody with each token that it issues."""
    marketo = FakeMarketo(refuse_with=code)
    async with marketo.http() as http:
        client = marketo.client(http, marketo.auth())
        await request_campaign(client)
        marketo.revoke()
        all_in_flight = asyncio.Barrier(MANY)
        marketo.before_rest = all_in_flight.wait
        first_wave = [asyncio.create_task(request_campaign(client)) for _ in range(MANY)]
        await asyncio.gather(*first_wave)
    assert marketo.identity_calls == 2
    assert len(marketo.rest_calls) == 1 + MANY + MANY


async def test_a_late_refusal_of_an_old_token_takes_the_new_one_without_asking_again() -> None:
    """A slow call may come back with 601 long after somebody else has renewed."""
    marketo = FakeMarketo()
    async with marketo.http() as http:
        client = marketo.client(http, marketo.auth())
        await request_campaign(client)
        marketo.revoke()
        go_on, arrived = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            marketo.before_rest = None
            arrived.set()
            await go_on.wait()

        marketo.before_rest = hold
        slow = asyncio.create_task(request_campaign(client))
        await arrived.wait()
        await request_campaign(client)
        go_on.set()
        await slow
    assert marketo.identity_calls == 2


async def test_a_second_refusal_goes_back_to_the_caller() -> None:
    """A token that was just issued and is refused means a broken custom service: no loop, a person must look."""
    marketo = FakeMarketo()
    marketo.accepts_tokens = False
    async with marketo.http() as http:
        with pytest.raises(CallFailed) as failed:
            await request_campaign(marketo.client(http, marketo.auth()))
    assert (failed.value.consequence, failed.value.code) == (Consequence.CREDENTIALS, "601")
    assert failed.value.executed is Executed.NO
    assert (marketo.identity_calls, len(marketo.rest_calls)) == (2, 2)


async def test_a_cancelled_renewal_lets_the_next_one_renew() -> None:
    """httpx closes the flow of a cancelled request, and with it the lock is given back."""
    marketo = FakeMarketo()
    arrived, never = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        marketo.before_identity = None
        arrived.set()
        await never.wait()

    marketo.before_identity = hold
    async with marketo.http() as http:
        client = marketo.client(http, marketo.auth())
        renewing = asyncio.create_task(request_campaign(client))
        await arrived.wait()
        waiting = [asyncio.create_task(request_campaign(client)) for _ in range(MANY)]
        renewing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await renewing
        await asyncio.gather(*waiting)
    assert marketo.identity_calls == 1
    assert len(marketo.rest_calls) == MANY


async def test_a_cancelled_waiter_leaves_the_renewal_to_the_others() -> None:
    """Who waits for the lock holds nothing yet."""
    marketo = FakeMarketo()
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        arrived.set()
        await go_on.wait()

    marketo.before_identity = hold
    async with marketo.http() as http:
        client = marketo.client(http, marketo.auth())
        renewing = asyncio.create_task(request_campaign(client))
        await arrived.wait()
        waiter = asyncio.create_task(request_campaign(client))
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        go_on.set()
        await renewing
        await request_campaign(client)
    assert marketo.identity_calls == 1


@pytest.mark.parametrize(("expires_in", "still_good"), [(3599, 3538), (600, 539), (60, 53), (10, 8)])
async def test_a_token_is_renewed_a_little_before_its_end(expires_in: int, still_good: int) -> None:
    """60 s before, but a tenth of what remains at most: Marketo gives the same token again until it expires."""
    marketo, clock = FakeMarketo(expires_in=expires_in), watch()
    async with marketo.http() as http:
        client = marketo.client(http, marketo.auth(clock=clock))
        await request_campaign(client)
        clock.move(timedelta(seconds=still_good))
        await request_campaign(client)
        assert marketo.identity_calls == 1
        clock.move(timedelta(seconds=1.1))
        await request_campaign(client)
    assert marketo.identity_calls == 2


async def test_a_token_that_ends_now_serves_the_call_that_asked_for_it() -> None:
    """`expires_in` 0 is an honest answer in the last second; the next call asks again."""
    marketo = FakeMarketo(expires_in=0)
    async with marketo.http() as http:
        client = marketo.client(http, marketo.auth())
        await request_campaign(client)
        await request_campaign(client)
    assert marketo.identity_calls == 2


async def test_the_same_token_given_again_keeps_its_age() -> None:
    """The age is for the metrics: since when this very token has been in use."""
    marketo, clock = FakeMarketo(), watch()
    marketo.token = "same"
    same = {"access_token": "same", "token_type": "bearer", "expires_in": 100, "scope": "x"}
    marketo.identity_answer = lambda: httpx.Response(200, json=same)
    auth = marketo.auth(clock=clock)
    assert auth.token_age is None
    async with marketo.http() as http:
        client = marketo.client(http, auth)
        await request_campaign(client)
        clock.move(timedelta(seconds=95))
        await request_campaign(client)
    assert auth.token_age == timedelta(seconds=95)
    assert auth.renewals == 2


async def test_a_wrong_secret_is_a_matter_of_credentials_and_is_not_repeated() -> None:
    marketo = FakeMarketo()
    async with marketo.http() as http:
        client = marketo.client(http, marketo.auth(secret="wrong"))
        with pytest.raises(CallFailed) as failed:
            await request_campaign(client)
    assert (failed.value.consequence, failed.value.code, failed.value.http_status) == (
        Consequence.CREDENTIALS,
        "401",
        401,
    )
    assert failed.value.alert
    assert failed.value.executed is Executed.NO
    assert (marketo.identity_calls, marketo.rest_calls) == (1, [])


@pytest.mark.parametrize(
    ("answer", "consequence"),
    [
        (httpx.Response(500, text="<html>oops"), Consequence.RETRY),
        (httpx.Response(502), Consequence.RETRY),
        (httpx.Response(200, text="<html>a portal"), Consequence.RETRY),
        (httpx.Response(200, json={"access_token": "t", "expires_in": True}), Consequence.RETRY),
        (httpx.Response(200, json={"access_token": "a b", "expires_in": 5}), Consequence.RETRY),
        (httpx.Response(429, headers={"Retry-After": "7"}), Consequence.RATE),
        (httpx.Response(404, text="no"), Consequence.CONFIGURATION),
        (httpx.Response(302, headers={"Location": "https://elsewhere.example"}), Consequence.CONFIGURATION),
        (httpx.Response(200, json={"error": "unauthorized"}), Consequence.CREDENTIALS),
        (httpx.Response(400, json={"error": "invalid_client"}), Consequence.CREDENTIALS),
        (httpx.Response(403), Consequence.CREDENTIALS),
    ],
)
async def test_when_no_token_can_be_had_the_call_was_not_sent(answer: httpx.Response, consequence: Consequence) -> None:
    """Even a trigger call is safe to repeat then: never AMBIGUOUS. And the next call asks anew."""
    marketo = FakeMarketo()
    marketo.identity_answer = lambda: answer
    async with marketo.http() as http:
        client = marketo.client(http, marketo.auth())
        with pytest.raises(CallFailed) as failed:
            await request_campaign(client)
        assert (failed.value.consequence, failed.value.executed) == (consequence, Executed.NO)
        assert marketo.rest_calls == []
        marketo.identity_answer = None
        await request_campaign(client)
    assert marketo.identity_calls == 2


async def test_a_delay_until_a_date_is_reckoned_by_the_servers_clock() -> None:
    marketo = FakeMarketo()
    until = {"Date": "Thu, 31 Dec 2037 10:00:00 GMT", "Retry-After": "Thu, 31 Dec 2037 10:00:17 GMT"}
    marketo.identity_answer = lambda: httpx.Response(429, headers=until)
    async with marketo.http() as http:
        with pytest.raises(CallFailed) as failed:
            await request_campaign(marketo.client(http, marketo.auth()))
    assert failed.value.retry_after == timedelta(seconds=17)


async def test_a_connection_that_breaks_while_the_token_is_fetched_leaves_the_call_unsent() -> None:
    """A read time-out at the trigger call would be ambiguous; at the identity call it is not."""
    marketo = FakeMarketo()

    def broken() -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    marketo.identity_answer = broken
    async with marketo.http() as http:
        client = marketo.client(http, marketo.auth())
        with pytest.raises(CallFailed) as failed:
            await request_campaign(client)
        assert (failed.value.consequence, failed.value.executed) == (Consequence.RETRY, Executed.NO)
        marketo.identity_answer = None
        await request_campaign(client)


async def test_the_identity_request_has_its_own_time_outs() -> None:
    """A request that is made by hand inherits none from the client, and would wait for ever."""
    flow = MarketoAuth(
        address=ADDRESS, client_id="id", client_secret=FakeMarketo().auth()._client_secret
    ).async_auth_flow(httpx.Request("GET", "https://123-abc-456.mktorest.com/rest/v1/stats/usage.json"))
    request = await anext(flow)
    assert set(request.extensions["timeout"]) == {"connect", "read", "write", "pool"}
    assert all(request.extensions["timeout"].values())
    assert SECRET not in str(request.url)
    await flow.aclose()


async def test_a_refusal_for_another_reason_costs_no_identity_request() -> None:
    """Only 601 and 602 are about the token; 603 (a permission is missing) must not cost an identity request."""
    marketo = FakeMarketo()
    marketo.answer = lambda _: httpx.Response(
        200, json={"success": False, "errors": [{"code": "603", "message": "Access denied"}]}
    )
    async with marketo.http() as http:
        with pytest.raises(CallFailed) as failed:
            await request_campaign(marketo.client(http, marketo.auth()))
    assert failed.value.code == "603"
    assert (marketo.identity_calls, len(marketo.rest_calls)) == (1, 1)


async def test_secrets_are_in_no_representation() -> None:
    """Whatever prints the objects, in a traceback or a debugger's log, prints no secret."""
    marketo = FakeMarketo()
    auth = marketo.auth()
    async with marketo.http() as http:
        await request_campaign(marketo.client(http, auth))
    shown = f"{auth!r} {vars(auth)!r}"
    assert SECRET not in shown
    assert "token-1" not in shown


def test_a_synchronous_client_is_refused() -> None:
    """It would send its requests without a token."""
    request = httpx.Request("GET", "https://123-abc-456.mktorest.com/rest/v1/stats/usage.json")
    with pytest.raises(RuntimeError, match="AsyncClient"):
        next(FakeMarketo().auth().sync_auth_flow(request))
