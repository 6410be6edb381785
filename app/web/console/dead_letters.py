"""List what needs a person, by its cause, with the sentence of what to do, and what was taken up again lately."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.web.console.guard import page_router
from app.web.console.keeping import Kept
from app.web.console.live import Live
from app.web.console.pages import page
from app.web.console.parts import ConsoleParts

_REPLAYS = 5  # that are named


def dead_letters_router(console: ConsoleParts, live: Live) -> APIRouter:
    router = page_router()
    kept = Kept(console.overview.causes)
    latest = Kept(lambda: console.care.replays.latest(_REPLAYS))

    @router.get("/dead-letters")
    @live.shared
    async def dead_letters(request: Request) -> Response:
        return page(
            request,
            "dead_letters.html",
            causes=await kept.get(),
            replays=await latest.get(),
            sources=sorted(console.senders),
        )

    return router
