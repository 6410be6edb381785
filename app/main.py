"""Make the web application from its parts. Importing this module does nothing."""

from fastapi import Depends, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.types import Lifespan, Receive, Scope, Send

from app.web.admin import admin_router
from app.web.body import largest_form
from app.web.care import care_router
from app.web.care_parts import CareParts
from app.web.console.router import console_router
from app.web.docs import docs_router
from app.web.edge import Door, Edge, first_word
from app.web.faults import add_error_answers
from app.web.gate import Gate
from app.web.lists import lists_router
from app.web.openapi import add_description
from app.web.operations import operations_router
from app.web.parts import WebParts
from app.web.setup import setup_router
from app.web.webhooks import PREFIX

__all__ = ["WebParts", "create_app"]


class RelayApp(FastAPI):
    """FastAPI with a door of its own for webhooks."""

    door: Door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await self.door(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(parts: WebParts, *, care: CareParts | None = None, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """Return the application. `lifespan` starts and stops what runs beside it (the dispatcher)."""
    app = RelayApp(
        title="Marketo webhook relay",
        version=parts.version,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # Nothing of a request leaves by itself: traces would carry raw paths, and with them secrets.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        redirect_slashes=False,  # a redirect would be built from the Host header that the sender chose
    )
    app.door = Door(parts)
    add_error_answers(app)
    app.include_router(operations_router(parts))
    app.include_router(admin_router(parts))
    app.include_router(setup_router(parts))
    if care:
        app.include_router(care_router(parts, care))
    if parts.lists:
        app.include_router(lists_router(parts, parts.lists))
    if parts.console:
        app.include_router(console_router(parts, parts.console))
    add_description(app)
    if parts.public_docs:
        gates = [Depends(Gate(parts))] if parts.docs_need_token else []
        app.include_router(docs_router(app), dependencies=gates)
    paths = [route.path or "/" for route in iter_route_contexts(app.routes)]
    words, most = frozenset(map(first_word, paths)), largest_form(parts.max_body)
    app.add_middleware(Edge, first_words=words, room=parts.room, most=most)
    return app
