"""Pendo's three moments: check the signature, look the visitor's address up, say who registered."""

import hashlib
import re
from collections.abc import Collection, Sequence
from datetime import timedelta

from app.domain import Cause, Clock, Dedupe, Event, Finding, Ignored, Json, Ticks, Unusable, steady_seconds
from app.errors import FieldProblem, Invalid, RequestRefused, ResolveFailed
from app.sources.base import Accepted, Inbound
from app.sources.fetching import credentials_missing
from app.sources.payload import JsonObject, as_object, read_json, text_at, value_at
from app.sources.pendo.api import PendoApi
from app.sources.pendo.mapping import Reading, items_of, oldest_first
from app.sources.pendo.partial import combined, unresolved_of, without_time
from app.sources.pendo.paths import PendoPaths
from app.sources.signing import not_empty, verify_digest
from app.sources.webinars import Catalogue

_SIGNATURE = "x-pendo-signature"
_HOPELESS = frozenset({Cause.SOURCE_REFUSED, Cause.SOURCE_CREDENTIALS_MISSING})  # for every visitor alike
_PATIENCE = timedelta(seconds=20)  # for one event's look-ups, besides the last one
_TRUE_ID = re.compile(r"[!-~]{1,100}")  # documented: 40 hex digits


class PendoSource:
    """Registrations from Pendo's track events, and from answers to the polls in `polls` (ids of polls or guides)."""

    name = "pendo"

    def __init__(
        self,
        *,
        secrets: Sequence[str],
        track_event: str,
        api: PendoApi | None,
        catalogue: Catalogue,
        clock: Clock,
        paths: PendoPaths | None = None,
        polls: Collection[str] = (),
        ticks: Ticks = steady_seconds,
    ) -> None:
        self._secrets = not_empty(secrets, "PENDO_WEBHOOK_SECRET")
        self._reading = Reading(track_event, frozenset(polls), paths or PendoPaths(), catalogue)
        self._api = api
        self._clock = clock
        self._ticks = ticks

    def receive(self, request: Inbound) -> Accepted | Ignored:
        verify_digest(request.headers.get(_SIGNATURE), request.body, self._secrets, header="X-Pendo-Signature")
        document = read_json(request.body)
        items = items_of(document)
        if not items and document != []:
            raise Invalid([FieldProblem("body", "must be an event object or an array of them")])
        if not any(self._reading.registers(item) for item in items):
            return Ignored(Cause.NOT_A_REGISTRATION, self._why_ignored(items))
        return Accepted(_dedupe(items))

    async def resolve(self, event: Event) -> Json:
        """Return `{"visitors": {id: visitor}}` for those whose address the event lacks; None when it lacks none.

        Whoever can't be had is told under `unresolved`, and does not hold up the others.
        """
        items = self._registrations(event)
        asked_for = list(dict.fromkeys(filter(None, map(self._reading.visitor_to_ask, items))))
        if not asked_for:
            return None
        known = as_object(value_at(event.fetched, "visitors"))
        visitors = {one: known[one] for one in asked_for if one in known}
        failures = await self._ask([one for one in asked_for if one not in known], visitors)
        fetched: JsonObject = {"visitors": visitors}
        if not failures:
            return fetched
        fetched["unresolved"] = {one: unresolved_of(failure) for one, failure in failures.items()}
        if failed := combined(failures.values(), age=self._clock() - event.received_at, fetched=fetched):
            raise failed
        return fetched

    def map(self, event: Event, fetched: Json) -> Sequence[Finding]:
        try:
            items = items_of(read_json(event.body))
        except RequestRefused as error:
            return [Unusable(Cause.BAD_PAYLOAD, str(error))]
        visitors = as_object(value_at(fetched, "visitors"))
        unresolved = as_object(value_at(fetched, "unresolved"))
        findings = [
            self._reading.finding(item, visitors, unresolved)
            for item in oldest_first(items)
            if self._reading.registers(item)
        ]
        return findings or [Ignored(Cause.NOT_A_REGISTRATION, self._why_ignored(items))]

    def _why_ignored(self, items: Sequence[Json]) -> str:
        kinds = sorted({kind for item in items if (kind := text_at(item, ["event"])) and kind.isalnum()})
        seen = ", ".join(kind[:40] for kind in kinds[:5]) or "no event of Pendo's"
        return f"only the track event {self._reading.track_event} (PENDO_TRACK_EVENT) registers; this is {seen}"

    def _registrations(self, event: Event) -> list[Json]:
        try:
            return [item for item in items_of(read_json(event.body)) if self._reading.registers(item)]
        except RequestRefused:
            return []  # `map` says why

    async def _ask(self, visitor_ids: Sequence[str], visitors: JsonObject) -> dict[str, ResolveFailed]:
        """Add to `visitors` whom the API knows, and return why the others are missing.

        What would fail for everybody is asked once, and what takes too long goes on at the next attempt.
        """
        failures: dict[str, ResolveFailed] = {}
        until = self._ticks() + _PATIENCE.total_seconds()
        stopped = None if self._api else credentials_missing("PENDO_INTEGRATION_KEY")
        for visitor_id in visitor_ids:
            if stopped is None and self._ticks() >= until:
                stopped = without_time()
            if stopped is not None or self._api is None:
                failures[visitor_id] = stopped or without_time()
                continue
            try:
                visitors[visitor_id] = self._reading.kept_of(await self._api.visitor(visitor_id))
            except ResolveFailed as failure:
                failures[visitor_id] = failure
                stopped = failure if failure.cause in _HOPELESS else None
        return failures


def _dedupe(items: Sequence[Json]) -> Dedupe | None:
    """Return Pendo's own id, for several events a hash over their ids, and None when one has none.

    Never a hash of the body: two equal calls can both be meant.
    """
    ids = [text_at(item, ["uniqueId"]) or "" for item in items]
    if not all(_TRUE_ID.fullmatch(one) for one in ids):
        return None
    if len(ids) == 1:
        return Dedupe(ids[0], "forever")
    return Dedupe("sha256:" + hashlib.sha256(" ".join(ids).encode("ascii")).hexdigest(), "forever")
