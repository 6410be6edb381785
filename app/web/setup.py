"""The last check of the set-up, and another one when asked: what `relay doctor` says, over HTTP."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.web.admin import gated_router
from app.web.parts import Setup, WebParts
from app.web.problems import NOTHING_HERE, Refused


class SetupFinding(BaseModel):
    """One check: what was found, and what to do about it in the vendor's own menu words."""

    section: str
    check: str
    title: str
    subject: str | None
    verdict: Literal["ok", "warn", "fail", "unknown"]
    found: str
    advice: str | None


class SetupReport(BaseModel):
    """A report as `relay doctor --json` prints it."""

    checkedAt: str  # noqa: N815  # JSON's spelling
    exitCode: int  # noqa: N815  # JSON's spelling
    summary: str
    counts: dict[str, int]
    findings: list[SetupFinding]
    fixes: list[str] = Field(description="What `relay doctor --fix` offers to do.")
    campaigns: dict[str, str] = Field({}, description="What the campaigns are called, by their numbers.")


class SetupState(BaseModel):
    """The last report, if there is one, and whether another one is being made."""

    running: bool
    report: SetupReport | None


async def last_report(setup: Setup | None) -> SetupReport | None:
    """Return what the last check of the set-up came to; None before there is one."""
    report = await setup.last() if setup else None
    return SetupReport.model_validate(report) if report else None


def made_at(report: SetupReport) -> datetime:
    return datetime.fromisoformat(report.checkedAt)


async def campaign_names(setup: Setup | None) -> Mapping[str, str]:
    """Return what the campaigns are called by their numbers, as the last check saw them."""
    report = await last_report(setup)
    return report.campaigns if report else {}


def setup_router(parts: WebParts) -> APIRouter:
    """Return the routes; without a set-up to look at they answer 404."""
    router = gated_router(parts)

    async def state() -> Any:
        if parts.setup is None:
            raise Refused(NOTHING_HERE)
        return {"running": parts.setup.is_running, "report": await parts.setup.last()}

    @router.get("/setup", summary="How everything around the relay is set up", response_model=SetupState)
    async def last() -> Any:
        return await state()

    @router.post("/setup", summary="Check it again, beside the work", response_model=SetupState, status_code=202)
    async def again() -> Any:
        if parts.setup is not None:
            parts.setup.begin()
        return await state()

    return router
