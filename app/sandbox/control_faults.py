"""The simulation's levers for faults: order them, list them, clear them."""

from datetime import datetime, timedelta
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.sandbox.faults import ANY, KIND_PATTERN, KINDS, Fault
from app.sandbox.world import Simulation

Match = Literal[
    "any",
    "marketo",
    "identity",
    "eventbrite",
    "pendo",
    "filter",
    "sync",
    "trigger",
    "campaigns",
    "campaign",
    "smart_campaign",
    "smart_list",
    "program",
    "folder",
    "describe",
    "partitions",
    "tokens",
    "create_token",
    "emails",
    "email_content",
    "activity_types",
    "paging_token",
    "activities",
    "membership",
    "usage",
    "eventbrite_order",
    "eventbrite_event",
    "eventbrite_attendee",
    "eventbrite_attendees",
    "eventbrite_content",
    "eventbrite_orders",
    "eventbrite_me",
    "eventbrite_organizations",
    "eventbrite_webhooks",
    "eventbrite_subscribe",
    "pendo_visitor",
]
_KINDS = (
    "What goes wrong. Nothing is done and the answer is `code:606` (an error of Marketo's with this code), `http:502`, "
    "`http:502 html` (a gateway's page), `http:429 after 90` (with Retry-After in seconds; `until 90`: as the date "
    "that is so far ahead) or `redirect`, or there is none: `cut` (the connection is), `hang` (it stays). "
    "The request is carried out, and its answer is `lost` (the connection is cut), never comes (`timeout`), is "
    "`garbage`, breaks off (`half`) or is late (`slow:29`, in seconds)."
)


class FaultOrder(BaseModel):
    """A fault to be. It happens once, unless `times`, `rate` or `seconds` says otherwise."""

    model_config = ConfigDict(extra="forbid")  # so that a misspelt lever is noticed

    kind: str = Field(description=_KINDS, examples=list(KINDS), json_schema_extra={"pattern": f"^({KIND_PATTERN})$"})
    match: Match = Field(
        "any",
        description="Which requests: `any`, those to one service (`marketo`, `identity`, `eventbrite`, `pendo`), or "
        "those of one kind, as `/sandbox/calls` names them: `trigger` requests the campaign, `sync` saves people.",
    )
    times: int | None = Field(1, ge=1, description="How often at most; null: until all are cleared.")
    rate: float = Field(1.0, ge=0, le=1, description="The share of the matching requests that it hits.")
    seed: int = Field(0, description="Draws that share; the same seed hits the same requests again.")
    seconds: float | None = Field(None, gt=0, description="How long it lasts.")
    contains: str | None = Field(None, description="Only requests whose address or body has this text.")
    executes: bool | None = Field(
        None, description="Whether the request is carried out before it goes wrong, whatever the kind says."
    )

    @field_validator("kind")
    @classmethod
    def _known(cls, value: str) -> str:
        return Fault(ANY, value).kind

    def fault(self, now: datetime) -> Fault:
        until = None if self.seconds is None else now + timedelta(seconds=self.seconds)
        # A rate or a span of time says by itself how often; otherwise a fault happens once.
        endless = "times" not in self.model_fields_set and (self.rate < 1 or until is not None)
        return Fault(
            match=self.match,
            kind=self.kind,
            times=None if endless else self.times,
            rate=self.rate,
            seed=self.seed,
            until=until,
            contains=self.contains,
            executes=self.executes,
        )


def faults_router(simulation: Simulation) -> APIRouter:
    """Return the routes under `/sandbox/faults`."""
    router = APIRouter(prefix="/sandbox", tags=["control"])

    @router.post("/faults", status_code=201)
    async def order_fault(order: FaultOrder) -> dict[str, Any]:
        """Order a fault; it stays until it has happened `times` times, its time is up, or all are cleared."""
        world = simulation.world
        fault = order.fault(world.now())
        world.faults.faults.append(fault)
        return fault.as_json()

    @router.get("/faults")
    async def faults() -> list[dict[str, Any]]:
        """Return the faults in force, each with how often it happened (`hits`)."""
        return [fault.as_json() for fault in simulation.world.faults.faults]

    @router.delete("/faults")
    async def clear_faults() -> dict[str, int]:
        book = simulation.world.faults
        cleared = len(book.faults)
        book.faults.clear()
        return {"cleared": cleared}

    return router
