"""Find out what would become of a webhook, by the very steps that a real one takes. Nothing is stored."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from app.dispatch.judgement import Judge
from app.domain import Cancelled, Event, EventId, Finding, Ignored, Registered, Unusable
from app.errors import Invalid, RequestRefused, ResolveFailed
from app.sources.base import Inbound, Source
from app.sources.trying import Tried, WouldBe

_PATIENCE = timedelta(seconds=15)  # for what the source has to fetch
_MOST_SHOWN = 100
_log = structlog.get_logger(__name__)


async def try_out(source: Source, judge: Judge, request: Inbound) -> Tried:
    """Return what this request would come to. What a source has to fetch is fetched, and forgotten."""
    try:
        verdict = source.receive(request)
    except Invalid as error:
        return Tried(refused="Some fields are wrong.", fields=error.problems)
    except RequestRefused as error:
        return Tried(refused=f"{error}.")
    if isinstance(verdict, Ignored):
        return Tried(ignored=verdict.detail)
    event = Event(EventId("evt_tried"), source.name, request.received_at, request.headers, request.body, None, 1)
    return await _mapped(source, judge, event)


async def _mapped(source: Source, judge: Judge, event: Event) -> Tried:
    try:
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            fetched = await source.resolve(event)
        return _told(list(source.map(event, fetched)), judge, source.name, event.received_at)
    except ResolveFailed as failed:
        return Tried(unusable=(failed.cause, failed.detail))
    except TimeoutError:
        return Tried(unusable=("source_unavailable", "The source took too long."))
    except Exception:  # noqa: BLE001  # as the intake does: the trace is kept
        _log.exception("a payload that was tried could not be read", source=source.name)
        return Tried(unusable=("adapter_failed", "The relay could not read it; its log says why."))


def _told(findings: Sequence[Finding], judge: Judge, source: str, now: datetime) -> Tried:
    found = [one for one in findings if isinstance(one, Registered)][:_MOST_SHOWN]
    gone = tuple(one.person_key for one in findings if isinstance(one, Cancelled))
    unusable = next(((str(one.cause), one.detail) for one in findings if isinstance(one, Unusable)), None)
    ignored = next((one.detail for one in findings if isinstance(one, Ignored)), "Nobody registered.")
    return Tried(
        ignored=None if found or gone or unusable else ignored,
        unusable=unusable,
        registrations=tuple(_would_be(one, judge, source, now) for one in found),
        cancelled=gone,
    )


def _would_be(found: Registered, judge: Judge, source: str, now: datetime) -> WouldBe:
    draft = judge.draft(found, source=source, received_at=now, now=now)
    return WouldBe(
        email=draft.email,
        lead_id=draft.lead_id,
        first_name=draft.first_name,
        last_name=draft.last_name,
        webinar_id=draft.webinar_id,
        campaign_id=draft.campaign_id,
        tokens=draft.tokens,
        starts_at=draft.starts_at,
        cause=draft.cause,
        detail=draft.detail,
    )
