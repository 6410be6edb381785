"""The whole simulation as one ASGI application."""

from fastapi import FastAPI

from app.sandbox.config import SandboxConfig
from app.sandbox.control import control_router
from app.sandbox.control_faults import faults_router
from app.sandbox.control_setup import setup_router
from app.sandbox.door import Door
from app.sandbox.eventbrite import Eventbrite
from app.sandbox.inspection import inspection_router
from app.sandbox.marketo import Marketo
from app.sandbox.marketo_identity import Identity
from app.sandbox.page import page_router
from app.sandbox.pendo import Pendo
from app.sandbox.world import Simulation


def create_sandbox(config: SandboxConfig | None = None) -> FastAPI:
    """Return the application; `app.state.simulation` holds what it remembers.

    Marketo answers under `/rest` and `/identity`, Eventbrite under `/eventbrite/v3`, Pendo under `/pendo/api/v1`; its
    own controls are under `/sandbox`, a page is at `/`.
    """
    simulation = Simulation(config or SandboxConfig())
    app = FastAPI(
        title="Simulated Marketo, Eventbrite and Pendo",
        openapi_url="/sandbox/openapi.json",
        docs_url=None,  # FastAPI's pages load scripts from afar
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.simulation = simulation
    for router in (faults_router, control_router, setup_router, inspection_router, page_router):
        app.include_router(router(simulation))
    for path, service in (
        ("/identity", Identity()),
        ("/rest", Marketo()),
        ("/eventbrite/v3", Eventbrite()),
        ("/pendo/api/v1", Pendo()),
    ):
        app.mount(path, Door(simulation, service))
    return app
