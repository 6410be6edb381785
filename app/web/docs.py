"""Show the interface to people at /docs: one page from the OpenAPI description, with nothing loaded from elsewhere."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, JSONResponse, Response

_pages = Environment(loader=PackageLoader("app.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, as the page shows it."""

    method: str
    path: str
    tag: str
    summary: str
    parameters: list[dict[str, str]]
    example: str | None
    answers: list[tuple[str, str]]


def operations(description: Mapping[str, Any]) -> Iterator[Operation]:
    """Yield what an OpenAPI description lists, GET and POST only (HEAD is GET without its body)."""
    for path, methods in description["paths"].items():
        for method in ("get", "post"):
            if method in methods:
                yield _operation(method, path, methods[method])


def _operation(method: str, path: str, said: Mapping[str, Any]) -> Operation:
    content = said.get("requestBody", {}).get("content", {}).get("application/json", {})
    example = content.get("example")
    return Operation(
        method=method.upper(),
        path=path,
        tag=said["tags"][0],
        summary=said.get("summary", ""),
        parameters=[
            {"name": p["name"], "in": p["in"], "description": p.get("description", "")}
            for p in said.get("parameters", [])
        ],
        example=json.dumps(example, indent=2, ensure_ascii=False) if example else None,
        answers=[(status, answer["description"]) for status, answer in sorted(said["responses"].items())],
    )


def page(description: Mapping[str, Any]) -> str:
    style = Markup(_pages.get_template("docs.css").render())  # noqa: S704  # our own file, no value in it
    shown = list(operations(description))
    tags = list(dict.fromkeys(operation.tag for operation in shown))
    return _pages.get_template("docs.html").render(info=description["info"], style=style, operations=shown, tags=tags)


@cache
def policy() -> str:
    """Return a Content-Security-Policy that allows the page's one style sheet and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_pages.get_template("docs.css").render().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def docs_router(app: FastAPI) -> APIRouter:
    """Return what shows both, made at the first question: they are large, and strangers may ask often."""
    router = APIRouter(include_in_schema=False)

    @cache
    def shown() -> bytes:
        return page(app.openapi()).encode()

    @cache
    def described() -> bytes:
        return bytes(JSONResponse(app.openapi()).body)

    @router.get("/docs")
    async def docs() -> Response:
        return HTMLResponse(shown(), headers={"content-security-policy": policy()})

    @router.get("/openapi.json")
    async def openapi() -> Response:
        return Response(described(), media_type="application/json")

    return router
