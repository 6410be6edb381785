"""What a set-up check asks of Marketo and reads from it: requests as Adobe has them, answers in each of their forms."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from app.dates import read_http_date
from app.domain import CampaignId
from app.marketo import assets, permissions, schema
from app.marketo.assets import Folder, FolderKind, MyToken, Place
from app.marketo.envelope import Reply
from app.marketo.failures import CallFailed
from app.marketo.requests import Outgoing
from tests.marketo.fake_marketo import envelope, refusal
from tests.marketo.shapes_of_marketo import assert_shape
from tests.marketo.test_marketo_answers import reply

CAMPAIGN = CampaignId(1234)
PROGRAM = Place(FolderKind.PROGRAM, 1001)
FOLDER = Place(FolderKind.FOLDER, 27)


@pytest.mark.parametrize(
    ("call", "path", "query"),
    [
        (assets.smart_campaign(CAMPAIGN), "/asset/v1/smartCampaign/1234.json", {}),
        (assets.smart_list(CAMPAIGN), "/asset/v1/smartCampaign/1234/smartList.json", {"includeRules": "true"}),
        (assets.folder(PROGRAM), "/asset/v1/program/1001.json", {}),
        (assets.folder(FOLDER), "/asset/v1/folder/27.json", {"type": "Folder"}),
        (assets.tokens(PROGRAM), "/asset/v1/folder/1001/tokens.json", {"folderType": "Program"}),
        (
            assets.emails(PROGRAM),
            "/asset/v1/emails.json",
            {"folder": '{"id":1001,"type":"Program"}', "maxReturn": "200"},
        ),
        (assets.email_content(5001), "/asset/v1/email/5001/fullContent.json", {}),
        (schema.person_fields(), "/v1/leads/describe.json", {}),
        (schema.partitions(), "/v1/leads/partitions.json", {}),
    ],
)
def test_reading_is_a_get_with_its_question_in_the_query(call: Outgoing, path: str, query: dict[str, str]) -> None:
    parts = urlsplit(call.path)
    assert (call.method, call.body, parts.path, dict(parse_qsl(parts.query))) == ("GET", None, path, query)


def test_a_token_is_created_by_a_form() -> None:
    call = assets.create_token(PROGRAM, MyToken("JoinLink", "text", "https://example.com/?a=1&b=ü"))
    assert (call.method, call.path) == ("POST", "/asset/v1/folder/1001/tokens.json")
    assert call.content_type == "application/x-www-form-urlencoded"
    form = dict(parse_qsl((call.body or b"").decode()))
    assert_shape("create_token_request", form)
    assert form["value"] == "https://example.com/?a=1&b=ü"


@pytest.mark.parametrize(("name", "value"), [("", "x"), ("n" * 51, "x"), ("{{my.X}}", "x"), ("JoinLink", "")])
def test_a_token_that_marketo_would_refuse_is_not_sent(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="token"):
        assets.create_token(PROGRAM, MyToken(name, "text", value))


def test_asking_for_nobody_names_nobody() -> None:
    """What finds out a permission must never be able to send anything."""
    assert permissions.request_for_nobody(CAMPAIGN).body == b'{"input":{"leads":[]}}'
    assert permissions.save_nobody().body == b'{"input":[]}'


@pytest.mark.parametrize(
    ("document", "may"),
    [
        (envelope(), True),
        (refusal("1002"), True),
        (refusal("1003"), True),
        (refusal("1013"), True),
        (refusal("609"), True),
        (refusal("701"), True),
        (refusal("603"), False),
    ],
)
def test_whoever_is_refused_for_the_data_was_let_in(document: object, may: bool) -> None:
    assert permissions.read_permission(reply(document)) is may


@pytest.mark.parametrize("code", ["606", "607", "608", "610", "615", "601"])
def test_a_busy_marketo_tells_nothing_about_permissions(code: str) -> None:
    with pytest.raises(CallFailed):
        permissions.read_permission(reply(refusal(code)))


NONE: dict[str, Callable[[Reply], object]] = {
    "campaign": assets.read_smart_campaign,
    "list": assets.read_smart_list,
    "folder": lambda answer: assets.read_folder(answer, FOLDER),
    "content": assets.read_email_content,
}


@pytest.mark.parametrize("read", NONE.values(), ids=NONE)
def test_an_asset_that_does_not_exist_is_none(read: Callable[[Reply], object]) -> None:
    assert read(reply(envelope(warnings=["No assets found for the given search criteria."]))) is None


def test_a_folder_without_tokens_has_none() -> None:
    assert assets.read_tokens(reply(refusal("702"))) == ()
    assert assets.read_tokens(reply(envelope())) == ()
    with pytest.raises(CallFailed):
        assets.read_tokens(reply(refusal("603")))


def campaign(**more: object) -> dict[str, object]:
    return {"id": 1234, "name": "Reminder", "type": "trigger", "isActive": True, "isRequestable": True} | more


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"qualificationRuleType": "any", "qualificationRuleInterval": 0, "qualificationRuleUnit": "day"}, None),
        (
            {"qualificationRuleType": "interval", "qualificationRuleInterval": 1, "qualificationRuleUnit": "day"},
            "1 day",
        ),
        (
            {"qualificationRuleType": "interval", "qualificationRuleInterval": 2, "qualificationRuleUnit": "week"},
            "2 weeks",
        ),
        ({"qualificationRuleType": "interval"}, None),
    ],
)
def test_an_interval_reads_as_words(rule: dict[str, object], expected: str | None) -> None:
    found = assets.read_smart_campaign(reply(envelope([campaign(**rule)])))
    assert found is not None
    assert found.interval == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"id": 27, "type": "Folder"}, FOLDER),
        ({"value": 27, "type": "folder"}, FOLDER),
        ({"id": 27, "type": "FOLDER", "folderName": "x"}, FOLDER),
        ({"id": 1001, "type": "Program"}, PROGRAM),
        (None, None),
        ("27", None),
        ({"id": True, "type": "Folder"}, None),
    ],
)
def test_a_parent_is_read_in_each_of_adobes_spellings(given: Any, expected: Place | None) -> None:
    found = assets.read_folder(reply(envelope([{"name": "Webinars", "parent": given}])), FOLDER)
    assert found == Folder(FOLDER, "Webinars", expected)


@pytest.mark.parametrize(
    ("status", "is_approved"), [("approved", True), ("Approved", True), ("draft", False), (False, False)]
)
def test_an_email_is_read_with_what_it_lacks(status: object, is_approved: bool) -> None:
    """Adobe's examples have null and false where texts are documented."""
    (found,) = assets.read_emails(reply(envelope([{"id": 1, "name": "R", "subject": None, "status": status}])))
    assert (found.subject, found.is_approved, found.is_operational) == ("", is_approved, False)


def test_fields_without_a_rest_name_are_left_out() -> None:
    """They can be neither written nor searched."""
    records = [
        {"id": 1, "displayName": "Old", "dataType": "string", "soap": {"name": "Old"}},
        {"id": 2, "displayName": "Email Address", "dataType": "email", "length": 255, "rest": {"name": "email"}},
    ]
    fields = schema.read_person_fields(reply(envelope(records)))
    assert [(name, field.length, field.is_read_only) for name, field in fields.items()] == [("email", 255, False)]


def test_content_that_is_no_text_is_told() -> None:
    with pytest.raises(CallFailed):
        assets.read_email_content(reply(envelope([{"id": 1, "content": None}])))


@pytest.mark.parametrize("header", [None, "", "soon", "Mon, 99 Nov 2026 12:00:00 GMT"])
def test_a_date_that_is_none_is_no_date(header: str | None) -> None:
    assert read_http_date(header) is None
