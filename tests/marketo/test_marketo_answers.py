"""Marketo's answers, honest and hostile: a typed value or a CallFailed, never anything else."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import LARGEST_LEAD_ID
from app.marketo.answers import (
    DayUsage,
    FindAnswer,
    PersonOutcome,
    PersonStatus,
    Reason,
    read_campaign,
    read_find,
    read_sync,
    read_token,
    read_trigger,
    read_usage,
)
from app.marketo.codes import Consequence, Executed, Trouble
from app.marketo.envelope import Reply, read_retry_after, refuses_token
from app.marketo.failures import CallFailed
from tests.marketo.fake_marketo import NOW, envelope, refusal
from tests.marketo.shapes_of_marketo import assert_shape

READERS: dict[str, Callable[[Reply], object]] = {
    "sync": lambda reply: read_sync(reply, expected=1),
    "find": lambda reply: read_find(reply, lookup_field="email"),
    "trigger": read_trigger,
    "usage": read_usage,
    "campaign": read_campaign,
    "token": read_token,
}
ALL = pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())


def reply(document: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(document).encode())


def failing(read: Callable[[Reply], object], answer: Reply) -> CallFailed:
    with pytest.raises(CallFailed) as failed:
        read(answer)
    return failed.value


def test_outcomes_come_in_the_order_of_the_records() -> None:
    """A record that was skipped says why, and what follows."""
    document = envelope(
        [
            {"id": 50, "status": "created"},
            {"id": 51, "status": "updated"},
            {"status": "skipped", "reasons": [{"code": "1007", "message": "Multiple lead match lookup criteria"}]},
        ],
        warnings=["Slow down"],
    )
    answer = read_sync(reply(document), expected=3)
    assert answer.request_id == "a1b2#19"
    assert answer.warnings == ("Slow down",)
    assert [(p.lead_id, p.status) for p in answer.people] == [
        (50, PersonStatus.CREATED),
        (51, PersonStatus.UPDATED),
        (None, PersonStatus.SKIPPED),
    ]
    (reason,) = answer.people[2].reasons
    assert reason == Reason("1007", "Multiple lead match lookup criteria")
    assert reason.consequence is Consequence.SEVERAL_PEOPLE
    assert "merge" in reason.advice
    assert_shape("sync_answer", envelope(document["result"]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("record", "outcome"),
    [
        ({"status": "skipped"}, PersonOutcome(None, PersonStatus.SKIPPED)),
        ({"status": "skipped", "id": 3}, PersonOutcome(3, PersonStatus.SKIPPED)),  # type: ignore[arg-type]
        (
            {"status": "skipped", "reason": {"code": "1003", "message": "ada@example.com is taken"}},
            PersonOutcome(None, PersonStatus.SKIPPED, (Reason("1003", "<address> is taken"),)),
        ),
        (
            {"status": "skipped", "reasons": [{"code": 1002}]},
            PersonOutcome(None, PersonStatus.SKIPPED, (Reason("1002", ""),)),
        ),
    ],
)
def test_a_skipped_record_is_read_in_each_documented_spelling(record: object, outcome: PersonOutcome) -> None:
    """Adobe's text says `reasons`, its Swagger file `reason`; numbers occur for codes."""
    assert read_sync(reply(envelope([record])), expected=1).people == (outcome,)


BAD_IDS = [None, "5", True, 0, -1, LARGEST_LEAD_ID + 1, 10**30, 1.5, [5], {"id": 5}]


@pytest.mark.parametrize("lead_id", BAD_IDS)
def test_an_id_that_is_none_is_no_outcome(lead_id: object) -> None:
    """A campaign request for a made-up id could mail a stranger."""
    failed = failing(READERS["sync"], reply(envelope([{"status": "created", "id": lead_id}])))
    assert (failed.code, failed.consequence, failed.executed) == (
        Trouble.UNREADABLE,
        Consequence.RETRY,
        Executed.MAYBE,
    )
    assert "id is no number" in failed.message
    assert failing(READERS["find"], reply(envelope([{"email": "a@b.co", "id": lead_id}]))).code == Trouble.UNREADABLE


@pytest.mark.parametrize(
    "result",
    [
        [],
        [{"id": 1, "status": "created"}] * 2,
        [{"id": 1, "status": "deleted"}],
        [{"id": 1, "status": None}],
        [{"id": 1, "status": ["created"]}],
        [{"id": 1}],
        [[]],
        ["created"],
        {"0": {"id": 1, "status": "created"}},
        "created",
        None,
        [{"status": "skipped", "reasons": {"code": "1003"}}],
        [{"status": "skipped", "reasons": ["1003"]}],
        [{"status": "skipped", "reasons": [{"code": True}]}],
        [{"status": "skipped", "reasons": [{"code": "10 03"}]}],
    ],
)
def test_outcomes_that_cannot_be_matched_to_the_records_are_none(result: object) -> None:
    """One entry too few and everybody after it would get another person's id."""
    failed = failing(READERS["sync"], reply({"success": True, "requestId": "x", "result": result}))
    assert (failed.code, failed.consequence) == (Trouble.UNREADABLE, Consequence.RETRY)


def test_people_that_a_search_finds_keep_marketos_order() -> None:
    """Several may share an address; the caller picks the one updated last, or by another rule."""
    document = envelope(
        [
            {"id": 1, "email": "Ada@Example.com", "updatedAt": "2026-08-10T06:53:11Z"},
            {"id": 2, "email": "ada@example.com", "updatedAt": "2026-08-10T06:53:11+02:00"},
        ],
        nextPageToken="GIYDAOBNGEYS2MBWKQYDAORQGA5DAMBOGAYDAKZQGAYDALBQ",
    )
    answer = read_find(reply(document), lookup_field="email")
    assert [(p.lead_id, p.key, p.updated_at) for p in answer.people] == [
        (1, "Ada@Example.com", datetime(2026, 8, 10, 6, 53, 11, tzinfo=UTC)),
        (2, "ada@example.com", datetime(2026, 8, 10, 4, 53, 11, tzinfo=UTC)),
    ]
    assert answer.next_page_token == "GIYDAOBNGEYS2MBWKQYDAORQGA5DAMBOGAYDAKZQGAYDALBQ"
    assert_shape("find_answer", document)


@pytest.mark.parametrize("moment", ["2026-08-10T06:53:11", "2026-08-10"])
def test_a_time_without_a_zone_is_utc(moment: str) -> None:
    """All of Marketo's REST times are."""
    (person,) = read_find(reply(envelope([{"id": 1, "email": "a", "updatedAt": moment}])), lookup_field="email").people
    assert person.updated_at is not None
    assert person.updated_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("moment", [None, 7, "yesterday", "0001-01-01T00:00:00+23:00", ["2026"]])
def test_a_time_that_is_none_is_left_out(moment: object) -> None:
    """It breaks ties only; a person is not lost for it."""
    (person,) = read_find(reply(envelope([{"id": 1, "email": "a", "updatedAt": moment}])), lookup_field="email").people
    assert person.updated_at is None


def test_a_lookup_field_of_numbers_gives_keys_too() -> None:
    """`id` and custom integer fields are searchable; we compare texts."""
    (person,) = read_find(reply(envelope([{"id": 17}])), lookup_field="id").people
    assert person.key == "17"


@pytest.mark.parametrize("key", [None, True, 1.5, ["a"]])
def test_a_person_without_the_looked_up_field_is_told_by_the_fields_name(key: object) -> None:
    """Else nobody would know whom Marketo means."""
    failed = failing(READERS["find"], reply(envelope([{"id": 1, "email": key}])))
    assert "a person has no email" in failed.message


@pytest.mark.parametrize("more", [{}, {"nextPageToken": ""}, {"nextPageToken": None}])
def test_a_search_that_found_nobody_is_an_answer(more: dict[str, object]) -> None:
    """No error: in look-up mode it ends as an unknown person."""
    assert read_find(reply(envelope([], **more)), lookup_field="email") == FindAnswer("a1b2#19", (), (), None)
    assert read_find(reply(refusal("702", "No data found")), lookup_field="email").people == ()
    assert read_find(reply({"success": True}), lookup_field="email").people == ()


@pytest.mark.parametrize("document", [envelope([{"id": 1234}]), {"success": True}, {"success": True, "result": []}])
def test_success_is_all_that_a_campaign_request_needs(document: object) -> None:
    """The result only repeats the campaign's id."""
    read_trigger(reply(document))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"<html><body>ada@example.com",
        b"\xff\xfe{",
        b'{"success": true',
        b"{'success': true}",
        b"null",
        b"[]",
        b'"success"',
        b"{}",
        b'{"success": "true"}',
        b'{"success": 1}',
        b'{"success": null}',
        b'{"success": true, "result": {}}',
        b'{"success": true, "nextPageToken": 5}',
        b'{"success": false}',
        b'{"success": false, "errors": []}',
        b'{"success": false, "errors": {}}',
        b'{"success": false, "errors": ["601"]}',
        b'{"success": false, "errors": [{}]}',
        b'{"success": false, "errors": [{"code": true}]}',
        b'{"success": false, "errors": [{"code": -601}]}',
        b'{"success": false, "errors": [{"code": "abc"}]}',
        b'{"success": false, "errors": [{"code": 10000000000000000000000}]}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"success": ' + b"9" * 10_000 + b"}",
    ],
)
@ALL
def test_an_answer_that_is_none_of_marketos_is_a_failed_call(read: Callable[[Reply], object], body: bytes) -> None:
    """Pages of gateways, half answers, other people's JSON. After a trigger call it may have run."""
    failed = failing(read, Reply(200, body))
    assert failed.code == Trouble.UNREADABLE
    expected = Consequence.AMBIGUOUS if read is read_trigger else Consequence.RETRY
    assert failed.consequence is expected
    assert "ada" not in failed.message


def test_a_byte_order_mark_is_no_reason_to_fail() -> None:
    """Some gateways add one."""
    read_trigger(Reply(200, b"\xef\xbb\xbf" + json.dumps(envelope()).encode()))


@pytest.mark.parametrize("code", ["603", 603])
@pytest.mark.parametrize("name", sorted(READERS.keys() - {"token"}))
def test_an_error_in_the_body_counts_whatever_the_status(name: str, code: object) -> None:
    """HTTP is 200 even for errors; where it is not, the body still knows better. (Identity has no envelope.)"""
    read = READERS[name]
    for status in (200, 403, 500):
        failed = failing(read, reply(refusal(code, "Access denied for ada@example.com"), status))
        assert (failed.code, failed.consequence) == ("603", Consequence.CREDENTIALS)
        assert (failed.message, failed.request_id, failed.http_status) == (
            "Access denied for <address>",
            "a1b2#19",
            status,
        )


@pytest.mark.parametrize(
    "document",
    [None, {}, envelope([{"id": 1}]), refusal("?"), {"success": False}, {"success": False, "errors": [1]}],
)
@pytest.mark.parametrize(
    ("status", "consequence", "at_trigger"),
    [
        (301, Consequence.CONFIGURATION, Consequence.CONFIGURATION),
        (404, Consequence.CONFIGURATION, Consequence.CONFIGURATION),
        (413, Consequence.SPLIT, Consequence.SPLIT),
        (414, Consequence.SPLIT, Consequence.SPLIT),
        (429, Consequence.RATE, Consequence.RATE),
        (500, Consequence.RETRY, Consequence.AMBIGUOUS),
        (502, Consequence.RETRY, Consequence.AMBIGUOUS),
        (503, Consequence.RETRY, Consequence.AMBIGUOUS),
    ],
)
def test_a_status_without_a_code_speaks_for_itself(
    document: object, status: int, consequence: Consequence, at_trigger: Consequence
) -> None:
    """A gateway's own errors carry no envelope, or one that says nothing; such a success is none."""
    body = b"<html>" if document is None else json.dumps(document).encode()
    answer = Reply(status, body, timedelta(seconds=9))
    for read, expected in ((READERS["sync"], consequence), (read_trigger, at_trigger)):
        failed = failing(read, answer)
        assert (failed.consequence, failed.code, failed.http_status) == (expected, str(status), status)
        assert failed.retry_after == timedelta(seconds=9)


def test_the_days_usage_is_a_number() -> None:
    """`total` counts all integrations together."""
    document = envelope([{"date": "2026-11-23", "total": 47_000, "users": [{"userId": "x@y.z", "count": 47_000}]}])
    assert_shape("usage_answer", document)
    assert read_usage(reply(document)) == DayUsage(47_000, date(2026, 11, 23))
    assert read_usage(reply(envelope([]))) == DayUsage(0)
    for odd in ("yesterday", 20261123, None):
        assert read_usage(reply(envelope([{"date": odd, "total": 1}]))) == DayUsage(1)


@pytest.mark.parametrize("total", [None, "5", True, -1, 10**12])
def test_a_usage_that_is_no_number_is_unreadable(total: object) -> None:
    assert failing(read_usage, reply(envelope([{"total": total}]))).code == Trouble.UNREADABLE


def test_a_campaign_is_read_with_what_a_set_up_check_needs() -> None:
    document = envelope(
        [
            {
                "id": 1234,
                "name": "Webinar reminder",
                "type": "trigger",
                "active": True,
                "programId": 1003,
                "programName": "Webinars",
                "workspaceName": "Default",
                "createdAt": "2026-01-01T00:00:00Z",
                "updatedAt": "2026-01-01T00:00:00Z",
            }
        ]
    )
    assert_shape("campaign_answer", document)
    info = read_campaign(reply(document))
    assert (info.id, info.name, info.type, info.active) == (1234, "Webinar reminder", "trigger", True)
    assert (info.program_id, info.program_name, info.workspace) == (1003, "Webinars", "Default")


def test_a_campaign_without_a_program_is_one_too() -> None:
    """Only what every campaign has is asked for."""
    info = read_campaign(reply(envelope([{"id": 1, "name": "a\nb", "type": "batch"}])))
    assert (info.active, info.program_id, info.program_name, info.workspace) == (False, None, None, None)
    assert info.name == "a\ufffdb"


def test_a_campaign_that_is_not_there_is_a_matter_of_that_campaign() -> None:
    """Marketo answers 'no data' or 1013; both mean: look at the setting."""
    for document in (envelope([]), refusal("702"), refusal("1013")):
        assert failing(read_campaign, reply(document)).consequence is Consequence.CAMPAIGN


@pytest.mark.parametrize(
    ("grant", "seconds"), [({"expires_in": 3599}, 3599), ({"expires_in": 0}, 0), ({"expires_in": 10**9}, 86_400)]
)
def test_a_token_lives_as_long_as_it_says_and_a_day_at_most(grant: dict[str, object], seconds: int) -> None:
    """Adobe's hour may change; a nonsensical figure must not keep a token for years."""
    token = read_token(reply({"access_token": "abc:sj", **grant}))
    assert (token.value, token.expires_in) == ("abc:sj", timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "grant",
    [
        {"expires_in": 5},
        {"access_token": "", "expires_in": 5},
        {"access_token": "a\r\nX-Evil: 1", "expires_in": 5},
        {"access_token": "t\u00f6ken", "expires_in": 5},
        {"access_token": "x" * 5000, "expires_in": 5},
        {"access_token": 5, "expires_in": 5},
        {"access_token": "t"},
        {"access_token": "t", "expires_in": "3599"},
        {"access_token": "t", "expires_in": -1},
        {"access_token": "t", "expires_in": 10**30},
        {"access_token": "t", "expires_in": 3.5},
        {"error": ["unauthorized"]},
        {"error": {}},
    ],
)
def test_a_token_that_is_none_is_never_sent(grant: dict[str, object]) -> None:
    """It would stand in a header."""
    failed = failing(read_token, reply(grant))
    assert (failed.code, failed.executed) == (Trouble.UNREADABLE, Executed.NO)


def test_a_refused_client_is_told_without_naming_it() -> None:
    """Marketo's description quotes the client id."""
    refused = {"error": "unauthorized", "error_description": "No client with requested id: 1e2f-client"}
    failed = failing(read_token, reply(refused, 401))
    assert failed.message == "the identity service answered HTTP 401, unauthorized"
    assert failed.consequence is Consequence.CREDENTIALS


@pytest.mark.parametrize(
    ("document", "refused"),
    [
        (refusal("601"), True),
        (refusal("602"), True),
        (refusal(602), True),
        (refusal("603"), False),
        (envelope(), False),
        ({**refusal("601"), "success": True}, False),
        ({"errors": [{"code": "601"}]}, True),
        ({}, False),
        ([], False),
        (None, False),
    ],
)
def test_only_601_and_602_are_about_the_token(document: object, refused: bool) -> None:
    """Anything else would renew for nothing."""
    assert refuses_token(reply(document)) is refused


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("20", 20),
        (" 20 ", 20),
        ("999999999", 86_400),
        ("9999999999", None),
        ("-5", None),
        ("soon", None),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30),
        ("Mon, 23 Nov 2026 12:00:30 -0000", 30),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0),
        ("Mon, 23 Nov 2037 11:00:00 GMT", 86_400),
        ("Mon, 99 Nov 2026 11:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_a_day_at_most(header: str | None, seconds: int | None) -> None:
    """A gateway may send anything."""
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert read_retry_after(header, now=NOW) == expected


@given(st.text())
def test_no_retry_after_makes_a_fault(header: str) -> None:
    wait = read_retry_after(header, now=NOW)
    assert wait is None or timedelta(0) <= wait <= timedelta(days=1)


@pytest.mark.parametrize(
    ("warnings", "read"),
    [
        (["a", "b"], ("a", "b")),
        ([{"code": 1, "message": "for ada@example.com"}], ("1: for <address>",)),
        ([{"code": [[]], "message": None}], ("",)),
        ([None], ("",)),
        ("a", ()),
        ({"a": 1}, ()),
        (["x"] * 500, ("x",) * 20),
    ],
)
def test_warnings_are_kept_in_each_form_and_decide_nothing(warnings: object, read: tuple[str, ...]) -> None:
    """Texts in Adobe's examples, objects in its Swagger file."""
    assert read_trigger(reply(envelope(warnings=warnings))).warnings == read


@pytest.mark.parametrize(
    ("request_id", "read"), [(None, None), (5, None), ("e" * 500, "e" * 99 + "…"), ("a\n", "a\ufffd")]
)
def test_a_request_id_is_fit_to_be_stored(request_id: object, read: str | None) -> None:
    """Marketo's support asks for it; a strange one is no fault."""
    assert read_trigger(reply(envelope(requestId=request_id))).request_id == read


def fault_of(read: Callable[[Reply], object], answer: Reply) -> CallFailed | None:
    try:
        read(answer)
    except CallFailed as failed:
        return failed
    return None


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
RECORD = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "status": st.sampled_from(["created", "updated", "skipped"]) | JSON,
        "email": st.text() | JSON,
        "updatedAt": st.datetimes().map(str) | JSON,
        "reasons": st.lists(st.fixed_dictionaries({"code": st.sampled_from(["1003", 1007]) | JSON})) | JSON,
        "reason": JSON,
        "total": JSON,
        "name": st.text() | JSON,
        "type": st.text() | JSON,
        "programId": JSON,
    },
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "success": st.booleans() | JSON,
        "requestId": st.text() | JSON,
        "result": st.lists(RECORD, max_size=2) | JSON,
        "errors": st.lists(st.fixed_dictionaries({"code": st.integers(0, 9999) | JSON, "message": JSON})) | JSON,
        "warnings": st.lists(JSON) | JSON,
        "nextPageToken": st.text() | JSON,
        "access_token": st.text() | JSON,
        "expires_in": JSON,
        "error": JSON,
    },
)
BODY = st.binary() | JSON.map(lambda v: json.dumps(v).encode()) | NEARLY.map(lambda v: json.dumps(v).encode())


@given(st.sampled_from(sorted(READERS)), st.integers(100, 599), BODY)
def test_no_answer_makes_anything_but_a_value_or_a_failed_call(name: str, status: int, body: bytes) -> None:
    """And what comes out of it can be logged and stored."""
    answer = Reply(status, body)
    refuses_token(answer)
    failed = fault_of(READERS[name], answer)
    if failed is not None:
        assert str(failed).isprintable()
        assert len(failed.message) <= 300
        assert failed.consequence is not Consequence.AMBIGUOUS or name == "trigger"
        assert failed.executed is Executed.NO or name != "token"
