"""Turn the router's own errors into problems, so that every refusal has one shape."""

from collections.abc import Sequence
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.errors import FieldProblem, StoreUnavailable
from app.web.problems import CONTENT_TYPE, NO_STORE, NOTHING_HERE, UNREADABLE, Headers, Problem, Refused
from app.wording import path_of, problem_in_words

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("app.web")


def respond(problem: Problem, request: Request) -> Response:
    headers = {name.decode(): value.decode() for name, value in problem.headers}
    body = problem.body(request.state.request_id)
    return Response(body, problem.status, headers, media_type=CONTENT_TYPE.decode())


def fields_of(error: RequestValidationError) -> Sequence[FieldProblem]:
    """Return each parameter at fault, without what was sent in it."""
    return [FieldProblem(_field(e["loc"], e["type"]), problem_in_words(e)) for e in error.errors()]


def _field(location: Sequence[int | str], kind: str) -> str:
    """Return the path of what is at fault; of a body that is no JSON, where its reader stopped is no field."""
    return path_of(() if kind == "json_invalid" else location[1:])


def problem_of_status(error: HTTPException) -> Problem:
    if error.status_code == 404:
        return NOTHING_HERE
    if error.status_code == 400:
        return UNREADABLE
    headers: Headers = tuple((n.lower().encode(), v.encode()) for n, v in (error.headers or {}).items())
    detail = HTTPStatus(error.status_code).description or "The request was refused."
    return Problem(error.status_code, "refused", f"{detail}.", headers=headers)


def add_error_answers(app: FastAPI) -> None:
    """Register an answer for each error that may leave a route."""

    @app.exception_handler(HTTPException)
    async def refused_by_router(request: Request, error: HTTPException) -> Response:
        return respond(problem_of_status(error), request)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        detail = "Something in the request is wrong; errors names each."
        return respond(Problem(422, "invalid", detail, fields_of(error)), request)

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return respond(error.problem, request)

    @app.exception_handler(StoreUnavailable)
    async def store_unavailable(request: Request, error: StoreUnavailable) -> Response:
        _log.warning("store_unavailable", reason=str(error), remedy=error.remedy or None)
        return respond(NO_STORE, request)
