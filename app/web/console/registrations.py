"""Search registrations, and take what was found away as CSV."""

from collections.abc import AsyncIterator, Mapping

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from app.store.views import Page, RegistrationView
from app.web.console import export
from app.web.console.asking import Asked, asked
from app.web.console.guard import page_router
from app.web.console.live import Live
from app.web.console.pages import page, problem_page
from app.web.console.parts import ConsoleParts
from app.web.console.words import SOURCES, STATES
from app.web.parts import WebParts

A_PAGE = 50
_A_CHUNK = 500  # rows
_NOTHING: Page[RegistrationView] = Page([], None)
_PAGES_OF_IDS = {"reg_": "registrations", "evt_": "events", "call_": "calls"}


def registrations_router(parts: WebParts, console: ConsoleParts, live: Live) -> APIRouter:
    router = page_router()
    sources = sorted({*parts.sources, *SOURCES})  # of one that was turned off there may be registrations

    @router.get("/registrations")
    @live.shared
    async def search(request: Request) -> Response:
        if address := _address_of_id(request.query_params.get("q", "").strip()):
            return RedirectResponse(address, 303)
        found, problems = _NOTHING, {}
        want = asked(request.query_params, sources)
        problems = dict(want.problems)
        if not problems:
            try:
                cursor = request.query_params.get("cursor") or None
                found = await console.search.registrations(want.wanted, limit=A_PAGE, cursor=cursor)
            except ValueError:
                problems["cursor"] = "belongs to another search; this one begins at its first page"
        return _page(request, parts, want, found, problems)

    @router.get("/registrations.csv")
    async def export_csv(request: Request) -> Response:
        want = asked(request.query_params, sources)
        if want.problems:
            return problem_page(request, 400, "This search makes no sense", "Go back to the search and correct it.")
        return await _csv(console, want)

    def _page(
        request: Request, parts: WebParts, want: Asked, found: Page[RegistrationView], problems: Mapping[str, str]
    ) -> Response:
        return page(
            request,
            "registrations.html",
            status=400 if problems else 200,
            given=want.given,
            is_narrow=want.is_narrow,
            problems=problems,
            found=found,
            is_continued="cursor" in request.query_params,
            sources=sources,
            states={name: word for name, (word, _) in STATES.items()},
            names=console.tokens,
        )

    return router


def _address_of_id(text: str) -> str | None:
    """Return the page of what an id names: whoever was given one pastes it into the search."""
    kind = next((kind for kind in _PAGES_OF_IDS if text.startswith(kind)), None)
    is_whole = kind is not None and text[len(kind) :].isalnum() and text.isascii() and len(text) <= 64
    return f"/console/{_PAGES_OF_IDS[kind]}/{text}" if kind is not None and is_whole else None


async def _csv(console: ConsoleParts, want: Asked) -> Response:
    rows = console.search.all(want.wanted)
    first = await _chunk(rows)  # before the answer begins: a store that fails is still told as such

    async def body() -> AsyncIterator[bytes]:
        yield export.lines(first, console.tokens, with_header=True)
        while chunk := await _chunk(rows):
            yield export.lines(chunk, console.tokens, with_header=False)

    headers = {"content-disposition": 'attachment; filename="registrations.csv"'}
    return StreamingResponse(body(), media_type="text/csv; charset=utf-8", headers=headers)


async def _chunk(rows: AsyncIterator[RegistrationView]) -> list[RegistrationView]:
    chunk: list[RegistrationView] = []
    async for row in rows:
        chunk.append(row)
        if len(chunk) == _A_CHUNK:
            break
    return chunk
