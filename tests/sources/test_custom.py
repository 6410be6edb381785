"""Custom apps: a strict body whose mistakes are told by name, signed or with a key."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.domain import CampaignId, Cause, Dedupe, Json, LeadId, Person, Registered, Unusable, Webinar
from app.errors import Invalid, Malformed, NotAuthentic
from app.sources.base import Accepted
from app.sources.custom import CustomSource
from app.sources.custom.body import parse
from app.sources.signing import sign_standard_webhook
from tests.sources.deliveries import NOW, as_bytes, inbound, stored
from tests.sources.test_payload import REFUSED, documents

SECRET = "whsec_" + base64.b64encode(b"a signing secret of some length").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"another signing secret, as long").decode()
KEYS = ["an-older-key-of-some-length", "a-newer-key-of-some-length"]
SAMPLES = Path(__file__).parents[2] / "app" / "sources" / "custom" / "samples"
SOURCE = CustomSource(signing_secrets=[SECRET], api_keys=KEYS, allowed_campaigns=[CampaignId(1234)])


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())["body"]


def body(**changes: Any) -> dict[str, Any]:
    return {**sample("registration__whole"), **changes}


def webinar(**changes: Any) -> dict[str, Any]:
    return body(webinar={**body()["webinar"], **changes})


def receive(document: Any, **headers: str) -> Accepted:
    given = {"authorization": f"Bearer {KEYS[1]}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return SOURCE.receive(inbound(document, headers=given))


def problems_of(document: Any, **headers: str) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        receive(document, **headers)
    return {problem.field: problem.problem for problem in caught.value.problems}


def mapped(document: Any, by: CustomSource = SOURCE) -> Any:
    (found,) = by.map(stored(document, source="custom"), None)
    return found


def test_a_whole_body_is_passed_on_byte_for_byte() -> None:
    starts = datetime(2026, 12, 1, 16, tzinfo=UTC)
    named = Webinar(
        "w-42",
        "Scaling Customer Engagement in 2025",
        "https://zoom.us/j/123456789?pwd=a%2Fb",
        "https://cdn.example.com/w-42.png",
        starts,
    )
    assert mapped(body()) == Registered(
        person=Person("ada@example.com", LeadId(1002200), "Ada", "Lovelace"),
        webinar=named,
        subject="registration:r-1",
        campaign_id=CampaignId(1234),
        tokens={"Speaker": "Grace"},
    )


@pytest.mark.parametrize("name", ["registration__whole", "registration__smallest", "registration__by_lead_id"])
def test_the_samples_register(name: str) -> None:
    assert isinstance(receive(sample(name)), Accepted)
    assert isinstance(mapped(sample(name)), Registered)


def test_null_and_an_empty_name_count_as_absent() -> None:
    found = mapped({"email": "ada@example.com", "firstName": "", "lastName": None, "webinar": {"id": "w", "title": ""}})
    assert found == Registered(Person("ada@example.com"), Webinar("w"))


def test_a_title_alone_names_a_webinar() -> None:
    found = mapped({"leadId": 1, "webinar": {"title": "x" * 300, "joinLink": "https://a"}})
    assert found.webinar.id.startswith("sha256:")
    assert found.webinar.title == "x" * 300


def test_each_start_of_a_title_is_a_webinar_of_its_own() -> None:
    """The dates of a series have one title. With an id, another start is the same webinar, put off."""
    week = {"title": "Office hours", "startsAt": "2026-12-01T17:00:00+01:00"}
    dated = mapped({"leadId": 1, "webinar": week})
    assert (dated.webinar.id, dated.webinar.title) == ("Office hours, 2026-12-01 16:00 UTC", "Office hours")
    assert mapped({"leadId": 1, "webinar": week | {"id": "w-1"}}).webinar.id == "w-1"


def test_a_start_may_be_in_any_zone() -> None:
    found = mapped(webinar(startsAt="2026-12-01T17:00:00+01:00"))
    assert found.webinar.starts_at == datetime(2026, 12, 1, 17, tzinfo=timezone(timedelta(hours=1)))


WRONG: list[tuple[dict[str, Any], str, str]] = [
    (body(email="not-an-address"), "email", "plain ASCII"),
    (body(email="ädä@example.com"), "email", "plain ASCII"),
    (body(email="ada@exämple.com"), "email", "plain ASCII"),
    (body(email=" ada@example.com"), "email", "plain ASCII"),
    (body(email="ada@example.com\n"), "email", "plain ASCII"),
    (body(email="ada\0@example.com"), "email", "plain ASCII"),
    (body(email=""), "email", "plain ASCII"),
    (body(email=["ada@example.com"]), "email", "must be text"),
    (body(email=None, leadId=None), "body", "email or leadId is needed"),
    (body(firstName="A\0da"), "firstName", "control characters"),
    (body(lastName="Love\nlace"), "lastName", "control characters"),
    (body(firstName="x" * 256), "firstName", "255 characters"),
    (body(firstName=7), "firstName", "must be text"),
    (body(leadId=0), "leadId", "at least 1"),
    (body(leadId=-1), "leadId", "at least 1"),
    (body(leadId=2**31), "leadId", "at most 2147483647"),
    (body(leadId=10**30), "leadId", "at most 2147483647"),
    (body(leadId=True), "leadId", "whole number"),
    (body(leadId="1002200"), "leadId", "whole number"),
    (body(leadId=1.0), "leadId", "whole number"),
    (body(leadId=[1]), "leadId", "whole number"),
    (body(campaignId=4321), "campaignId", "not one of the campaigns"),
    (body(campaignId=True), "campaignId", "whole number"),
    (body(campaignId="1234"), "campaignId", "whole number"),
    (body(webinar=None), "webinar", "must be an object"),
    (body(webinar=[]), "webinar", "must be an object"),
    (body(webinar="w-42"), "webinar", "must be an object"),
    (body(webinar={}), "webinar", "id or title is needed"),
    (body(webinar={"title": " "}), "webinar", "id or title is needed"),
    ({"email": "ada@example.com"}, "webinar", "is needed"),
    (webinar(id=42), "webinar.id", "must be text"),
    (webinar(id=""), "webinar.id", "must not be empty"),
    (webinar(id=" "), "webinar.id", "visible characters"),
    (webinar(id="w\0"), "webinar.id", "visible characters"),
    (webinar(title="a\nb"), "webinar.title", "control characters"),
    (webinar(title="x" * 1001), "webinar.title", "1000 characters"),
    (webinar(joinLink="javascript:alert(1)"), "webinar.joinLink", "https://"),
    (webinar(joinLink="data:text/html,x"), "webinar.joinLink", "https://"),
    (webinar(joinLink="zoom.us/j/1"), "webinar.joinLink", "https://"),
    (webinar(joinLink="https://"), "webinar.joinLink", "https://"),
    (webinar(joinLink="https://a b"), "webinar.joinLink", "https://"),
    (webinar(joinLink="https://a\0"), "webinar.joinLink", "https://"),
    (webinar(joinLink=""), "webinar.joinLink", "https://"),
    (webinar(joinLink="https://a/" + "x" * 4096), "webinar.joinLink", "4096 characters"),
    (webinar(image="javascript:alert(1)"), "webinar.image", "https://"),
    (webinar(image={"url": "https://a"}), "webinar.image", "must be text"),
    (webinar(startsAt="2026-12-01T16:00:00"), "webinar.startsAt", "time zone"),
    (webinar(startsAt="soon"), "webinar.startsAt", "2026-12-01T16:00:00Z"),
    (webinar(startsAt=1796140800), "webinar.startsAt", "must be text"),
    (body(tokens=[]), "tokens", "object of names and texts"),
    (body(tokens={"Speaker": 7}), "tokens.Speaker", "must be text"),
    (body(tokens={"Speaker": None}), "tokens.Speaker", "must be text"),
    (body(tokens={"x" * 51: "v"}), "tokens." + "x" * 51, "1 to 50 characters"),
    (body(tokens={"": "v"}), "tokens.", "1 to 50 characters"),
    (body(tokens={"a}}": "v"}), "tokens.a}}", "no braces"),
    (body(tokens={"{{my.Speaker}}": "v"}), "tokens.{{my.Speaker}}", "no braces"),
    (body(tokens={"a\0": "v"}), "tokens.a", "no control characters"),
    (body(tokens={"my.Speaker": "v"}), "tokens.my.Speaker", "without my."),
    (body(tokens={"joinlink": "https://a"}), "tokens.joinlink", "carries the webinar"),
    (body(tokens={"WebinarTitle": "v"}), "tokens.WebinarTitle", "carries the webinar"),
    (body(tokens={"Speaker": "a\0"}), "tokens.Speaker", "NUL"),
    (body(tokens={f"t{n}": "v" for n in range(98)}), "tokens", "more than 97"),
    (body(registrationId=""), "registrationId", "must not be empty"),
    (body(registrationId="r\0"), "registrationId", "visible characters"),
    (body(registrationId="x" * 256), "registrationId", "255 characters"),
    (body(registrationId=1), "registrationId", "must be text"),
    (body(joinlink="https://a"), "joinlink", "is not known here"),
    (body(mail="x"), "mail", "did you mean email?"),
    (body(first_name="x"), "first_name", "did you mean firstName?"),
    (body(LeadID=1), "LeadID", "did you mean leadId?"),
    (webinar(joinlink="https://a"), "webinar.joinlink", "did you mean joinLink?"),
    (webinar(link="https://a"), "webinar.link", "did you mean joinLink?"),
    (webinar(starts_at="x"), "webinar.starts_at", "did you mean startsAt?"),
    (webinar(zebra=1), "webinar.zebra", "is not known here"),
    (sample("registration__misspelt"), "webinar.joinlink", "did you mean joinLink?"),
]


@pytest.mark.parametrize(("document", "field", "words"), WRONG, ids=lambda one: str(one)[:40])
def test_a_mistake_is_told_by_its_field(document: dict[str, Any], field: str, words: str) -> None:
    """And what was stored with a mistake (by another version) is unusable, never an error."""
    problems = problems_of(document)
    assert list(problems) == [field]
    assert words in problems[field]
    assert isinstance(mapped(document), Unusable)


def test_every_mistake_is_told_at_once() -> None:
    found = problems_of({"email": "x", "leadId": "1", "webinar": {"id": 1, "joinlink": "x"}, "zebra": 1})
    assert set(found) == {"email", "leadId", "webinar.id", "webinar.joinlink", "zebra"}


def test_the_value_at_fault_is_not_repeated() -> None:
    """Answers and logs hold no person's data."""
    found = problems_of(body(email="ada.at.example.com", firstName="Lovel\0ace", leadId="10022"))
    assert not any(text in str(found) for text in ("ada.at", "ace", "10022"))


def test_nor_in_the_error_beneath() -> None:
    """Should it ever get into a traceback."""
    with pytest.raises(ValidationError) as caught:
        parse({"email": "ada.at.example.com", "webinar": {"id": 7}})
    assert "ada.at" not in str(caught.value)


def test_ten_thousand_mistakes_get_a_short_answer() -> None:
    found = problems_of(body(**{f"key{n}\n" + "x" * 500: n for n in range(10_000)}))
    assert len(found) == 20
    assert all(len(field) <= 64 and field.isprintable() for field in found)
    assert len(problems_of(body(tokens={f"{{{n}": "v" for n in range(97)}))) == 20


@pytest.mark.parametrize("document", [[], "x", 1, None, True, [sample("registration__whole")]])
def test_a_body_that_is_no_object_is_refused(document: object) -> None:
    assert problems_of(document) == {"body": "must be a JSON object"}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_a_body_that_is_no_json_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        receive(raw)


def test_a_campaign_may_be_disallowed_later() -> None:
    """What waits or is replayed is judged by the settings of today."""
    found = mapped(body(), CustomSource(signing_secrets=[], api_keys=KEYS, allowed_campaigns=[]))
    assert isinstance(found, Unusable)
    assert found.cause == Cause.CAMPAIGN_NOT_ALLOWED


def test_the_reserved_tokens_are_those_of_the_settings() -> None:
    own = CustomSource(
        signing_secrets=[], api_keys=KEYS, allowed_campaigns=[CampaignId(1234)], reserved_tokens=["Titel"]
    )
    assert isinstance(mapped(body(tokens={"titel": "x"}), own), Unusable)
    assert isinstance(mapped(body(tokens={"JoinLink": "x"}), own), Registered)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_each_of_the_keys_opens_the_door(key: str, scheme: str) -> None:
    assert isinstance(receive(body(), authorization=f"{scheme} {key}"), Accepted)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        KEYS[0],
        f"Basic {KEYS[0]}",
        f"Bearer {KEYS[0]}x",
        f"Bearer {KEYS[0].upper()}",
        "Bearer é",
        "Bearer \udcff",
        "Bearer " + "x" * 100_000,
    ],
)
def test_any_other_header_does_not(header: str) -> None:
    """Before the body is looked at."""
    with pytest.raises(NotAuthentic):
        receive(b"not JSON", authorization=header)
    with pytest.raises(NotAuthentic):
        SOURCE.receive(inbound(body()))


def signed(document: Any, message_id: str = "msg_1", at: datetime = NOW) -> dict[str, str]:
    return sign_standard_webhook(SECRET, message_id, at, as_bytes(document))


def test_a_signed_body_is_known_again_by_its_message_id() -> None:
    accepted = SOURCE.receive(inbound(body(), headers=signed(body())))
    assert accepted.keep_headers == {"webhook-id": "msg_1"}
    assert accepted == SOURCE.receive(inbound(body(), headers=signed(body(), at=NOW + timedelta(seconds=9))))
    assert accepted != SOURCE.receive(inbound(body(), headers=signed(body(), "msg_2")))


def known_by(*, document: Any = None, api_key: str = KEYS[0], key: str = "k-1") -> Dedupe:
    sent = body() if document is None else document
    dedupe = receive(sent, authorization=f"Bearer {api_key}", idempotency_key=key).dedupe
    assert dedupe is not None
    return dedupe


@pytest.mark.parametrize("at", [NOW - timedelta(seconds=301), NOW + timedelta(seconds=301)])
def test_an_old_signature_is_refused(at: datetime) -> None:
    """By the time at which the request came in, so `receive` needs no clock."""
    with pytest.raises(NotAuthentic):
        SOURCE.receive(inbound(body(), headers=signed(body(), at=at)))


def test_a_wrong_signature_is_not_saved_by_a_right_key() -> None:
    """Who signs means it; else a stripped or broken signature would pass unnoticed."""
    headers = {**signed(body(email="eve@example.com")), "authorization": f"Bearer {KEYS[0]}"}
    with pytest.raises(NotAuthentic):
        SOURCE.receive(inbound(body(), headers=headers))


def test_without_signing_secrets_no_signature_is_authentic() -> None:
    only_keys = CustomSource(signing_secrets=[], api_keys=KEYS, allowed_campaigns=[])
    with pytest.raises(NotAuthentic):
        only_keys.receive(inbound(body(), headers=signed(body())))


def test_a_request_with_a_key_is_known_again_as_its_sender_says() -> None:
    assert known_by() == known_by()
    assert known_by().scope == "forever"
    assert known_by().key != known_by(key="k-2").key
    assert receive(body()).dedupe is None  # its registrationId may be another app's too


def test_a_repeat_may_be_spelt_in_another_way() -> None:
    """An app that writes its body anew may write its fields in another order."""
    anew = json.dumps(dict(reversed(body().items())), indent=1).encode()
    assert known_by(document=anew) == known_by()


def test_another_body_under_the_same_key_is_no_repeat() -> None:
    other = known_by(document=body(email="second@example.com"))
    assert other.key == known_by().key
    assert other.content != known_by().content


def test_two_apps_may_number_alike() -> None:
    """Neither knows of the other; by its key or secret each is told from the other."""
    assert known_by(api_key=KEYS[0]).key != known_by(api_key=KEYS[1]).key
    both = CustomSource(signing_secrets=[OTHER_SECRET, SECRET], api_keys=[], allowed_campaigns=[CampaignId(1234)])
    one, other = (
        both.receive(inbound(body(), headers=sign_standard_webhook(secret, "msg_1", NOW, as_bytes(body())))).dedupe
        for secret in (SECRET, OTHER_SECRET)
    )
    assert one is not None
    assert other is not None
    assert one.key != other.key


def test_a_key_is_not_taken_for_a_message_id() -> None:
    assert known_by(key="msg_1").key.startswith("key:")
    assert SECRET not in str(known_by())
    assert KEYS[0] not in str(known_by())


@pytest.mark.parametrize("key", ["", " ", "é", "a b", "x" * 256, "\0"])
def test_an_odd_idempotency_key_is_told(key: str) -> None:
    assert list(problems_of(body(), idempotency_key=key)) == ["Idempotency-Key"]


def test_nothing_secret_is_kept_of_the_headers() -> None:
    kept = SOURCE.receive(inbound(body(), headers={**signed(body()), "authorization": "Bearer x"})).keep_headers
    assert list(kept) == ["webhook-id"]
    assert receive(body()).keep_headers == {}


@pytest.mark.parametrize(
    ("secrets", "keys"), [([], []), ([""], []), (["whsec_###"], KEYS), ([], [""]), ([SECRET], [" "])]
)
def test_a_source_that_would_let_everybody_in_does_not_start(secrets: list[str], keys: list[str]) -> None:
    with pytest.raises(ValueError, match=r"must not be empty|base64|everybody could send"):
        CustomSource(signing_secrets=secrets, api_keys=keys, allowed_campaigns=[])


async def test_nothing_is_fetched() -> None:
    assert await SOURCE.resolve(stored(body(), source="custom")) is None


BODIES = st.fixed_dictionaries(
    {},
    optional={
        "email": documents | st.emails() | st.just("ada@example.com"),
        "firstName": documents,
        "leadId": documents | st.integers(),
        "campaignId": documents | st.just(1234),
        "tokens": documents | st.dictionaries(st.text(), st.text()),
        "registrationId": documents,
        "webinar": documents
        | st.fixed_dictionaries(
            {"id": documents | st.text()}, optional={"title": st.text(), "joinLink": documents, "startsAt": st.text()}
        ),
    },
)


@given(BODIES | documents)
def test_any_body_is_taken_or_told_and_what_is_taken_is_mapped(document: Json) -> None:
    try:
        receive(document)
    except Invalid:
        expected: type = Unusable
    else:
        expected = Registered
    assert isinstance(mapped(document), expected)
