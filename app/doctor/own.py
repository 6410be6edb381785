"""Judge the relay's own house: its settings, and what they leave open."""

from collections.abc import Iterator, Sequence

from app.doctor.report import Finding, Verdict
from app.errors import FieldProblem

SECTION = "This relay"


def settings_findings(problems: Sequence[FieldProblem], *, secrets: int) -> Iterator[Finding]:
    """Yield one error for each setting at fault, or that all are in order."""
    for problem in problems:
        yield _settings(
            problem.field, Verdict.FAIL, f"{problem.field} {problem.problem}", "Correct it, and look again."
        )
    if not problems:
        yield _settings("", Verdict.OK, f"complete and well-formed; {secrets} secrets, none of them weak", "")


def _settings(subject: str, verdict: Verdict, found: str, advice: str) -> Finding:
    return Finding(SECTION, "settings", "Settings", subject, verdict, found, advice)
