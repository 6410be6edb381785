"""Make the web application from its parts. Importing this module does nothing."""

from fastapi import FastAPI
from starlette.types import Lifespan

from app.web.admin import admin_router
from app.web.docs import docs_router
from app.web.edge import Edge
from app.web.faults import add_error_answers
from app.web.openapi import add_description
from app.web.operations import operations_router
from app.web.parts import WebParts

__all__ = ["WebParts", "create_app"]


def create_app(parts: WebParts, *, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """Return the application. `lifespan` starts and stops what runs beside it (the dispatcher)."""
    app = FastAPI(
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
    app.add_middleware(Edge, parts=parts)
    add_error_answers(app)
    app.include_router(operations_router(parts))
    app.include_router(admin_router(parts))
    add_description(app)
    if parts.public_docs:
        app.include_router(docs_router(app))
    return app
