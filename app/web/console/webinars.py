"""List the webinars that people registered for, with what became of their reminders."""

from datetime import timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.store.tallies import Webinars
from app.web.console.guard import page_router
from app.web.console.keeping import Kept
from app.web.console.live import Live
from app.web.console.pages import page
from app.web.console.parts import ConsoleParts
from app.web.parts import WebParts

LOOKED_BACK = timedelta(days=90)


def webinars_router(parts: WebParts, console: ConsoleParts, live: Live) -> APIRouter:
    router = page_router()

    async def find() -> Webinars:
        return await console.overview.webinars(parts.clock() - LOOKED_BACK)

    kept = Kept(find)

    @router.get("/webinars")
    @live.shared
    async def webinars(request: Request) -> Response:
        found = await kept.get()
        return page(request, "webinars.html", webinars=found, days=LOOKED_BACK.days, names=console.tokens)

    return router
