"""The page at `/`: figures, rendered e-mails and calls, fresh every few seconds, without a script."""

from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment

from app.sandbox.inspection import figures
from app.sandbox.world import Simulation

_SHOWN_CALLS, _SHOWN_EMAILS, _SHOWN_VIOLATIONS = 60, 6, 10


def page_router(simulation: Simulation) -> APIRouter:
    """Return the route of the page."""
    router = APIRouter()
    text = files("app.sandbox").joinpath("page.html").read_text(encoding="utf-8")
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)

    @router.get("/", include_in_schema=False)
    async def show(request: Request) -> HTMLResponse:
        world = simulation.world
        html = page.render(
            figures=figures(world),
            calls=world.calls.newest(_SHOWN_CALLS),
            emails=world.emails.newest(_SHOWN_EMAILS),
            violations=world.violations.log.newest(_SHOWN_VIOLATIONS),
            url=str(request.base_url).rstrip("/"),
        )
        return HTMLResponse(html, headers={"cache-control": "no-store"})

    return router
