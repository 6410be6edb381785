"""Read again what died: by its stored webhook, or by itself when that means nobody of the kind. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

import structlog

from app.dispatch.judgement import Judge
from app.domain import OPEN_STATES, CampaignId, Cause, LeadId, Person, Registered, Webinar
from app.sources.base import Source
from app.store.drafts import Draft
from app.store.replays import StoredEvent, StoredRegistration

LeftOut = Literal["alreadySent", "underWay", "cancelled", "purged"]
_FROM_THE_SOURCE = frozenset(
    {
        Cause.SOURCE_NOT_FOUND,
        Cause.SOURCE_REFUSED,
        Cause.SOURCE_UNAVAILABLE,
        Cause.SOURCE_CREDENTIALS_MISSING,
        Cause.VISITOR_WITHOUT_EMAIL,
    }
)
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Rereader:
    """Reads stored webhooks as the present settings have it; each webhook once, however many people are in it."""

    sources: Mapping[str, Source]
    judge: Judge
    now: datetime
    _read: dict[str, Sequence[Draft]] = field(default_factory=dict)

    def left_out(self, stored: StoredRegistration, *, resend: bool) -> LeftOut | None:
        """Say why a registration is not replayed; None when it is."""
        draft = stored.draft
        if draft.state in OPEN_STATES:
            return "underWay"
        if stored.is_cancelled:
            return "cancelled"
        if stored.had_one and not resend:
            return "alreadySent"
        if draft.email is None and draft.lead_id is None and (stored.event is None or stored.event.is_purged):
            return "purged"
        return None

    def draft(self, stored: StoredRegistration) -> Draft:
        """Return the registration as it is read now."""
        old = stored.draft
        drafts = self.drafts(stored.event) if stored.event and not stored.event.is_purged else ()
        same = next((draft for draft in drafts if draft.identity == old.identity), None)
        if same is None and len(drafts) == 1 and drafts[0].source == old.source:
            same = drafts[0]  # its person or webinar is spelt otherwise now
        return replace(
            same or self._judged(_registered(old, self.judge), old.source), id=old.id, traceparent=old.traceparent
        )

    def drafts(self, stored: StoredEvent) -> Sequence[Draft]:
        """Return the registrations that a stored webhook means, with what was fetched for it."""
        event = stored.event
        if event.id not in self._read:
            try:
                self._read[event.id] = self._mapped(stored)
            except Exception:  # noqa: BLE001  # one event's mapping: the trace is kept, its neighbours go on
                _log.exception("an event could not be read", event_id=event.id, source=event.source)
                self._read[event.id] = ()
        return self._read[event.id]

    def _mapped(self, stored: StoredEvent) -> Sequence[Draft]:
        source = self.sources.get(stored.event.source)
        findings = source.map(stored.event, stored.event.fetched) if source and not needs_fetching(stored) else ()
        return [self._judged(found, stored.event.source) for found in findings if isinstance(found, Registered)]

    def _judged(self, found: Registered, source: str) -> Draft:
        return self.judge.draft(found, source=source, received_at=self.now, now=self.now)


def needs_fetching(stored: StoredEvent) -> bool:
    """Tell whether the source must be asked before anybody can say what the webhook means."""
    return stored.event.fetched is None and stored.cause in _FROM_THE_SOURCE


def _registered(draft: Draft, judge: Judge) -> Registered:
    """Return the finding that made the registration, as far as it was kept."""
    names = judge.names
    kept = {name: value for name, value in draft.tokens.items() if value.strip()}
    title, join_link, image = (kept.pop(name, None) for name in (names.title, names.join_link, names.image))
    is_asked = draft.campaign_id in judge.allowed or draft.cause is Cause.CAMPAIGN_NOT_ALLOWED
    return Registered(
        person=Person(draft.email, _lead(draft), draft.first_name, draft.last_name),
        webinar=Webinar(draft.webinar_id, title, join_link, image, draft.starts_at),
        subject=draft.subject,
        campaign_id=CampaignId(draft.campaign_id) if is_asked else None,  # else the settings have named another since
        tokens=kept,
    )


def _lead(draft: Draft) -> LeadId | None:
    """Return the lead that the webhook itself named; one that was found may have been merged since."""
    return LeadId(draft.lead_id) if draft.email is None and draft.lead_id is not None else None
