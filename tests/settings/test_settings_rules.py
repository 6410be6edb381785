"""Settings that are right one by one can still be wrong together."""

from pathlib import Path

import pytest

from app.errors import SettingsInvalid
from app.making import CHECKS
from app.settings import Checks, load_settings

ONE = "q7Zr-1mVt_9KxLwP2cYb"
TWO = "Vt_9KxLwP2cYbq7Zr-1m"
BASE = {
    "MARKETO_BASE_URL": "https://482-XKB-119.mktorest.com",
    "MARKETO_CLIENT_ID": "an-id",
    "MARKETO_CLIENT_SECRET": "s",
    "MARKETO_CAMPAIGN_ID": "1234",
}


def told(folder: Path, variables: dict[str, str], toml: str = "", checks: Checks | None = None) -> dict[str, str]:
    (folder / "relay.toml").write_text(toml)
    try:
        load_settings(environ=BASE | variables, folder=folder, checks=checks or Checks())
    except SettingsInvalid as refused:
        return {problem.field: problem.problem for problem in refused.problems}
    return {}


def test_a_relay_without_sources_does_not_start(tmp_path: Path) -> None:
    """It would run, be healthy, and never send anything."""
    [(name, problem)] = told(tmp_path, {}).items()

    assert name.startswith("EVENTBRITE_WEBHOOK_TOKEN, PENDO_WEBHOOK_SECRET, CUSTOM_WEBHOOK_SECRETS or")
    assert problem.startswith("is missing")


def test_the_example_of_the_documentation_is_no_instance(tmp_path: Path) -> None:
    """The client secret would be sent to whoever has that name."""
    found = told(tmp_path, {"MARKETO_BASE_URL": "https://123-abc-456.mktorest.com/rest", "CUSTOM_API_KEYS": ONE})
    assert found["MARKETO_BASE_URL"].startswith("is the example from the documentation.")
    assert "Web Services" in found["MARKETO_BASE_URL"]


def test_a_weak_switch_is_told_once(tmp_path: Path) -> None:
    """Saying 'weak' and 'no source' of one line would send people looking for a second mistake."""
    assert told(tmp_path, {"CUSTOM_API_KEYS": "short"}).keys() == {"CUSTOM_API_KEYS"}


def test_eventbrite_needs_its_api_token(tmp_path: Path) -> None:
    """Its webhooks name an order and nothing else."""
    found = told(tmp_path, {"EVENTBRITE_WEBHOOK_TOKEN": ONE})

    assert "Developer Links" in found["EVENTBRITE_API_TOKEN"]
    assert told(tmp_path, {"EVENTBRITE_WEBHOOK_TOKEN": ONE, "EVENTBRITE_API_TOKEN": TWO}) == {}


@pytest.mark.parametrize(
    ("key", "switch"),
    [("EVENTBRITE_API_TOKEN", "EVENTBRITE_WEBHOOK_TOKEN"), ("PENDO_INTEGRATION_KEY", "PENDO_WEBHOOK_SECRET")],
)
def test_a_key_for_a_source_that_is_off_is_told(tmp_path: Path, key: str, switch: str) -> None:
    """Whoever sets it believes that the source is on."""
    found = told(tmp_path, {"CUSTOM_API_KEYS": ONE, key: TWO})

    assert found.keys() == {switch}
    assert key in found[switch]


def test_two_doors_do_not_share_a_key(tmp_path: Path) -> None:
    """Else every app that may send could also read who registered."""
    found = told(tmp_path, {"CUSTOM_API_KEYS": f"{TWO},{ONE}", "ADMIN_TOKEN": ONE})

    assert found == {"ADMIN_TOKEN": "is the same secret as CUSTOM_API_KEYS; give each its own"}


def test_a_key_that_stands_twice_in_one_setting_is_harmless(tmp_path: Path) -> None:
    assert told(tmp_path, {"CUSTOM_API_KEYS": f"{ONE},{ONE}"}) == {}


def test_the_three_tokens_have_three_names(tmp_path: Path) -> None:
    found = told(tmp_path, {"CUSTOM_API_KEYS": ONE, "MARKETO_TOKEN_IMAGE": "JoinLink"})

    assert list(found.values()) == ["must be three different names"]


def test_nobody_is_upserted_by_another_field_than_the_address(tmp_path: Path) -> None:
    """Marketo would take it, and create people without an address, to whom nothing is ever sent."""
    variables = {"CUSTOM_API_KEYS": ONE, "MARKETO_LOOKUP_FIELD": "workEmail"}

    assert "MARKETO_LEAD_MODE=lookup" in told(tmp_path, variables)["MARKETO_LOOKUP_FIELD"]
    assert told(tmp_path, variables | {"MARKETO_LEAD_MODE": "lookup"}) == {}


@pytest.mark.parametrize("name", ["email", "id", "firstName"])
def test_the_join_link_does_not_overwrite_who_somebody_is(tmp_path: Path, name: str) -> None:
    variables = {"CUSTOM_API_KEYS": ONE, "MARKETO_JOIN_LINK_FIELD": name}

    assert told(tmp_path, variables).keys() == {"MARKETO_JOIN_LINK_FIELD"}
    assert told(tmp_path, variables | {"MARKETO_JOIN_LINK_FIELD": "webinarJoinLink"}) == {}


def test_what_keeps_a_field_from_another_webinar_is_kept_as_long(tmp_path: Path) -> None:
    """Blanked registrations hold no field: the second webinar's link would go out in the first one's e-mail."""
    hold = {"CUSTOM_API_KEYS": ONE, "MARKETO_LINK_FIELD_HOLD_SECONDS": "172800"}
    found = told(tmp_path, hold | {"RETENTION_DAYS": "1"})
    assert found.keys() == {"MARKETO_LINK_FIELD_HOLD_SECONDS"}
    assert "RETENTION_DAYS, 86400 seconds" in found["MARKETO_LINK_FIELD_HOLD_SECONDS"]
    assert told(tmp_path, hold | {"RETENTION_DAYS": "2"}) == {}


def test_a_webinars_alias_belongs_to_one_webinar(tmp_path: Path) -> None:
    """With two owners, the link that somebody gets would depend on the order of tables."""
    toml = "[webinars.w-1]\naliases = ['7', 'w-1']\n[webinars.w-2]\naliases = [7]\n[webinars.w-3]\n"

    assert told(tmp_path, {"CUSTOM_API_KEYS": ONE}, toml).keys() == {"webinars.7"}


def test_all_mistakes_of_the_webinars_are_told_at_once(tmp_path: Path) -> None:
    """Two of them were told only after the third was mended."""
    toml = "[webinars.w-1]\ntitel = 'T'\ncampaign_id = 'abc'\naliases = ['7']\n[webinars.w-2]\naliases = ['7']\n"
    found = told(tmp_path, {"CUSTOM_API_KEYS": ONE}, toml, checks=CHECKS)
    assert found.keys() == {"webinars.w-1.titel", "webinars.w-1.campaign_id", "webinars.7"}


def test_every_weak_key_is_named(tmp_path: Path) -> None:
    found = told(tmp_path, {"CUSTOM_API_KEYS": f"short,{ONE},password123"})
    assert "(number 1 of 3); " in found["CUSTOM_API_KEYS"]
    assert "(number 3 of 3). A good one" in found["CUSTOM_API_KEYS"]
    assert "number 2" not in found["CUSTOM_API_KEYS"]


def test_where_a_vendors_secret_is_shown_is_said(tmp_path: Path) -> None:
    """ "Copy it again from where it is shown" leaves one looking for the place."""
    found = told(tmp_path, {"CUSTOM_API_KEYS": ONE, "MARKETO_CLIENT_SECRET": ""})["MARKETO_CLIENT_SECRET"]
    assert found.startswith("is empty. Copy it again from where it is shown. In Marketo: Admin > Integration")


def test_mistakes_in_a_webinars_table_are_told_by_their_place(tmp_path: Path) -> None:
    toml = "[webinars.w-1]\ntitel = 'T'\njoin_link = 'x y'\naliases = [{}, {}]\n[webinars]\nw-2 = 3\n"
    found = told(tmp_path, {"CUSTOM_API_KEYS": ONE}, toml)

    assert "title, join_link, image" in found["webinars.w-1.titel"]
    assert "https://" in found["webinars.w-1.join_link"]
    assert "webinars.w-1.aliases" in found
    assert "webinars.w-2" in found


@pytest.mark.parametrize("name", ["DOCS_NEED_TOKEN", "METRICS_NEED_TOKEN"])
def test_a_door_without_any_key_is_refused(tmp_path: Path, name: str) -> None:
    assert told(tmp_path, {name: "true", "CUSTOM_API_KEYS": ONE}) == {
        name: "needs ADMIN_TOKEN or ADMIN_READ_TOKEN: nobody could look"
    }
    assert told(tmp_path, {name: "true", "CUSTOM_API_KEYS": ONE, "ADMIN_READ_TOKEN": TWO}) == {}
