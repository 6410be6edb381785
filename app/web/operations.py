"""What machines ask: /livez, /readyz, /healthz, /metrics."""

from typing import Any

from fastapi import APIRouter, Depends
from starlette.responses import JSONResponse, Response

from app.metrics import CONTENT_TYPE
from app.web.admin import PROBLEMS
from app.web.gate import Gate
from app.web.parts import WebParts
from app.web.readiness import Health, Readiness
from app.web.setup import last_report

_UNREADY: dict[int | str, dict[str, Any]] = {
    503: {"model": Health, "description": "The store does not commit, or the relay is stopping."}
}
_GATED: dict[int | str, dict[str, Any]] = {status: PROBLEMS[status] for status in (401, 429)}


def operations_router(parts: WebParts) -> APIRouter:
    router = APIRouter(tags=["operations"])
    readiness = Readiness(parts)

    @router.head("/livez", include_in_schema=False)
    @router.get("/livez", summary="Is the process alive?", response_model=Health)
    async def livez() -> Response:
        return health_answer(Health(status="ok", version=parts.version))

    @router.head("/healthz", include_in_schema=False)
    @router.head("/readyz", include_in_schema=False)
    @router.get("/healthz", summary="The same as /readyz", response_model=Health, responses=_UNREADY)
    @router.get("/readyz", summary="Can it accept webhooks?", response_model=Health, responses=_UNREADY)
    async def readyz() -> Response:
        return health_answer(await readiness.report())

    gates, refusals = ([Depends(Gate(parts))], _GATED) if parts.metrics_need_token else ([], {})

    @router.get(
        "/metrics",
        summary="Figures for Prometheus",
        response_class=Response,
        dependencies=gates,
        responses=refusals,
    )
    async def metrics() -> Response:
        await readiness.store.check()  # nobody else may ask: without a balancer it would be told as of the start
        if report := await last_report(parts.setup):
            parts.metrics.setup_seen(report.counts)
        parts.metrics.dispatcher_seen(parts.status())
        parts.metrics.inbox_seen(parts.inbox.waiting[0])
        return Response(parts.metrics.render(parts.clock()), media_type=CONTENT_TYPE)

    return router


def health_answer(health: Health) -> Response:
    return JSONResponse(health.model_dump(exclude_none=True), 200 if health.status == "ok" else 503)
