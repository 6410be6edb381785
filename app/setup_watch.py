"""Check the set-up when the relay starts, now and then, and when somebody asks: beside its work, never in its way.

The checks run in a thread and event loop of their own: neither accepting nor sending waits for them, and a stop does
not either. The report goes into the store, so that whichever process is asked can tell it.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from app.checkup import Examined
from app.doctor.report import Finding, Report, Verdict
from app.domain import Clock, Json
from app.errors import StoreUnavailable
from app.log import Masker
from app.store.database import Database, open_database
from app.store.reports import SetupReports

LONGEST = timedelta(minutes=15)  # registrations go first, and a small window holds few calls
FRESH = timedelta(seconds=2)  # so long a report that was read is told without asking the store again
PATIENCE = timedelta(seconds=2)
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
        campaigns: dict[str, Json] = dict(self.examined.campaigns)
        made = {"checkedAt": self.at.isoformat(), **self.examined.report.as_json()}
        return {**made, "fixes": fixes, "campaigns": campaigns}


class Shared(Protocol):
    """Where all processes keep the last report. Both methods may raise StoreUnavailable."""

    async def keep(self, report: Mapping[str, Json], *, at: datetime) -> Mapping[str, Json]: ...

    async def last(self) -> Mapping[str, Json] | None: ...


class InTheStore:
    """The report in the store, without secrets: what vendors answer is quoted in it."""

    def __init__(self, url: str, database: Database, secrets: Iterable[str]) -> None:
        self._url = url
        self._reports = SetupReports(database)
        self._masker = Masker(secrets)

    async def keep(self, report: Mapping[str, Json], *, at: datetime) -> Mapping[str, Json]:
        """Write it down with a connection of the calling thread, since SQLite is written to in that; return it so.

        A campaign that could not be looked at this time keeps the name that it had.
        """
        masked = json.loads(self._masker.mask(json.dumps(report)))
        async with open_database(self._url) as database:
            reports = SetupReports(database)
            kept = _with_names(masked, await reports.last())
            await reports.keep(kept, at=at)
            return kept

    async def last(self) -> Mapping[str, Json] | None:
        return await self._reports.last()


def _with_names(report: Mapping[str, Any], before: Mapping[str, Any] | None) -> Mapping[str, Json]:
    known = before.get("campaigns", {}) if before else {}
    return {**report, "campaigns": {**known, **report.get("campaigns", {})}}


class SetupWatch:
    """Examines, one at a time, and tells the last report, whichever process made it."""

    def __init__(self, examine: Examine, *, shared: Shared, clock: Clock, fresh: timedelta = FRESH) -> None:
        self._examine = examine
        self._shared = shared
        self._clock = clock
        self._fresh = fresh
        self._turn = threading.Lock()
        self._own: Mapping[str, Json] | None = None
        self._read: tuple[float, Mapping[str, Json] | None] | None = None  # when, and what

    @property
    def is_running(self) -> bool:
        """Tell whether this process is examining."""
        return self._turn.locked()

    async def last(self) -> Mapping[str, Json] | None:
        """Return the last report as JSON; None while the first is being made, or when none could be.

        Without the store it is the last that this process made or read.
        """
        if self._read is None or time.monotonic() - self._read[0] >= self._fresh.total_seconds():
            self._read = time.monotonic(), await self._stored()
        known = [one for one in (self._own, self._read[1]) if one is not None]
        return max(known, key=lambda one: datetime.fromisoformat(str(one["checkedAt"])), default=None)

    async def _stored(self) -> Mapping[str, Json] | None:
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                return await self._shared.last()
        except (StoreUnavailable, TimeoutError):
            return self._read[1] if self._read else None

    def begin(self) -> bool:
        """Start an examination; False when one is under way."""
        if not self._turn.acquire(blocking=False):
            return False
        threading.Thread(target=self._run, name="setup", daemon=True).start()
        return True

    async def watch(self, leads: Callable[[], bool], *, at_start: bool, every: timedelta | None) -> None:
        """Examine once this process leads, and again each time that so long has passed, for ever.

        Of many processes one leads, and its look will do.
        """
        if at_start:
            await self._begin_once(leads)
        while every:
            await asyncio.sleep(every.total_seconds())
            await self._begin_once(leads)

    async def _begin_once(self, leads: Callable[[], bool]) -> None:
        while not leads():  # noqa: ASYNC110  # leadership changes in another thread, which has no event for this loop
            await asyncio.sleep(_LOOK_AGAIN.total_seconds())
        self.begin()

    def _run(self) -> None:
        try:
            asyncio.run(self._look())
        except TimeoutError:
            _log.warning("setup not checked", reason=f"it took more than {LONGEST.total_seconds():g} s")
        except Exception:  # noqa: BLE001  # the thread's outermost layer; the relay works all the same
            _log.exception("the check of the set-up ended by a defect")
        finally:
            self._turn.release()

    async def _look(self) -> None:
        made = Examination(self._clock(), await self._bounded())
        self._own = made.as_json()
        _tell(made.examined.report)
        try:
            self._own = await self._shared.keep(self._own, at=made.at)
        except StoreUnavailable as problem:
            _log.warning("setup report not kept", reason=str(problem))

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
