"""What a check comes to, and what all of them come to together. Values only, no I/O."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from app.domain import Json

Subject = TypeVar("Subject")


class Verdict(StrEnum):
    """How a check came out. `unknown`: it could not be looked at, which is nobody's fault."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check found, and the sentence that says what to do; none where all is well."""

    verdict: Verdict
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `check` is its fixed name, `subject` what it is about where there are several."""

    section: str
    check: str
    title: str
    subject: str
    verdict: Verdict
    found: str
    advice: str

    @property
    def key(self) -> str:
        """Return what tells this line from all others of a report."""
        return f"{self.check}:{self.subject}" if self.subject else self.check

    def as_json(self) -> dict[str, Json]:
        return {
            "section": self.section,
            "check": self.check,
            "title": self.title,
            "subject": self.subject or None,
            "verdict": self.verdict.value,
            "found": self.found,
            "advice": self.advice or None,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, in the order in which one would go through them."""

    findings: tuple[Finding, ...]

    def count(self, verdict: Verdict) -> int:
        return sum(finding.verdict is verdict for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """Return 0 where all is well, 1 where something is doubtful or could not be looked at, 2 for an error."""
        if self.count(Verdict.FAIL):
            return 2
        return 1 if self.count(Verdict.WARN) or self.count(Verdict.UNKNOWN) else 0

    @property
    def summary(self) -> str:
        """Return the whole report in one sentence."""
        if not (wrong := [_number(self.count(verdict), noun) for verdict, noun in _NOUNS if self.count(verdict)]):
            return f"All {len(self.findings)} checks are fine."
        return f"{len(self.findings)} checks: {', '.join(wrong)}."

    def as_json(self) -> dict[str, Json]:
        counts: Mapping[str, Json] = {verdict.value: self.count(verdict) for verdict in Verdict}
        return {
            "exitCode": self.exit_code,
            "summary": self.summary,
            "counts": dict(counts),
            "findings": [finding.as_json() for finding in self.findings],
        }


@dataclass(frozen=True, slots=True)
class Check(Generic[Subject]):
    """One question. `judge` returns None where it does not arise; `name` is fixed, since scripts rely on it."""

    name: str
    title: str
    judge: Callable[[Subject], Outcome | None]


def judged(section: str, checks: Sequence[Check[Subject]], subject: Subject, about: str = "") -> Iterator[Finding]:
    """Yield a finding for each question that arises."""
    for check in checks:
        if outcome := check.judge(subject):
            yield Finding(section, check.name, check.title, about, outcome.verdict, outcome.found, outcome.advice)


def report_of(findings: Iterable[Finding]) -> Report:
    return Report(tuple(findings))


def ok(found: str) -> Outcome:
    return Outcome(Verdict.OK, found)


def warn(found: str, advice: str) -> Outcome:
    return Outcome(Verdict.WARN, found, advice)


def fail(found: str, advice: str) -> Outcome:
    return Outcome(Verdict.FAIL, found, advice)


def unknown(found: str, advice: str = "") -> Outcome:
    return Outcome(Verdict.UNKNOWN, found, advice)


_NOUNS = ((Verdict.FAIL, "error"), (Verdict.WARN, "warning"), (Verdict.UNKNOWN, "check that could not be made"))


def _number(count: int, noun: str) -> str:
    head, _, tail = noun.partition(" ")
    plural = f"{head}{'' if count == 1 else 's'}"
    return f"{count} {plural} {tail}".rstrip()
