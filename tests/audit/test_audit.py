"""What `make audit` says: nothing is taken for good that was not looked at."""

import json
from pathlib import Path

from app.settings.layers import secret_fields
from audit import bill, dependencies, history

ROOT = Path(__file__).parents[2]
VALUE = "Zk3vB8xQ1pLwTr7yW2"


def added(text: str) -> list[tuple[str, str, str]]:
    return [("c0ffee", "notes.md", text)]


def found(text: str, *known: str) -> list[str]:
    marks = frozenset(map(history.mark_of, known))
    return [one.mark for one in history.suspects(added(text), marks, lambda _: ())]


def test_a_value_of_a_secret_setting_is_seen_however_it_is_written() -> None:
    for line in (f"ADMIN_TOKEN={VALUE}", f'"PENDO_WEBHOOK_SECRET": "{VALUE}"', f"EVENTBRITE_API_TOKEN: {VALUE} # mine"):
        assert found(line) == [history.mark_of(VALUE)]
    assert found("whsec_" + "A1b2" * 10)


def test_what_opens_nothing_is_passed_over() -> None:
    """Names in code, placeholders, and values whose mark is known."""
    assert found(f"ADMIN_TOKEN={VALUE}", VALUE) == []
    for line in ("ADMIN_TOKEN=seed.ADMIN_TOKEN_OF_TESTS", "ADMIN_TOKEN=<a long random text>", "ADMIN_TOKEN=short"):
        assert found(line) == []


def test_other_services_secrets_count_and_a_suspect_names_no_value() -> None:
    [one] = history.suspects(added("x"), frozenset(), lambda _: [("Slack Token", VALUE)])
    assert (one.kind, one.file, one.commit) == ("Slack Token", "notes.md", "c0ffee")
    assert VALUE not in repr(one)


def test_every_secret_setting_is_looked_for() -> None:
    """But for the database's address, whose password may stand anywhere in it."""
    assert set(history.SETTINGS) == {name.upper() for name in secret_fields()} - {"DATABASE_URL"}


def test_lines_are_read_out_of_a_log_once() -> None:
    log = "commit a1\n\n+++ b/x.py\n@@ -0,0 +1,2 @@\n+one\n-gone\n+two\ncommit b2\n+++ b/y.py\n+one\n"
    assert list(history.lines_of(log)) == [("a1", "x.py", "one"), ("a1", "x.py", "two")]


def test_a_service_that_does_not_answer_is_no_clean_bill() -> None:
    silent = dependencies.read("requirements.lock", "", "Traceback\nConnectionError: no route")
    assert (silent.asked, silent.silence) == (0, "ConnectionError: no route")
    assert "NOT ASKED" in next(dependencies._lines(silent))


def test_weaknesses_and_what_was_left_out_are_told() -> None:
    """A package that the service does not know is not known to be good."""
    weak = {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}
    answer = json.dumps({"dependencies": [weak, {"name": "b", "skip_reason": "not found"}]})
    told = dependencies.read("requirements.lock", answer, "")
    assert (told.asked, told.weak) == (1, ["a 1: PYSEC-1, mended in 2"])
    assert told.unknown == ["b: not found"]


def test_the_bill_lists_what_the_image_installs_and_nothing_else() -> None:
    """The lock serves other systems, too."""
    lock = (
        "a==1 \\\n    --hash=sha256:1\n"
        "b==2 ; sys_platform == 'win32' \\\n    --hash=sha256:2\n"
        "c==3 ; python_full_version < '3.13' \\\n    --hash=sha256:3\n"
    )
    assert bill.in_image(lock, "3.13") == "a==1 \\\n    --hash=sha256:1\n"
    assert bill._python((ROOT / "Dockerfile").read_text(encoding="utf-8")) == "3.13"
