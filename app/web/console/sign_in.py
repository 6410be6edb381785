"""Sign in with the ADMIN_TOKEN, and out."""

from collections.abc import Mapping
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from app.web.console.guard import COOKIE, OFF, Guard, page_router, read_form, read_own_form, safe_next
from app.web.console.pages import page
from app.web.console.session import LASTS, Session, Sessions
from app.web.parts import WebParts
from app.web.problems import TOO_MANY_GUESSES, Refused

_WRONG = "That is not the admin token. It stands in the relay's settings as ADMIN_TOKEN."
_OVER = f"You are not signed in, or no longer: a sign-in lasts {int(LASTS.total_seconds()) // 3600} hours."
_log = structlog.get_logger(__name__)


def _ended(given: Mapping[str, str]) -> str | None:
    """Return what to say to somebody who was sent here from another page, most likely by a sign-in that has ended."""
    if "undone" in given:
        return f"{_OVER} What you pressed was not done: sign in, and do it again."
    return f"{_OVER} After it, you go on where you were." if given.get("next", "/console") != "/console" else None


def sign_in_router(sessions: Sessions, guard: Guard, parts: WebParts) -> APIRouter:
    router = page_router()

    @router.get("/sign-in")
    async def form(request: Request) -> Response:
        if not sessions.are_possible:
            raise Refused(OFF)
        given = request.query_params
        going_on = safe_next(given.get("next", ""))
        return page(request, "sign_in.html", next=going_on, problem=None, ended=_ended(given))

    @router.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        if not sessions.are_possible:
            raise Refused(OFF)
        given = await read_form(request)
        going_on = safe_next(given.get("next", ""))
        cookie = sessions.open(given.get("token", ""), parts.clock())
        if cookie is None:
            _log.warning("console sign-in refused", client=request.client.host if request.client else None)
            status, problem = (401, _WRONG) if await parts.waiting.sit() else (429, TOO_MANY_GUESSES.detail)
            return page(request, "sign_in.html", status=status, next=going_on, problem=problem, ended=None)
        answer = RedirectResponse(going_on, 303)
        is_https = request.url.scheme == "https"
        seconds = int(LASTS.total_seconds())
        answer.set_cookie(
            COOKIE, cookie, max_age=seconds, path="/console", httponly=True, samesite="strict", secure=is_https
        )
        _log.info("console signed in")
        return answer

    @router.post("/sign-out")
    async def sign_out(request: Request, session: Annotated[Session, Depends(guard)]) -> Response:
        await read_own_form(request, session)
        answer = RedirectResponse("/console/sign-in", 303)
        answer.delete_cookie(COOKIE, path="/console", httponly=True, samesite="strict")
        return answer

    return router
