"""A simulated Marketo with a relay's settings that fit it, mistakes made one at a time, and the report of each."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from app.checkup import check_up
from app.doctor.report import Report, Verdict
from app.sandbox import SandboxConfig
from app.sandbox.banner import relay_settings
from app.sandbox.server import sandbox_running
from app.settings import Settings

Verdicts = dict[str, Verdict]


@dataclass
class Patient:
    """One simulation and the settings of a relay that works against it."""

    url: str
    http: httpx.AsyncClient
    given: dict[str, Any]

    async def lever(self, method: str, path: str, body: object = None) -> None:
        """Move one of the simulation's levers."""
        (await self.http.request(method, f"/sandbox/{path}", json=body)).raise_for_status()

    def settings(self, **changes: Any) -> Settings:
        return Settings(**{**self.given, **changes})

    async def report(self, **changes: Any) -> Report:
        return await check_up(self.settings(**changes))

    async def verdicts(self, **changes: Any) -> Verdicts:
        return verdicts(await self.report(**changes))


def verdicts(report: Report) -> Verdicts:
    return {finding.key: finding.verdict for finding in report.findings}


def changed(before: Verdicts, after: Verdicts) -> Mapping[str, str]:
    """Return what came out otherwise than before: `gone` for a check that is no longer made."""
    return {
        key: after[key].value if key in after else "gone"
        for key in {**before, **after}
        if before.get(key) is not after.get(key)
    }


@asynccontextmanager
async def patient_at_hand(**config: Any) -> AsyncIterator[Patient]:
    quick = SandboxConfig(latency=timedelta(0), **config)
    async with sandbox_running(quick) as running, httpx.AsyncClient(base_url=running.url, trust_env=False) as http:
        given = {name.lower(): value for name, value in relay_settings(running.url, quick).items()}
        yield Patient(running.url, http, given)
