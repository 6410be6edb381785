"""Reading what strangers send as JSON: a value or `Malformed`, nothing else."""

import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import Json
from app.errors import Malformed
from app.sources.payload import (
    as_list,
    as_object,
    as_text,
    as_time,
    kept_texts,
    read_json,
    short_id,
    text_at,
    value_at,
)

documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)

REFUSED = {
    "empty": b"",
    "blank": b" \n\t",
    "only a byte order mark": b"\xef\xbb\xbf",
    "not UTF-8": b'{"a":"\xff"}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "overlong NUL": b'"\xc0\x80"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "a lone surrogate before text": b'{"a":"\\ud800x"}',
    "a lone low surrogate": b'{"a":"\\udc00"}',
    "a lone surrogate as a key": b'{"\\ud800":1}',
    "NaN": b"[NaN]",
    "Infinity": b"[Infinity]",
    "-Infinity": b"[-Infinity]",
    "1e400": b'{"a":[{"b":1e400}]}',
    "-1e400": b"-1e400",
    "long and with an exponent": b"1" * 299 + b"e20",
    "a very long fraction": b"1" * 400 + b".5",
    "a huge integer": b"1" * 100_000,
    "too deep": b"[" * 100_000,
    "too deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "objects too deep": b'{"a":' * 100_000,
    "a form": b"a=1&b=2",
    "trailing text": b"{} x",
    "two documents": b"{}{}",
    "a trailing comma": b"[1,]",
    "single quotes": b"{'a':1}",
    "a raw line break in a text": b'"a\nb"',
    "a NUL byte": b"\0",
    "HTML": b"<html></html>",
    "two byte order marks": b"\xef\xbb\xbf\xef\xbb\xbf{}",
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_json_is_refused_in_words_that_end_a_sentence(body: bytes) -> None:
    with pytest.raises(Malformed, match=r"^the body .*[^.]$"):
        read_json(body)


READ: dict[bytes, Json] = {
    b"\xef\xbb\xbf{}": {},
    b'"\\ud83d\\ude00"': "😀",
    b'"\\u0000"': "\0",
    b"1" + b"0" * 30: 10**30,
    b" [1, 2.5, -0, true, null] ": [1, 2.5, 0, True, None],
    b'{"a":1,"a":2}': {"a": 2},
    b'"a1e5"': "a1e5",
    b"1e5": 1e5,
}


@pytest.mark.parametrize(("body", "document"), READ.items())
def test_what_is_json_is_read(body: bytes, document: Json) -> None:
    assert read_json(body) == document


def test_the_refusal_does_not_repeat_what_was_sent() -> None:
    """It goes into an answer and perhaps into a log."""
    with pytest.raises(Malformed) as caught:
        read_json(b'{"email": "ada@example.com" "x"}')
    assert "ada" not in str(caught.value)


@given(documents)
def test_whatever_can_be_written_is_read_back(document: Json) -> None:
    assert read_json(json.dumps(document).encode()) == document
    assert read_json(json.dumps(document, ensure_ascii=False).encode()) == document


@given(st.binary() | st.text().map(str.encode) | documents.map(lambda one: json.dumps(one).encode()[:-1]))
def test_any_bytes_are_read_or_malformed(body: bytes) -> None:
    """And what is read holds finite numbers only, so that it can be stored as JSON."""
    try:
        document = read_json(body)
    except Malformed:
        return
    json.dumps(document, allow_nan=False)


@given(documents, st.text(), st.lists(st.sampled_from(["a", "0", "1", "-1", "", "é", "99999999"]), max_size=4))
def test_looking_up_any_path_never_raises(document: Json, path: str, steps: list[str]) -> None:
    for one in (path, ".".join(steps)):
        value_at(document, one)
        assert (text_at(document, [one]) or "x").strip()
        json.dumps(kept_texts(document, [one, f"{one}.a", "a"]))


DOCUMENT: Json = {"a": {"b": [{"c": "found"}, 7]}, "blank": "  ", "nul": "x\0", "yes": True, "huge": 10**30, "n": -5}


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["a.b.0.c"], "found"),
        (["a.b.1"], "7"),
        (["a.b.9", "a.b.0.c"], "found"),
        (["a.b"], None),
        (["a.b.c"], None),
        (["a.b.0.c.d"], None),
        (["blank", "nul", "yes", "huge", "missing"], None),
        (["n"], "-5"),
        ([], None),
    ],
)
def test_the_first_usable_text_counts(paths: list[str], found: str | None) -> None:
    assert text_at(DOCUMENT, paths) == found


def test_a_placeholder_counts_as_absent() -> None:
    assert text_at({"a": " Too Large ", "b": "x"}, ["a", "b"], absent=["too large"]) == "x"


def test_texts_are_passed_on_byte_for_byte() -> None:
    assert as_text("  é\u200b& <b> ") == "  é\u200b& <b> "


def test_a_wrong_shape_reads_as_empty() -> None:
    assert as_object(["a"]) == {}
    assert as_list({"a": 1}) == []


def test_only_the_texts_at_the_paths_are_kept() -> None:
    kept = kept_texts({"a": {"b": "x", "c": "y"}, "d": ["z"], "e": "w"}, ["a.b", "d.0", "a.b.deeper", "missing"])
    assert kept == {"a": {"b": "x"}, "d": {"0": "z"}, "missing": None}
    assert value_at(kept, "d.0") == "z"


MOMENT = datetime(2026, 12, 1, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["2026-12-01T16:00:00Z", "2026-12-01T17:00:00+01:00", "2026-12-01T16:00:00", "1796140800", "1796140800000"]
)
def test_a_time_may_be_iso_or_unix(text: str) -> None:
    assert as_time(text) == MOMENT


@pytest.mark.parametrize("text", [None, "", "soon", "12", "9" * 14, "0001-01-01T00:00:00+23:00", "9" * 9999])
def test_what_is_no_time_is_none(text: str | None) -> None:
    assert as_time(text) is None


@given(st.text() | st.integers().map(str))
def test_any_text_is_a_time_or_none(text: str) -> None:
    moment = as_time(text)
    assert moment is None or moment.tzinfo is UTC


def test_an_id_fits_an_index() -> None:
    """PostgreSQL refuses an index entry of more than some 2,700 bytes."""
    assert short_id("x" * 255) == "x" * 255
    assert short_id("x" * 256).startswith("sha256:")
    assert short_id("x" * 256) != short_id("x" * 257)


def test_infinity_is_what_the_parser_makes_of_a_number_too_large() -> None:
    """Why `read_json` looks at numbers at all."""
    assert math.isinf(float("1e400"))


def test_a_body_that_is_nested_too_deeply_is_not_said_to_be_no_json() -> None:
    with pytest.raises(Malformed, match="nested too deeply"):
        read_json(b"[" * 1000 + b"]" * 1000)
