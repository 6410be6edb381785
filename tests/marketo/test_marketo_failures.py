"""A failure can be logged and stored: nobody's address, link or control character is in it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import RelayError
from app.marketo.codes import Consequence, Endpoint, Executed
from app.marketo.failures import failure, presentable


def test_a_failure_says_what_follows() -> None:
    """The dispatcher needs no second look at the code."""
    failed = failure(Endpoint.TRIGGER, "502", "Bad Gateway", request_id="a#1", http_status=502)
    assert isinstance(failed, RelayError)
    assert str(failed) == "marketo 502: Bad Gateway"
    assert (failed.consequence, failed.executed) == (Consequence.AMBIGUOUS, Executed.MAYBE)
    assert (failed.code, failed.message, failed.request_id, failed.http_status) == ("502", "Bad Gateway", "a#1", 502)
    assert failed.counts_as_attempt
    assert not failed.alert
    assert failed.advice
    assert failed.retry_after is None


def test_the_servers_own_delay_wins_over_the_documented_one() -> None:
    """Retry-After comes first; without one, the table's wait."""
    own = timedelta(seconds=3)
    assert failure(Endpoint.SYNC, "614", "", retry_after=own).retry_after == own
    assert failure(Endpoint.SYNC, "614", "", retry_after=timedelta(0)).retry_after == timedelta(0)
    assert failure(Endpoint.SYNC, "614", "").retry_after == timedelta(minutes=10)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Lead not found", "Lead not found"),
        ("Invalid email 'ada@example.com'.", "Invalid email '<address>'."),
        ("Invalid email 'ada.o'brien@example.com'.", "Invalid email '<address>'."),
        ("email=ada%40example.com is bad", "email=<address> is bad"),
        ('"Ada" <ada.lovelace+x@example.com>, bob@b.example', '"Ada" <<address>>, <address>'),
        ("link https://zoom.example/j/1?tk=SECRET is bad", "link <link> is bad"),
        ("HTTP://u:p@h/x", "<link>"),
        ("a\x00b\nc\ud800", "a\ufffdb\ufffdc\ufffd"),
        ("x" * 400, "x" * 299 + "…"),
        ("word " * 395 + "half an addre" * 5 + "ss@example.com" * 9, ("word " * 60)[:299] + "…"),
    ],
)
def test_a_message_loses_what_is_personal_and_keeps_its_sense(text: str, shown: str) -> None:
    """Marketo quotes the values that it refuses."""
    assert presentable(text) == shown


@given(
    st.text(max_size=3000), st.sampled_from(["ada@example.com", "ADA%40EXAMPLE.COM", "a.b+c@d"]), st.text(max_size=50)
)
def test_no_address_survives_anywhere_in_a_text(before: str, address: str, after: str) -> None:
    """Wherever a message is cut, half an address does not remain either."""
    shown = presentable(f"{before} {address} {after}")
    assert address not in shown
    assert len(shown) <= 300
    shown.encode()
    assert shown.isprintable()
