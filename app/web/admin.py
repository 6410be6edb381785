"""The admin API: what became of whom. Read only, and off unless an ADMIN_TOKEN is set."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field

from app.domain import RegistrationState
from app.store.views import RegistrationFilter
from app.web.answers import Event, Forecast, ProblemOut, Registrations, RegistrationWithTimeline
from app.web.cursors import Paged, Word
from app.web.gate import Gate
from app.web.parts import WebParts
from app.web.problems import NO_SUCH_ID, Refused

Id = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemOut, "description": said}
    for status, said in (
        (400, "The cursor is wrong."),
        (401, "The token is absent or wrong."),
        (403, "The token may only look."),
        (404, "No such thing, or the admin API is off."),
        (422, "A parameter is wrong; errors names it."),
        (429, "Too many wrong tokens are being tried."),
        (503, "The store does not answer."),
    )
}


class RegistrationQuery(Paged):
    """Which registrations to list."""

    email: Word | None = Field(None, description="The person's address; upper and lower case are the same.")
    source: Word | None = None
    state: RegistrationState | None = None
    webinar: Word | None = Field(None, description="The source's own id of the webinar.")

    def filter(self) -> RegistrationFilter:
        email = self.email and self.email.replace(" ", "+")  # a + typed as it is reads as a space, which no address has
        return RegistrationFilter(email=email, source=self.source, state=self.state, webinar_id=self.webinar)


def gated_router(parts: WebParts) -> APIRouter:
    """Return a router whose every route asks for an admin token first."""
    return APIRouter(prefix="/api", tags=["admin"], dependencies=[Depends(Gate(parts))], responses=PROBLEMS)


def admin_router(parts: WebParts) -> APIRouter:
    router = gated_router(parts)

    @router.get("/registrations", summary="What became of whom")
    async def registrations(asked: Annotated[RegistrationQuery, Query()]) -> Registrations:
        which, limit = asked.filter(), asked.limit
        page = await asked.page(lambda cursor: parts.lookup.registrations(which, limit=limit, cursor=cursor))
        return Registrations.of(page)

    @router.get("/registrations/{registration_id}", summary="One registration with its timeline and calls")
    async def registration(registration_id: Id) -> RegistrationWithTimeline:
        if (view := await parts.lookup.registration(registration_id)) is None:
            raise Refused(NO_SUCH_ID)
        return RegistrationWithTimeline.of(view)

    @router.get("/events/{event_id}", summary="One webhook as it came, secrets masked")
    async def event(event_id: Id) -> Event:
        if (view := await parts.lookup.event(event_id)) is None:
            raise Refused(NO_SUCH_ID)
        return Event.of(view, parts.masking)

    @router.get("/forecast", summary="What waits, how many calls it costs, and when it will be through")
    async def forecast() -> Forecast:
        return Forecast.of(parts.status())

    return router
