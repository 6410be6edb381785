"""Answer with the console's own files; everybody may have them."""

from fastapi import APIRouter
from starlette.responses import Response

from app.web.console.assets import KINDS, asset_address, content
from app.web.console.guard import NO_SUCH_THING, page_router
from app.web.problems import Refused

_FOR_A_YEAR = "public, max-age=31536000, immutable"


def shipped_router() -> APIRouter:
    router = page_router()

    @router.get("/assets/{version}/{name}")
    async def asset(version: str, name: str) -> Response:
        if name not in KINDS or asset_address(name) != f"/console/assets/{version}/{name}":
            raise Refused(NO_SUCH_THING)
        return Response(content(name), media_type=KINDS[name], headers={"cache-control": _FOR_A_YEAR})

    return router
