"""Show one webhook as it came."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain import EventState
from app.web.answers import masked
from app.web.console import shown, words
from app.web.console.guard import NO_SUCH_THING, known_id, page_router
from app.web.console.pages import page
from app.web.console.parts import ConsoleParts
from app.web.parts import WebParts
from app.web.problems import Refused

_MOST_SHOWN = 50


def events_router(parts: WebParts, console: ConsoleParts) -> APIRouter:
    router = page_router()
    secrets = [secret.get_secret_value() for secret in console.secrets]

    @router.get("/events/{event_id}")
    async def event(request: Request, event_id: str) -> Response:
        view = await parts.lookup.event(known_id(event_id))
        if view is None:
            raise Refused(NO_SUCH_THING)
        made = [await parts.lookup.registration(one) for one in view.registrations[:_MOST_SHOWN]]
        return page(
            request,
            "event.html",
            view=view,
            to_do=words.advice(view.cause),
            headers=masked(view.headers),
            payload=shown.payload(view.body, secrets) if view.body else None,
            made=[one for one in made if one is not None],
            more=max(0, len(view.registrations) - _MOST_SHOWN),
            names=console.tokens,
            steps=words.replays_of(view),
            may_replay=view.state is EventState.DEAD and bool(view.body),
        )

    return router
