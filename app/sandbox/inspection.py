"""What the simulation has seen, as JSON: calls, e-mails, people, violations, figures. Changes nothing."""

from typing import Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from app.sandbox.emails import banner
from app.sandbox.world import Simulation, World

_SEALED = {"content-security-policy": "sandbox; script-src 'none'; object-src 'none'", "cache-control": "no-store"}


def inspection_router(simulation: Simulation) -> APIRouter:
    """Return the routes under `/sandbox` that only look.

    Lists are oldest first: of the records asked for, up to `limit` with a number above `after`.
    """
    router = APIRouter(prefix="/sandbox", tags=["inspection"])
    _add_lists(router, simulation)
    _add_emails(router, simulation)

    @router.get("/stats")
    async def stats() -> dict[str, Any]:
        return figures(simulation.world)

    @router.get("/banner.svg")
    async def picture(title: str = "") -> Response:
        """Return a picture for a webinar, so that the e-mails show one without a network."""
        return Response(banner(title), media_type="image/svg+xml", headers={"cache-control": "max-age=3600"})

    @router.api_route("/elsewhere", methods=["GET", "POST"], include_in_schema=False)
    async def elsewhere(request: Request) -> JSONResponse:
        """Be where a `redirect` fault points to. No call ever leads here, so whoever comes has followed it."""
        world = simulation.world
        carried = "with" if "authorization" in request.headers else "without"
        world.violations.add(world.now(), "followed_redirect", f"a redirect was followed, {carried} the access token")
        return JSONResponse({"success": True, "result": []})

    return router


def _add_lists(router: APIRouter, simulation: Simulation) -> None:
    @router.get("/calls")
    async def calls(
        after: int = 0, limit: int = Query(1000, ge=1, le=100_000), kind: str | None = None
    ) -> JSONResponse:
        found = simulation.world.calls.after(after, limit, lambda call: kind in (None, call.kind))
        return JSONResponse([call.as_json() for call in found])

    @router.get("/people")
    async def people(limit: int = Query(1000, ge=1, le=100_000), email: str | None = None) -> JSONResponse:
        book = simulation.world.people
        found = list(book) if email is None else book.find("email", email)
        return JSONResponse(
            [
                {**person.record(), "fields": person.fields, "emails": person.emails, "campaigns": sorted(person.runs)}
                for person in found[:limit]
            ]
        )

    @router.get("/violations")
    async def violations(after: int = 0, limit: int = Query(1000, ge=1, le=100_000)) -> JSONResponse:
        found = simulation.world.violations.log.after(after, limit)
        return JSONResponse([violation.as_json() for violation in found])


def _add_emails(router: APIRouter, simulation: Simulation) -> None:
    @router.get("/emails")
    async def emails(
        after: int = 0,
        limit: int = Query(1000, ge=1, le=100_000),
        to: str | None = None,
        html: bool = True,  # a query parameter
    ) -> JSONResponse:
        found = simulation.world.emails.after(after, limit, lambda email: to is None or email.to.lower() == to.lower())
        return JSONResponse([email.as_json(with_html=html) for email in found])

    @router.get("/emails/{number}.html")
    async def email(number: int) -> HTMLResponse:
        """Return one message as its reader sees it; no script in it can run."""
        found = simulation.world.emails.get(number)
        if found is None:
            raise HTTPException(404, "no such e-mail, or no longer kept")
        return HTMLResponse(found.html, headers=_SEALED)


def figures(world: World) -> dict[str, Any]:
    """Return the exact counts since the start, however little is kept in memory."""
    by_kind: dict[str, dict[str, int]] = {}
    for (kind, code), number in world.outcomes.items():
        by_kind.setdefault(kind, {})[code] = number
    messages = [person.emails for person in world.people]
    return {
        "calls": world.calls.total,
        "outcomes": by_kind,
        "emails": world.emails.total,
        "peopleMailed": sum(1 for number in messages if number),
        "mostEmailsPerPerson": max(messages, default=0),
        "skipped": dict(world.skips),
        "people": len(world.people),
        "duplicatePeople": world.people.duplicates,
        "violations": dict(world.violations.by_kind),
        "window": {"limit": world.config.calls_per_window, "peak": world.window.peak},
        "inFlight": {"limit": world.config.max_in_flight, "now": world.in_flight.now, "peak": world.in_flight.peak},
        "day": {"limit": world.config.calls_per_day, "used": world.quota.used},
    }
