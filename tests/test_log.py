"""What may never stand in a log line, however it gets there."""

import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from app.log import Masker, prepared_line, secret_forms
from tests.web.log_capture import Lines, captured_log

ODD = st.sampled_from('@a.\n\t\x01"\\u04')
SECRET = 'wh"sec/é+ \\0123456789='
PATH_SECRET = "path-secret-0123456789"
SECRET_NAME = "Lovelace"
EMAIL = "Ada.Lovelace+x@mail.example.co.uk"


@pytest.fixture
def log() -> Iterator[Lines]:
    with captured_log(SECRET, PATH_SECRET) as lines:
        yield lines


def fail_with(text: str) -> None:
    """Raise with a cause and a local that hold the text: neither may show."""
    local = text.encode()
    try:
        raise ValueError(f"inner {text} {local!r}")
    except ValueError as error:
        raise RuntimeError(f"outer {text}") from error


def assert_clean(text: str) -> None:
    for personal in (EMAIL, "Lovelace", "mail.example", PATH_SECRET, SECRET, quote(SECRET), quote_plus(SECRET)):
        assert personal not in text
    assert json.dumps(SECRET)[1:-1] not in text


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize("name", ["ours", "uvicorn.error", "sqlalchemy.pool", "asyncio", "anything.else"])
def test_a_traceback_shows_neither_address_nor_secret(style: str, name: str) -> None:
    """A traceback is where data turns up unasked: in messages, causes and the text of the failing call."""
    with captured_log(SECRET, PATH_SECRET, style=style) as lines:  # type: ignore[arg-type]  # parametrized
        try:
            fail_with(f"{EMAIL} {SECRET} /webhooks/eventbrite/{PATH_SECRET} {quote(SECRET)}")
        except RuntimeError:
            if name == "ours":
                structlog.get_logger().exception("it_failed", address=EMAIL, token=SECRET)
            else:
                logging.getLogger(name).exception("it failed for %s with %s", EMAIL, SECRET)
    assert "RuntimeError: outer ***" in lines.text
    assert "ValueError: inner ***" in lines.text
    assert "fail_with" in lines.text
    assert_clean(lines.text)


def test_a_json_line_is_one_json_object_with_what_one_needs(log: Lines) -> None:
    structlog.contextvars.bind_contextvars(request_id="req-1", registration_id="reg_1")
    structlog.get_logger().warning("paused", scope="all", seconds=20)
    [line] = log.text.splitlines()
    fact = json.loads(line)
    assert fact.pop("at").endswith("Z")
    assert fact == {
        "event": "paused",
        "level": "warning",
        "scope": "all",
        "seconds": 20,
        "request_id": "req-1",
        "registration_id": "reg_1",
    }


def test_everybodys_lines_take_the_same_pipe_with_the_same_ids(log: Lines) -> None:
    structlog.contextvars.bind_contextvars(request_id="req-1")
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7)
    fact = json.loads(log.text)
    assert (fact["event"], fact["level"]) == ("Started server process [7]", "info")
    assert (fact["request_id"], fact["logger"]) == ("req-1", "uvicorn.error")


def test_the_level_holds_for_everybody() -> None:
    """Also where something else in the process has set uvicorn's own."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    with captured_log(level="warning") as lines:
        structlog.get_logger().info("quiet")
        logging.getLogger("uvicorn.error").info("quiet")
        prepared_line("quiet")()
        logging.getLogger("uvicorn.error").warning("loud")
    assert [json.loads(line)["event"] for line in lines.text.splitlines()] == ["loud"]


def test_uvicorns_access_lines_are_off(log: Lines) -> None:
    """They would print the raw path, and with it Eventbrite's secret segment and e-mail addresses of queries."""
    logging.getLogger("uvicorn.access").info('"POST /webhooks/eventbrite/x HTTP/1.1" 202')
    assert log.text == ""


async def test_clients_do_not_log_the_addresses_they_call(log: Lines) -> None:
    """httpx logs each URL at INFO; Marketo's get-by-filter has people's addresses in it."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as client:
        await client.get("https://marketo.example/rest/v1/leads.json?filterValues=ada")
    logging.getLogger("sqlalchemy.engine").info("SELECT …")
    assert log.text == ""


def test_warnings_take_the_pipe(log: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn(f"bad {EMAIL}", UserWarning, stacklevel=1)
    assert "bad ***" in log.text
    assert_clean(log.text)


def test_an_uncaught_exception_takes_the_pipe(log: Lines) -> None:
    """Else the interpreter would print it as it is."""
    try:
        fail_with(EMAIL)
    except RuntimeError as error:
        sys.excepthook(RuntimeError, error, error.__traceback__)
    assert json.loads(log.text)["level"] == "critical"
    assert_clean(log.text)


def test_an_uncaught_exception_in_a_thread_takes_the_pipe(log: Lines) -> None:
    thread = threading.Thread(target=fail_with, args=[EMAIL])
    thread.start()
    thread.join()
    assert json.loads(log.text)["event"] == "uncaught_exception"
    assert_clean(log.text)


def test_an_interrupt_is_no_error(log: Lines) -> None:
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    threading.excepthook(threading.ExceptHookArgs((KeyboardInterrupt, None, None, None)))
    assert log.text == ""


def test_a_lone_surrogate_does_not_break_the_log(log: Lines) -> None:
    """JSON may hold one, and no UTF-8 stream takes it."""
    structlog.get_logger().info("odd", value="a\ud800b é")
    assert "é" in log.text
    assert log.text.encode() == log.text.encode("utf-8", "strict")


def test_what_libraries_quote_of_data_is_cut(log: Lines) -> None:
    """SQLAlchemy shows the parameters of a failed statement, pydantic the input that it refused."""
    name = SECRET_NAME

    class Strict(BaseModel):
        age: int

    try:
        Strict.model_validate({"age": name})
    except ValidationError:
        structlog.get_logger().exception("refused")
    logging.getLogger("sqlalchemy").error(
        "[SQL: INSERT …]\n[parameters: ('%s', b'{\"x\": [1]}')]\n(Background …)", name
    )
    assert "INSERT" in log.text
    assert "Background" in log.text
    assert_clean(log.text)


class TestMasking:
    """The last step alone."""

    @pytest.mark.parametrize(
        "text",
        [
            "ada@example.com",
            "mailto:ada@example.com?x",
            "filterValues=ada%40example.com&x",
            r'b\'{"email": "ada\\u0040example.com"}\'',
            "<ada@example.com>",
            "'ada@example.com',",
            "jürgen@exämple.de",
            "ada@example",
            r"\nada@example.com",
            r"\xe9ada@example.com",
            r"\u0001ada@example.com",
        ],
    )
    def test_addresses_are_found_in_every_dress(self, text: str) -> None:
        masked = Masker([]).mask(f"before {text} after")
        assert "***" in masked
        assert not {"ada", "example", "jürgen"} & set(masked.replace("@", " ").split())
        assert masked.startswith("before ")
        assert masked.endswith(" after")

    @pytest.mark.parametrize("text", ["@property", "a @ b", "user@", "{{my.Token}}", "40% of u0040"])
    def test_what_is_no_address_stays(self, text: str) -> None:
        assert Masker([]).mask(text) == text

    @given(st.text(min_size=8, max_size=40))
    def test_a_secret_is_masked_in_every_spelling(self, secret: str) -> None:
        """Written out, quoted for URLs, in JSON, in a repr."""
        masker = Masker([secret])
        for text in (secret, quote(secret, safe="", errors="replace"), json.dumps(secret)[1:-1], repr(secret)[1:-1]):
            assert text not in masker.mask(f"[ {text} ]") or text in "[ *** ]"

    @given(st.text(alphabet=ODD | st.characters(), max_size=200))
    def test_a_json_line_stays_json(self, text: str) -> None:
        """Masking must not eat half of an escape: a line that does not parse is lost."""
        line = json.dumps({"value": text, "exception": repr(text)}, ensure_ascii=False)
        assert set(json.loads(Masker(["secret"]).mask(line))) == {"value", "exception"}

    @given(st.text(max_size=300), st.text(alphabet="@.%a40", max_size=300))
    def test_any_line_can_be_masked_and_written(self, left: str, right: str) -> None:
        Masker(["secret-1"]).mask(left + right).encode()

    def test_a_long_run_is_masked_in_linear_time(self) -> None:
        """A sender's header must not hold the log up; the test's own time limit would tell."""
        assert Masker([]).mask("a" * 300_000 + " @ " + "b." * 150_000)

    def test_the_longest_secret_goes_first(self) -> None:
        """A secret inside another one must not leave the other's rest."""
        assert Masker(["secret", "secret-longer"]).mask("secret-longer") == "***"

    def test_nothing_short_is_a_secret(self) -> None:
        assert secret_forms(["", "abc"]) == ()


class TestPreparedLine:
    """The hot path's line equals what the whole chain would have written."""

    def test_it_equals_an_ordinary_line(self, log: Lines) -> None:
        prepared_line("answered", "id", "status", "ms", "note")("evt_1", 202, 0.25, None)
        structlog.get_logger().info("answered", id="evt_1", status=202, ms=0.25, note=None)
        first, second = (json.loads(line) for line in log.text.splitlines())
        assert first.pop("at")[:16] == second.pop("at")[:16]
        assert first == second

    def test_lines_of_one_turn_are_written_together(self, log: Lines) -> None:
        """A system call for each costs a busy relay more than making the line."""
        later: list[Callable[[], None]] = []
        line = prepared_line("answered", "id", soon=later.append)
        line("one")
        line("two")
        assert (log.text, len(later)) == ("", 1)
        later.pop()()
        line("three")
        later.pop()()
        assert [json.loads(text)["id"] for text in log.text.splitlines()] == ["one", "two", "three"]

    def test_on_a_console_it_is_an_ordinary_line(self) -> None:
        with captured_log(style="console") as lines:
            prepared_line("answered", "status")(202)
        assert "answered" in lines.text
        assert "status=202" in lines.text
