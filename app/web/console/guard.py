"""Let in who is signed in, take forms from our own pages only, and answer every refusal with a page."""

import hmac
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import RedirectResponse, Response

from app.domain import Clock
from app.errors import StoreUnavailable
from app.web.body import FORM
from app.web.console import words
from app.web.console.pages import problem_page
from app.web.console.session import Session, Sessions
from app.web.problems import Problem, Refused, too_large

COOKIE = "relay_console"
SIGN_IN = "/console/sign-in"
OFF = Problem(404, "console_off", "Set ADMIN_TOKEN and restart the relay; that token then opens the console.")
NO_SUCH_THING = Problem(404, "not_found", "Look whether the address is whole, or search for the person.")
NOT_OUR_FORM = Problem(
    403, "not_our_form", "The form was too old or came from elsewhere. Go back, load the page again and repeat it."
)
ONLY_LOOKS = Problem(403, "read_only", words.ONLY_LOOKS)
_HEADLINES = {
    403: "This form is no longer good",
    404: "There is no such thing here",
    409: "It was not begun",
    408: "The form took too long to arrive",
    422: "That is nothing to replay",
    413: "That is too much for a form",
    503: "The store does not answer",
}
_SPECIAL = {OFF.fact: "The console is off", ONLY_LOOKS.fact: "You may look, and change nothing"}
_OWN_PAGE = re.compile(r"/console(/[A-Za-z0-9_./-]*)?(\?[^\\\x00-\x20]*)?")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class NotSignedIn(Exception):
    """Nobody is signed in, or no longer."""


class PageRoute(APIRoute):
    """A route of the console: its refusals are pages that say what to do."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with the refusals caught."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except NotSignedIn:
                lost = "" if request.method == "GET" else "&undone="
                return RedirectResponse(f"{SIGN_IN}?next={quote(own_page(request), safe='')}{lost}", 303)
            except Refused as error:
                problem = error.problem
                headline = _SPECIAL.get(problem.fact) or _HEADLINES.get(problem.status, problem.title)
                return problem_page(request, problem.status, headline, problem.detail)
            except StoreUnavailable:
                to_do = "Load the page again in a moment. If it stays so, the relay's log says why."
                return problem_page(request, 503, _HEADLINES[503], to_do)
            except RequestValidationError:
                return problem_page(request, 404, _HEADLINES[404], NO_SUCH_THING.detail)

        return handled


def page_router() -> APIRouter:
    return APIRouter(prefix="/console", include_in_schema=False, route_class=PageRoute)


class Guard:
    """A dependency: the session of a request, or NotSignedIn."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock

    def __call__(self, request: Request) -> Session:
        if not self._sessions.are_possible:
            raise Refused(OFF)
        session = self._sessions.read(request.cookies.get(COOKIE), self._clock())
        if session is None:
            raise NotSignedIn
        request.state.session = session
        return session


def own_page(request: Request) -> str:
    """Return where to go on after signing in; forms are not repeated."""
    query = f"?{request.url.query}" if request.url.query else ""
    return safe_next(f"{request.url.path}{query}") if request.method == "GET" else "/console"


def safe_next(address: str) -> str:
    """Return an address if it is a page of the console, else the console's first page: never another site."""
    return address if _OWN_PAGE.fullmatch(address) and len(address) < 2000 else "/console"


def known_id(text: str) -> str:
    """Return an id as it may stand in the store.

    Raises:
        Refused: it can be none.
    """
    if not _ID.fullmatch(text):
        raise Refused(NO_SUCH_THING)
    return text


async def read_form(request: Request, *, limit: int = FORM) -> Mapping[str, str]:
    """Return the fields of a form that was sent from a page of ours.

    Raises:
        Refused: another site sent it, or it is too large.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refused(NOT_OUR_FORM)
    body = await request.body()
    if len(body) > limit:
        raise Refused(too_large(limit))
    try:
        return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=50))
    except ValueError:
        raise Refused(too_large(limit)) from None


async def read_signed_form(request: Request, session: Session, *, limit: int = FORM) -> Mapping[str, str]:
    """Return the fields of a form that does something, from this session's own page.

    Raises:
        Refused: as below, or this session may only look.
    """
    form = await read_own_form(request, session, limit=limit)
    if not session.may_act:
        raise Refused(ONLY_LOOKS)
    return form


async def read_own_form(request: Request, session: Session, *, limit: int = FORM) -> Mapping[str, str]:
    """Return the fields of a form that this session's own page made.

    Raises:
        Refused: as above, or the form's token is not the session's.
    """
    form = await read_form(request, limit=limit)
    if not hmac.compare_digest(form.get("form_token", "").encode(), session.form_token.encode()):
        raise Refused(NOT_OUR_FORM)
    return form
