"""Every setting: its name, kind, default and meaning. The one place; README and .env.example are made from it.

Making a `Settings` reads nothing but its arguments. `app.settings.load` gathers what the surroundings say.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.settings.kinds import (
    AlertUrl,
    CommaSeparated,
    DatabaseUrl,
    EventbriteActions,
    EventbriteUrl,
    FieldName,
    ListenAddress,
    LowerCase,
    OwnSecrets,
    PathSecrets,
    PendoUrl,
    Proxies,
    RelayAddress,
    SigningSecrets,
    TokenFields,
    TokenName,
    VendorId,
    VendorKey,
    VendorSecret,
    WebLink,
)

_LAUNCHPOINT = "In Marketo: Admin > Integration > LaunchPoint, the service's View Details"
_CAMPAIGN = "a number, or the address in the browser while the smart campaign is open (…/#/classic/SC1234A1)"
_PATHS = "Dotted paths in Pendo's body, comma-separated, the first that is there counts; empty: the built-in ones"


def _setting(
    default: Any,
    meaning: str,
    *,
    where: str | None = None,
    expects: str | None = None,
    needed: bool = False,
    **bounds: float,
) -> Any:
    """Describe one setting. `where` tells where one finds its value, `expects` finishes 'must be …'."""
    described: dict[str, Any] = {"description": meaning, **bounds}
    return Field(default=default, json_schema_extra={"where": where, "expects": expects, "needed": needed}, **described)


class WebinarSettings(BaseModel):
    """One `[webinars.<id>]` table of relay.toml: what is known here about a webinar that a source only names."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        str_strip_whitespace=True,
        str_min_length=1,
        coerce_numbers_to_str=True,
        allow_inf_nan=False,
        validate_default=False,
        hide_input_in_errors=True,
    )

    title: str | None = None
    join_link: WebLink | None = None
    image: WebLink | None = None
    starts_at: AwareDatetime | None = None
    campaign_id: str | None = None
    aliases: CommaSeparated = ()


class Settings(BaseSettings):
    """What the relay is told, already checked field by field. Frozen; secrets are `SecretStr`."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        str_strip_whitespace=True,
        coerce_numbers_to_str=True,
        allow_inf_nan=False,
        validate_default=False,
        hide_input_in_errors=True,
    )

    # Marketo
    marketo_base_url: str = _setting(
        "",
        "Address of your Marketo instance: `https://123-ABC-456.mktorest.com`, with or without `/rest` or `/identity`",
        where="In Marketo: Admin > Integration > Web Services > REST API > Endpoint",
        needed=True,
    )
    marketo_client_id: VendorId = _setting("", "Client id of the custom service", where=_LAUNCHPOINT, needed=True)
    marketo_client_secret: VendorSecret = _setting(
        SecretStr(""), "Client secret of the custom service", where=_LAUNCHPOINT, needed=True
    )
    marketo_campaign_id: str = _setting(
        "",
        f"Smart campaign that sends the reminder: {_CAMPAIGN}",
        where="In Marketo: open the smart campaign and copy the browser's address",
        needed=True,
    )
    marketo_allowed_campaign_ids: CommaSeparated = _setting(
        (), "Other campaigns that a custom app may name as `campaignId`, comma-separated, each as above"
    )
    marketo_lead_mode: Annotated[Literal["upsert", "lookup"], LowerCase] = _setting(
        "upsert",
        "`upsert` creates people that Marketo lacks; `lookup` never does, unknown ones end as dead with that reason",
        expects="upsert or lookup",
    )
    marketo_lookup_field: FieldName = _setting(
        "email",
        "Field in which a registrant's e-mail address is looked for; another one than `email` needs "
        "`MARKETO_LEAD_MODE=lookup`",
    )
    marketo_partition: str | None = _setting(None, "Lead partition for new people")
    marketo_join_link_field: FieldName | None = _setting(
        None, "Person field that carries a join link of one's own, so that unique links still go out in batches"
    )
    marketo_token_fields: TokenFields = _setting(
        (),
        "The same for any My Token: `Name=field,Name2=field2`; the e-mail must read the field where no token is passed",
    )
    marketo_link_field_hold_seconds: float = _setting(
        600.0,
        "How long after the campaign request Marketo may still make its e-mail; until then no other webinar's values "
        "are written to that person's fields. Below 60 a late e-mail may show another webinar's link, and the relay "
        "warns",
        expects="a number of seconds from 0 to 604800",
        ge=0,
        le=604_800,
    )
    marketo_people_ttl_days: float = _setting(
        30.0,
        "How long the relay remembers which person of Marketo's an address is, and neither looks up nor updates it",
        expects="a number of days from 0 to 365",
        ge=0,
        le=365,
    )
    marketo_people_max: int = _setting(
        1_000_000,
        "How many people are remembered at most; the oldest are forgotten first",
        expects="a whole number of at least 0",
        ge=0,
    )
    marketo_upsert_runs_on_seconds: float = _setting(
        90.0,
        "How long Marketo may go on with an upsert whose answer never came (its own time-out); until then nobody in it "
        "is upserted again, as that would make a second person",
        expects="a number of seconds from 1 to 600",
        ge=1,
        le=600,
    )
    marketo_token_title: TokenName = _setting("WebinarTitle", "Name of the My Token for the title")
    marketo_token_join_link: TokenName = _setting("JoinLink", "Name of the My Token for the join link")
    marketo_token_image: TokenName = _setting("WebinarImage", "Name of the My Token for the image's address")
    marketo_calls_per_window: int = _setting(
        50,
        "Calls in any 20 seconds that the relay may make (Marketo: 100 for all integrations together)",
        expects="a whole number from 1 to 100: Marketo lets all integrations together make 100 calls in 20 seconds",
        ge=1,
        le=100,
    )
    marketo_max_in_flight: int = _setting(
        5,
        "Calls at the same time (Marketo: 10 for all integrations together)",
        expects="a whole number from 1 to 10: Marketo answers at most 10 calls at a time, of all integrations together",
        ge=1,
        le=10,
    )
    marketo_calls_per_day: int = _setting(
        50_000,
        "Calls a day of the instance, all integrations together, reset at midnight US Central",
        expects="a whole number from 1 to 10000000: Marketo's daily quota, of all integrations together",
        ge=1,
        le=10_000_000,
    )
    marketo_on_ambiguous: Annotated[Literal["check", "retry", "hold"], LowerCase] = _setting(
        "check",
        "When Marketo's answer to a campaign request was lost: `check` (look into the activity log, and request again "
        "what did not run; needs the permission Read-Only Activity, else it is `retry`), `retry` (perhaps a second "
        "e-mail) or `hold` (a person decides)",
        expects="check, retry or hold",
    )
    marketo_activity_delay_seconds: float = _setting(
        60.0,
        "How long after a request its activities can be read at the earliest; what is not there after 15 times as long "
        "did not run. Below 20 a log that is late may mail somebody twice, and the relay warns",
        expects="a number of seconds from 0.1 to 3600",
        ge=0.1,
        le=3600,
    )

    # What a token gets when the source has nothing
    default_webinar_title: str | None = _setting(None, "Title when the source has none; without it such a one is dead")
    default_join_link: WebLink | None = _setting(
        None, "Join link when the source has none; without it such a one is dead"
    )
    default_webinar_image: WebLink | None = _setting(None, "Image when the source has none; it may be missing")
    webinar_over_after_hours: float = _setting(
        24.0,
        "A registration for a webinar that began longer ago than this is ignored",
        expects="a number of hours from 0 to 8760",
        ge=0,
        le=8760,
    )

    # Eventbrite
    eventbrite_webhook_token: PathSecrets = _setting(
        (),
        "Secret last part of the webhook's address, `/webhooks/eventbrite/<token>`; turns the source on. Several, "
        "comma-separated, while rotating, the new one first",
    )
    eventbrite_api_token: VendorKey | None = _setting(
        None,
        "Private token, to read orders and events; needed for Eventbrite",
        where="In Eventbrite: Account Settings > Developer Links > API Keys > Show API key > Private token",
    )
    eventbrite_api_url: EventbriteUrl = _setting("https://www.eventbriteapi.com/v3", "Base of Eventbrite's API")
    eventbrite_actions: EventbriteActions = _setting(
        ("order.placed", "attendee.updated"), "Actions that register; `order.refunded` always cancels"
    )
    eventbrite_settle_seconds: float = _setting(
        2.0,
        "Wait before an order is read: one order makes several deliveries within a second",
        expects="a number of seconds from 0 to 300",
        ge=0,
        le=300,
    )
    eventbrite_campaign_id: str | None = _setting(None, "Campaign for this source instead of `MARKETO_CAMPAIGN_ID`")

    # Pendo
    pendo_webhook_secret: OwnSecrets = _setting(
        (),
        "Secret with which Pendo signs; turns the source on. Several, comma-separated, while rotating, the new one "
        "first",
        where="In Pendo: Settings > Integrations > Webhooks",
    )
    pendo_integration_key: VendorKey | None = _setting(
        None,
        "Integration key, to find the e-mail of a visitor whose id is none",
        where="In Pendo: Settings > Integrations > Integration Keys",
    )
    pendo_api_url: PendoUrl = _setting("https://app.pendo.io", "Base of Pendo's API, by the region of your account")
    pendo_track_event: str = _setting("webinar_registered", "Name of the track event that is a registration")
    pendo_polls: CommaSeparated = _setting(
        (), "Ids of polls whose submission is a registration too, comma-separated; by default none is"
    )
    pendo_campaign_id: str | None = _setting(None, "Campaign for this source instead of `MARKETO_CAMPAIGN_ID`")
    pendo_path_event_name: CommaSeparated = _setting((), f"Where the kind of event stands. {_PATHS}")
    pendo_path_track_name: CommaSeparated = _setting((), "The same: the track event's name")
    pendo_path_email: CommaSeparated = _setting((), "The same: the registrant's e-mail address")
    pendo_path_first_name: CommaSeparated = _setting((), "The same: first name")
    pendo_path_last_name: CommaSeparated = _setting((), "The same: last name")
    pendo_path_webinar_id: CommaSeparated = _setting((), "The same: the webinar's id")
    pendo_path_title: CommaSeparated = _setting((), "The same: the webinar's title")
    pendo_path_join_link: CommaSeparated = _setting((), "The same: join link")
    pendo_path_image: CommaSeparated = _setting((), "The same: the image's address")
    pendo_path_starts_at: CommaSeparated = _setting((), "The same: the webinar's start")
    pendo_path_poll_id: CommaSeparated = _setting((), "The same: the poll's id")
    pendo_path_visitor_email: CommaSeparated = _setting(
        (), "Where the e-mail address stands in the visitor that Pendo's API returns"
    )
    pendo_path_visitor_first_name: CommaSeparated = _setting((), "The same, in the visitor: first name")
    pendo_path_visitor_last_name: CommaSeparated = _setting((), "The same, in the visitor: last name")

    # Custom apps
    custom_webhook_secrets: SigningSecrets = _setting(
        (),
        "Standard Webhooks secrets (`whsec_…`), comma-separated while rotating, the new one first; turns the source on",
    )
    custom_api_keys: OwnSecrets = _setting(
        (), "Keys accepted as `Authorization: Bearer …`, comma-separated; turns the source on"
    )
    custom_campaign_id: str | None = _setting(None, "Campaign for this source instead of `MARKETO_CAMPAIGN_ID`")

    # The service
    database_url: DatabaseUrl = _setting(
        SecretStr("sqlite:///data/relay.db"), "`sqlite:///file`, or `postgresql://user:password@host/name`"
    )
    database_pool_size: int = _setting(
        20,
        "Connections to PostgreSQL that one process holds at most, half of them to accept and send, half to look up; "
        "with `WORKERS`, each has as many. SQLite needs no such bound and ignores it",
        expects="a whole number from 4 to 200",
        ge=4,
        le=200,
    )
    database_timeout_seconds: float = _setting(
        30.0,
        "How long PostgreSQL may work on one statement before it is given up, told as 503 or tried again; migrations "
        "may take longer. SQLite knows no such bound and ignores it",
        expects="a number of seconds from 1 to 3600",
        ge=1,
        le=3600,
    )
    retention_days: float = _setting(
        30.0,
        "How long webhooks and people's data are kept after their end; what became of each stays for good",
        expects="a number of days from 1 to 3650",
        ge=1,
        le=3650,
    )
    migrate_on_start: bool = _setting(
        True, "Bring the database's tables up to date at the start; else run `relay migrate`", expects="true or false"
    )
    check_at_start: bool = _setting(
        True,
        "Check the set-up when the relay starts (as `relay doctor`, some 20 calls) and tell the log, `/readyz` and the "
        "console; it stops nothing",
        expects="true or false",
    )
    check_every_hours: float = _setting(
        6.0,
        "Check it again each time that so many hours have passed: a campaign that somebody deactivated takes every "
        "request and sends nothing; 0 leaves it out",
        expects="a number of hours from 0 to 720",
        ge=0,
        le=720,
    )
    admin_token: OwnSecrets = _setting(
        (), "Turns the admin API and the console on. Several, comma-separated, while rotating, the new one first"
    )
    admin_read_token: OwnSecrets = _setting(
        (),
        "Shows all that `ADMIN_TOKEN` shows, in the API and the console, and changes nothing. Several, "
        "comma-separated, while rotating, the new one first",
    )
    docs_need_token: bool = _setting(
        False, "Show `/docs` and `/openapi.json` only to who sends one of these tokens", expects="true or false"
    )
    metrics_need_token: bool = _setting(
        False, "Show `/metrics` only to who sends one of these tokens", expects="true or false"
    )
    public_url: WebLink | None = _setting(
        None,
        "Address at which senders reach the relay, such as `https://relay.example.com`; the console shows it to paste, "
        "and `relay doctor` looks whether webhooks come there",
    )
    alert_webhook_url: AlertUrl | None = _setting(
        None,
        "Where to say that something needs a person (Slack-compatible JSON): credentials refused, a campaign that "
        "Marketo refuses or that is inactive, whatever else is wrong with the set-up, the day's calls near "
        "their end, a silent source, dead letters; once, and when it is over",
    )
    alert_silent_hours: float = _setting(
        72.0,
        "A source that sent webhooks before and none for so long is told of",
        expects="a number of hours from 1 to 8760",
        ge=1,
        le=8760,
    )
    alert_dead_letters: int = _setting(
        10, "From how many dead letters on they are told of", expects="a whole number of at least 1", ge=1
    )
    host: ListenAddress = _setting("0.0.0.0", "Address to listen on")  # noqa: S104  # a container must listen on all of them
    port: int = _setting(
        8080, "Port to listen on; 0 takes a free one", expects="a whole number from 0 to 65535", ge=0, le=65535
    )
    workers: int = _setting(
        1,
        "Processes that accept on the same port, where one does not take all that comes; one of them sends",
        expects="a whole number from 1 to 64",
        ge=1,
        le=64,
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error", "critical"], LowerCase] = _setting(
        "info", "`debug`, `info`, `warning`, `error` or `critical`", expects="debug, info, warning, error or critical"
    )
    log_format: Annotated[Literal["json", "console"], LowerCase] = _setting(
        "json", "`json`, or `console` for people", expects="json or console"
    )
    max_body_bytes: int = _setting(
        262_144, "Largest webhook body", expects="a whole number of bytes from 1024 to 16777216", ge=1024, le=16_777_216
    )
    source_webhooks_per_second: int = _setting(
        0,
        "How many authentic webhooks a second one source may send to one process, ten seconds' worth at once; beyond "
        "that it hears 503 with Retry-After. 0: as many as it likes",
        expects="a whole number of at least 0",
        ge=0,
    )
    drain_seconds: float = _setting(
        3.0,
        "After SIGTERM: how long `/readyz` says no before the port closes, so that the load balancer looks elsewhere",
        expects="a number of seconds from 0 to 4, so that a stop takes ten at most",
        ge=0,
        le=4,
    )
    forwarded_allow_ips: Proxies = _setting(
        (),
        "Proxies whose `X-Forwarded-*` headers are believed: addresses or networks, comma-separated, or `*`; "
        "by default nobody's",
    )
    relay_url: RelayAddress | None = _setting(
        None,
        "Address of a running relay, which `relay events`, `show`, `tail`, `stats`, `replay` and `send` then ask (with "
        "`ADMIN_TOKEN`); without it they look into the store themselves. `relay forget` and `backup` work on the "
        "store alone",
    )
    relay_config: Path = _setting(Path("relay.toml"), "Path of the TOML file")

    webinars: Mapping[str, WebinarSettings] = Field(default={}, description="`[webinars.<id>]` tables of relay.toml")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the arguments only: a test's settings must not depend on the machine that runs it."""
        return (init_settings,)

    @property
    def fields_of_tokens(self) -> Mapping[str, str]:
        """Return the person fields that My Tokens travel in, by the tokens' names."""
        link = self.marketo_join_link_field
        return {**({self.marketo_token_join_link: link} if link else {}), **dict(self.marketo_token_fields)}

    @property
    def setting_of_fields(self) -> Mapping[str, str]:
        """Return which setting each person field comes from, for whom Marketo tells that it has no such field."""
        mapped = {field: "MARKETO_TOKEN_FIELDS" for _, field in self.marketo_token_fields}
        link = {self.marketo_join_link_field: "MARKETO_JOIN_LINK_FIELD"} if self.marketo_join_link_field else {}
        return {**mapped, **link, self.marketo_lookup_field: "MARKETO_LOOKUP_FIELD"}

    def secrets(self) -> tuple[str, ...]:
        """Return every secret in the clear, for the log to mask: keys, tokens and the database's password."""
        found = _passwords_in(self.database_url.get_secret_value())
        for name in type(self).model_fields.keys() - {"database_url"}:
            value = getattr(self, name)
            several = value if isinstance(value, tuple) else (value,)
            found += [one.get_secret_value() for one in several if isinstance(one, SecretStr) and one]
        return tuple(found)


def _passwords_in(url: str) -> list[str]:
    """Return the passwords in a database's address: before the host, and in the query (`password`, `sslpassword`)."""
    parts = urlsplit(url)
    before_host = [unquote(parts.password)] if parts.password else []
    return before_host + [value for name, value in parse_qsl(parts.query) if "password" in name.lower() and value]
