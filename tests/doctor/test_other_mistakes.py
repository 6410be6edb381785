"""Each mistake around the relay, and at Eventbrite and Pendo, is told by its own check, and by no other."""

from typing import Any

import pytest
from sqlalchemy import text

from app.checkup import check_up
from app.doctor.own import settings_findings
from app.doctor.pacing import Make
from app.doctor.report import Finding, Verdict
from app.errors import SettingsInvalid
from app.marketo.envelope import Reply
from app.sandbox import seed
from app.settings import load_settings
from app.store.database import open_database
from tests.doctor.mistakes import FAIL, UNKNOWN, WARN, Lever, Mistake, check_told_alone
from tests.doctor.patient import ACTIONS, PUBLIC_URL, Patient, webhook
from tests.tables import make_tables

FRESH = "fresh-secret-Qm4vT9xLzR2b"


def hooks(*subscriptions: object) -> Lever:
    return ("PUT", "eventbrite/webhooks", list(subscriptions))


def refusing(match: str, kind: str) -> Lever:
    return ("POST", "faults", {"match": match, "kind": kind, "times": None, "seconds": 600})


SOUND = {"title": "Engines", "join_link": "https://a.io"}
WEBHOOK = ("eventbrite_webhook", "eventbrite_actions", "eventbrite_scope")
NO_WEBHOOK = {"eventbrite_webhook": FAIL, "eventbrite_actions": UNKNOWN, "eventbrite_scope": UNKNOWN}
LOCKED_OUT = dict.fromkeys(("eventbrite_organization", *WEBHOOK), UNKNOWN)

MISTAKES = [
    Mistake("no admin token", {"admin_token": WARN}, "nobody can look up", settings={"admin_token": ()}),
    Mistake(
        "plain http",
        {"public_url": WARN, "eventbrite_webhook": FAIL},
        "set PUBLIC_URL to its https://",
        settings={"public_url": "http://relay.example.com"},
    ),
    Mistake(
        "Eventbrite's token wrong",
        LOCKED_OUT | {"eventbrite_token": FAIL},
        "API Keys > Show API key",
        settings={"eventbrite_api_token": FRESH},
    ),
    Mistake(
        "Eventbrite down",
        LOCKED_OUT | {"eventbrite_token": UNKNOWN},
        "mktorest.com",  # nothing of Eventbrite is a warning
        levers=(refusing("eventbrite", "http:503"),),
    ),
    Mistake(
        "no organization",
        NO_WEBHOOK | {"eventbrite_organization": FAIL},
        "belongs to no organization",
        levers=(("PUT", "eventbrite/organizations", []),),
    ),
    Mistake("no webhook", NO_WEBHOOK, f"Payload URL {PUBLIC_URL}/webhooks/eventbrite/<your", levers=(hooks(),)),
    Mistake(
        "webhook elsewhere",
        NO_WEBHOOK,
        "1 goes elsewhere",
        levers=(hooks(webhook("https://zapier.example.com/hooks/1")),),
    ),
    Mistake(
        "webhook with an old secret",
        NO_WEBHOOK,
        "a secret that is not in EVENTBRITE_WEBHOOK_TOKEN",
        settings={"eventbrite_webhook_token": FRESH},
    ),
    Mistake(
        "webhook to an old address",
        {"eventbrite_webhook": FAIL},
        "not to PUBLIC_URL",
        levers=(hooks(webhook(f"https://old.example.com/webhooks/eventbrite/{seed.EVENTBRITE_WEBHOOK_TOKEN}")),),
    ),
    Mistake(
        "action missing",
        {"eventbrite_actions": FAIL},
        "lacks attendee.updated",
        levers=(hooks(webhook(actions=["order.placed", "order.refunded"])),),
    ),
    Mistake(
        "refunds not heard of",
        {"eventbrite_actions": WARN},
        "gives a ticket back",
        levers=(hooks(webhook(actions=ACTIONS[:2])),),
    ),
    Mistake(
        "one event only",
        {"eventbrite_scope": WARN},
        f"the event {seed.EVENTBRITE_EVENT_ID} only",
        levers=(hooks(webhook(event=seed.EVENTBRITE_EVENT_ID)),),
    ),
    Mistake(
        "Pendo's key wrong",
        {"pendo_key": FAIL},
        "set PENDO_INTEGRATION_KEY",
        settings={"pendo_integration_key": FRESH},
    ),
    Mistake("Pendo down", {"pendo_key": UNKNOWN}, "mktorest.com", levers=(refusing("pendo", "http:502"),)),
    Mistake(
        "webinar over",
        {"webinar_over:w-1": WARN},
        "Correct starts_at in [webinars.w-1]",
        settings={"webinars": {"w-1": SOUND | {"starts_at": "2020-01-01T12:00:00Z"}}},
    ),
    Mistake(
        "webinar without a title",
        {"webinar_title:w-1": WARN},
        "DEFAULT_WEBINAR_TITLE",
        settings={"webinars": {"w-1": {"join_link": "https://a.io"}}},
    ),
    Mistake(
        "webinar without a link",
        {"webinar_join_link:w-1": WARN},
        "DEFAULT_JOIN_LINK",
        settings={"webinars": {"w-1": {"title": "T"}}},
    ),
    Mistake(
        "image by http",
        {"webinar_image:w-1": WARN},
        "(cdn.example.com)",
        settings={"webinars": {"w-1": SOUND | {"image": "http://cdn.example.com/1.png"}}},
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
async def test_a_mistake_is_told_by_its_own_check_alone(patient: Patient, mistake: Mistake) -> None:
    await check_told_alone(patient, mistake)


async def test_no_secret_of_a_webhooks_address_is_shown(patient: Patient) -> None:
    """The report is pasted into tickets."""
    for endpoint in ("https://old.example.com", PUBLIC_URL):
        hook = webhook(f"{endpoint}/webhooks/eventbrite/{seed.EVENTBRITE_WEBHOOK_TOKEN}")
        await patient.lever("PUT", "eventbrite/webhooks", [hook])
        assert seed.EVENTBRITE_WEBHOOK_TOKEN not in str((await patient.report()).as_json())
        fresh = await patient.report(eventbrite_webhook_token=FRESH)
        assert seed.EVENTBRITE_WEBHOOK_TOKEN not in str(fresh.as_json())


async def test_webhooks_are_found_on_every_page(patient: Patient) -> None:
    """Fifty others come first, of Zapier and the like."""
    others = [webhook(f"https://zapier.example.com/hooks/{n}") for n in range(60)]
    await patient.lever("PUT", "eventbrite/webhooks", [*others, webhook()])
    assert (await patient.verdicts())["eventbrite_webhook"] is Verdict.OK


async def test_without_a_public_address_the_secret_tells_that_a_webhook_comes_here(patient: Patient) -> None:
    report = await patient.report(public_url=None)
    [found] = [one for one in report.findings if one.check == "eventbrite_webhook"]
    assert found.verdict is Verdict.OK
    assert "set PUBLIC_URL" in found.found


@pytest.mark.parametrize(
    ("public_url", "said"), [(PUBLIC_URL, "or run relay doctor --fix"), (None, "or set PUBLIC_URL and run relay")]
)
async def test_nobody_is_told_to_set_what_is_set(patient: Patient, public_url: str | None, said: str) -> None:
    await patient.lever("PUT", "eventbrite/webhooks", [])
    [found] = [one for one in (await patient.report(public_url=public_url)).findings if one.check == WEBHOOK[0]]
    assert (found.verdict, said in found.advice) == (Verdict.FAIL, True), found.advice


async def test_sources_that_are_off_are_not_judged(patient: Patient) -> None:
    found = await patient.verdicts(
        eventbrite_webhook_token=(), eventbrite_api_token=None, pendo_webhook_secret=(), pendo_integration_key=None
    )
    assert not [key for key in found if key.startswith(("eventbrite", "pendo"))]


async def test_pendo_without_a_key_is_not_asked(patient: Patient) -> None:
    assert (await patient.verdicts(pendo_integration_key=None))["pendo_key"] is Verdict.OK
    calls = (await patient.http.get("/sandbox/calls")).json()
    assert not [call for call in calls if call["service"] == "pendo"]


async def test_an_eventbrite_webinar_needs_no_title_or_link_of_ours(patient: Patient) -> None:
    """Eventbrite has them."""
    found = await patient.verdicts(webinars={"w-1": {"aliases": [seed.EVENTBRITE_EVENT_ID]}})
    assert {key: value for key, value in found.items() if key.startswith("webinar")} == {"webinar:w-1": Verdict.OK}


async def test_a_webinar_with_which_all_is_well_is_told_as_such(patient: Patient) -> None:
    """Silence about it would read as if relay.toml had not been found."""
    report = await patient.report(webinars={"w-1": SOUND | {"starts_at": "2030-12-01T16:00:00Z"}, "w-2": SOUND})
    told = {one.title: (one.verdict, one.found) for one in report.findings if one.check.startswith("webinar")}
    assert told == {
        "Webinar w-1": (Verdict.OK, "“Engines”, starts 1 Dec 2030, 16:00 UTC"),
        "Webinar w-2": (Verdict.OK, "“Engines”, its start is not set here"),
    }


async def at_once(make: Make) -> Reply:
    return await make()


async def finding_of_store(patient: Patient, **changes: Any) -> Finding:
    """Return what is said of the store. Calls to Marketo are not paced, for which no store is at hand here."""
    examined = await check_up(patient.settings(**changes), gate=at_once)
    [found] = [one for one in examined.report.findings if one.check == "store"]
    return found


async def store_of(patient: Patient, **changes: Any) -> tuple[Verdict, str]:
    found = await finding_of_store(patient, **changes)
    return found.verdict, found.found


async def test_looking_makes_no_database(patient: Patient) -> None:
    verdict, found = await store_of(patient)
    assert (verdict, "relay serve makes it" in found) == (Verdict.OK, True)
    assert not list(patient.folder.iterdir())


async def test_a_database_that_nobody_may_make_is_an_error(patient: Patient) -> None:
    assert (await store_of(patient, migrate_on_start=False))[0] is Verdict.FAIL


async def test_a_file_where_the_folder_should_be_is_an_error(patient: Patient) -> None:
    (patient.folder / "data").write_text("in the way")
    verdict, found = await store_of(patient, database_url=f"sqlite:///{patient.folder}/data/relay.db")
    assert verdict is Verdict.FAIL
    assert "is no folder" in found


async def test_a_store_that_takes_writes_is_named(patient: Patient, database_url: str) -> None:
    opened = open_database(database_url)
    await make_tables(opened)
    await opened.close()
    verdict, found = await store_of(patient, database_url=database_url)
    assert verdict is Verdict.OK
    assert found.startswith("SQLite" if database_url.startswith("sqlite") else "PostgreSQL")
    assert "takes writes" in found


async def test_a_database_of_a_newer_relay_is_an_error(patient: Patient) -> None:
    url = patient.given["database_url"]
    opened = open_database(url)
    await make_tables(opened)
    async with opened.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await opened.close()
    found = await finding_of_store(patient)
    assert (found.verdict, found.advice[:21]) == (Verdict.FAIL, "Start the newer relay")


async def test_a_database_that_is_no_database_is_an_error(patient: Patient) -> None:
    (patient.folder / "relay.db").write_bytes(b"no database" * 1000)
    found = await finding_of_store(patient)
    assert (found.verdict, "docs/runbook.md, Restore" in found.advice) == (Verdict.FAIL, True)


async def test_a_postgresql_that_is_not_there_is_an_error_without_its_password(patient: Patient) -> None:
    verdict, found = await store_of(patient, database_url="postgresql://relay:pa55word@127.0.0.1:1/relay")
    assert verdict is Verdict.FAIL
    assert "PostgreSQL, relay at 127.0.0.1:1" in found
    assert "pa55word" not in found


async def test_a_setting_that_puts_a_promise_at_risk_is_a_warning(patient: Patient) -> None:
    """All is as it was told, so nothing else would say why somebody got another webinar's link."""
    report = await patient.report(marketo_join_link_field="webinarJoinLink", marketo_link_field_hold_seconds=0)
    told = {one.key: one for one in report.findings if one.check == "settings"}
    assert told["settings"].verdict is Verdict.OK
    doubt = told["settings:MARKETO_LINK_FIELD_HOLD_SECONDS"]
    assert (doubt.verdict, "another webinar's link" in doubt.found) == (Verdict.WARN, True)


def test_a_weak_secret_is_an_error_of_its_setting(tmp_path: Any) -> None:
    """The start refuses it as well; here it is one line among others."""
    with pytest.raises(SettingsInvalid) as refused:
        load_settings(environ={"CUSTOM_API_KEYS": "hunter2"}, folder=tmp_path)
    found = {one.subject: one for one in settings_findings(refused.value.problems, secrets=0)}
    assert found["CUSTOM_API_KEYS"].verdict is Verdict.FAIL
    assert "hunter2" not in found["CUSTOM_API_KEYS"].found
