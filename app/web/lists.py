"""The admin API's lists: webhooks, requests to Marketo, and what happens. Read only, behind the same gate."""

from collections.abc import Awaitable
from datetime import timedelta
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.domain import EventState
from app.store.views import ActivityFilter, CallFilter, EventFilter
from app.web.admin import BAD_CURSOR, Id, Word, gated_router
from app.web.answers import Activity, Calls, CallWithPeople, Events, Stats
from app.web.parts import Lists, WebParts
from app.web.problems import NOTHING_HERE, Refused

_Page = TypeVar("_Page")


class _Query(BaseModel):
    # Misspelt parameters are refused: they would silently list everything.
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200)
    cursor: Word | None = Field(None, description="`nextCursor` of the page before.")


class EventQuery(_Query):
    """Which webhooks to list."""

    source: Word | None = None
    state: EventState | None = None
    since: AwareDatetime | None = Field(None, description="Received at or after this time.")
    until: AwareDatetime | None = Field(None, description="Received before this time.")


class CallQuery(_Query):
    """Which requests to Marketo to list."""

    kind: Word | None = Field(None, description="upsert, lookup, trigger, check, usage or setup.")
    outcome: Word | None = Field(None, description="done, refused or lost.")
    since: AwareDatetime | None = Field(None, description="Begun at or after this time.")
    until: AwareDatetime | None = Field(None, description="Begun before this time.")


class StatsQuery(BaseModel):
    """Over which time to count."""

    model_config = ConfigDict(extra="forbid")

    hours: float = Field(24.0, gt=0, le=24 * 366, description="Of the last so many hours.")


class ActivityQuery(_Query):
    """Whose activity to list."""

    source: Word | None = None
    email: Word | None = Field(None, description="One person's registrations only.")


def lists_router(parts: WebParts, lists: Lists) -> APIRouter:
    router = gated_router(parts)

    @router.get("/events", summary="Which webhooks came")
    async def events(asked: Annotated[EventQuery, Query()]) -> Events:
        which = EventFilter(asked.source, asked.state, asked.since, asked.until)
        return Events.of(await _page(lists.events(which, limit=asked.limit, cursor=asked.cursor)))

    @router.get("/calls", summary="Which requests to Marketo were made")
    async def calls(asked: Annotated[CallQuery, Query()]) -> Calls:
        which = CallFilter(asked.kind, asked.outcome, asked.since, asked.until)
        return Calls.of(await _page(lists.calls(which, limit=asked.limit, cursor=asked.cursor)))

    @router.get("/calls/{call_id}", summary="One request to Marketo with the registrations that it was about")
    async def call(call_id: Id) -> CallWithPeople:
        if (found := await lists.call(call_id)) is None:
            raise Refused(NOTHING_HERE)
        return CallWithPeople.of(found)

    @router.get("/stats", summary="What came lately, what waits, what is paused, what needs a person")
    async def stats(asked: Annotated[StatsQuery, Query()]) -> Stats:
        since = parts.clock() - timedelta(hours=asked.hours)
        return Stats.of(await lists.stats(sorted(parts.sources), since=since))

    @router.get("/activity", summary="What happened lately, and since then")
    async def activity(asked: Annotated[ActivityQuery, Query()]) -> Activity:
        which = ActivityFilter(asked.source, asked.email)
        return Activity.of(await _page(lists.activity(which, limit=asked.limit, cursor=asked.cursor)))

    return router


async def _page(asking: Awaitable[_Page]) -> _Page:
    try:
        return await asking
    except ValueError:
        raise Refused(BAD_CURSOR) from None
