"""Find out what would become of captured payloads, as the console does for one, but without a relay or its secrets.

The payloads are signed here with a secret made up for the trial.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import SecretStr

from app.commands.kinds import SourceName
from app.commands.printing import BODY_REMOVED
from app.dispatch.trial import try_out
from app.domain import ADVICE, Cause, utc_now
from app.making import make_catalogue, make_judge, make_senders, make_sources
from app.settings import Settings
from app.sources.fetching import open_client
from app.sources.payload import as_object
from app.sources.trying import Tried, WouldBe

Outcome = Literal["registers", "cancels", "ignored", "dead", "refused", "must ask"]
_BAD = frozenset({"dead", "refused"})
_SECRET = SecretStr("a-secret-of-this-trial-alone-7hQ2")
_MARKS = frozenset({"headers", "_evidence"})  # what captures and the samples of docs/write-a-source.md have
_NO_NAMES: Mapping[str, str] = {}
_NO_CAMPAIGN = "1"  # MARKETO_CAMPAIGN_ID need not be set for a trial


class Unnamed(Exception):
    """Neither the command line nor the capture says whose payload this file is."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What would become of one payload. `must ask`: who it is about is known only to the source's API."""

    file: str
    source: str | None
    outcome: Outcome
    detail: str
    registrations: Sequence[WouldBe] = ()
    shows_campaign: bool = True

    @property
    def is_bad(self) -> bool:
        return self.outcome in _BAD or any(one.cause in _DEADLY for one in self.registrations)

    def as_json(self, campaigns: Mapping[str, str] = _NO_NAMES) -> dict[str, object]:
        """Return it as a document; `campaigns` are names by numbers."""
        return {
            "file": self.file,
            "source": self.source,
            "outcome": self.outcome,
            "detail": self.detail,
            "registrations": [self._shown(one, campaigns) for one in self.registrations],
        }

    def _shown(self, one: WouldBe, campaigns: Mapping[str, str]) -> dict[str, object]:
        return {
            "email": one.email,
            "leadId": one.lead_id,
            "firstName": one.first_name,
            "lastName": one.last_name,
            "webinarId": one.webinar_id,
            "startsAt": one.starts_at.isoformat() if one.starts_at else None,
            "becomes": _end_of(one.cause),
            "cause": one.cause,
            "why": one.detail,
            "advice": _advice(one.cause),
            "campaignId": one.campaign_id if self.shows_campaign else None,
            "campaignName": campaigns.get(str(one.campaign_id)) if self.shows_campaign else None,
            "tokens": dict(one.tokens),
        }


_DEADLY = frozenset(Cause) - {Cause.WEBINAR_OVER}


def _end_of(cause: str | None) -> str:
    if cause is None:
        return "sent"
    return "dead" if cause in _DEADLY else "ignored"


def _advice(cause: str | None) -> str | None:
    return ADVICE.get(Cause(cause)) if cause in set(Cause) else None


@dataclass(frozen=True, slots=True)
class _Payload:
    """A body with what a capture says of it. A capture without one is of a webhook whose body was removed."""

    source: SourceName | None
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    is_removed: bool = False


async def try_all(
    payloads: Sequence[tuple[str, bytes]], source: SourceName | None, settings: Settings, *, fetch: bool
) -> list[Trial]:
    """Return what would become of each payload (its file's name and content), in their order.

    Raises:
        Unnamed: nothing says whose payload one is.
    """
    used = _for_trials(settings, fetch=fetch)
    catalogue = make_catalogue(used)
    judge, senders = make_judge(used, catalogue), make_senders(used)
    trials = []
    async with open_client() as client:
        sources = make_sources(used, catalogue, client)
        for file, content in payloads:
            payload = _read(content, source)
            if (name := payload.source) is None:
                raise Unnamed(file)
            if payload.is_removed:
                trials.append(Trial(file, name, "refused", f"its body was {BODY_REMOVED}; there is nothing to try"))
                continue
            request = senders[name].request(payload.body, utc_now())
            asked = replace(request, headers={**payload.headers, **request.headers})
            trials.append(_trial(file, name, await try_out(sources[name], judge, asked), settings))
    return trials


def _for_trials(settings: Settings, *, fetch: bool) -> Settings:
    made_up: dict[str, object] = {
        "eventbrite_webhook_token": (_SECRET,),
        "pendo_webhook_secret": (_SECRET,),
        "custom_webhook_secrets": (),
        "custom_api_keys": (_SECRET,),
        "marketo_campaign_id": settings.marketo_campaign_id or _NO_CAMPAIGN,
    }
    if not fetch:
        made_up |= {"eventbrite_api_token": None, "pendo_integration_key": None}
    return settings.model_copy(update=made_up)


def _trial(file: str, source: str, tried: Tried, settings: Settings) -> Trial:
    outcome, detail = _outcome(tried)
    shows_campaign = bool(settings.marketo_campaign_id)
    return Trial(file, source, outcome, detail, tried.registrations, shows_campaign)


def _outcome(tried: Tried) -> tuple[Outcome, str]:
    if tried.refused is not None:
        return "refused", " ".join((tried.refused, *(f"{one.field}: {one.problem}" for one in tried.fields)))
    if tried.ignored is not None:
        return "ignored", tried.ignored
    if tried.unusable is not None:
        cause, detail = tried.unusable
        if cause == Cause.SOURCE_CREDENTIALS_MISSING:
            return "must ask", f"Who it is about must be asked of the source: use --fetch. {detail}"
        return "dead", f"{detail} {_advice(cause) or ''}"
    if tried.registrations:
        return "registers", f"{len(tried.registrations)} registration{'s' if len(tried.registrations) > 1 else ''}"
    return "cancels", "takes back what was not sent"


def _read(content: bytes, source: SourceName | None) -> _Payload:
    """Return the payload in a file: a capture has a `body` and says where it is from; all else is a body itself."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return _Payload(source, content)
    if not isinstance(document, dict) or "body" not in document or not _MARKS & document.keys():
        return _Payload(source, content)
    body, named = document["body"], document.get("source")
    known = SourceName(named) if isinstance(named, str) and named in set(SourceName) else None
    headers = as_object(document.get("headers"))
    kept = {name.lower(): value for name, value in headers.items() if isinstance(value, str)}
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return _Payload(source or known, content, kept, is_removed=not content)
