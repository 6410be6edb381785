"""Put the console's pages together."""

from fastapi import APIRouter, Depends
from starlette.responses import RedirectResponse, Response

from app.web.console.calls import calls_router
from app.web.console.dead_letters import dead_letters_router
from app.web.console.events import events_router
from app.web.console.guard import NO_SUCH_THING, Guard, page_router
from app.web.console.live import Live
from app.web.console.overview import overview_router
from app.web.console.parts import ConsoleParts
from app.web.console.registration import registration_router
from app.web.console.registrations import registrations_router
from app.web.console.replays import replays_router
from app.web.console.session import Sessions
from app.web.console.set_up import set_up_router
from app.web.console.shipped import shipped_router
from app.web.console.sign_in import sign_in_router
from app.web.console.sources import sources_router
from app.web.console.webinars import webinars_router
from app.web.parts import WebParts
from app.web.problems import Refused

_WITH_PARTS = (registration_router, calls_router, sources_router)
_LIVE = (overview_router, registrations_router, events_router, webinars_router)  # that many people leave open


def console_router(parts: WebParts, console: ConsoleParts) -> APIRouter:
    sessions = Sessions(
        [token.get_secret_value() for token in parts.admin_tokens],
        [token.get_secret_value() for token in parts.admin_read_tokens],
    )
    guard = Guard(sessions, parts.clock)
    router = APIRouter()
    router.include_router(shipped_router())
    router.include_router(sign_in_router(sessions, guard, parts))
    live = Live()
    pages = [make(parts, console) for make in _WITH_PARTS]
    pages += [make(parts, console, live) for make in _LIVE]
    pages += [
        set_up_router(parts),
        dead_letters_router(console, live),
        replays_router(console),
        _others(),
    ]
    for one in pages:
        router.include_router(one, dependencies=[Depends(guard)])
    return router


def _others() -> APIRouter:
    router = page_router()

    @router.api_route("/{rest:path}", methods=["GET", "POST"])
    async def nothing_here(rest: str) -> Response:
        if not rest:
            return RedirectResponse("/console", 303)
        raise Refused(NO_SUCH_THING)

    return router
