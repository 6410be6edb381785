"""One registration: 'no reminder came, why?' is answered by one page."""

import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import Cancelled, Cause, EventId, NewEvent, RegistrationState, new_id
from app.store.calls import CallLog, Pause
from app.store.database import Database
from app.store.events import EventQueue
from app.store.lookup import Lookup
from app.store.registrations import Again, Meaning, Registrations
from app.store.sending import Sending
from app.store.views import TimelineEntry
from app.web.console import email, shown, words
from app.web.console.parts import Letter, NoLetter, WebinarTokens
from app.web.masking import Masking
from tests.store.given import FENCE, accept, draft, ended, mapped, record, seen, sending
from tests.web.console.conftest import console_over, keep_report, name_campaign
from tests.web.console.reading import links_of, text_of
from tests.web.relay_server import ADMIN_TOKEN, NOW, PATH_SECRET, Relay, Surroundings, serving

TOKENS = {
    "WebinarTitle": "R&D <live>",
    "JoinLink": "https://zoom.example.com/j/1?a=1&b=2",
    "WebinarImage": "https://cdn.example.com/i.png",
}
HOSTILE = [
    "<script>alert(1)</script>",
    "\u202egnp.exe",
    "👩‍🚀 שלום",
    "x" * 10_000,
    "{{ 7 * 7 }}",
    "\x1b[31m\x07",
    "\ud800",
]


async def with_webhook(database: Database, body: bytes, **headers: str) -> str:
    """Let a webhook with this body register somebody, and return the registration's id."""
    event = NewEvent(EventId(new_id("evt", NOW)), "eventbrite", NOW - timedelta(seconds=2), NOW, headers, body, None)
    await accept(database, event)
    (claimed,) = await EventQueue(database).claim(now=NOW, fence=FENCE, limit=1)
    made = draft(NOW, tokens=TOKENS)
    await Registrations(database).record([Meaning(mapped(claimed), [made])], fence=FENCE, now=NOW)
    return made.id


async def test_who_was_sent_a_reminder_is_told_when_and_what_then(signed_in: Relay, database: Database) -> None:
    """'Sent' is not the end of the question: Marketo may leave people out in silence."""
    sent = await ended(database, NOW, state="sent")
    text = text_of(await signed_in.client.get(f"/console/registrations/{sent}"))
    assert "The reminder was handed to Marketo: 23 Nov 2026, 12:00:00 UTC." in text
    assert "no 'Send Email' there means" in text


async def test_who_was_not_is_told_why_and_what_to_do(signed_in: Relay, database: Database) -> None:
    dead = draft(NOW, state=RegistrationState.DEAD, cause=Cause.TITLE_MISSING, detail="The webinar has no title.")
    await record(database, NOW, dead)
    text = text_of(await signed_in.client.get(f"/console/registrations/{dead.id}"))
    assert "No reminder was sent. The webinar has no title. What to do: Send a title" in text


async def test_of_a_second_reminder_it_is_told_that_there_was_a_first(signed_in: Relay, database: Database) -> None:
    """Or one would mail a third time for want of a first."""
    sent = await seen(database, await ended(database, NOW, state="sent"))
    store, again = Registrations(database), Again(sent.id, sent.updated_at, draft(NOW), None)
    await store.prepare()
    async with database.write() as connection:
        await store.take_up(connection, [again], said="Replayed by ada (rpl_1).", now=NOW)
    await Sending(database).expire(NOW + timedelta(days=8))
    text = text_of(await signed_in.client.get(f"/console/registrations/{sent.id}"))
    assert "No second reminder was sent. The first was handed to Marketo: 23 Nov 2026, 12:00:00 UTC." in text


async def test_of_a_lost_answer_it_is_said_that_nobody_knows(signed_in: Relay, database: Database) -> None:
    """Whoever reads that none was sent sends it a second time."""
    detail = "The campaign may have run. A person decides (MARKETO_ON_AMBIGUOUS=hold)."
    lost = draft(NOW, state=RegistrationState.DEAD, cause=Cause.ANSWER_LOST, detail=detail)
    await record(database, NOW, lost)
    text = text_of(await signed_in.client.get(f"/console/registrations/{lost.id}"))
    assert "Not known Whether a reminder was sent is not known. The campaign may have run." in text
    assert "activity log in Marketo whether it has 'Send Email'" in text
    assert "Not known" in text_of(await signed_in.client.get("/console/registrations"))
    assert ",Not known," in (await signed_in.client.get("/console/registrations.csv")).text
    assert not re.search(r"(No|None|Not sent|no) (reminder )?was sent", text)


async def test_who_waits_is_told_what_for(signed_in: Relay, database: Database, around: Surroundings) -> None:
    made = draft(NOW)
    await record(database, NOW, made)
    address = f"/console/registrations/{made.id}"
    assert "next, its person is looked for in Marketo" in text_of(await signed_in.client.get(address))
    around.status["paused"] = {"day": "48,000 of 50,000 are used."}
    assert "the day's calls to Marketo run short. 48,000 of 50,000" in text_of(await signed_in.client.get(address))


@pytest.mark.parametrize(
    ("scope", "code", "said"),
    [
        ("marketo", "607", "until 23 Nov 2026, 12:01:00 UTC: Marketo is paused. 607: No. What to do: Nothing"),
        ("marketo", "603", "until 23 Nov 2026, 12:01:00 UTC: Marketo is paused. 603: No. What to do: Somebody must"),
        ("campaign:1234", "1013", "Marketo is paused. 1013: No. What to do: Somebody must"),
        ("campaign:99", "1013", "next, its person is looked for"),
    ],
)
async def test_a_pause_says_until_when_and_whether_somebody_must_mend_it(
    signed_in: Relay, database: Database, scope: str, code: str, said: str
) -> None:
    """Also where another process sends, and knows: the pause stands in the store."""
    made = draft(NOW)
    await record(database, NOW, made)
    pause = Pause(scope, NOW + timedelta(minutes=1), NOW, code, "No.", 1)
    await CallLog(database, clock=lambda: NOW).pause(pause)
    assert said in text_of(await signed_in.client.get(f"/console/registrations/{made.id}"))


@pytest.mark.parametrize(
    ("verdict", "said"),
    [("fail", "But Marketo may have sent nothing. What may have"), ("warn", "this person out. What may have")],
)
async def test_who_was_sent_through_a_campaign_that_is_set_up_wrong_is_told_so(
    signed_in: Relay, database: Database, verdict: str, said: str
) -> None:
    """Marketo answers success and sends nothing: that it took the request would be no answer to the question."""
    one = await ended(database, NOW, state="sent")
    found = {"section": "", "check": "campaign_active", "title": "Active", "subject": "1234", "verdict": verdict}
    finding = found | {"found": "inactive: Marketo sends nothing", "advice": "Schedule > Activate."}
    others = finding | {"subject": "99", "title": "Of another"}
    await keep_report(database, findings=[finding, others])
    text = text_of(await signed_in.client.get(f"/console/registrations/{one}"))
    assert said in text
    assert "campaign on 23 Nov 2026, 12:00:00 : Active : inactive: Marketo sends nothing Schedule > Activate." in text
    assert "Of another" not in text


async def test_the_timeline_goes_from_the_webhook_to_the_campaign(signed_in: Relay, database: Database) -> None:
    registration = await with_webhook(database, b"{}")
    page = await signed_in.client.get(f"/console/registrations/{registration}")
    text = text_of(page)
    assert text.index("Webhook from Eventbrite") < text.index("A webhook registered this person")
    view = await seen(database, registration)
    assert f"/console/events/{view.timeline[0].event_id}" in links_of(page)


async def test_a_campaign_request_is_linked(signed_in: Relay, database: Database) -> None:
    sent = await ended(database, NOW, state="sent")
    view = await seen(database, sent)
    page = await signed_in.client.get(f"/console/registrations/{sent}")
    assert f"/console/calls/{view.calls[0].id}" in links_of(page)
    call = text_of(await signed_in.client.get(f"/console/calls/{view.calls[0].id}"))
    assert "Request the campaign Marketo did it 1 person in one request" in call
    assert "r#1" in call
    assert "ada@example.com" in call


async def test_a_call_without_an_answer_is_shown_as_such(signed_in: Relay, database: Database) -> None:
    call = await sending(database, NOW)
    text = text_of(await signed_in.client.get(f"/console/calls/{call.id}"))
    assert "No answer yet" in text
    assert "none came" in text
    assert "ada@example.com" in text
    page = text_of(await signed_in.client.get(f"/console/registrations/{call.registrations[0].id}"))
    assert "is being handed to Marketo right now" in page


async def test_payload_and_headers_show_no_secret(signed_in: Relay, database: Database) -> None:
    """Neither by its name nor where its value stands, as in the address that Eventbrite repeats."""
    body = (
        f'{{"config": {{"endpoint_url": "https://r/webhooks/eventbrite/{PATH_SECRET}"}}, "api_key": "k-1", "n": [1]}}'
    )
    registration = await with_webhook(database, body.encode(), **{"X-Api-Key": "k-2", "webhook-id": "msg_1"})
    view = await seen(database, registration)
    for path in (f"registrations/{registration}", f"events/{view.timeline[0].event_id}"):
        page = await signed_in.client.get(f"/console/{path}")
        assert "msg_1" in page.text
        assert "endpoint_url" in page.text
        for secret in (PATH_SECRET, "k-1", "k-2"):
            assert secret not in page.text


async def test_an_event_says_what_it_made(signed_in: Relay, database: Database) -> None:
    registration = await with_webhook(database, b"not JSON \xff")
    view = await seen(database, registration)
    page = await signed_in.client.get(f"/console/events/{view.timeline[0].event_id}")
    assert f"/console/registrations/{registration}" in links_of(page)
    assert "not JSON" in page.text


async def test_what_the_retention_took_is_said(signed_in: Relay, database: Database) -> None:
    registration = await with_webhook(database, b"")
    view = await seen(database, registration)
    for path in (f"registrations/{registration}", f"events/{view.timeline[0].event_id}"):
        assert "removed after the retention time" in text_of(await signed_in.client.get(f"/console/{path}"))


async def test_the_email_shows_the_tokens_and_can_do_nothing(signed_in: Relay, database: Database) -> None:
    """It stands in a frame without scripts, and its policy lets in pictures only."""
    registration = await with_webhook(database, b"{}")
    answer = await signed_in.client.get(f"/console/registrations/{registration}/email")
    assert "Hi Ada, You are registered for R&D <live> Join the webinar" in text_of(answer)
    assert 'href="https://zoom.example.com/j/1?a=1&amp;b=2"' in answer.text
    assert 'src="https://cdn.example.com/i.png"' in answer.text
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"


async def test_the_own_email_is_shown_where_it_may_be_read(around: Surroundings, database: Database) -> None:
    """With the defaults of tokens that were not passed; Marketo is asked once, not for each registration."""
    asked: list[int] = []

    async def letter(campaign: int) -> Letter:
        asked.append(campaign)
        text = "<p>Dear {{lead.First Name:default=you}}: {{my.WebinarTitle}}, {{my.Company}}"
        return Letter(text, {"Company": "A&B"})

    registration = await with_webhook(database, b"{}")
    console = console_over(database, letter=letter)
    async with serving(around.app(lookup=Lookup(database), console=console)) as relay:
        await relay.client.post("/console/sign-in", data={"token": ADMIN_TOKEN})
        for _ in range(2):
            answer = await relay.client.get(f"/console/registrations/{registration}/email")
            assert text_of(answer) == "Dear Ada: R&D <live>, A&B"
    assert asked == [1234]


async def test_why_the_own_email_is_not_shown_is_said(around: Surroundings, database: Database) -> None:
    """A draft looked as if all were well: the tutorial's e-mail stood there, and Marketo sent nothing."""

    async def letter(_campaign: int) -> NoLetter:
        return NoLetter("<Reminder> is a draft.")

    registration = await with_webhook(database, b"{}")
    async with serving(around.app(lookup=Lookup(database), console=console_over(database, letter=letter))) as relay:
        await relay.client.post("/console/sign-in", data={"token": ADMIN_TOKEN})
        shown = text_of(await relay.client.get(f"/console/registrations/{registration}/email"))
    assert "This is the tutorial's e-mail, not yours. <Reminder> is a draft. Hi" in shown.replace(
        "R&D <live> This", "This"
    )


async def test_what_passes_is_asked_again_and_what_does_not_is_kept(around: Surroundings, database: Database) -> None:
    """Where Marketo was slow once, the tutorial's e-mail would stand there for ten minutes and more."""
    answers = [NoLetter("Slow.", passes=True), NoLetter("Slow.", passes=True), NoLetter("A draft.")]

    async def letter(_campaign: int) -> NoLetter:
        return answers.pop(0)

    registration = await with_webhook(database, b"{}")
    async with serving(around.app(lookup=Lookup(database), console=console_over(database, letter=letter))) as relay:
        await relay.client.post("/console/sign-in", data={"token": ADMIN_TOKEN})
        shown = [text_of(await relay.client.get(f"/console/registrations/{registration}/email")) for _ in range(4)]
    assert ["Slow." in one for one in shown] == [True, True, False, False]
    assert "A draft." in shown[3]


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        ('<img src="">', "No picture: its token has no value."),
        ("<IMG alt='' src=' '>", "No picture"),
        ("<img width=5>", "No picture"),
        ('<img src="https://a.io/1.png?a=1&amp;b=2">', "loaded here: https://a.io/1.png?a=1&amp;b=2"),
        (
            '<img alt="" title="a>b" src="https://a.io/1.png"/>',
            'alt="Picture that could not be loaded here: https://a.io',
        ),
    ],
)
def test_a_picture_that_is_not_there_is_labelled(picture: str, said: str) -> None:
    """A torn picture says neither which one it is nor why."""
    told = email.labelled(f"<p>Hi</p>{picture}<p>Bye</p>")
    assert said in told
    assert (told.startswith("<p>Hi</p><"), told.endswith("<p>Bye</p>"), told.lower().count("alt=")) == (
        True,
        True,
        int("loaded" in said),
    )


def test_a_picture_with_words_of_its_own_stays_as_it_is() -> None:
    picture = '<img src="https://a.io/1.png" alt="Our logo">'
    assert email.labelled(picture) == picture


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_hostile_names_and_titles_are_shown_harmlessly(
    signed_in: Relay, database: Database, hostile: str
) -> None:
    tokens = {
        "WebinarTitle": hostile,
        "JoinLink": "javascript:alert(1)",
        "WebinarImage": "data:text/html,x",
        hostile[:20]: hostile,
    }
    name = hostile.encode(errors="replace").decode()
    made = draft(NOW, first_name=name, last_name=name, tokens=tokens, webinar=name, subject=name)
    await record(database, NOW, made)
    for path in ("", f"/{made.id}", f"/{made.id}/email", ".csv"):
        answer = await signed_in.client.get(f"/console/registrations{path}")
        assert answer.status_code == 200
        assert path == ".csv" or "<script>alert" not in answer.text
        assert 'href="javascript' not in answer.text
        assert 'src="data:' not in answer.text
        is_page = path != ".csv" and not path.endswith("email")
        assert not is_page or "\u202e" not in answer.text
        assert not is_page or len(answer.content) < 40_000


@pytest.mark.parametrize(
    "path", ["registrations/reg_0", "events/evt_0", "calls/call_0", "registrations/reg_0/email", "x"]
)
async def test_what_does_not_exist_is_a_page_that_helps(signed_in: Relay, path: str) -> None:
    answer = await signed_in.client.get(f"/console/{path}")
    assert answer.status_code == 404
    assert "There is no such thing here" in text_of(answer)


@pytest.mark.parametrize("wrong", ["%00", "reg_%00", "%ff", "a%2Fb", "x" * 65, "%27%20OR%201=1", "é"])
async def test_no_nonsense_is_an_id(signed_in: Relay, wrong: str) -> None:
    for kind in ("registrations", "events", "calls"):
        assert (await signed_in.client.get(f"/console/{kind}/{wrong}")).status_code == 404


async def test_a_cancelled_one_says_so(signed_in: Relay, database: Database) -> None:
    made = draft(NOW)
    await record(database, NOW, made)
    await record(database, NOW, gone=[Cancelled("ada@example.com", "w-1", None)])
    text = text_of(await signed_in.client.get(f"/console/registrations/{made.id}"))
    assert "the registration was cancelled" in text


async def test_without_tokens_there_is_no_email_to_show(signed_in: Relay, database: Database) -> None:
    made = replace(draft(NOW, tokens={}, first_name=None, person_key="lead:7", lead_id=7), email=None)
    await record(database, NOW, made)
    text = text_of(await signed_in.client.get(f"/console/registrations/{made.id}"))
    assert "There is nothing to fill it with" in text
    assert "Person 7" in text


@given(st.text(), st.text())
def test_a_tokens_value_is_never_read_as_a_token(one: str, other: str) -> None:
    """Else a name like {{my.JoinLink}} would show what it should not, or never end."""
    html = email.filled("[{{my.A}}|{{lead.First Name:default=you}}]", {"First Name": other}, {"A": one + "{{my.B}}"})
    assert "{{my.B}}" in html
    assert html.count("<") == 0


def test_own_token_names_are_filled_in() -> None:
    names = WebinarTokens("T", "L", "I")
    assert "{{my.T}}" in email.tutorial_template(names, has_image=True)
    assert "<img" not in email.tutorial_template(names, has_image=False)


@given(st.binary() | st.text().map(lambda text: json.dumps([text]).encode()), st.lists(st.text(max_size=6)))
def test_any_payload_can_be_shown(body: bytes, secrets: list[str]) -> None:
    shown.payload(Masking(secrets).body(body)).encode()


def test_an_endless_payload_is_cut() -> None:
    text = shown.payload("x" * 300_000)
    assert len(text) < 101_000
    assert "300000 characters" in text


@pytest.mark.parametrize("state", list(RegistrationState))
def test_every_state_has_a_word(state: RegistrationState) -> None:
    """And is found by one of the search's choices."""
    assert words.state_word(state) in ("Waiting", "Sending", "Sent", "Not sent", "Cancelled", "Ignored")
    assert any(state in states for _, states in words.STATES.values())


async def test_a_campaign_is_told_by_the_name_that_the_last_check_saw(signed_in: Relay, database: Database) -> None:
    """Nobody in marketing knows its number."""
    one = await ended(database, NOW, state="sent")
    await name_campaign(database, "Send Webinar Reminder")
    call = (await seen(database, one)).calls[0].id
    for path in (f"registrations/{one}", f"calls/{call}"):
        text = text_of(await signed_in.client.get(f"/console/{path}"))
        assert "Smart campaign Send Webinar Reminder (1234)" in text


async def test_the_timeline_names_the_campaign_once_its_name_is_known(database: Database) -> None:
    view = await seen(database, await ended(database, NOW, state="sent"))
    entry = TimelineEntry(NOW, "sent", "Marketo took it: campaign 1234, request 17a2#1234, with 63 others.", None, None)
    view = replace(view, timeline=[entry])
    names = {"1234": "Send Webinar Reminder"}
    (named,), (bare,) = (words.steps(view, (), known) for known in (names, {}))
    assert named.detail == (
        "Marketo took it: campaign Send Webinar Reminder (1234), request 17a2#1234, with 63 others."
    )
    assert bare.detail == entry.detail
