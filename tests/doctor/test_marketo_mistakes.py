"""Each mistake in Marketo is told by its own check, and by no other."""

from pathlib import Path

import pytest

from app.checkup import check_up, wanted_of
from app.doctor import people
from app.doctor.picture import NOT_ASKED, MarketoPicture
from app.doctor.report import Verdict, judged
from app.sandbox import seed
from app.settings import Settings
from tests.doctor.mistakes import FAIL, OK, UNKNOWN, WARN, Lever, Mistake, check_told_alone
from tests.doctor.patient import Patient, changed, patient_at_hand

CAMPAIGN = f"marketo/campaigns/{seed.CAMPAIGN_ID}"
PROGRAM = f"marketo/programs/{seed.PROGRAM_ID}"


def tokens_gone(name: str) -> Lever:
    return ("DELETE", f"{PROGRAM}/tokens/{name}", None)


def token(name: str, value: str = "x", kind: str = "text") -> Lever:
    return ("PUT", f"{PROGRAM}/tokens/{name}", {"value": value, "type": kind})


def campaign(**change: object) -> Lever:
    return ("PATCH", CAMPAIGN, change)


def email(**change: object) -> Lever:
    return ("PATCH", f"{PROGRAM}/email", change)


def permissions(*missing: str) -> Lever:
    return ("PUT", "marketo/permissions", {"permissions": sorted(seed.ALL_PERMISSIONS - set(missing))})


def refusing(code: str) -> Lever:
    return ("POST", "faults", {"match": "marketo", "kind": f"code:{code}", "times": None, "seconds": 600})


GOOD_EMAIL = (
    'Hi {{lead.First Name:default=you}}, {{my.WebinarTitle}} <a href="{{my.JoinLink}}">Join</a>'
    '<img src="{{my.WebinarImage}}">'
)
OF_CAMPAIGN = ("exists", "type", "active", "trigger", "rule", "limits", "program")
TOKENS = ("token_title", "token_join_link", "token_image")
EMAIL = ("email_title", "email_join_link", "email_image", "email_tokens", "email_greeting", "email_operational")
OF_PROGRAM = (*TOKENS, "email_exists", *EMAIL)


def of_campaign(verdict: str, *names: str) -> dict[str, str]:
    return {f"campaign_{name}:{seed.CAMPAIGN_ID}": verdict for name in names}


def of_program(verdict: str, *names: str) -> dict[str, str]:
    return {f"{name}:{seed.PROGRAM_ID}": verdict for name in names}


NOT_LET_IN = (
    dict.fromkeys(("clock", "daily_calls", "may_request_campaigns", "may_save_people"), UNKNOWN)
    | dict.fromkeys(("may_read_people", "may_read_assets", "may_read_activities", "lookup_field"), UNKNOWN)
    | of_campaign(UNKNOWN, *OF_CAMPAIGN)
    | of_campaign("gone", "filters")
    | of_program("gone", *OF_PROGRAM)
)

MISTAKES = [
    Mistake(
        "wrong secret",
        NOT_LET_IN | {"marketo_credentials": FAIL, "marketo_allow_list": UNKNOWN},
        "LaunchPoint",
        settings={"marketo_client_secret": "wR0ng-secret-Xk2vB8xQ"},
    ),
    Mistake(
        "credentials deleted",
        NOT_LET_IN | {"marketo_credentials": FAIL, "marketo_allow_list": UNKNOWN},
        "whether the API user is still there",
        levers=(("POST", "marketo/credentials/revoke", None),),
    ),
    Mistake("IP not allowed", NOT_LET_IN | {"marketo_allow_list": FAIL}, "IP Restrictions", (refusing("603"),)),
    Mistake(
        "day used up",
        NOT_LET_IN | {"daily_calls": FAIL, "marketo_allow_list": UNKNOWN},
        "midnight US Central",
        (refusing("607"),),
    ),
    Mistake(
        "Marketo in trouble",
        NOT_LET_IN | {"marketo_network": FAIL, "marketo_credentials": UNKNOWN, "marketo_allow_list": UNKNOWN},
        "status.adobe.com",
        (refusing("608"),),
    ),
    Mistake(
        "clock behind",
        {"clock": FAIL},
        "behind Marketo's; signed webhooks are refused",
        (("PUT", "marketo/clock", {"ahead": 600}),),
    ),
    Mistake("clock a little ahead", {"clock": WARN}, "ahead of Marketo's", (("PUT", "marketo/clock", {"ahead": -90}),)),
    Mistake("few calls left", {"daily_calls": WARN}, "of 21 calls", settings={"marketo_calls_per_day": 21}),
    Mistake("no calls left", {"daily_calls": FAIL}, "of 1 calls", settings={"marketo_calls_per_day": 1}),
    Mistake(
        "may not request",
        {"may_request_campaigns": FAIL},
        "tick Execute Campaign",
        (permissions(seed.EXECUTE_CAMPAIGN),),
    ),
    Mistake(
        "may not save people", {"may_save_people": FAIL}, "MARKETO_LEAD_MODE=lookup", (permissions(seed.WRITE_LEAD),)
    ),
    Mistake(
        "may not even read people",
        {"may_save_people": FAIL, "may_read_people": FAIL, "lookup_field": UNKNOWN},
        "tick Read-Only Person",
        (permissions(seed.WRITE_LEAD, seed.READ_LEAD),),
    ),
    Mistake(
        "may not read assets",
        {"may_read_assets": WARN}
        | of_campaign(UNKNOWN, "trigger", "rule", "limits", "program")
        | of_campaign("gone", "filters")
        | of_program("gone", *OF_PROGRAM),
        "tick Read-Only Asset",
        (permissions(seed.READ_ASSET, seed.WRITE_ASSET),),
    ),
    Mistake(
        "may not read activities",
        {"may_read_activities": WARN},
        "tick Read-Only Activity",
        (permissions(seed.READ_ACTIVITY),),
    ),
    Mistake(
        "no such campaign",
        of_campaign(FAIL, "exists")
        | of_campaign(UNKNOWN, "type", "active", "trigger", "rule", "limits", "program")
        | of_campaign("gone", "filters")
        | of_program("gone", *OF_PROGRAM),
        "copy the browser's address and set MARKETO_CAMPAIGN_ID",
        (("DELETE", CAMPAIGN, None),),
    ),
    Mistake("inactive", of_campaign(FAIL, "active"), "Schedule > Activate", (campaign(active=False),)),
    Mistake(
        "another trigger",
        of_campaign(FAIL, "trigger"),
        "add the trigger Campaign is Requested",
        (campaign(requestable=False),),
    ),
    Mistake("once", of_campaign(FAIL, "rule"), "only once", (campaign(qualification="once"),)),
    Mistake(
        "interval",
        of_campaign(WARN, "rule"),
        "once every 7 days",
        (campaign(qualification="interval", interval=7 * 86400),),
    ),
    Mistake(
        "communication limits",
        of_campaign(WARN, "limits"),
        "untick Block non-operational emails",
        (campaign(communication_limit=True),),
    ),
    Mistake("filters", of_campaign(WARN, "filters"), "Country", (campaign(filters=["Country"]),)),
    Mistake(
        "outside of programs",
        of_campaign(FAIL, "program") | of_program("gone", *OF_PROGRAM),
        "move the campaign into the program",
        (campaign(outside=True),),
    ),
    Mistake(
        "title missing",
        of_program(FAIL, "token_title"),
        "drag in a Text token, name it WebinarTitle",
        (tokens_gone("WebinarTitle"),),
    ),
    Mistake(
        "token misspelt",
        of_program(FAIL, "token_join_link"),
        "MARKETO_TOKEN_JOIN_LINK=Joinlink",
        (tokens_gone("JoinLink"), token("Joinlink")),
    ),
    Mistake(
        "image as rich text",
        of_program(FAIL, "token_image"),
        "of type rich text, not Text",
        (token("WebinarImage", kind="rich text"),),
    ),
    Mistake("no default", of_program(WARN, "token_title"), "no default value", (token("WebinarTitle", value=""),)),
    Mistake(
        "no e-mail",
        of_program(WARN, "email_exists") | of_program(UNKNOWN, *EMAIL),
        "has no e-mail",
        (("DELETE", f"{PROGRAM}/email", None),),
    ),
    Mistake("draft", of_program(FAIL, "email_exists"), "Approve and Close", (email(approved=False),)),
    Mistake(
        "title not in the e-mail",
        of_program(WARN, "email_title"),
        "write {{my.WebinarTitle}}",
        (email(html=GOOD_EMAIL.replace("{{my.WebinarTitle}}", ""), subject="Reminder"),),
    ),
    Mistake(
        "link not in the e-mail",
        of_program(FAIL, "email_join_link"),
        "write {{my.JoinLink}}",
        (email(html=GOOD_EMAIL.replace("{{my.JoinLink}}", "https://example.com")),),
    ),
    Mistake(
        "link is only text",
        of_program(WARN, "email_join_link"),
        "is no link there",
        (email(html=GOOD_EMAIL.replace('<a href="{{my.JoinLink}}">Join</a>', "{{my.JoinLink}}")),),
    ),
    Mistake(
        "image token as text",
        of_program(FAIL, "email_image"),
        '<img src="{{my.WebinarImage}}"',
        (email(html=GOOD_EMAIL.replace('<img src="{{my.WebinarImage}}">', "{{my.WebinarImage}}")),),
    ),
    Mistake(
        "image not in the e-mail",
        of_program(WARN, "email_image"),
        "the image is not shown",
        (email(html=GOOD_EMAIL.replace('<img src="{{my.WebinarImage}}">', "")),),
    ),
    Mistake(
        "token misspelt in the e-mail",
        of_program(FAIL, "email_tokens"),
        "Did you mean {{my.WebinarTitle}}?",
        (email(html=GOOD_EMAIL + "{{my.WebinarTitel}}"),),
    ),
    Mistake(
        "greeting without default",
        of_program(WARN, "email_greeting"),
        "{{lead.First Name:default=there}}",
        (email(html=GOOD_EMAIL.replace(":default=you", "")),),
    ),
    Mistake(
        "not operational",
        of_program(WARN, "email_operational"),
        "tick Operational Email",
        (email(operational=False),),
    ),
    Mistake(
        "no such lookup field",
        {"lookup_field": FAIL},
        "Did you mean externalId?",
        settings={"marketo_lookup_field": "externalID"},
    ),
    Mistake(
        "no such partition",
        {"partition": FAIL},
        "there is Default",
        settings={"marketo_partition": "EMEA"},
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
async def test_a_mistake_is_told_by_its_own_check_alone(patient: Patient, mistake: Mistake) -> None:
    """Whoever reads ten lines of red looks at the wrong one first."""
    await check_told_alone(patient, mistake)


async def test_a_good_instance_has_only_the_warning_that_it_is_a_simulation(patient: Patient) -> None:
    report = await patient.report()
    assert [one.key for one in report.findings if one.verdict is not Verdict.OK] == ["marketo_host"]
    assert report.exit_code == 1
    assert all(not one.advice for one in report.findings if one.verdict is Verdict.OK)


async def test_the_campaigns_are_told_by_their_names(patient: Patient) -> None:
    """The console shows them; nobody in marketing knows a number."""
    found = await check_up(patient.settings(marketo_allowed_campaign_ids=("9999",)))
    assert found.campaigns == {str(seed.CAMPAIGN_ID): "Send Webinar Reminder"}


PERSONAL = {"marketo_campaign_id": str(seed.LINK_FIELD_CAMPAIGN_ID)}


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("{{lead.Webinar Join Link}}", "text", OK),
        ("${lead.webinarJoinLink}", "script text", OK),
        ("https://example.com", "text", FAIL),
    ],
)
async def test_a_token_whose_value_travels_in_a_person_field_must_read_it(
    patient: Patient, value: str, kind: str, expected: str
) -> None:
    """Else everybody's join link is the default."""
    await patient.lever(*token("JoinLink", value, kind))
    found = await patient.verdicts(marketo_join_link_field=seed.JOIN_LINK_FIELD)
    assert found[f"token_join_link:{seed.PROGRAM_ID}"] == expected


async def test_nothing_is_to_read_a_field_that_marketo_does_not_have(patient: Patient) -> None:
    """Who follows the first advice of the report would put a name that does not exist into the e-mail."""
    report = await patient.report(marketo_join_link_field="noSuchField")
    advice = {one.check: one.advice for one in report.findings if one.verdict == FAIL}
    assert "{{lead" not in advice["token_join_link"]
    assert "People have no field noSuchField: mend that first" in advice["token_join_link"]
    assert "Set MARKETO_JOIN_LINK_FIELD to a field's REST API name" in advice["join_link_field"]


SPEAKER = {"marketo_token_fields": "Speaker=webinarSpeaker"}


@pytest.mark.parametrize(
    ("levers", "expected", "says"),
    [
        ((), FAIL, "{{my.Speaker}} is missing"),
        ((token("Speaker", "{{lead.Webinar Speaker}}"),), OK, "reads a person field"),
        ((token("Speaker", "${lead.webinarSpeaker}", "script text"),), OK, "reads a person field"),
        ((token("Speaker", "Grace"),), FAIL, "reads no person field"),
        ((token("Speaker", "{{lead.Webinar Speaker}}", "rich text"),), FAIL, "not Text or Email Script"),
        ((token("speaker", "{{lead.Webinar Speaker}}"),), FAIL, "but there is {{my.speaker}}"),
    ],
)
async def test_a_further_token_that_is_mapped_to_a_field_must_be_a_my_token_too(
    patient: Patient, levers: tuple[Lever, ...], expected: str, says: str
) -> None:
    """Where a person has another webinar on its way, its value travels as a token; an unknown one is passed over."""
    await patient.lever("PUT", "marketo/fields/webinarSpeaker", {"displayName": "Webinar Speaker", "length": 300})
    before = await patient.verdicts()
    for lever in levers:
        await patient.lever(*lever)
    report = await patient.report(**SPEAKER)
    [found] = [one for one in report.findings if one.check == "tokens_further"]
    assert (found.verdict, says in found.found) == (expected, True), found.found
    after = {one.key: one.verdict for one in report.findings}
    assert changed(before, after) == {"join_link_field": OK, f"tokens_further:{seed.PROGRAM_ID}": expected}


@pytest.mark.parametrize("which", ["title", "image"])
async def test_any_of_the_three_tokens_may_travel_in_a_field(patient: Patient, which: str) -> None:
    """And must read it then."""
    name = {"title": "WebinarTitle", "image": "WebinarImage"}[which]
    found = await patient.verdicts(marketo_token_fields=f"{name}={seed.JOIN_LINK_FIELD}")
    assert found[f"token_{which}:{seed.PROGRAM_ID}"] is Verdict.FAIL


@pytest.mark.parametrize("kind", ["string", "text", "url"])
async def test_a_field_that_holds_links_is_fine(patient: Patient, kind: str) -> None:
    await patient.lever("PUT", "marketo/fields/joinLink", {"displayName": "Join link", "type": kind, "length": 2000})
    assert (await patient.verdicts(**PERSONAL, marketo_join_link_field="joinLink"))["join_link_field"] is Verdict.OK


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (None, "people have no field joinLink"),
        ({"displayName": "Join link", "type": "boolean"}, "is of type boolean"),
        ({"displayName": "Join link", "length": 100}, "holds 100 characters, too few"),
        ({"displayName": "Join link", "readOnly": True}, "cannot be written"),
    ],
)
async def test_a_field_that_cannot_hold_links_is_told(patient: Patient, body: object, says: str) -> None:
    """The links would be cut, or every upsert refused."""
    if body:
        await patient.lever("PUT", "marketo/fields/joinLink", body)
    before = await patient.verdicts(**PERSONAL)
    report = await patient.report(**PERSONAL, marketo_join_link_field="joinLink")
    [wrong] = [one for one in report.findings if one.check == "join_link_field"]
    assert (wrong.verdict, says in wrong.found) == (Verdict.FAIL, True)
    after = {one.key: one.verdict for one in report.findings}
    assert changed(before, after) == {"join_link_field": FAIL}


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (seed.BATCH_CAMPAIGN_ID, {"type": FAIL, "active": UNKNOWN, "trigger": UNKNOWN}),
        (seed.INACTIVE_CAMPAIGN_ID, {"active": FAIL}),
        (seed.NOT_REQUESTABLE_CAMPAIGN_ID, {"trigger": FAIL}),
        (seed.ONCE_CAMPAIGN_ID, {"rule": FAIL}),
        (seed.DAILY_CAMPAIGN_ID, {"rule": WARN}),
    ],
)
async def test_each_campaign_that_the_settings_name_is_judged(
    patient: Patient, number: int, expected: dict[str, str]
) -> None:
    """A webinar's own campaign can be wrong while the usual one is right."""
    before = await patient.verdicts()
    after = await patient.verdicts(pendo_campaign_id=str(number))
    found = {key: value for key, value in changed(before, after).items() if value != OK}
    wanted = {f"campaign_{name}:{number}": verdict for name, verdict in expected.items()}
    assert {key: value for key, value in found.items() if ":" in key} == wanted


async def test_tokens_of_the_folder_above_count(patient: Patient) -> None:
    """Marketo's programs inherit them."""
    report = await patient.report(marketo_token_title="CompanyName")
    [title] = [one for one in report.findings if one.check == "token_title"]
    assert title.verdict is Verdict.OK
    assert "from Webinars above it" in title.found


async def test_looking_changes_nothing_and_sends_nobody_anything(patient: Patient) -> None:
    """The permissions are tried with campaign requests and upserts for nobody."""
    await patient.report()
    assert (await patient.http.get("/sandbox/emails")).json() == []
    assert (await patient.http.get("/sandbox/people")).json() == []
    assert (await patient.http.get("/sandbox/violations")).json() == []


@pytest.mark.parametrize("sparse", [True, False])
async def test_an_instance_that_leaves_empty_keys_out_reads_the_same(sparse: bool, tmp_path: Path) -> None:
    async with patient_at_hand(tmp_path, sparse=sparse) as patient:
        assert {key for key, value in (await patient.verdicts()).items() if value is not Verdict.OK} == {"marketo_host"}


def test_campaigns_that_were_not_looked_at_are_told() -> None:
    """Nobody should take silence about the twenty-first for praise."""
    none = MarketoPicture(
        first=NOT_ASKED,
        campaigns=(),
        may_request=NOT_ASKED,
        may_save=NOT_ASKED,
        may_read_activities=NOT_ASKED,
        fields=NOT_ASKED,
        campaigns_left_out=3,
    )
    wanted = wanted_of(Settings(marketo_base_url="https://123-ABC-456.mktorest.com", marketo_campaign_id="1234"))
    found = {one.check: one for one in judged("People", people.CHECKS, people.Subject(wanted, none))}
    assert (found["campaigns_left_out"].verdict, "3 more" in found["campaigns_left_out"].found) == (Verdict.WARN, True)
