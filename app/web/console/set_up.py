"""Check the set-up on demand: the findings of `relay doctor`, for people."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.web.console.guard import page_router, read_signed_form
from app.web.console.pages import page
from app.web.console.parts import ConsoleParts, Finding
from app.web.parts import WebParts

PATIENCE = timedelta(seconds=90)
TONES = {"ok": "good", "warn": "busy", "fail": "bad", "unknown": "idle"}
WORDS = {"ok": "Fine", "warn": "Look at it", "fail": "Wrong", "unknown": "Not seen"}
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Last:
    """What was found last, and when."""

    at: datetime | None = None
    findings: Sequence[Finding] = ()
    problem: str | None = None


def set_up_router(parts: WebParts, console: ConsoleParts) -> APIRouter:
    router = page_router()
    last, one_at_a_time = _Last(), asyncio.Lock()

    def shown(request: Request) -> Response:
        return page(
            request,
            "set_up.html",
            last=last,
            sections=[(name, list(some)) for name, some in groupby(last.findings, lambda one: one.section)],
            headline=headline(last.findings),
            tones=TONES,
            words=WORDS,
        )

    @router.get("/set-up")
    async def set_up(request: Request) -> Response:
        return shown(request)

    @router.post("/set-up")
    async def check(request: Request) -> Response:
        await read_signed_form(request, request.state.session)
        async with one_at_a_time:  # the checks are calls to Marketo
            if last.at is None or parts.clock() - last.at > timedelta(seconds=10):
                await _look(parts, console, last)
        return shown(request)  # no redirect: another process might answer it, and knows nothing of this check

    return router


async def _look(parts: WebParts, console: ConsoleParts, last: _Last) -> None:
    last.problem = None
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            last.findings = await console.check_up()
    except Exception as error:  # noqa: BLE001  # whatever it was, the page must say so
        _log.exception("the set-up could not be checked")
        last.problem = f"The checks did not come to their end ({type(error).__name__}); the relay's log says why."
    last.at = parts.clock()


def headline(findings: Sequence[Finding]) -> tuple[str, str]:
    """Return the worst tone and a sentence over all findings."""
    wrong = sum(one.verdict == "fail" for one in findings)
    doubtful = sum(one.verdict == "warn" for one in findings)
    if wrong:
        return "bad", "1 thing is wrong." if wrong == 1 else f"{wrong} things are wrong."
    if doubtful:
        return "busy", "1 thing is worth a look." if doubtful == 1 else f"{doubtful} things are worth a look."
    return "good", "Everything that was looked at is as it should be."
