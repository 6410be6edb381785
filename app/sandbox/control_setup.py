"""The simulation's levers of set-up: My Tokens, e-mails, person fields, the clock. Each plays one mistake."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict

from app.sandbox import seed
from app.sandbox.emails import Mail
from app.sandbox.eventbrite_objects import webhook_json
from app.sandbox.people import PersonField
from app.sandbox.programs import Program
from app.sandbox.world import Simulation


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TokenOrder(_Body):
    """One My Token to be; the types are the Asset API's, and those that it only reads."""

    value: str = ""
    type: str = "text"


class MailChange(_Body):
    """What an e-mail shall be like from now on."""

    subject: str | None = None
    html: str | None = None
    approved: bool | None = None
    operational: bool | None = None


class FieldOrder(_Body):
    """A person field to be, or to replace the one of this name."""

    displayName: str  # noqa: N815  # JSON's spelling
    type: str = "string"
    length: int | None = 255
    readOnly: bool = False  # noqa: N815  # JSON's spelling


class WebhookOrder(_Body):
    """One subscription at Eventbrite to be."""

    endpoint: str
    actions: list[str]
    eventId: str | None = None  # noqa: N815  # JSON's spelling


class ClockChange(_Body):
    """How many seconds the clock in the Date header is ahead of the true one."""

    ahead: float


def setup_router(simulation: Simulation) -> APIRouter:
    """Return the routes under `/sandbox` that change how the accounts are set up."""
    router = APIRouter(prefix="/sandbox", tags=["control"])
    marketo = APIRouter(prefix="/marketo")
    _add_programs(marketo, simulation)
    _add_instance(marketo, simulation)
    router.include_router(marketo)

    @router.put("/eventbrite/organizations")
    async def put_organizations(ids: list[str]) -> dict[str, list[str]]:
        simulation.world.eventbrite.organizations = ids
        return {"organizations": ids}

    @router.put("/eventbrite/webhooks")
    async def put_webhooks(orders: list[WebhookOrder]) -> dict[str, int]:
        """Let there be these subscriptions and no others."""
        now, first = simulation.world.now(), int(seed.EVENTBRITE_WEBHOOK_ID)
        hooks = [
            webhook_json(str(first + n), now, order.endpoint, order.actions, order.eventId)
            for n, order in enumerate(orders)
        ]
        simulation.world.eventbrite.webhooks = {hook["id"]: hook for hook in hooks}
        return {"webhooks": len(hooks)}

    return router


def _add_instance(router: APIRouter, simulation: Simulation) -> None:

    @router.put("/fields/{name}")
    async def put_field(name: str, order: FieldOrder) -> dict[str, str]:
        field = PersonField(order.displayName, order.type, order.length, order.readOnly)
        simulation.world.fields[name] = field
        return {"name": name}

    @router.delete("/fields/{name}")
    async def delete_field(name: str) -> dict[str, bool]:
        return {"deleted": simulation.world.fields.pop(name, None) is not None}

    @router.put("/clock")
    async def set_clock(change: ClockChange) -> dict[str, float]:
        simulation.world.ahead = timedelta(seconds=change.ahead)
        return {"ahead": change.ahead}


def _add_programs(router: APIRouter, simulation: Simulation) -> None:
    def program(program_id: int) -> Program:
        if (found := simulation.world.assets.programs.get(program_id)) is None:
            raise HTTPException(404, "no such program")
        return found

    @router.put("/programs/{program_id}/tokens/{name}")
    async def put_token(program_id: int, name: str, order: TokenOrder) -> dict[str, str]:
        found = program(program_id)
        found.tokens[name], found.token_types[name] = order.value, order.type
        return {"name": name}

    @router.delete("/programs/{program_id}/tokens/{name}")
    async def delete_token(program_id: int, name: str) -> dict[str, bool]:
        return {"deleted": program(program_id).tokens.pop(name, None) is not None}

    @router.patch("/programs/{program_id}/email")
    async def change_email(program_id: int, change: MailChange) -> dict[str, Any]:
        found = program(program_id)
        found.mail = replace(found.mail or Mail(), **change.model_dump(exclude_none=True))
        return {"id": found.email_id}

    @router.delete("/programs/{program_id}/email")
    async def delete_email(program_id: int) -> dict[str, bool]:
        found = program(program_id)
        there, found.mail = found.mail is not None, None
        return {"deleted": there}
