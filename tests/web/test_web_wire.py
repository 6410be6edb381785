"""HTTP before it is a request: offers to speak another protocol."""

import pytest

from app.web.wire import without_offers


@pytest.mark.parametrize(
    ("came", "left"),
    [
        (b"POST / HTTP/1.1\r\nUpgrade: h2c\r\nHost: x\r\n\r\n{}", b"POST / HTTP/1.1\r\nHost: x\r\n\r\n{}"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nUPGRADE: h2c, x\r\n\r\n{}", b"POST / HTTP/1.1\r\nHost: x\r\n\r\n{}"),
        (b"POST / HTTP/1.1\r\nUpgrade: h2c\r\nHo", b"POST / HTTP/1.1\r\nHo"),
    ],
    ids=["first", "last", "headers in two packets"],
)
def test_an_offer_to_upgrade_is_left_out(came: bytes, left: bytes) -> None:
    """The parser would stop at it and lose the body."""
    assert without_offers(came) == left


@pytest.mark.parametrize(
    "came",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\n\r\n{}\r\nUpgrade: h2c\r\n",
        b"POST / HTTP/1.1\r\nX-Upgrade: h2c\r\nHost: upgrade:\r\n\r\n{}",
        b"",
    ],
    ids=["in the body", "other headers", "nothing"],
)
def test_nothing_else_is_touched(came: bytes) -> None:
    """A signed body least of all."""
    assert without_offers(came) == came
