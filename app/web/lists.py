"""The admin API's lists: webhooks, requests to Marketo, and what happens. Read only, behind the same gate."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.domain import EventState
from app.store.views import ActivityFilter, CallFilter, EventFilter
from app.web.admin import Id, gated_router
from app.web.answers import Activity, Calls, CallWithPeople, Events, Stats
from app.web.cursors import Paged, Word
from app.web.parts import Lists, WebParts
from app.web.problems import NO_SUCH_ID, Refused


class EventQuery(Paged):
    """Which webhooks to list."""

    source: Word | None = None
    state: EventState | None = None
    since: AwareDatetime | None = Field(None, description="Received at or after this time.")
    until: AwareDatetime | None = Field(None, description="Received before this time.")


class CallQuery(Paged):
    """Which requests to Marketo to list."""

    kind: Word | None = Field(None, description="upsert, lookup, trigger, check, usage or setup.")
    outcome: Word | None = Field(None, description="done, refused or lost.")
    since: AwareDatetime | None = Field(None, description="Begun at or after this time.")
    until: AwareDatetime | None = Field(None, description="Begun before this time.")


class StatsQuery(BaseModel):
    """Over which time to count."""

    model_config = ConfigDict(extra="forbid")

    hours: float = Field(24.0, gt=0, le=24 * 366, allow_inf_nan=False, description="Of the last so many hours.")


class ActivityQuery(Paged):
    """Whose activity to list."""

    source: Word | None = None
    email: Word | None = Field(None, description="One person's registrations only.")


def lists_router(parts: WebParts, lists: Lists) -> APIRouter:
    router = gated_router(parts)

    @router.get("/events", summary="Which webhooks came")
    async def events(asked: Annotated[EventQuery, Query()]) -> Events:
        which = EventFilter(asked.source, asked.state, asked.since, asked.until)
        return Events.of(await asked.page(lambda cursor: lists.events(which, limit=asked.limit, cursor=cursor)))

    @router.get("/calls", summary="Which requests to Marketo were made")
    async def calls(asked: Annotated[CallQuery, Query()]) -> Calls:
        which = CallFilter(asked.kind, asked.outcome, asked.since, asked.until)
        return Calls.of(await asked.page(lambda cursor: lists.calls(which, limit=asked.limit, cursor=cursor)))

    @router.get("/calls/{call_id}", summary="One request to Marketo with the registrations that it was about")
    async def call(call_id: Id) -> CallWithPeople:
        if (found := await lists.call(call_id)) is None:
            raise Refused(NO_SUCH_ID)
        return CallWithPeople.of(found)

    @router.get("/stats", summary="What came lately, what waits, what is paused, what needs a person")
    async def stats(asked: Annotated[StatsQuery, Query()]) -> Stats:
        since = parts.clock() - timedelta(hours=asked.hours)
        return Stats.of(await lists.stats(sorted(parts.sources), since=since))

    @router.get("/activity", summary="What happened lately, and since then")
    async def activity(asked: Annotated[ActivityQuery, Query()]) -> Activity:
        which = ActivityFilter(asked.source, asked.email)
        return Activity.of(await asked.page(lambda cursor: lists.activity(which, limit=asked.limit, cursor=cursor)))

    return router
