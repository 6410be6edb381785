"""The simulation's levers: revoke credentials, put people, orders and visitors into the accounts."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.sandbox import seed
from app.sandbox.eventbrite_objects import Attendee, Event, Order
from app.sandbox.people import writable
from app.sandbox.programs import Qualification
from app.sandbox.world import Simulation, pendo_visitor


class _Body(BaseModel):
    """A control's body: unknown keys are refused, so that a misspelt lever is noticed."""

    model_config = ConfigDict(extra="forbid")


class Permissions(_Body):
    """The permissions of every custom service from now on."""

    permissions: frozenset[str]

    @field_validator("permissions")
    @classmethod
    def _known(cls, value: frozenset[str]) -> frozenset[str]:
        known = seed.ALL_PERMISSIONS | {seed.WRITE_CAMPAIGN, seed.WRITE_ACTIVITY}
        if unknown := value - known:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
        return value


class CampaignChange(_Body):
    """Switches of one campaign."""

    active: bool | None = None
    requestable: bool | None = None
    trigger: bool | None = None
    qualification: Qualification | None = None
    interval: timedelta | None = None
    communication_limit: bool | None = None
    filters: tuple[str, ...] | None = None
    outside: bool | None = None


class EventOrder(_Body):
    """An Eventbrite event to be. Without `startsAt` it begins in a week."""

    id: str = Field(pattern=r"^\d+$")
    title: str
    startsAt: datetime | None = None  # noqa: N815  # JSON's spelling
    joinLink: str | None = None  # noqa: N815  # JSON's spelling
    logo: bool = True
    status: str = "live"
    modules: list[dict[str, Any]] = Field(default_factory=list)


class AttendeeOrder(_Body):
    """One ticket; what is left out is the buyer's."""

    id: str | None = Field(None, pattern=r"^\d+$")
    firstName: str | None = None  # noqa: N815  # JSON's spelling
    lastName: str | None = None  # noqa: N815  # JSON's spelling
    email: str | None = None
    cancelled: bool = False
    refunded: bool = False


class OrderOrder(_Body):
    """An Eventbrite order to be, or to replace the one with this id. Without attendees it has one ticket."""

    id: str = Field(pattern=r"^\d+$")
    eventId: str = seed.EVENTBRITE_EVENT_ID  # noqa: N815  # JSON's spelling
    firstName: str = "Ada"  # noqa: N815  # JSON's spelling
    lastName: str = "Lovelace"  # noqa: N815  # JSON's spelling
    email: str
    status: str = "placed"
    attendees: list[AttendeeOrder] = Field(default_factory=lambda: [AttendeeOrder()])


class VisitorOrder(_Body):
    """A Pendo visitor to be."""

    id: str
    email: str
    firstName: str = ""  # noqa: N815  # JSON's spelling
    lastName: str = ""  # noqa: N815  # JSON's spelling


def control_router(simulation: Simulation) -> APIRouter:
    """Return the routes under `/sandbox` that change something."""
    router = APIRouter(prefix="/sandbox", tags=["control"])
    _add_marketo(router, simulation)
    _add_sources(router, simulation)

    @router.post("/reset")
    async def reset() -> dict[str, str]:
        """Forget everything: people, calls, e-mails, tokens, limits, faults."""
        simulation.reset()
        return {"status": "reset"}

    return router


def _add_marketo(router: APIRouter, simulation: Simulation) -> None:
    _add_credentials(router, simulation)

    @router.patch("/marketo/campaigns/{campaign_id}")
    async def change_campaign(campaign_id: int, change: CampaignChange) -> dict[str, Any]:
        try:
            changed = simulation.world.assets.change(campaign_id, change.model_dump(exclude_none=True))
        except KeyError:
            raise HTTPException(404, "no such campaign") from None
        return {"id": changed.id, "active": changed.active, "triggerable": changed.is_triggerable}

    @router.delete("/marketo/campaigns/{campaign_id}")
    async def delete_campaign(campaign_id: int) -> dict[str, bool]:
        return {"deleted": simulation.world.assets.campaigns.pop(campaign_id, None) is not None}

    @router.post("/marketo/people", status_code=201)
    async def add_person(fields: dict[str, Any]) -> dict[str, Any]:
        """Put a person there, also a second one with the same address."""
        world = simulation.world
        if unknown := fields.keys() - writable(world.fields):
            raise HTTPException(422, f"unknown fields: {', '.join(sorted(unknown))}")
        return world.people.create(fields, world.now()).record()

    @router.delete("/marketo/people/{lead_id}")
    async def remove_person(lead_id: int) -> dict[str, bool]:
        return {"deleted": simulation.world.people.remove(lead_id)}


def _add_credentials(router: APIRouter, simulation: Simulation) -> None:
    @router.post("/marketo/credentials/revoke")
    async def revoke_credentials() -> dict[str, str]:
        """End every token (601) and refuse the credentials (401) until they are restored."""
        simulation.world.tokens.revoke_credentials()
        return {"status": "revoked"}

    @router.post("/marketo/credentials/restore")
    async def restore_credentials() -> dict[str, str]:
        simulation.world.tokens.restore_credentials()
        return {"status": "restored"}

    @router.post("/marketo/tokens/revoke")
    async def revoke_tokens() -> dict[str, str]:
        """Make every access token invalid (601); the credentials stay good."""
        simulation.world.tokens.revoke_tokens()
        return {"status": "revoked"}

    @router.post("/marketo/tokens/expire")
    async def expire_tokens() -> dict[str, str]:
        """Make every access token expire now (602)."""
        world = simulation.world
        world.tokens.expire_tokens(world.now())
        return {"status": "expired"}

    @router.put("/marketo/permissions")
    async def permit(order: Permissions) -> dict[str, list[str]]:
        simulation.world.tokens.permit(order.permissions)
        return {"permissions": sorted(order.permissions)}


def _add_sources(router: APIRouter, simulation: Simulation) -> None:
    @router.post("/eventbrite/events", status_code=201)
    async def add_event(order: EventOrder) -> dict[str, str]:
        world = simulation.world
        starts = order.startsAt or world.now() + timedelta(days=7)
        world.eventbrite.events[order.id] = Event(
            order.id, order.title, starts, world.now(), order.joinLink, order.logo, order.status, tuple(order.modules)
        )
        return {"id": order.id}

    @router.post("/eventbrite/orders", status_code=201)
    async def add_order(order: OrderOrder) -> dict[str, Any]:
        world = simulation.world
        made = _order(order, world.now())
        world.eventbrite.orders[made.id] = made
        return {"id": made.id, "attendees": [attendee.id for attendee in made.attendees]}

    @router.post("/eventbrite/orders/{order_id}/refund")
    async def refund(order_id: str) -> dict[str, str]:
        orders = simulation.world.eventbrite.orders
        if order_id not in orders:
            raise HTTPException(404, "no such order")
        orders[order_id] = orders[order_id].refunded()
        return {"id": order_id, "status": "refunded"}

    @router.post("/pendo/visitors", status_code=201)
    async def add_visitor(order: VisitorOrder) -> dict[str, str]:
        visitor = pendo_visitor(order.firstName, order.lastName, order.email)
        simulation.world.visitors[order.id] = visitor
        return {"id": order.id}


def _order(order: OrderOrder, now: datetime) -> Order:
    made = Order(order.id, order.eventId, order.firstName, order.lastName, order.email, now, order.status)
    return replace(made, attendees=tuple(_attendees(order, order.attendees)))


def _attendees(order: OrderOrder, tickets: Iterable[AttendeeOrder]) -> Iterable[Attendee]:
    for number, ticket in zip(count(1), tickets, strict=False):
        yield Attendee(
            ticket.id or f"{order.id}{number:02d}",
            ticket.firstName or order.firstName,
            ticket.lastName or order.lastName,
            ticket.email or order.email,
            ticket.cancelled,
            ticket.refunded,
        )
