"""Eventbrite's webhooks at the door: what is let in, what is ignored, what is refused."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import Cause, Dedupe, Ignored
from app.errors import Invalid, Malformed, NotAuthentic
from app.sources.base import Accepted
from app.sources.eventbrite import EventbriteSource
from app.sources.webinars import Catalogue
from tests.sources.deliveries import NOW, eventbrite_body, inbound
from tests.sources.eventbrite_server import sample

SECRET = "s3cret-path-segment"
SOURCE = EventbriteSource(
    path_secrets=[SECRET, "the-older-one"],
    actions=["order.placed", "attendee.updated"],
    api=None,
    catalogue=Catalogue(),
    clock=lambda: NOW,
)


def receive(body: Any, *, secret: str | None = SECRET, headers: Mapping[str, str] | None = None) -> Accepted | Ignored:
    return SOURCE.receive(inbound(body, headers=headers, path_secret=secret))


@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET + "x", SECRET.upper(), "ключ", "\udcff", "x" * 100_000])
def test_only_the_secret_address_is_authentic(secret: str | None) -> None:
    """Eventbrite does not sign; this comes before the body is looked at."""
    with pytest.raises(NotAuthentic):
        receive(b"not JSON", secret=secret)


def test_the_older_secret_still_works_while_it_is_changed() -> None:
    assert isinstance(receive(eventbrite_body("order.placed", "/orders/1/"), secret="the-older-one"), Accepted)


def test_a_blank_secret_stops_the_start() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        EventbriteSource(path_secrets=[""], actions=[], api=None, catalogue=Catalogue(), clock=lambda: NOW)


def test_an_order_is_known_again_only_while_it_waits() -> None:
    """Its number is a subject, not an event's id: a later change must not be swallowed."""
    accepted = receive(sample("order_placed__captured"))
    assert isinstance(accepted, Accepted)
    assert (accepted.dedupe, accepted.settle) == (Dedupe("order:1034608029", "pending"), timedelta(seconds=2))


def test_an_attendee_is_known_by_both_numbers() -> None:
    accepted = receive(sample("attendee_updated__captured"))
    assert isinstance(accepted, Accepted)
    assert accepted.dedupe == Dedupe("attendee:71059816825:1346364453", "pending")


SPELLINGS = {
    "as it is": SECRET,
    "by the numbers of its characters": "".join(f"\\u{ord(one):04x}" for one in SECRET),
    "as an address may be": "".join(f"%{ord(one):02X}" for one in SECRET),
    "the older one": "the-older-one",
}


@pytest.mark.parametrize("spelt", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("name", ["order_placed__captured", "order_placed__newer", "attendee_updated__captured"])
def test_the_secret_address_is_not_stored(name: str, spelt: str) -> None:
    """Eventbrite repeats it in config.endpoint_url. What the webhook is about stays."""
    sent = sample(name)
    accepted = receive(json.dumps(sent).replace("SECRET", spelt).encode())
    assert isinstance(accepted, Accepted)
    assert accepted.body is not None
    stored = json.loads(accepted.body)
    assert stored["config"].pop("endpoint_url") in ("https://relay.example.com/webhooks/eventbrite/***", "***")
    del sent["config"]["endpoint_url"]
    assert stored == sent
    assert accepted.dedupe == receive_dedupe(name)


def receive_dedupe(name: str) -> Dedupe | None:
    accepted = receive(sample(name))
    assert isinstance(accepted, Accepted)
    return accepted.dedupe


def test_what_holds_no_secret_is_stored_as_it_came() -> None:
    body = (
        b'\xef\xbb\xbf{"config": {"action":\t"order.placed"}, "api_url": "https://www.eventbriteapi.com/v3/orders/1"}\n'
    )
    accepted = receive(body)
    assert isinstance(accepted, Accepted)
    assert accepted.body == body


def test_a_secret_that_only_repeated_names_hide_is_not_stored() -> None:
    """Of a repeated name the last one counts, yet the bytes hold the first one too."""
    body = json.dumps(sample("order_placed__captured")).replace('"endpoint_url"', f'"note": "{SECRET}", "note"', 1)
    accepted = receive(body.encode())
    assert isinstance(accepted, Accepted)
    assert SECRET.encode() not in (accepted.body or b"")


def test_a_refund_repeats_only_a_refund() -> None:
    """The order that is read may lag behind it: as a repeat of order.updated, it would be lost."""
    accepted = receive(eventbrite_body("order.refunded", "/orders/1034608029/"))
    assert isinstance(accepted, Accepted)
    assert accepted.dedupe == Dedupe("refund:order:1034608029", "pending")


def test_the_delivery_header_is_kept_and_never_a_key() -> None:
    """It equals the webhook's id on every delivery."""
    headers = {"x-eventbrite-event": "order.placed", "x-eventbrite-delivery": "9" * 300, "authorization": "secret"}
    accepted = receive(eventbrite_body("order.placed", "/orders/1/"), headers=headers)
    assert isinstance(accepted, Accepted)
    assert accepted.keep_headers == {"x-eventbrite-event": "order.placed", "x-eventbrite-delivery": "9" * 200}
    assert accepted.dedupe == Dedupe("order:1", "pending")


def test_the_action_of_the_body_counts_and_not_the_header() -> None:
    ignored = receive(eventbrite_body("event.updated", "/events/1/"), headers={"x-eventbrite-event": "order.placed"})
    assert isinstance(ignored, Ignored)
    assert ignored.cause == Cause.NOT_A_REGISTRATION
    assert "event.updated" in ignored.detail


def test_the_test_button_is_answered_and_nothing_is_stored() -> None:
    """Its api_url is a placeholder in braces."""
    ignored = receive(sample("test__button"))
    assert isinstance(ignored, Ignored)
    assert ignored.cause == Cause.TEST_PING


@pytest.mark.parametrize("path", ["/orders/1", "/orders/1/", "/events/1/attendees/2", "/events/1/attendees/2/"])
def test_the_trailing_slash_is_optional(path: str) -> None:
    assert isinstance(receive(eventbrite_body("order.placed", path)), Accepted)


ODD_ADDRESSES: list[Any] = [
    None,
    "",
    7,
    True,
    ["https://www.eventbriteapi.com/v3/orders/1/"],
    {"url": "https://www.eventbriteapi.com/v3/orders/1/"},
    "https://www.eventbriteapi.com/{api-endpoint-to-fetch-object-details}/",
    "http://www.eventbriteapi.com/v3/orders/1/",
    "HTTPS://www.eventbriteapi.com/v3/orders/1/",
    "ftp://www.eventbriteapi.com/v3/orders/1/",
    "file:///v3/orders/1/",
    "gopher://www.eventbriteapi.com/v3/orders/1/",
    "javascript:alert(1)",
    "//www.eventbriteapi.com/v3/orders/1/",
    "www.eventbriteapi.com/v3/orders/1/",
    "/v3/orders/1/",
    "https:/www.eventbriteapi.com/v3/orders/1/",
    "https:www.eventbriteapi.com/v3/orders/1/",
    "https:\\\\www.eventbriteapi.com\\v3\\orders\\1\\",
    "https://eventbriteapi.com/v3/orders/1/",
    "https://WWW.EVENTBRITEAPI.COM/v3/orders/1/",
    "https://www.eventbriteapi.com./v3/orders/1/",
    "https://www.eventbriteapi.com.evil.test/v3/orders/1/",
    "https://evil.test/www.eventbriteapi.com/v3/orders/1/",
    "https://wwwXeventbriteapi.com/v3/orders/1/",
    "https://www.eventbriteapi.co/v3/orders/1/",
    "https://www.eventbrite\u0430pi.com/v3/orders/1/",
    "https://xn--www.eventbriteapi.com/v3/orders/1/",
    "https://user@www.eventbriteapi.com/v3/orders/1/",
    "https://user:pass@www.eventbriteapi.com/v3/orders/1/",
    "https://www.eventbriteapi.com@evil.test/v3/orders/1/",
    "https://www.eventbriteapi.com%40evil.test/v3/orders/1/",
    "https://evil.test#@www.eventbriteapi.com/v3/orders/1/",
    "https://evil.test\\@www.eventbriteapi.com/v3/orders/1/",
    "https://evil.test?@www.eventbriteapi.com/v3/orders/1/",
    "https://www.eventbriteapi.com:443/v3/orders/1/",
    "https://www.eventbriteapi.com:/v3/orders/1/",
    "https://www.eventbriteapi.com:8080/v3/orders/1/",
    "https://127.0.0.1/v3/orders/1/",
    "https://[::1]/v3/orders/1/",
    "https://169.254.169.254/v3/orders/1/",
    "https://localhost/v3/orders/1/",
    "https://www.eventbriteapi.com/v3/orders/1/?token=x",
    "https://www.eventbriteapi.com/v3/orders/1/?",
    "https://www.eventbriteapi.com/v3/orders/1/#x",
    "https://www.eventbriteapi.com/v3/orders/1/;x",
    "https://www.eventbriteapi.com/v3/orders/1//",
    "https://www.eventbriteapi.com//v3/orders/1/",
    "https://www.eventbriteapi.com/v3/orders//1/",
    "https://www.eventbriteapi.com/v3/orders/",
    "https://www.eventbriteapi.com/v3/orders/x/",
    "https://www.eventbriteapi.com/v3/orders/-1/",
    "https://www.eventbriteapi.com/v3/orders/1.0/",
    "https://www.eventbriteapi.com/v3/orders/٣/",
    "https://www.eventbriteapi.com/v3/orders/\uff11/",
    "https://www.eventbriteapi.com/v3/orders/" + "1" * 21,
    "https://www.eventbriteapi.com/v3/orders/1/attendees/",
    "https://www.eventbriteapi.com/v3/orders/1/../../users/me/",
    "https://www.eventbriteapi.com/v3/orders/../users/me/",
    "https://www.eventbriteapi.com/v3/orders/%2e%2e/",
    "https://www.eventbriteapi.com/v3/orders/1%2F/",
    "https://www.eventbriteapi.com/v3/orders%2F1/",
    "https://www.eventbriteapi.com/v3%2Forders/1/",
    "https://www.eventbriteapi.com/v3/orders/%31/",
    "https://www.eventbriteapi.com/v2/orders/1/",
    "https://www.eventbriteapi.com/V3/Orders/1/",
    "https://www.eventbriteapi.com/v3/events/1/",
    "https://www.eventbriteapi.com/v3/events/1/attendees/",
    "https://www.eventbriteapi.com/v3/events/1/attendees/x/",
    "https://www.eventbriteapi.com/v3/users/me/",
    " https://www.eventbriteapi.com/v3/orders/1/",
    "https://www.eventbriteapi.com/v3/orders/1/ ",
    "https://www.eventbriteapi.com/v3/orders/1/\n",
    "https://www.eventbriteapi.com/v3/orders/1\n",
    "https://www.eventbriteapi.com/v3/orders/1/\r\nHost: evil.test",
    "https://www.event\tbriteapi.com/v3/orders/1/",
    "https://www.eventbriteapi.com/v3/orders/1\0/",
    "https://www.eventbriteapi.com/v3/orders/1/https://evil.test/",
]


@pytest.mark.parametrize("action", ["order.placed", "order.refunded", "attendee.updated"])
@pytest.mark.parametrize("address", ODD_ADDRESSES, ids=repr)
def test_an_odd_address_is_refused_by_name(address: object, action: str) -> None:
    """Nothing is stored, so nothing can be fetched for it."""
    with pytest.raises(Invalid) as caught:
        receive({"config": {"action": action}, "api_url": address})
    assert [problem.field for problem in caught.value.problems] == ["api_url"]


def test_a_missing_address_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match="api_url"):
        receive({"config": {"action": "order.placed"}})


@pytest.mark.parametrize("config", [None, [], "order.placed", 1, ["order.placed"]])
def test_a_config_that_is_no_object_is_refused_by_name(config: object) -> None:
    with pytest.raises(Invalid) as caught:
        receive({"config": config, "api_url": "https://www.eventbriteapi.com/v3/orders/1/"})
    assert [problem.field for problem in caught.value.problems] == ["config"]


@pytest.mark.parametrize("action", [None, "", 7, ["order.placed"], "x" * 61, "order placed\n", "é"])
def test_an_action_that_is_no_name_is_refused(action: object) -> None:
    """The action is repeated in answers and logs, so only its usual letters may be in it."""
    with pytest.raises(Invalid, match=r"config\.action"):
        receive({"config": {"action": action}})


@pytest.mark.parametrize("body", [[], "x", 1, None, True])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(Invalid, match="body"):
        receive(body)


def test_a_body_that_is_no_json_is_malformed() -> None:
    with pytest.raises(Malformed):
        receive(b"config=1")


@given(st.text(max_size=60), st.integers(0, 45))
def test_an_address_with_anything_in_it_is_refused(junk: str, at: int) -> None:
    """Unless what was put in are more digits of the number, or the slash at its end."""
    address = "https://www.eventbriteapi.com/v3/orders/12345"
    mixed = address[:at] + junk + address[at:]
    digits = mixed.removeprefix("https://www.eventbriteapi.com/v3/orders/").removesuffix("/")
    if mixed.startswith("https://www.eventbriteapi.com/v3/orders/") and digits.isascii() and digits.isdigit():
        return
    with pytest.raises(Invalid, match="api_url"):
        receive({"config": {"action": "order.placed"}, "api_url": mixed})
