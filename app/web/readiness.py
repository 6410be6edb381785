"""Find out whether the relay can accept. Balancers ask often; the store is asked seldom, and never twice at once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Literal

import structlog
from pydantic import BaseModel

from app.domain import Clock
from app.errors import StoreUnavailable
from app.metrics import Metrics
from app.web.parts import WebParts
from app.web.setup import last_report

FRESH_FOR = timedelta(seconds=2)
PATIENCE = timedelta(seconds=2)

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("app.web")


class Check(BaseModel):
    """One thing that was looked at. `paused`, `doubtful` and `wrong` are worth knowing and leave the relay ready."""

    status: Literal["ok", "failing", "paused", "doubtful", "wrong"]
    detail: str | None = None


class Health(BaseModel):
    """Whether the relay can accept webhooks, and the checks behind it."""

    status: Literal["ok", "unavailable"]
    version: str
    checks: dict[str, Check] = {}


class StoreCheck:
    """Probes the store: one probe at a time, none longer than `PATIENCE`, its outcome kept for `FRESH_FOR`."""

    def __init__(self, probe: Callable[[], Awaitable[None]], *, clock: Clock, metrics: Metrics) -> None:
        self._probe = probe
        self._clock = clock
        self._metrics = metrics
        self._running: asyncio.Task[Check] | None = None
        self._last: tuple[datetime, Check] | None = None

    async def check(self) -> Check:
        if self._last and timedelta(0) <= self._clock() - self._last[0] < FRESH_FOR:
            return self._last[1]
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._ask())
        return await asyncio.shield(self._running)  # one impatient asker must not end it for the others

    async def _ask(self) -> Check:
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                await self._probe()
            found = Check(status="ok")
        except TimeoutError:
            found = Check(status="failing", detail="The store did not answer within 2 s.")
        except StoreUnavailable:
            found = Check(status="failing", detail="The store does not commit; the log says why.")
        self._note(found)
        return found

    def _note(self, found: Check) -> None:
        before = self._last[1].status if self._last else "ok"
        if found.status != before:
            log.warning("store_check_changed", status=found.status, detail=found.detail)
        self._metrics.store_probed(writable=found.status == "ok")
        self._last = (self._clock(), found)


class Readiness:
    """The answer of /readyz."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        self.store = StoreCheck(parts.probe, clock=parts.clock, metrics=parts.metrics)

    async def report(self) -> Health:
        store, setup = await asyncio.gather(self.store.check(), self._setup())  # both wait for a store that is silent
        checks = {
            "store": store,
            "draining": self._draining(),
            "marketo": marketo_check(self._parts.status().get("paused")),
            **setup,
        }
        failing = any(check.status == "failing" for check in checks.values())
        return Health(status="unavailable" if failing else "ok", version=self._parts.version, checks=checks)

    async def _setup(self) -> dict[str, Check]:
        """Tell what the last check of the set-up came to; nothing before there is one."""
        report = await last_report(self._parts.setup)
        if report is None:
            return {}
        return {
            "setup": Check(status=_verdict(report.counts), detail=f"{report.summary} `relay doctor` tells them all.")
        }

    def _draining(self) -> Check:
        if self._parts.drain.is_draining:
            return Check(status="failing", detail="The relay is stopping; send new requests elsewhere.")
        return Check(status="ok")


def _verdict(counts: Mapping[str, int]) -> Literal["ok", "doubtful", "wrong"]:
    """Return the word that `relay doctor`, the log and the console have for it."""
    if counts.get("fail"):
        return "wrong"
    return "doubtful" if counts.get("warn") or counts.get("unknown") else "ok"


def marketo_check(paused: object) -> Check:
    """Tell what is paused and why. The relay accepts all the same, so this never fails."""
    if not paused:
        return Check(status="ok")
    reasons = paused.items() if isinstance(paused, Mapping) else [("paused", paused)]
    return Check(status="paused", detail="; ".join(f"{scope}: {reason}" for scope, reason in reasons))
