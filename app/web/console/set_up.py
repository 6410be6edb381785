"""Show the last check of the set-up, and make another on demand: the findings of `relay doctor`, for people."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from itertools import groupby
from typing import Protocol

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.web.console.guard import NO_SUCH_THING, page_router, read_signed_form
from app.web.console.pages import page
from app.web.parts import Setup, WebParts
from app.web.problems import Refused
from app.web.setup import last_report, made_at

PATIENCE = timedelta(seconds=130)  # a check that takes longer is shown when the page is asked for again
FRESH = timedelta(seconds=10)
_LOOK_EVERY = 0.1  # seconds
TONES = {"ok": "good", "warn": "busy", "fail": "bad", "unknown": "idle"}
WORDS = {"ok": "Fine", "warn": "Look at it", "fail": "Wrong", "unknown": "Not seen"}
NOT_ENDED = "The checks did not come to their end; the relay's log says why."


class Judged(Protocol):
    """One line of the check; `verdict` is ok, warn, fail or unknown."""

    @property
    def verdict(self) -> str: ...


def set_up_router(parts: WebParts) -> APIRouter:
    router = page_router()

    def watch() -> Setup:
        if parts.setup is None:
            raise Refused(NO_SUCH_THING)
        return parts.setup

    async def shown(request: Request, problem: str | None = None) -> Response:
        report = await last_report(watch())
        findings = report.findings if report else []
        return page(
            request,
            "set_up.html",
            at=made_at(report) if report else None,
            is_running=watch().is_running,
            problem=problem,
            sections=[(name, list(some)) for name, some in groupby(findings, lambda one: one.section)],
            headline=headline(findings),
            tones=TONES,
            words=WORDS,
        )

    @router.get("/set-up")
    async def set_up(request: Request) -> Response:
        return await shown(request)

    @router.post("/set-up")
    async def check(request: Request) -> Response:
        await read_signed_form(request, request.state.session)
        before = await last_report(watch())
        if before and parts.clock() - made_at(before) <= FRESH:  # the checks are calls to Marketo
            return await shown(request)
        watch().begin()
        await _ended(watch())
        problem = NOT_ENDED if not watch().is_running and await last_report(watch()) == before else None
        return await shown(request, problem)

    return router


async def _ended(watch: Setup) -> None:
    """Wait until no check is under way, or long enough."""
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while watch.is_running:  # noqa: ASYNC110  # it ends in another thread, which has no event for this loop
                await asyncio.sleep(_LOOK_EVERY)
    except TimeoutError:
        return


def headline(findings: Iterable[Judged]) -> tuple[str, str]:
    """Return the worst tone and a sentence over all findings."""
    verdicts = [one.verdict for one in findings]
    wrong, doubtful = verdicts.count("fail"), verdicts.count("warn")
    if wrong:
        return "bad", "1 thing is wrong." if wrong == 1 else f"{wrong} things are wrong."
    if doubtful:
        return "busy", "1 thing is worth a look." if doubtful == 1 else f"{doubtful} things are worth a look."
    return "good", "Everything that was looked at is as it should be."
