"""List webhooks, with what waits to be tried again and why, and show one as it came."""

from collections.abc import Collection, Mapping

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain import EventState
from app.store.views import EventFilter, EventLine, Page
from app.web.console import shown, words
from app.web.console.guard import NO_SUCH_THING, known_id, page_router
from app.web.console.live import Live
from app.web.console.pages import page
from app.web.console.parts import ConsoleParts, Webhooks
from app.web.parts import WebParts
from app.web.problems import Refused

_MOST_SHOWN = 50
_A_PAGE = 50
_NARROWS = ("state", "source")
_NOTHING: Page[EventLine] = Page([], None)


def events_router(parts: WebParts, console: ConsoleParts, live: Live) -> APIRouter:
    router = page_router()
    sources = sorted({*parts.sources, *words.SOURCES})  # of one that was turned off there may be webhooks

    @router.get("/events")
    @live.shared
    async def listed(request: Request) -> Response:
        given = {name: text for name in _NARROWS if (text := request.query_params.get(name, "").strip())}
        cursor = request.query_params.get("cursor") or None
        found, problem = await _listed(console.webhooks, given, cursor, sources)
        return page(
            request,
            "events.html",
            status=400 if problem else 200,
            given=given,
            found=found,
            problem=problem,
            is_continued=cursor is not None,
            sources=sources,
            states=list(EventState),
        )

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
            headers=parts.masking.headers(view.headers),
            payload=shown.payload(parts.masking.body(view.body)) if view.body else None,
            made=[one for one in made if one is not None],
            more=max(0, len(view.registrations) - _MOST_SHOWN),
            names=console.tokens,
            steps=words.replays_of(view),
            may_replay=view.state is EventState.DEAD and bool(view.body),
        )

    return router


async def _listed(
    webhooks: Webhooks, given: Mapping[str, str], cursor: str | None, sources: Collection[str]
) -> tuple[Page[EventLine], str]:
    """Return the webhooks that were asked for, or what is wrong with the question."""
    state, source = given.get("state"), given.get("source")
    if (state and state not in set(EventState)) or (source and source not in sources):
        return _NOTHING, "There is no such state or source: choose both from the lists above."
    try:
        which = EventFilter(source, EventState(state) if state else None)
        return await webhooks.events(which, limit=_A_PAGE, cursor=cursor), ""
    except ValueError:
        return _NOTHING, "This page belongs to another list; begin at the first page."
