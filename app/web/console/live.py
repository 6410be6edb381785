"""Answer the console's script, which asks for its page again and again: who looks at the same page shares an answer.

Only what the page marks as live is taken from such an answer, and no form is among it: it is made without the token
that a session's own forms carry.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps

from fastapi import Request
from starlette.responses import Response

from app.domain import Ticks
from app.web.console.keeping import Kept

HEADER = "x-console-live"
LASTS = 8.0  # seconds; the script asks every ten, and whoever loads a page gets it anew
_MOST = 200  # that are kept
Page = Callable[[Request], Awaitable[Response]]
_Key = tuple[str, str, bool]


class Live:
    """The answers that are shared: `most` of them, each for `lasts` seconds."""

    def __init__(self, *, lasts: float = LASTS, most: int = _MOST, ticks: Ticks = time.monotonic) -> None:
        self._lasts = lasts
        self._ticks = ticks
        self._most = most
        self._kept: dict[_Key, Kept[Response]] = {}

    def shared(self, make: Page) -> Page:
        """Return the page with its answers to the script shared, apart for those who only look."""

        @wraps(make)
        async def answered(request: Request) -> Response:
            if HEADER not in request.headers:
                return await make(request)
            session = request.state.session
            request.state.session = replace(session, form_token="")
            key = (request.url.path, request.url.query, session.may_act)
            if key not in self._kept and len(self._kept) >= self._most:
                self._kept.clear()
            kept = self._kept.setdefault(key, Kept(lambda: make(request), at_least=self._lasts, ticks=self._ticks))
            return _again(await kept.get())

        return answered


def _again(made: Response) -> Response:
    """Return an answer of its own, as each is given its own headers on its way."""
    answer = Response(made.body, made.status_code)
    answer.raw_headers = list(made.raw_headers)
    return answer
