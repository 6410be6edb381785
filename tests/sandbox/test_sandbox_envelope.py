"""What every Marketo answer looks like, and how requests that are none are refused."""

import re
from typing import Any

import pytest
from jsonschema import validate

from app.sandbox import seed
from tests.sandbox.account import Account, code, opened

# Written by hand after Adobe's published Swagger: the parts that a client leans on.
ENVELOPE: dict[str, Any] = {
    "type": "object",
    "required": ["requestId", "success", "result", "errors", "warnings"],
    "properties": {
        "requestId": {"type": "string", "pattern": "^[0-9a-f]{1,4}#[0-9a-f]{11}$"},
        "success": {"type": "boolean"},
        "result": {"type": "array", "items": {"type": "object"}},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "warnings": {"type": "array", "items": {"type": "string"}},
    },
}


def envelope_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return the envelope's schema with this schema for its records."""
    return {**ENVELOPE, "properties": {**ENVELOPE["properties"], "result": {"type": "array", "items": record}}}


LEAD_OUTCOME = {"type": "object", "properties": {"id": {"type": "integer"}, "status": {"type": "string"}}}
CAMPAIGN = {
    "type": "object",
    "required": ["id", "name", "type", "createdAt", "updatedAt"],
    "properties": {
        "id": {"type": "integer"},
        "type": {"enum": ["batch", "trigger"]},
        "active": {"type": "boolean"},
        "programId": {"type": "integer"},
        "createdAt": {"type": "string"},
    },
}


async def test_successes_and_failures_have_the_documented_shape(account: Account) -> None:
    lead = await account.lead()
    validate(await account.sync({"email": "ü@example.com"}), envelope_of(LEAD_OUTCOME))
    validate(await account.trigger([lead]), envelope_of(CAMPAIGN))
    validate(await account.marketo("GET", "/v1/campaigns.json"), envelope_of(CAMPAIGN))
    validate(await account.trigger([9]), ENVELOPE)


async def test_request_ids_are_marketos_and_unique(account: Account) -> None:
    ids = [(await account.usage())["requestId"] for _ in range(50)]
    assert len(set(ids)) == 50
    assert all(re.fullmatch(r"[0-9a-f]+#[0-9a-f]+", one) for one in ids)
    assert [call["requestId"] for call in await account.seen("calls?kind=usage")] == ids


async def test_sparse_answers_leave_empty_arrays_out() -> None:
    """The examples in Adobe's documentation do, against its own Swagger: a client must bear both."""
    async with opened(sparse=True) as account:
        await account.log_in()
        lead = await account.lead()
        assert (await account.trigger([lead])).keys() == {"requestId", "success", "result"}
        assert (await account.trigger([lead]))["result"] == [{"id": seed.CAMPAIGN_ID}]
        assert (await account.trigger([9])).keys() == {"requestId", "success", "errors"}


async def test_an_unknown_path_is_610_and_a_wrong_method_605(account: Account) -> None:
    assert code(await account.marketo("GET", "/v1/lead.json")) == "610"
    assert code(await account.marketo("GET", "/v2/leads.json")) == "610"
    assert code(await account.marketo("GET", f"/v1/campaigns/{seed.CAMPAIGN_ID}/trigger.json")) == "605"
    assert code(await account.marketo("PUT", "/v1/leads.json")) == "605"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_that_is_not_declared_as_json_is_612(account: Account, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    assert code(await account.marketo("POST", "/v1/leads.json", content=b'{"input":[]}', headers=headers)) == "612"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"1", b'"x"', b'{"input":NaN}', b"\xff", b"[" * 100_000, b'{"input":["a"]}'],
)
async def test_a_body_that_is_no_json_object_is_609(account: Account, body: bytes) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert code(await account.marketo("POST", "/v1/leads.json", content=body, headers=headers)) == "609"


async def test_a_body_over_1_mb_is_http_413(account: Account) -> None:
    answer = await account.http.post(
        "/rest/v1/leads.json", content=b" " * (1024 * 1024 + 1), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413
    assert await account.violations() == ["too_large"]


async def test_an_address_over_8_kb_is_http_414_and_a_form_is_the_way_out(account: Account) -> None:
    """Adobe: 'for longer queries use POST with _method=GET'."""
    values = ",".join(f"somebody.with.a.long.name.{n}@example.com" for n in range(250))
    query = {"filterType": "email", "filterValues": values}
    answer = await account.http.get("/rest/v1/leads.json", params=query, headers=account.bearer)
    assert answer.status_code == 414
    assert (await account.marketo("POST", "/v1/leads.json?_method=GET", data=query))["success"]
    assert code(await account.marketo("POST", "/v1/leads.json?_method=GET", json=query)) == "612"


async def test_long_answers_are_compressed_when_asked_for(account: Account) -> None:
    plain = await account.http.get("/rest/v1/campaigns.json", headers={**account.bearer, "Accept-Encoding": "identity"})
    packed = await account.http.get("/rest/v1/campaigns.json", headers={**account.bearer, "Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json()["result"] == plain.json()["result"]
