"""Show one request to Marketo."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.web.console import words
from app.web.console.guard import NO_SUCH_THING, known_id, page_router
from app.web.console.pages import page
from app.web.console.parts import ConsoleParts
from app.web.parts import WebParts
from app.web.problems import Refused
from app.web.setup import campaign_names


def calls_router(parts: WebParts, console: ConsoleParts) -> APIRouter:
    router = page_router()

    @router.get("/calls/{call_id}")
    async def call(request: Request, call_id: str) -> Response:
        found = await console.calls.call(known_id(call_id))
        if found is None:
            raise Refused(NO_SUCH_THING)
        outcome, tone = words.call_outcome(found.call)
        return page(
            request,
            "call.html",
            call=found.call,
            campaigns=await campaign_names(parts.setup),
            name=words.call_name(found.call.kind),
            outcome=outcome,
            tone=tone,
            registrations=found.registrations,
            names=console.tokens,
        )

    return router
