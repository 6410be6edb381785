"""What an Eventbrite order means."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import Cancelled, Cause, Finding, Ignored, Json, Person, Registered, Unusable, Webinar
from app.sources.eventbrite.links import digital_content_page, join_link_in
from app.sources.eventbrite.mapping import findings, is_unfinished
from app.sources.eventbrite.trimming import trimmed_order
from tests.sources.eventbrite_server import EVENT, ORDER, sample
from tests.sources.test_payload import documents

SUBJECT = f"order:{ORDER}"
ADA = Person(email="ada@example.com", first_name="Ada", last_name="Example")
INFO_REQUESTED = sample("api/attendee__info_requested_inferred")


def order(*attendees: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the composed order, with these attendees in place of its own (each laid over the sample's one)."""
    document = copy.deepcopy(sample("api/order__composed"))
    if attendees:
        document["attendees"] = [{**document["attendees"][0], **one} for one in attendees]
    return {**document, **changes}


def holder(email: str, first_name: str = "Guest", last_name: str = "Person") -> dict[str, Any]:
    return {"profile": {"email": email, "first_name": first_name, "last_name": last_name}}


def mapped(document: Json, *, is_refund: bool = False, join_link: str | None = None) -> list[Finding]:
    whole = findings({"order": document, "join_link": join_link}, is_refund=is_refund)
    trimmed = findings({"order": trimmed_order(document), "join_link": join_link}, is_refund=is_refund)
    assert whole == trimmed, "trimming lost something that mapping needs"
    return whole


def people(found: list[Finding]) -> list[Person]:
    return [one.person for one in found if isinstance(one, Registered)]


def test_an_order_registers_its_buyer_for_its_event() -> None:
    """Title, link and image stay as they are, signed query strings and all."""
    event = sample("api/order__composed")["event"]
    webinar = Webinar(
        id=EVENT,
        title="Scaling webhooks: live webinar",
        join_link="https://zoom.us/j/123456789",
        image=event["logo"]["original"]["url"],
        starts_at=datetime(2019, 6, 8, 23, tzinfo=UTC),
    )
    found = mapped(order(), join_link="https://zoom.us/j/123456789")
    assert found == [Registered(ADA, webinar, subject=SUBJECT)]


def test_two_tickets_with_the_buyers_data_are_one_registration() -> None:
    assert people(mapped(order({"id": "1"}, {"id": "2"}))) == [ADA]


def test_case_does_not_make_two_people_of_one() -> None:
    assert len(people(mapped(order(holder("ADA@example.com"), holder("ada@Example.com"))))) == 1


def test_a_guest_with_an_address_gets_a_registration_of_their_own() -> None:
    found = people(mapped(order({}, holder("grace@example.com", "Grace", "Hopper"))))
    assert found == [ADA, Person("grace@example.com", first_name="Grace", last_name="Hopper")]


def test_the_name_of_a_guest_does_not_overwrite_the_buyers() -> None:
    """Marketo knows a person by the address: under Ada's there must be Ada."""
    assert people(mapped(order(holder("ada@example.com", "Grace", "Hopper")))) == [ADA]
    assert people(mapped(order(holder("Info Requested", "Grace", "Hopper")))) == [ADA]


def test_a_buyer_without_a_name_takes_the_attendees() -> None:
    nameless = order(first_name="", last_name=None)
    assert people(mapped(nameless)) == [ADA]


@pytest.mark.parametrize(
    "email", ["Info Requested", "INFO REQUESTED", "info requested ", "no-at-sign", "", None, 7, []]
)
def test_what_is_not_known_yet_falls_back_to_the_buyer(email: object) -> None:
    assert people(mapped(order({"profile": {**INFO_REQUESTED["profile"], "email": email}}))) == [ADA]


def test_a_placeholder_name_is_not_a_name() -> None:
    found = people(mapped(order(holder("grace@example.com", "Info Requested", "info requested"))))
    assert found == [Person("grace@example.com")]


def test_without_any_address_the_event_is_unusable() -> None:
    found = mapped(order(INFO_REQUESTED, {"profile": None}, email="Info Requested"))
    assert [one.cause for one in found if isinstance(one, Unusable)] == [Cause.EMAIL_MISSING]


@pytest.mark.parametrize("attendees", [None, [], "x", {}])
def test_an_order_without_tickets_registers_its_buyer(attendees: object) -> None:
    assert people(mapped(order(attendees=attendees))) == [ADA]


@pytest.mark.parametrize("mark", ["cancelled", "refunded"])
def test_a_returned_ticket_cancels_its_holder(mark: str) -> None:
    found = mapped(order({}, {**holder("grace@example.com"), mark: True}))
    assert people(found) == [ADA]
    assert found[1] == Cancelled("grace@example.com", EVENT, SUBJECT)


def test_who_still_holds_a_ticket_still_takes_part() -> None:
    """One of two tickets of the same person is given back, whichever comes first."""
    both: list[dict[str, Any]] = [{}, {"refunded": True}]
    for tickets in (both, both[::-1]):
        assert people(mapped(order(*tickets), is_refund=True)) == [ADA]
        assert len(mapped(order(*tickets))) == 1


def test_a_refund_without_marks_cancels_everybody() -> None:
    """The marks may lag behind the webhook."""
    found = mapped(order({}, holder("Grace@example.com")), is_refund=True)
    assert found == [Cancelled("ada@example.com", EVENT, SUBJECT), Cancelled("grace@example.com", EVENT, SUBJECT)]


@pytest.mark.parametrize("status", ["refunded", "Cancelled", "deleted", "abandoned"])
def test_an_order_that_is_no_more_cancels_everybody(status: str) -> None:
    assert mapped(order(status=status)) == [Cancelled("ada@example.com", EVENT, SUBJECT)]


@pytest.mark.parametrize("status", ["started", "pending", "processing"])
def test_an_order_that_is_not_placed_registers_nobody(status: str) -> None:
    (found,) = mapped(order(status=status))
    assert isinstance(found, Ignored)
    assert status in found.detail


@pytest.mark.parametrize("status", ["placed", "unpaid", "something new", None, 7])
def test_an_unknown_status_counts_as_placed(status: object) -> None:
    """Vendors add words."""
    assert people(mapped(order(status=status))) == [ADA]


@pytest.mark.parametrize(
    ("logo", "image"),
    [
        ({"url": "https://crop", "original": {"url": "https://full"}}, "https://full"),
        ({"url": "https://crop", "original": None}, "https://crop"),
        ({"url": "https://crop"}, "https://crop"),
        (None, None),
        ("x", None),
    ],
)
def test_the_full_picture_is_preferred(logo: object, image: str | None) -> None:
    event = {**sample("api/order__composed")["event"], "logo": logo}
    (found,) = mapped(order(event=event))
    assert isinstance(found, Registered)
    assert found.webinar.image == image


def test_the_public_page_is_the_last_resort_for_a_link() -> None:
    (found,) = mapped(order())
    assert isinstance(found, Registered)
    assert found.webinar.join_link == sample("api/order__composed")["event"]["url"]


def test_an_order_that_names_only_its_event_still_registers() -> None:
    """The configuration or the defaults may know the rest."""
    (found,) = mapped(order(event=None))
    assert isinstance(found, Registered)
    assert found.webinar == Webinar(EVENT)


def test_an_order_without_an_event_is_unusable() -> None:
    (found,) = mapped(order(event=None, event_id=None))
    assert isinstance(found, Unusable)
    assert found.cause == Cause.WEBINAR_MISSING


@pytest.mark.parametrize("fetched", [None, [], "x", {}, {"order": None}, {"order": {"id": []}}])
def test_without_an_order_the_event_is_unusable(fetched: Json) -> None:
    (found,) = findings(fetched, is_refund=False)
    assert isinstance(found, Unusable)


ORDERISH = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just(ORDER) | documents,
        "event_id": st.just(EVENT) | documents,
        "status": st.sampled_from(["placed", "pending", "refunded"]) | documents,
        "email": st.sampled_from(["ada@example.com", "Info Requested"]) | documents,
        "event": documents | st.fixed_dictionaries({"id": documents, "name": documents, "start": documents}),
        "attendees": documents
        | st.lists(st.fixed_dictionaries({}, optional={"profile": documents, "cancelled": documents})),
    },
)


@given(documents | st.fixed_dictionaries({"order": ORDERISH | documents, "join_link": documents}), st.booleans())
def test_whatever_was_fetched_is_mapped_without_an_error(fetched: Json, is_refund: bool) -> None:
    assert findings(fetched, is_refund=is_refund)


@given(ORDERISH | documents)
def test_whatever_was_fetched_is_trimmed_without_an_error(document: Json) -> None:
    trimmed = trimmed_order(document)
    assert isinstance(is_unfinished(trimmed), bool)
    assert trimmed_order(trimmed) == trimmed


def test_trimming_leaves_no_telephone_number() -> None:
    assert "5550100" not in str(trimmed_order(order()))
    assert "Persona" not in str(trimmed_order(order()))


def modules(*ones: Any) -> Json:
    return {"modules": list(ones)}


WEBINAR_MODULE = {"type": "webinar", "data": {"webinar_url": {"text": "Zoom", "url": "https://zoom.us/j/1?a=1&b=2"}}}
TEXT_MODULE = {"type": "text", "data": {"body": {"text": '<p>At <a href="https://x.test/?a=1&amp;b=2">x</a>.</p>'}}}


@pytest.mark.parametrize(
    ("content", "link"),
    [
        (sample("api/structured_content__inferred"), "https://zoom.us/j/123456789"),
        (
            modules(TEXT_MODULE, {"type": "video", "data": "https://v.test"}, WEBINAR_MODULE),
            "https://zoom.us/j/1?a=1&b=2",
        ),
        (modules(TEXT_MODULE, {"type": "livestream", "data": {"a": [{"b": "https://l.test/1"}]}}), "https://l.test/1"),
        (modules(TEXT_MODULE), "https://x.test/?a=1&b=2"),
        (modules({"type": "text", "data": "Join (https://x.test/j/1)."}), "https://x.test/j/1"),
        (modules({"type": "image", "data": {"url": "https://img.test/banner.png"}}), None),
        (modules({"type": "webinar", "data": {"webinar_url": {"url": "javascript:alert(1)"}}}), None),
        (modules({"type": "webinar", "data": {"webinar_url": {"url": "https://a b"}}}, TEXT_MODULE), "https://a"),
        (modules(None, [], "https://x.test", 7), None),
        (modules(), None),
        ({"modules": "https://x.test"}, None),
        (None, None),
    ],
)
def test_the_best_link_is_found_in_digital_content(content: Json, link: str | None) -> None:
    """The webinar module's, else any that is one whole, else any in a text."""
    assert join_link_in(content) == link


def test_the_page_for_ticket_holders_is_found_in_either_place() -> None:
    assert digital_content_page(sample("api/event__has_digital_content_documented")) == (
        "https://www.eventbrite.com/x/64592778740"
    )
    assert digital_content_page({"digital_content_url": "https://x.test"}) == "https://x.test"
    assert digital_content_page({"has_digital_content": {"digital_content_url": None}}) is None


@given(documents | documents.map(lambda one: {"modules": [{"type": "webinar", "data": one}]}))
def test_any_content_has_a_link_or_none(content: Json) -> None:
    join_link_in(content)
    digital_content_page(content)
