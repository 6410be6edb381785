"""Put the console's pages together."""

from fastapi import APIRouter, Depends
from starlette.responses import RedirectResponse, Response

from app.web.console.calls import calls_router
from app.web.console.events import events_router
from app.web.console.guard import NO_SUCH_THING, Guard, PageRoute
from app.web.console.parts import ConsoleParts
from app.web.console.registration import registration_router
from app.web.console.registrations import registrations_router
from app.web.console.session import Sessions
from app.web.console.shipped import shipped_router
from app.web.console.sign_in import sign_in_router
from app.web.parts import WebParts
from app.web.problems import Refused


def console_router(parts: WebParts, console: ConsoleParts) -> APIRouter:
    sessions = Sessions([token.get_secret_value() for token in parts.admin_tokens])
    guard = Guard(sessions, parts.clock)
    router = APIRouter(prefix="/console", include_in_schema=False, route_class=PageRoute)
    router.include_router(shipped_router())
    router.include_router(sign_in_router(sessions, guard, parts.clock))
    pages = (registrations_router(parts, console), registration_router(parts, console), events_router(parts, console))
    for one in (*pages, calls_router(console)):
        router.include_router(one, dependencies=[Depends(guard)])

    @router.get("", dependencies=[Depends(guard)])
    async def first_page() -> Response:
        return RedirectResponse("/console/registrations", 303)

    @router.api_route("/{rest:path}", methods=["GET", "POST"], dependencies=[Depends(guard)])
    async def nothing_here() -> Response:
        raise Refused(NO_SUCH_THING)

    return router
