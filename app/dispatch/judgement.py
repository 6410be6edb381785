"""Judge what an adapter found: whether it can be sent, with which campaign and tokens, and until when. No I/O."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from app.domain import (
    GIVE_UP_AFTER,
    LARGEST_LEAD_ID,
    CampaignId,
    Cause,
    LeadId,
    Person,
    Registered,
    RegistrationState,
    Webinar,
    is_email,
    is_web_link,
    new_id,
)
from app.sources.webinars import Catalogue
from app.store.drafts import Draft
from app.store.links import batch_key
from app.store.spelling import spelt

_GRACE = timedelta(hours=1)  # whoever registers during a webinar still gets this long a try
_LONGEST_KEY = 320
_MOST_TOKENS = 100  # a call, Marketo's limit
_BLANK = " "
_LARGEST_NUMBER = 2**63 - 1  # that both databases take


@dataclass(frozen=True, slots=True)
class TokenNames:
    """What the three My Tokens are called in the program, without `{{my.}}`."""

    title: str = "WebinarTitle"
    join_link: str = "JoinLink"
    image: str = "WebinarImage"


@dataclass(frozen=True, slots=True)
class _Flaw:
    cause: Cause
    detail: str
    state: RegistrationState = RegistrationState.DEAD


@dataclass(frozen=True, slots=True)
class Judge:
    """Turns findings into drafts by the settings.

    `campaigns` has each source's campaign; `allowed` those that a payload may name. `over_after` is how long after its
    start a webinar is over, so that nobody is reminded of it. `fields` are the person fields that tokens may travel in,
    by the tokens' names.
    """

    catalogue: Catalogue
    campaigns: Mapping[str, CampaignId]
    allowed: frozenset[CampaignId]
    names: TokenNames = TokenNames()
    look_up_only: bool = False
    over_after: timedelta = timedelta(hours=24)
    fields: Mapping[str, str] = field(default_factory=dict)

    def draft(self, found: Registered, *, source: str, received_at: datetime, now: datetime) -> Draft:
        """Return the registration that this finding makes."""
        completed = self.catalogue.complete(found.webinar)
        webinar = replace(completed, starts_at=_in_utc(completed.starts_at))
        campaign = self._campaign(found, source)
        tokens = self._tokens(webinar, found.tokens)
        flaw = self._flaw(found, webinar, campaign, tokens, received_at)
        return Draft(
            id=new_id("reg", now),
            source=source,
            webinar_id=storable(self.catalogue.own_id(webinar.id)),
            person_key=person_key(found.person.key),
            subject=storable_or_none(found.subject),
            state=flaw.state if flaw else _first_state(found.person.lead_id),
            lookup=self.look_up_only,
            cause=flaw.cause if flaw else None,
            detail=flaw.detail if flaw else None,
            email=storable_or_none(found.person.email),
            lead_id=_lead_or_none(found.person.lead_id),
            first_name=storable_or_none(found.person.first_name),
            last_name=storable_or_none(found.person.last_name),
            campaign_id=CampaignId(max(0, min(campaign, _LARGEST_NUMBER))),
            tokens=tokens,
            batch_key=batch_key(campaign, tokens),
            starts_at=webinar.starts_at,
            due_at=now,
            came_at=received_at,
            expires_at=expiry(webinar.starts_at, received_at),
            fields=self.fields if found.person.lead_id is None else {},  # nobody is upserted whose lead is given
            webinar_key=spelt(storable_or_none(webinar.title)),
        )

    def _campaign(self, found: Registered, source: str) -> CampaignId:
        configured = self.catalogue.find(found.webinar.id)
        if configured and configured.campaign_id:
            return configured.campaign_id
        return found.campaign_id or self.campaigns[source]

    def _tokens(self, webinar: Webinar, more: Mapping[str, str]) -> dict[str, str]:
        own = {
            self.names.title: webinar.title,
            self.names.join_link: webinar.join_link,
            self.names.image: webinar.image,
        }
        given = {name: value for name, value in {**more, **own}.items() if value}
        # What a mapped token would read in its stead is the field, where another webinar's value may stand.
        return {**dict.fromkeys(self.fields, _BLANK), **given}

    def _flaw(
        self,
        found: Registered,
        webinar: Webinar,
        campaign: CampaignId,
        tokens: Mapping[str, str],
        received_at: datetime,
    ) -> _Flaw | None:
        if webinar.starts_at and received_at - webinar.starts_at > self.over_after:
            detail = f"The webinar began {webinar.starts_at:%Y-%m-%d %H:%M} UTC."
            return _Flaw(Cause.WEBINAR_OVER, detail, RegistrationState.IGNORED)
        if campaign not in self.allowed:
            return _Flaw(Cause.CAMPAIGN_NOT_ALLOWED, f"Campaign {campaign} is none that the settings allow.")
        return _flaw_of_person(found.person) or _flaw_of_webinar(webinar) or _flaw_of_tokens(tokens)


def storable(text: str) -> str:
    """Return the text as both databases take it: PostgreSQL has no NUL in texts, neither has half surrogate pairs."""
    return text.encode(errors="replace").decode().replace("\x00", "\ufffd")


def storable_or_none(text: str | None) -> str | None:
    return storable(text) if text else None


def _lead_or_none(lead_id: LeadId | None) -> LeadId | None:
    return lead_id if lead_id is not None and 0 < lead_id <= LARGEST_LEAD_ID else None


def person_key(key: str) -> str:
    """Return a person's key as stored: what is too long to be an address (and so to be sent) is hashed."""
    if len(key) <= _LONGEST_KEY:
        return storable(key)
    return f"sha256:{hashlib.sha256(storable(key).encode()).hexdigest()}"


def _in_utc(at: datetime | None) -> datetime | None:
    """Return the time in UTC; None for the ends of the calendar, which senders use for 'no date'."""
    try:
        return at.astimezone(UTC) if at else None
    except OverflowError:
        return None


def _first_state(lead_id: LeadId | None) -> RegistrationState:
    return RegistrationState.KNOWN if lead_id else RegistrationState.NEW


def _flaw_of_person(person: Person) -> _Flaw | None:
    if person.lead_id is not None:
        if _lead_or_none(person.lead_id) is None:
            return _Flaw(Cause.BAD_PAYLOAD, "The lead id is out of range.")
    elif not person.email:
        return _Flaw(Cause.EMAIL_MISSING, "There is no e-mail address.")
    elif not is_email(person.email):
        return _Flaw(Cause.EMAIL_INVALID, "The e-mail address is none that Marketo takes.")
    return None


def _flaw_of_webinar(webinar: Webinar) -> _Flaw | None:
    if not webinar.title:
        return _Flaw(Cause.TITLE_MISSING, "The webinar has no title.")
    if not webinar.join_link:
        return _Flaw(Cause.JOIN_LINK_MISSING, "The webinar has no join link.")
    if not is_web_link(webinar.join_link):
        return _Flaw(Cause.JOIN_LINK_INVALID, "The join link is no http(s) link.")
    if webinar.image and not is_web_link(webinar.image):
        return _Flaw(Cause.IMAGE_INVALID, "The image's address is no http(s) link.")
    return None


def _flaw_of_tokens(tokens: Mapping[str, str]) -> _Flaw | None:
    if len(tokens) > _MOST_TOKENS:
        return _Flaw(Cause.BAD_PAYLOAD, f"There are {len(tokens)} tokens; Marketo takes {_MOST_TOKENS}.")
    if any("\x00" in value for value in tokens.values()):
        return _Flaw(Cause.BAD_PAYLOAD, "A token's value has a NUL character.")
    return None


def expiry(starts_at: datetime | None, received_at: datetime) -> datetime:
    """Return until when to try: the webinar's start, at least an hour and at most 8 days from the registration."""
    latest = received_at + GIVE_UP_AFTER
    return max(min(starts_at or latest, latest), received_at + _GRACE)
