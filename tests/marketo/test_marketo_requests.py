"""What is sent fits Marketo's shapes and limits, byte for byte, and never what Marketo is known to refuse."""

import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import CampaignId, LeadId
from app.marketo import requests
from app.marketo.codes import Consequence, Endpoint, Executed
from app.marketo.failures import CallFailed
from app.marketo.requests import MOST_BYTES, Outgoing, PersonRecord
from tests.marketo.shapes_of_marketo import assert_shape

CAMPAIGN = CampaignId(1234)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def sync(records: list[PersonRecord], *, lookup_field: str = "email", partition: str | None = None) -> Outgoing:
    return requests.sync_people(records, lookup_field=lookup_field, partition=partition)


def sent(call: Outgoing) -> Any:
    assert call.body is not None
    return json.loads(call.body)


def test_people_are_created_or_updated_by_their_address() -> None:
    """As Adobe's example has it; a name that is not known is not sent, it would empty the field."""
    call = sync([PersonRecord("ada@example.com", "Ada", "Lovelace"), PersonRecord("b@example.com")])
    assert (call.endpoint, call.method, call.path) == (Endpoint.SYNC, "POST", "/v1/leads.json")
    assert call.content_type == "application/json"
    assert sent(call) == {
        "action": "createOrUpdate",
        "lookupField": "email",
        "input": [
            {"email": "ada@example.com", "firstName": "Ada", "lastName": "Lovelace"},
            {"email": "b@example.com"},
        ],
    }
    assert_shape("sync_request", sent(call))


def test_a_partition_another_lookup_field_and_further_fields_are_passed_on() -> None:
    """A join link may travel in a field of the person; then the batch stays whole."""
    record = PersonRecord("x-1", fields={"email": "a@example.com", "webinarLink": "https://example.com/?a=1&b=ü"})
    call = sync([record], lookup_field="externalId", partition="EMEA")
    assert sent(call)["partitionName"] == "EMEA"
    assert sent(call)["input"] == [
        {"externalId": "x-1", "email": "a@example.com", "webinarLink": "https://example.com/?a=1&b=ü"}
    ]
    assert_shape("sync_request", sent(call))


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ([], "1 to 300"),
        ([PersonRecord(f"{n}@example.com") for n in range(301)], "1 to 300"),
        ([PersonRecord("a@example.com"), PersonRecord("A@Example.com")], "twice"),
        ([PersonRecord("")], "empty"),
        ([PersonRecord("a@example.com", fields={"email": "b@example.com"})], "email must not"),
        ([PersonRecord("a@example.com", fields={"firstName": "B"})], "firstName must not"),
    ],
)
def test_a_caller_that_breaks_the_rules_is_told(records: list[PersonRecord], sentence: str) -> None:
    """One key twice in a call makes duplicate people, and shifts the order of the outcomes."""
    with pytest.raises(ValueError, match=sentence):
        sync(records)


def test_300_people_fit_into_a_call() -> None:
    """The limit itself is allowed."""
    assert len(sent(sync([PersonRecord(f"{n}@example.com") for n in range(300)]))["input"]) == 300


def test_a_search_keeps_addresses_out_of_the_url() -> None:
    """URLs are logged by every proxy on the way, and by httpx itself."""
    call = requests.find_people(["a+b@example.com", "c@example.com"], lookup_field="email")
    assert (call.endpoint, call.method, call.path) == (Endpoint.FIND, "POST", "/v1/leads.json?_method=GET")
    assert call.content_type == "application/x-www-form-urlencoded"
    assert parse_qs((call.body or b"").decode(), strict_parsing=True) == {
        "filterType": ["email"],
        "filterValues": ["a+b@example.com,c@example.com"],
        "fields": ["id,email,updatedAt"],
    }


def test_a_search_by_another_field_asks_for_the_address_too_and_goes_on_where_it_ended() -> None:
    """One page a call; the token of the last page asks for the next."""
    call = requests.find_people(["x-1"], lookup_field="externalId", next_page_token="ABC==")
    form = parse_qs((call.body or b"").decode())
    assert (form["fields"], form["nextPageToken"]) == (["id,externalId,updatedAt,email"], ["ABC=="])


@pytest.mark.parametrize("values", [[], [str(n) for n in range(301)], ["a", "A"], [""]])
def test_a_search_has_the_same_limits(values: list[str]) -> None:
    """At most 300 values, none twice."""
    with pytest.raises(ValueError, match=r"300|twice|empty"):
        requests.find_people(values, lookup_field="email")


def test_a_value_with_a_comma_cannot_be_searched_for() -> None:
    """Marketo has no way to quote it: it would search for two other values. Halving finds the one."""
    with pytest.raises(CallFailed) as failed:
        requests.find_people(["a,b@example.com", "c@example.com"], lookup_field="email")
    assert (failed.value.consequence, failed.value.executed) == (Consequence.SPLIT, Executed.NO)


def test_a_campaign_is_requested_with_its_tokens() -> None:
    """Names get their braces here; values stay as they are."""
    tokens = {"WebinarTitle": "Über <b>AI</b> & „more“ 🎉", "JoinLink": "https://example.com/j?x=1&y=%20"}
    call = requests.trigger(CAMPAIGN, [LeadId(1002200), LeadId(7)], tokens)
    assert (call.endpoint, call.method, call.path) == (Endpoint.TRIGGER, "POST", "/v1/campaigns/1234/trigger.json")
    assert sent(call) == {
        "input": {
            "leads": [{"id": 1002200}, {"id": 7}],
            "tokens": [
                {"name": "{{my.WebinarTitle}}", "value": "Über <b>AI</b> & „more“ 🎉"},
                {"name": "{{my.JoinLink}}", "value": "https://example.com/j?x=1&y=%20"},
            ],
        }
    }
    assert_shape("trigger_request", sent(call))


def test_a_lead_that_is_named_twice_is_sent_once() -> None:
    """The campaign would run twice for it, which is a second e-mail."""
    call = requests.trigger(CAMPAIGN, [LeadId(7), LeadId(8), LeadId(7)], {})
    assert sent(call)["input"]["leads"] == [{"id": 7}, {"id": 8}]


def test_100_leads_and_100_tokens_fit_into_a_call_and_no_more() -> None:
    """Adobe's limits for Request Campaign."""
    leads = [LeadId(n) for n in range(1, 102)]
    tokens = {f"T{n}": "" for n in range(101)}
    hundred = requests.trigger(CAMPAIGN, leads[:100], dict(list(tokens.items())[:100]))
    assert_shape("trigger_request", sent(hundred))
    for too_many in ((leads, {}), ([], {}), (leads[:1], tokens)):
        with pytest.raises(ValueError, match="100"):
            requests.trigger(CAMPAIGN, *too_many)


@pytest.mark.parametrize("name", ["", "{{my.JoinLink}}", "a}b"])
def test_a_token_name_with_braces_is_the_datas_fault(name: str) -> None:
    """Names can come with a custom app's body: the record dies with that reason, the relay does not."""
    with pytest.raises(CallFailed) as failed:
        requests.trigger(CAMPAIGN, [LeadId(1)], {name: "x"})
    assert failed.value.consequence is Consequence.SPLIT


def test_the_reads_have_no_body() -> None:
    """And name the campaign in the path."""
    assert requests.usage() == Outgoing(Endpoint.USAGE, "GET", "/v1/stats/usage.json")
    assert requests.campaign(CAMPAIGN) == Outgoing(Endpoint.CAMPAIGN, "GET", "/v1/campaigns/1234.json")


def test_a_body_of_one_megabyte_is_sent_and_one_byte_more_is_split() -> None:
    """Marketo answers 413 only after the whole of it has been sent."""
    empty = requests.trigger(CAMPAIGN, [LeadId(1)], {"T": ""})
    room = MOST_BYTES - len(empty.body or b"")
    assert len(requests.trigger(CAMPAIGN, [LeadId(1)], {"T": "x" * room}).body or b"") == MOST_BYTES
    with pytest.raises(CallFailed) as failed:
        requests.trigger(CAMPAIGN, [LeadId(1)], {"T": "x" * (room + 1)})
    assert (failed.value.consequence, failed.value.code) == (Consequence.SPLIT, "413")
    assert failed.value.executed is Executed.NO


def test_what_is_no_unicode_text_is_never_sent() -> None:
    """Half a surrogate pair in one value would make Marketo refuse the whole call as no JSON, and pause everything."""
    half = "\ud83c"
    with pytest.raises(CallFailed) as one:
        requests.trigger(CAMPAIGN, [LeadId(1)], {"T": half})
    with pytest.raises(CallFailed) as two:
        requests.find_people([half], lookup_field="email")
    with pytest.raises(CallFailed) as three:
        sync([PersonRecord("a@example.com", half)])
    assert {f.value.consequence for f in (one, two, three)} == {Consequence.SPLIT}


@given(
    st.lists(st.integers(1, 2**31 - 1).map(LeadId), min_size=1, max_size=100, unique=True),
    st.dictionaries(TEXT.filter(lambda name: name and not set("{}") & set(name)), TEXT, max_size=5),
)
def test_any_tokens_arrive_byte_for_byte(leads: list[LeadId], tokens: dict[str, str]) -> None:
    """What Marketo decodes is what the source sent."""
    body = sent(requests.trigger(CAMPAIGN, leads, tokens))
    assert_shape("trigger_request", body)
    assert {t["name"][5:-2]: t["value"] for t in body["input"]["tokens"]} == tokens
    assert [lead["id"] for lead in body["input"]["leads"]] == leads
