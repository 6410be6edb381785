"""A simulated Marketo with a relay's settings that fit it, mistakes made one at a time, and the report of each."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from app.checkup import check_up
from app.doctor.report import Report, Verdict
from app.sandbox import SandboxConfig, seed
from app.sandbox.banner import relay_settings
from app.sandbox.server import sandbox_running
from app.settings import Settings

Verdicts = dict[str, Verdict]


@dataclass
class Patient:
    """One simulation and the settings of a relay that works against it."""

    url: str
    folder: Path
    http: httpx.AsyncClient
    given: dict[str, Any]

    async def lever(self, method: str, path: str, body: object = None) -> None:
        """Move one of the simulation's levers."""
        (await self.http.request(method, f"/sandbox/{path}", json=body)).raise_for_status()

    def settings(self, **changes: Any) -> Settings:
        return Settings(**{**self.given, **changes})

    async def report(self, **changes: Any) -> Report:
        return (await check_up(self.settings(**changes))).report

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


PUBLIC_URL = "https://relay.example.com"
ACTIONS = ("order.placed", "attendee.updated", "order.refunded")


def webhook(
    endpoint: str = f"{PUBLIC_URL}/webhooks/eventbrite/{seed.EVENTBRITE_WEBHOOK_TOKEN}",
    actions: Sequence[str] = ACTIONS,
    event: str | None = None,
) -> dict[str, object]:
    """Return one of Eventbrite's subscriptions; by default one with which all is well."""
    return {"endpoint": endpoint, "actions": list(actions), "eventId": event}


@asynccontextmanager
async def patient_at_hand(folder: Path, **config: Any) -> AsyncIterator[Patient]:
    """Start a simulation in which nothing is wrong, but for its being one. The store is in `folder`."""
    quick = SandboxConfig(latency=timedelta(0), **config)
    async with sandbox_running(quick) as running, httpx.AsyncClient(base_url=running.url, trust_env=False) as http:
        given = {name.lower(): value for name, value in relay_settings(running.url, quick).items()}
        given |= {"admin_token": seed.ADMIN_TOKEN, "public_url": PUBLIC_URL}
        given["database_url"] = f"sqlite:///{folder / 'relay.db'}"
        patient = Patient(running.url, folder, http, given)
        await patient.lever("PUT", "eventbrite/webhooks", [webhook()])
        yield patient
