"""Judge settings together: what is needed, what belongs together, what excludes one another. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import SecretStr

from app.errors import FieldProblem
from app.settings.model import Settings

Judge = Callable[[str], object]

_SWITCHES = ("eventbrite_webhook_token", "pendo_webhook_secret", "custom_webhook_secrets", "custom_api_keys")
_OURS = (*_SWITCHES, "admin_token", "admin_read_token")
_DAY = 86_400
_EXAMPLE = "123-abc-456"  # the instance in this program's own texts; a stranger may have it
_USELESS_ALONE = {
    "eventbrite_api_token": "eventbrite_webhook_token",
    "pendo_integration_key": "pendo_webhook_secret",
}


@dataclass(frozen=True, slots=True)
class Checks:
    """What only Marketo's part of the relay can judge. Each takes the text and raises ValueError with a sentence."""

    base_url: Judge = str
    campaign: Judge = str


def problems_of(settings: Settings, checks: Checks, *, may_lack: bool = False) -> Iterator[FieldProblem]:
    """Yield what is wrong with settings that are right one by one; with `may_lack`, not what is missing."""
    if not may_lack:
        yield from _missing(settings)
        yield from _sources(settings)
    yield from _marketo_names(settings)
    yield from _refused_by(checks, settings)
    yield from _shared_secrets(settings)
    yield from _closed_to_all(settings)
    yield from _webinar_names(settings)


def about(name: str) -> str:
    """Return the sentences that say what a setting is and where one finds its value."""
    field = Settings.model_fields[name]
    where = details(name)["where"]
    found = f" {where}." if where else ""
    return f"{(field.description or '').replace('`', '')}.{found}"


def details(name: str) -> Mapping[str, Any]:
    """Return `where`, `expects` and `needed` of a setting, as the model describes it."""
    return cast("Mapping[str, Any]", Settings.model_fields[name].json_schema_extra or {})


def _missing(settings: Settings) -> Iterator[FieldProblem]:
    for name in Settings.model_fields:
        value = getattr(settings, name)
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if details(name).get("needed") and not text:
            yield FieldProblem(name.upper(), f"is missing. {about(name)}")


def _sources(settings: Settings) -> Iterator[FieldProblem]:
    if not any(getattr(settings, name) for name in _SWITCHES):
        yield FieldProblem(
            "EVENTBRITE_WEBHOOK_TOKEN, PENDO_WEBHOOK_SECRET, CUSTOM_WEBHOOK_SECRETS or CUSTOM_API_KEYS",
            "is missing: nobody could send a registration. Set the first for Eventbrite, the second for Pendo, "
            "one of the others for your own apps.",
        )
    if settings.eventbrite_webhook_token and not settings.eventbrite_api_token:
        needed = "eventbrite_api_token"
        yield FieldProblem(needed.upper(), f"is missing, but EVENTBRITE_WEBHOOK_TOKEN is set. {about(needed)}")
    for name, switch in _USELESS_ALONE.items():
        if getattr(settings, name) and not getattr(settings, switch):
            yield FieldProblem(switch.upper(), f"is missing, but {name.upper()} is set. {about(switch)}")


def _marketo_names(settings: Settings) -> Iterator[FieldProblem]:
    tokens = ("marketo_token_title", "marketo_token_join_link", "marketo_token_image")
    if len({getattr(settings, name) for name in tokens}) < len(tokens):
        yield FieldProblem(", ".join(map(str.upper, tokens)), "must be three different names")
    yield from _lookup_field(settings)
    yield from _fields(settings)
    yield from _kept_while_held(settings)


def _lookup_field(settings: Settings) -> Iterator[FieldProblem]:
    if settings.marketo_lookup_field != "email" and settings.marketo_lead_mode == "upsert":
        yield FieldProblem(
            "MARKETO_LOOKUP_FIELD",
            "must be email, or needs MARKETO_LEAD_MODE=lookup: people upserted by another field would be created "
            "without an e-mail address, and never get their reminder",
        )


def _fields(settings: Settings) -> Iterator[FieldProblem]:
    taken = {"id", "email", "firstName", "lastName"}
    link = settings.marketo_join_link_field
    named = {"MARKETO_TOKEN_FIELDS": settings.marketo_token_fields}
    named["MARKETO_JOIN_LINK_FIELD"] = ((settings.marketo_token_join_link, link),) if link else ()
    for name, pairs in named.items():
        if taken & {field for _, field in pairs}:
            yield FieldProblem(name, "must be a field of its own, not one that says who a person is")
        if pairs and settings.marketo_lead_mode == "lookup":
            yield FieldProblem(name, "needs MARKETO_LEAD_MODE=upsert: values reach person fields by upserts")
    every = dict.fromkeys(pair for pairs in named.values() for pair in pairs)
    if any(len(set(names)) < len(names) for names in zip(*every, strict=True)):
        yield FieldProblem("MARKETO_TOKEN_FIELDS", "must give each token one field, and each field one token")


def _kept_while_held(settings: Settings) -> Iterator[FieldProblem]:
    hold, keep = settings.marketo_link_field_hold_seconds, settings.retention_days * _DAY
    if hold > keep:
        yield FieldProblem(
            "MARKETO_LINK_FIELD_HOLD_SECONDS",
            f"must not be longer than RETENTION_DAYS, {keep:.0f} seconds: once a registration is blanked, nothing "
            "keeps another webinar's values from that person's fields",
        )


def _refused_by(checks: Checks, settings: Settings) -> Iterator[FieldProblem]:
    if _EXAMPLE in settings.marketo_base_url.lower():
        problem = f"is the example from the documentation. {about('marketo_base_url')}"
        yield FieldProblem("MARKETO_BASE_URL", problem)
    elif settings.marketo_base_url:
        yield from _judged(checks.base_url, "MARKETO_BASE_URL", settings.marketo_base_url)
    for name, text in _campaigns(settings):
        yield from _judged(checks.campaign, name, text)


def _campaigns(settings: Settings) -> Iterator[tuple[str, str]]:
    singles = ("marketo_campaign_id", "eventbrite_campaign_id", "pendo_campaign_id", "custom_campaign_id")
    named = [(name.upper(), getattr(settings, name)) for name in singles]
    named += [("MARKETO_ALLOWED_CAMPAIGN_IDS", text) for text in settings.marketo_allowed_campaign_ids]
    named += [(f"webinars.{key}.campaign_id", webinar.campaign_id) for key, webinar in settings.webinars.items()]
    return ((name, text) for name, text in named if text)


def _judged(judge: Judge, name: str, text: str) -> Iterator[FieldProblem]:
    try:
        judge(text)
    except ValueError as error:
        yield FieldProblem(name, str(error))


def _shared_secrets(settings: Settings) -> Iterator[FieldProblem]:
    """One secret for two doors lets whoever may use the first use the second."""
    seen: dict[str, str] = {}
    for name in _OURS:
        for secret in {one.get_secret_value() for one in getattr(settings, name)}:
            if secret in seen:
                yield FieldProblem(name.upper(), f"is the same secret as {seen[secret]}; give each its own")
            seen.setdefault(secret, name.upper())


def _closed_to_all(settings: Settings) -> Iterator[FieldProblem]:
    if not (settings.admin_token or settings.admin_read_token):
        for name in ("docs_need_token", "metrics_need_token"):
            if getattr(settings, name):
                yield FieldProblem(name.upper(), "needs ADMIN_TOKEN or ADMIN_READ_TOKEN: nobody could look")


def _webinar_names(settings: Settings) -> Iterator[FieldProblem]:
    claims = Counter(name for key, webinar in settings.webinars.items() for name in {key, *webinar.aliases})
    for name, times in claims.items():
        if times > 1:
            yield FieldProblem(f"webinars.{name}", "is the id or alias of several webinars; keep it at one")
