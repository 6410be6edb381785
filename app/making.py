"""Make parts from the settings. Nothing is opened or started here: clients and stores are handed in."""

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from importlib.resources import files

import httpx
from pydantic import SecretStr

from app.dispatch.judgement import Judge, TokenNames
from app.dispatch.verdicts import Policy
from app.domain import CampaignId, Clock, utc_now
from app.marketo.address import base_urls, campaign_id
from app.marketo.auth import MarketoAuth
from app.settings import Checks, Settings
from app.sources.base import Source
from app.sources.custom import CustomSource
from app.sources.eventbrite import EventbriteApi, EventbriteSource
from app.sources.pendo import PendoApi, PendoPaths, PendoSource
from app.sources.trying import Sender, signs_by_digest, signs_by_key, signs_by_standard_webhooks
from app.sources.webinars import Catalogue, ConfiguredWebinar
from app.store.database import Database, open_database
from app.store.people import Memory

CHECKS = Checks(base_url=base_urls, campaign=campaign_id)
_SOURCES = ("eventbrite", "pendo", "custom")
_EXAMPLES = frozenset(
    {"order_placed__captured.json", "track_event_received__inferred.json", "registration__smallest.json"}
)


def open_store(settings: Settings) -> Database:
    """Return the store, with half of what a process may have of connections: it opens one store in each thread."""
    return open_database(
        settings.database_url.get_secret_value(),
        connections=settings.database_pool_size // 2,
        statement_limit=timedelta(seconds=settings.database_timeout_seconds),
    )


def make_auth(settings: Settings, clock: Clock = utc_now) -> MarketoAuth:
    """Return what keeps and renews the custom service's token."""
    return MarketoAuth(
        address=base_urls(settings.marketo_base_url),
        client_id=settings.marketo_client_id,
        client_secret=settings.marketo_client_secret,
        clock=clock,
    )


def make_catalogue(settings: Settings) -> Catalogue:
    """Return the webinars of relay.toml and the defaults for those that it does not name."""
    webinars = [
        ConfiguredWebinar(
            id=name,
            title=webinar.title,
            join_link=webinar.join_link,
            image=webinar.image,
            starts_at=webinar.starts_at,
            campaign_id=campaign_id(webinar.campaign_id) if webinar.campaign_id else None,
            aliases=webinar.aliases,
        )
        for name, webinar in settings.webinars.items()
    ]
    return Catalogue(
        webinars,
        default_title=settings.default_webinar_title,
        default_join_link=settings.default_join_link,
        default_image=settings.default_webinar_image,
    )


def make_judge(settings: Settings, catalogue: Catalogue) -> Judge:
    """Return what decides on registrations by the settings."""
    return Judge(
        catalogue=catalogue,
        campaigns=_campaigns(settings),
        allowed=allowed_campaigns(settings),
        names=_token_names(settings),
        look_up_only=settings.marketo_lead_mode == "lookup",
        over_after=timedelta(hours=settings.webinar_over_after_hours),
        fields=settings.fields_of_tokens,
    )


def make_policy(settings: Settings) -> Policy:
    """Return what the settings decide about lost answers and unknown people."""
    return Policy(
        settings.marketo_on_ambiguous,
        look_up_only=settings.marketo_lead_mode == "lookup",
        activity_delay=timedelta(seconds=settings.marketo_activity_delay_seconds),
    )


def make_memory(settings: Settings) -> Memory:
    """Return how people are remembered. Another instance, field or partition has other people at the same addresses."""
    where = (base_urls(settings.marketo_base_url).rest, settings.marketo_lookup_field, settings.marketo_partition or "")
    return Memory("\x00".join(where), timedelta(days=settings.marketo_people_ttl_days), settings.marketo_people_max)


def _token_names(settings: Settings) -> TokenNames:
    return TokenNames(settings.marketo_token_title, settings.marketo_token_join_link, settings.marketo_token_image)


def _campaigns(settings: Settings) -> Mapping[str, CampaignId]:
    named = {source: getattr(settings, f"{source}_campaign_id") for source in _SOURCES}
    return {source: campaign_id(text or settings.marketo_campaign_id) for source, text in named.items()}


def allowed_campaigns(settings: Settings) -> frozenset[CampaignId]:
    """Return every campaign that the configuration names; a payload may ask for no other."""
    listed = (campaign_id(text) for text in settings.marketo_allowed_campaign_ids)
    webinars = (campaign_id(w.campaign_id) for w in settings.webinars.values() if w.campaign_id)
    return frozenset({campaign_id(settings.marketo_campaign_id), *_campaigns(settings).values(), *listed, *webinars})


def make_sources(settings: Settings, catalogue: Catalogue, client: httpx.AsyncClient) -> Mapping[str, Source]:
    """Return the sources that the settings turn on, by name."""
    sources: list[Source] = []
    if settings.eventbrite_webhook_token:
        sources.append(_eventbrite(settings, catalogue, client))
    if settings.pendo_webhook_secret:
        sources.append(_pendo(settings, catalogue, client))
    if settings.custom_webhook_secrets or settings.custom_api_keys:
        sources.append(_custom(settings))
    return {source.name: source for source in sources}


def make_senders(settings: Settings) -> Mapping[str, Sender]:
    """Return how each source that is on reaches the relay, with the first of its secrets."""
    senders = []
    if tokens := _revealed(settings.eventbrite_webhook_token):
        senders.append(Sender("eventbrite", tokens[0]))
    if secrets := _revealed(settings.pendo_webhook_secret):
        senders.append(Sender("pendo", sign=signs_by_digest("x-pendo-signature", secrets[0])))
    if secrets := _revealed(settings.custom_webhook_secrets):
        senders.append(Sender("custom", sign=signs_by_standard_webhooks(secrets[0])))
    elif keys := _revealed(settings.custom_api_keys):
        senders.append(Sender("custom", sign=signs_by_key(keys[0])))
    return {sender.source: sender for sender in senders}


def example_of(source: str) -> str:
    """Return a body that this source may send, from the samples that are shipped with it; empty when there is none."""
    samples = files("app.sources").joinpath(source, "samples")
    names = sorted(one.name for one in samples.iterdir() if one.name in _EXAMPLES) if samples.is_dir() else []
    body = json.loads(samples.joinpath(names[0]).read_text("utf-8"))["body"] if names else None
    return json.dumps(body, indent=2) if body else ""


def _eventbrite(settings: Settings, catalogue: Catalogue, client: httpx.AsyncClient) -> EventbriteSource:
    token, base_url = settings.eventbrite_api_token, settings.eventbrite_api_url
    api = EventbriteApi(client=client, token=token, base_url=base_url) if token else None
    return EventbriteSource(
        path_secrets=_revealed(settings.eventbrite_webhook_token),
        actions=settings.eventbrite_actions,
        api=api,
        catalogue=catalogue,
        clock=utc_now,
        settle=timedelta(seconds=settings.eventbrite_settle_seconds),
    )


def _pendo(settings: Settings, catalogue: Catalogue, client: httpx.AsyncClient) -> PendoSource:
    key = settings.pendo_integration_key
    return PendoSource(
        secrets=_revealed(settings.pendo_webhook_secret),
        track_event=settings.pendo_track_event,
        api=PendoApi(client=client, integration_key=key, base_url=settings.pendo_api_url) if key else None,
        catalogue=catalogue,
        clock=utc_now,
        paths=_pendo_paths(settings),
        polls=settings.pendo_polls,
    )


def _pendo_paths(settings: Settings) -> PendoPaths:
    given = {field.name: getattr(settings, f"pendo_path_{field.name}") for field in fields(PendoPaths)}
    return PendoPaths(**{name: paths for name, paths in given.items() if paths})


def _custom(settings: Settings) -> CustomSource:
    names = _token_names(settings)
    return CustomSource(
        signing_secrets=_revealed(settings.custom_webhook_secrets),
        api_keys=_revealed(settings.custom_api_keys),
        allowed_campaigns=allowed_campaigns(settings),
        reserved_tokens=(names.title, names.join_link, names.image),
    )


def _revealed(secrets: tuple[SecretStr, ...]) -> list[str]:
    return [secret.get_secret_value() for secret in secrets]
