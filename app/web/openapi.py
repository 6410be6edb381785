"""Describe the HTTP interface: what FastAPI knows of its routes, and by hand the webhooks, which bypass them."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.sources.custom.body import CustomBody
from app.web.answers import ProblemOut

REFS = "#/components/schemas/{model}"
DESCRIPTION = (
    "Takes webinar registrations in as webhooks and has Marketo Engage send each person the reminder. "
    "A 202 means stored; look under /api/registrations for what became of it."
)
EXAMPLE: dict[str, Any] = {
    "email": "ada@example.com",
    "firstName": "Ada",
    "lastName": "Lovelace",
    "webinar": {
        "id": "w-42",
        "title": "Scaling Customer Engagement in 2025",
        "joinLink": "https://example.com/join/w-42",
        "image": "https://example.com/w-42.png",
        "startsAt": "2026-12-01T16:00:00Z",
    },
    "registrationId": "r-1",
}
_PROBLEMS = {
    400: "The body is not JSON.",
    401: "The signature, key or secret is absent or wrong.",
    404: "No such source is configured.",
    405: "Not a POST.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not of a JSON type.",
    422: "Some fields are wrong, errors names each; or something else came with this key before.",
    503: "It could not be stored; try again after Retry-After seconds.",
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 255},
    "description": "The same for a repeat, another for anything else: what says something else under a key that came "
    "with this API key before is refused with 422. Signed webhooks are known by their webhook-id in the same way.",
}
_SIGNED: list[dict[str, list[str]]] = [{"StandardWebhooks": []}, {"ApiKey": []}]


def add_description(app: FastAPI) -> None:
    """Let `app.openapi()` return the whole interface, made once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = described(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way that FastAPI's documentation names


def described(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    custom = CustomBody.model_json_schema(ref_template=REFS)
    components = found.setdefault("components", {})
    components.setdefault("schemas", {}).update(
        custom.pop("$defs", {}) | {"CustomBody": custom, "Problem": ProblemOut.model_json_schema(ref_template=REFS)}
    )
    components.setdefault("securitySchemes", {}).update(_schemes())
    _retype_problems(found["paths"])
    components["schemas"].pop(ProblemOut.__name__, None)
    found["paths"] = _webhooks() | found["paths"]
    return found


def _retype_problems(paths: dict[str, Any]) -> None:
    """Name the media type of problems, which FastAPI takes for the JSON of all other answers."""
    as_json = {"schema": {"$ref": REFS.format(model=ProblemOut.__name__)}}
    for operation in (one for path in paths.values() for one in path.values()):
        for answer in operation["responses"].values():
            if answer.get("content", {}).get("application/json") == as_json:
                answer["content"] = _problem("")["content"]


def _schemes() -> dict[str, Any]:
    signature = "Standard Webhooks 1.0.0: webhook-id, webhook-timestamp and webhook-signature, secret whsec_…"
    return {
        "StandardWebhooks": {"type": "apiKey", "in": "header", "name": "webhook-signature", "description": signature},
        "ApiKey": {"type": "http", "scheme": "bearer", "description": "One of CUSTOM_API_KEYS"},
        "PendoSignature": {"type": "apiKey", "in": "header", "name": "X-Pendo-Signature"},
    }


def _webhooks() -> dict[str, Any]:
    custom = _operation("custom", "A registration from an app of your own", security=_SIGNED)
    custom["requestBody"] = _body({"$ref": "#/components/schemas/CustomBody"}, EXAMPLE)
    custom["parameters"] = [_IDEMPOTENCY_KEY]
    secret = {"name": "token", "in": "path", "required": True, "schema": {"type": "string"}}
    eventbrite = _operation("eventbrite", "A webhook of Eventbrite", security=[]) | {
        "parameters": [secret | {"description": "EVENTBRITE_WEBHOOK_TOKEN"}]
    }
    return {
        "/webhooks/custom": {"post": custom},
        "/webhooks/eventbrite/{token}": {"post": eventbrite},
        "/webhooks/pendo": {"post": _operation("pendo", "A webhook of Pendo", security=[{"PendoSignature": []}])},
    }


def _operation(source: str, summary: str, *, security: list[dict[str, list[str]]]) -> dict[str, Any]:
    return {
        "tags": ["webhooks"],
        "summary": summary,
        "operationId": f"receive_{source}",
        "security": security,
        "requestBody": _body({"type": "object"}, None),
        "responses": {
            "202": _json("Stored.", {"id": "evt_019b…", "status": "accepted"}),
            "200": _json("Known already, or of no interest: status is duplicate or ignored.", {"status": "ignored"}),
            **{str(status): _problem(said) for status, said in _PROBLEMS.items()},
        },
    }


def _body(schema: dict[str, Any], example: object) -> dict[str, Any]:
    content = {"schema": schema} | ({"example": example} if example else {})
    return {"required": True, "content": {"application/json": content}}


def _json(description: str, example: object) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"example": example}}}


def _problem(description: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": description, "content": content}
