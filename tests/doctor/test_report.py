"""A report's exit code, sentence and page."""

import io
import json

import pytest
from rich.console import Console

from app.doctor.page import print_report
from app.doctor.report import Finding, Report, Verdict

OK, WARN, FAIL, UNKNOWN = Verdict


def finding(verdict: Verdict, *, check: str = "clock", advice: str = "", found: str = "found") -> Finding:
    return Finding("Marketo", check, check.title(), "", verdict, found, advice)


@pytest.mark.parametrize(
    ("verdicts", "code", "sentence"),
    [
        ([OK, OK], 0, "All 2 checks are fine."),
        ([OK, WARN], 1, "2 checks: 1 warning."),
        ([OK, UNKNOWN], 1, "2 checks: 1 check that could not be made."),
        ([FAIL, WARN, WARN, UNKNOWN, UNKNOWN], 2, "5 checks: 1 error, 2 warnings, 2 checks that could not be made."),
    ],
)
def test_the_worst_finding_is_the_exit_code(verdicts: list[Verdict], code: int, sentence: str) -> None:
    report = Report(tuple(finding(verdict) for verdict in verdicts))
    assert (report.exit_code, report.summary) == (code, sentence)
    assert json.loads(json.dumps(report.as_json()))["exitCode"] == code


def page(*findings: Finding, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding)
    print_report(Report(findings), Console(file=out, width=100, color_system=None))
    out.flush()
    return raw.getvalue().decode(encoding)


def test_a_line_says_what_was_found_and_the_next_what_to_do() -> None:
    shown = page(finding(OK, found="agrees"), finding(FAIL, check="active", found="inactive", advice="Activate it."))
    lines = [line.strip() for line in shown.splitlines() if line.strip()]
    assert lines[1].split() == ["✓", "Clock", "agrees"]
    assert lines[2].split() == ["✗", "Active", "inactive"]
    assert lines[3] == "→ Activate it."


def test_many_checks_that_nothing_can_be_said_about_are_one_line() -> None:
    """Twenty lines of 'Marketo was not reached' hide the one that says why."""
    shown = page(*(finding(UNKNOWN, check=f"check {n}", found="not reached") for n in range(5)))
    assert shown.count("not reached") == 1
    assert "likewise: Check 1, Check 2, Check 3, Check 4" in shown


def test_findings_that_differ_are_not_merged() -> None:
    shown = page(finding(WARN, check="a", found="same"), finding(WARN, check="b", found="same"))
    assert shown.count("same") == 2


def test_a_terminal_that_has_no_ticks_gets_letters() -> None:
    shown = page(finding(OK), finding(FAIL, advice="Mend it."), encoding="ascii")
    assert "ok Clock" in shown
    assert "> Mend it." in shown


def test_markup_in_a_campaigns_name_is_shown_as_it_is() -> None:
    assert "[bold]x[/]" in page(finding(WARN, found="[bold]x[/]"))
