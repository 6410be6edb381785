"""Each setting takes what people write, and says in words what it cannot take."""

import base64
import secrets
import string
import subprocess
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from app.settings import Settings, WebinarSettings
from app.settings.strength import RECIPE, SIGNING_RECIPE, placeholder, signing_weakness, weakness


def signing(size: int) -> str:
    return "whsec_" + base64.b64encode(bytes(range(size))).decode()


def refusal(**values: object) -> str:
    with pytest.raises(ValidationError) as refused:
        Settings(**values)  # type: ignore[arg-type]
    [error] = refused.value.errors()
    return error["msg"]


@pytest.mark.parametrize(
    "secret",
    [
        "change-me",
        "CHANGE_ME_CHANGE_ME",
        "secret",
        "your-secret-token-here",
        "<insert your api key>",
        "1234567890123456",
        "password password password",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "abcabcabcabcabcabcabcabc",
        "fifteen-letters",
        "",
        " q7Zr-1mVt_9KxLwP2cYb",
        "q7Zr-1mVt_9KxLwP2cYb\n",
        "q7Zr-1mVt_9KxLwP2cYé",
    ],
)
def test_a_weak_secret_is_told(secret: str) -> None:
    assert weakness(secret)


@given(st.builds(secrets.token_urlsafe, st.integers(16, 48)) | st.builds(secrets.token_hex, st.integers(16, 48)))
def test_a_random_secret_is_never_called_weak(secret: str) -> None:
    """A check that refuses what its own advice made would be worse than none."""
    assert weakness(secret) is None


def test_the_advised_commands_make_good_secrets() -> None:
    """They are copied from an error message, so they must run as they stand."""
    made = subprocess.run(RECIPE, shell=True, check=True, capture_output=True, text=True).stdout.strip()
    signed = subprocess.run(SIGNING_RECIPE, shell=True, check=True, capture_output=True, text=True).stdout.strip()

    assert weakness(made) is None
    assert signing_weakness(signed) is None


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (signing(23), "decodes to 23 bytes"),
        (signing(65), "decodes to 65 bytes"),
        (signing(32).removeprefix("whsec_"), "does not begin with whsec_"),
        ("whsec_äöü", "ASCII"),
        ("whsec_!!!", "not base64"),
        ("whsec_" + base64.b64encode(bytes(32)).decode(), "repeats"),
    ],
)
def test_a_signing_secret_follows_standard_webhooks(secret: str, reason: str) -> None:
    """Its specification asks for 24 to 64 bytes, in base64 after whsec_."""
    assert reason in str(signing_weakness(secret))


@pytest.mark.parametrize("size", [24, 64])
def test_signing_secrets_of_the_allowed_sizes_are_taken(size: int) -> None:
    assert Settings(custom_webhook_secrets=signing(size)).custom_webhook_secrets == (SecretStr(signing(size)),)


def test_a_signing_secret_may_lack_its_padding() -> None:
    assert signing_weakness(signing(25).rstrip("=")) is None


def test_several_secrets_are_taken_while_rotating_and_each_is_judged() -> None:
    both = Settings(admin_token="q7Zr-1mVt_9KxLwP2cYb, AAq7Zr-1mVt_9KxLwP2c")

    assert [one.get_secret_value() for one in both.admin_token] == ["q7Zr-1mVt_9KxLwP2cYb", "AAq7Zr-1mVt_9KxLwP2c"]
    assert "(number 2 of 2)" in refusal(admin_token="q7Zr-1mVt_9KxLwP2cYb,short")


def test_secrets_can_be_given_as_values_or_not_at_all() -> None:
    """Tests and the demo build Settings in code."""
    made = Settings(
        admin_token=(SecretStr("q7Zr-1mVt_9KxLwP2cYb"),), marketo_client_secret=SecretStr("q"), custom_api_keys=()
    )

    assert made.custom_api_keys == ()
    assert "must be text" in refusal(admin_token=[1])
    assert "must be text" in refusal(admin_token=True)
    assert "must be text" in refusal(marketo_client_secret=1)


def test_a_secret_for_a_path_must_fit_into_one() -> None:
    """With a slash or a question mark in it, Eventbrite's webhook could never arrive."""
    assert "part of an address" in refusal(eventbrite_webhook_token="q7Zr/1mVt?9KxLwP2cYb")


def test_a_vendors_secret_is_not_judged_by_its_length() -> None:
    """Marketo made it; a person can't make it longer."""
    assert Settings(marketo_client_secret="q1").marketo_client_secret == SecretStr("q1")
    assert "line break" in refusal(marketo_client_secret="q1\n")


@pytest.mark.parametrize(
    "text",
    [
        *("changeme", "xxx", "XXXX-XXXX", "your-client-secret", "YOUR_CLIENT_ID", "<client id>", "<from LaunchPoint>"),
        *("$CLIENT_SECRET", "${CLIENT_ID}", "{{ client_id }}", "[client-id]", "%SECRET%", "********", "...", "TODO"),
        *("client-id-goes-here", "paste the secret from LaunchPoint here", "$(cat secret)", "000000", "<...>"),
    ],
)
def test_what_was_not_filled_in_stops_the_start(text: str) -> None:
    """Marketo would answer 401, and the first registration would be the one to find out."""
    assert "placeholder" in refusal(marketo_client_secret=text)
    assert "placeholder" in refusal(marketo_client_id=text)


@given(st.uuids(), st.text(string.ascii_letters + string.digits, min_size=32, max_size=32))
def test_what_marketo_makes_is_never_taken_for_a_placeholder(client_id: UUID, secret: str) -> None:
    """Client ids are UUIDs, secrets 32 letters and digits, as published examples show."""
    assume(len(set(secret)) > 12)
    assume(len(set(str(client_id))) > 12)
    assert placeholder(str(client_id)) is None
    assert placeholder(secret) is None


def test_secrets_do_not_show_in_what_is_printed() -> None:
    text = repr(Settings(admin_token="q7Zr-1mVt_9KxLwP2cYb"))

    assert "q7Zr" not in text


@pytest.mark.parametrize(
    "url",
    [
        "https://www.eventbriteapi.com/v3",
        "https://www.eventbriteapi.com:443/v3/",
        "http://127.0.0.1:9000/eventbrite/v3",
        "http://localhost:9000",
        "http://[::1]:9000",
    ],
)
def test_eventbrites_api_is_at_its_own_host_or_simulated_here(url: str) -> None:
    assert Settings(eventbrite_api_url=url).eventbrite_api_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://www.eventbriteapi.com/v3",
        "https://www.eventbriteapi.com.evil.example/v3",
        "https://evil.example/v3",
        "https://user@www.eventbriteapi.com/v3",
        "https://www.eventbriteapi.com:8443/v3",
        "https://www.eventbriteapi.com/v3?x=1",
        "https://www.eventbriteapi.com/v3#x",
        "https://[www.eventbriteapi.com",
        "https://www.eventbriteapi.com:abc/",
        "ftp://127.0.0.1/",
        "www.eventbriteapi.com",
    ],
)
def test_eventbrites_token_is_sent_to_no_other_host(url: str) -> None:
    """A slip in this setting would hand the token to a stranger."""
    assert "must be" in refusal(eventbrite_api_url=url) or "not an address" in refusal(eventbrite_api_url=url)


@pytest.mark.parametrize("host", ["app", "us1.app", "app.eu", "app.jpn", "app.au"])
def test_pendos_regions_are_taken(host: str) -> None:
    assert Settings(pendo_api_url=f"https://{host}.pendo.io/").pendo_api_url == f"https://{host}.pendo.io"


def test_a_host_that_is_not_pendos_is_refused() -> None:
    assert "app.eu" in refusal(pendo_api_url="https://eu.pendo.io")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///data/relay.db",
        "sqlite:////data/relay.db",
        "postgresql://u:p@db:5432/relay",
        "postgres://u@db/relay",
        "postgresql:///relay",
        "postgresql+psycopg://u:p@db/relay?sslmode=require",
    ],
)
def test_databases_that_the_store_can_open_are_taken(url: str) -> None:
    assert Settings(database_url=url).database_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://u:p@db/relay", "sqlite:///relative"),
        ("relay.db", "sqlite:///relative"),
        ("postgresql://", "sqlite:///relative"),
        ("sqlite://relay.db", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///?x=1", "must name a file"),
        ("postgresql://u:p@db:port/relay", "percent-encoded"),
        ("", "is empty"),
        (5, "is empty"),
    ],
)
def test_other_databases_are_refused_with_what_would_do(url: object, reason: str) -> None:
    """A database in memory would lose what was accepted."""
    assert reason in refusal(database_url=url)


def test_lists_are_taken_with_commas_or_as_arrays() -> None:
    assert Settings(marketo_allowed_campaign_ids=" 1, ,2 ").marketo_allowed_campaign_ids == ("1", "2")
    assert Settings(marketo_allowed_campaign_ids=[1, "2"]).marketo_allowed_campaign_ids == ("1", "2")
    assert Settings(marketo_allowed_campaign_ids=7).marketo_allowed_campaign_ids == ("7",)


def test_proxies_are_addresses_networks_or_all() -> None:
    """A host name here would be believed by nobody, in silence."""
    taken = Settings(forwarded_allow_ips="10.0.0.1, 10.1.0.0/16, ::1")

    assert taken.forwarded_allow_ips == ("10.0.0.1", "10.1.0.0/16", "::1")
    assert Settings(forwarded_allow_ips="*").forwarded_allow_ips == ("*",)
    assert "'proxy.local' is neither" in refusal(forwarded_allow_ips="proxy.local")


def test_token_names_may_be_pasted_with_their_braces() -> None:
    assert Settings(marketo_token_title="{{my.Title of it}}").marketo_token_title == "Title of it"
    assert "My Token" in refusal(marketo_token_title="{{my.}}")
    assert "50 characters" in refusal(marketo_token_title="x" * 51)


def test_default_links_are_web_links() -> None:
    """They stand in e-mails."""
    assert Settings(default_join_link="https://x.example/a?b=c").default_join_link == "https://x.example/a?b=c"
    assert "https://" in refusal(default_webinar_image="javascript:alert(1)")


def test_fields_go_by_their_api_name() -> None:
    assert "REST API name" in refusal(marketo_lookup_field="Email Address")


def test_actions_are_eventbrites_own() -> None:
    assert "did you mean order.placed?" in refusal(eventbrite_actions="order.place")
    assert "these do: order.placed" in refusal(eventbrite_actions="zzz")


def test_choices_do_not_mind_capitals() -> None:
    assert Settings(log_level="INFO").log_level == "info"
    assert "upsert" in refusal(marketo_lead_mode=1)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("marketo_calls_per_window", 1, 100),
        ("marketo_max_in_flight", 1, 10),
        ("port", 0, 65535),
        ("drain_seconds", 0, 4),
        ("database_pool_size", 4, 200),
        ("database_timeout_seconds", 1, 3600),
        ("webinar_over_after_hours", 0, 8760),
    ],
)
def test_numbers_have_bounds(name: str, low: int, high: int) -> None:
    """Marketo's limits are shared by all of a customer's integrations."""
    for taken in (low, high):
        assert getattr(Settings(**{name: taken}), name) == taken  # type: ignore[arg-type]
    for refused in (low - 1, high + 1, "nan", "x"):
        assert refusal(**{name: refused})


def test_a_webinar_is_described_by_known_keys() -> None:
    made = WebinarSettings.model_validate(
        {"title": "T", "campaign_id": 7, "aliases": [123, "x"], "starts_at": "2026-12-01T16:00:00Z"}
    )

    assert (made.campaign_id, made.aliases) == ("7", ("123", "x"))
    for wrong in ({"titel": "T"}, {"title": ""}, {"join_link": "javascript:alert(1)"}, {"image": "https://a b"}):
        with pytest.raises(ValidationError):
            WebinarSettings.model_validate(wrong)


@pytest.mark.parametrize("host", ["999.1.1.1", "1.2.3", "..."])
def test_what_looks_like_an_ip_address_is_one(host: str) -> None:
    """The relay would end at its start, with what the system says of it."""
    assert "no IP address" in refusal(host=host)


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "::", "localhost", "relay.internal"])
def test_names_and_addresses_may_be_listened_on(host: str) -> None:
    assert Settings(host=host).host == host
