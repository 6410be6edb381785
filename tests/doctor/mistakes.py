"""A mistake in somebody's set-up, and what is asked of the report on it: that it is told, by its own check alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.doctor.report import Verdict
from tests.doctor.patient import Patient, changed, verdicts

OK, WARN, FAIL, UNKNOWN = (verdict.value for verdict in Verdict)
Lever = tuple[str, str, object]


@dataclass(frozen=True)
class Mistake:
    """What somebody did wrong, which checks come out otherwise for it, and what the report says."""

    name: str
    expected: Mapping[str, str]
    says: str
    levers: tuple[Lever, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


async def check_told_alone(patient: Patient, mistake: Mistake) -> None:
    """Make the mistake: only the checks that it concerns come out otherwise, and the report says what is wrong."""
    before = await patient.verdicts()
    for method, path, body in mistake.levers:
        await patient.lever(method, path, body)
    report = await patient.report(**mistake.settings)
    assert changed(before, verdicts(report)) == mistake.expected
    said = [f"{one.found} {one.advice}" for one in report.findings if one.verdict in (Verdict.WARN, Verdict.FAIL)]
    assert any(mistake.says in text for text in said), said
