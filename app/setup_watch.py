"""Check the set-up once when the relay starts, and again when somebody asks, beside its work and never in its way.

The checks run in a thread and event loop of their own: neither accepting nor sending waits for them, and a stop does
not either.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from app.checkup import Examined
from app.doctor.report import Finding, Report, Verdict
from app.domain import Clock, Json

LONGEST = timedelta(minutes=2)
_LOOK_AGAIN = timedelta(seconds=0.5)
_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)
Examine = Callable[[], Coroutine[object, object, Examined]]


@dataclass(frozen=True, slots=True)
class Examination:
    """What a check came to, and when."""

    at: datetime
    examined: Examined

    def as_json(self) -> dict[str, Json]:
        fixes: list[Json] = [fix.what for fix in self.examined.fixes]
        return {"checkedAt": self.at.isoformat(), **self.examined.report.as_json(), "fixes": fixes}


class SetupWatch:
    """Keeps the last examination; one runs at a time."""

    def __init__(self, examine: Examine, *, clock: Clock) -> None:
        self._examine = examine
        self._clock = clock
        self._turn = threading.Lock()
        self._last: Examination | None = None

    @property
    def is_running(self) -> bool:
        return self._turn.locked()

    def last(self) -> dict[str, Json] | None:
        """Return the last report as JSON; None while the first is being made, or when none could be."""
        return self._last.as_json() if self._last else None

    def summary(self) -> tuple[bool, str] | None:
        """Return whether anything is wrong, and the report in one sentence."""
        report = self._last.examined.report if self._last else None
        return (report.count(Verdict.FAIL) > 0, report.summary) if report else None

    def begin(self) -> bool:
        """Start an examination; False when one is under way."""
        if not self._turn.acquire(blocking=False):
            return False
        threading.Thread(target=self._run, name="setup", daemon=True).start()
        return True

    async def begin_when(self, is_time: Callable[[], bool]) -> None:
        """Start the first examination once it is time. Of many processes one leads, and its look will do."""
        while not is_time():  # noqa: ASYNC110  # leadership changes in another thread, which has no event for this loop
            await asyncio.sleep(_LOOK_AGAIN.total_seconds())
        self.begin()

    def _run(self) -> None:
        try:
            self._last = Examination(self._clock(), asyncio.run(self._bounded()))
            _tell(self._last.examined.report)
        except TimeoutError:
            _log.warning("setup not checked", reason=f"it took more than {LONGEST.total_seconds():g} s")
        except Exception:  # noqa: BLE001  # the thread's outermost layer; the relay works all the same
            _log.exception("the check of the set-up ended by a defect")
        finally:
            self._turn.release()

    async def _bounded(self) -> Examined:
        async with asyncio.timeout(LONGEST.total_seconds()):
            return await self._examine()


def _tell(report: Report) -> None:
    for finding in report.findings:
        if finding.verdict in (Verdict.WARN, Verdict.FAIL):
            _line(finding)
    _log.info("setup checked", summary=report.summary)


def _line(finding: Finding) -> None:
    said = _log.error if finding.verdict is Verdict.FAIL else _log.warning
    said("setup is wrong" if finding.verdict is Verdict.FAIL else "setup is doubtful", **_fields(finding))


def _fields(finding: Finding) -> dict[str, str]:
    return {"check": finding.key, "section": finding.section, "found": finding.found, "advice": finding.advice}
