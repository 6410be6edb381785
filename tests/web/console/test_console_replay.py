"""Replay in the console: nothing is done before it was shown, and how far it is stands on a page of its own."""

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import update

from app.domain import Cause, EventState, RegistrationState
from app.store.database import Database
from app.store.lookup import Lookup
from app.store.registrations import Registrations
from app.store.replays import Replays, Selection
from app.store.retention import Retention
from app.store.tables import events
from app.web.console.replays import BECAME, LEFT_OUT, back, subject
from tests.store.given import accept, draft, ended, new_event, record, seen
from tests.web.console.conftest import replaying_over
from tests.web.console.reading import form_token, hidden_fields, links_of, text_of
from tests.web.relay_server import NOW, Relay

TOKENS = {"JoinLink": "https://meet.example.com/j/1"}


async def dead(database: Database, email: str = "ada@example.com") -> str:
    """Let somebody register for a webinar without a title."""
    made = draft(
        NOW, email, state=RegistrationState.DEAD, cause=Cause.TITLE_MISSING, detail="It has no title.", tokens=TOKENS
    )
    await record(database, NOW, replace(made, source="custom"))
    return made.id


async def dead_event(database: Database) -> str:
    (event_id,) = await accept(database, new_event(NOW))
    values = {"state": EventState.DEAD, "cause": Cause.BAD_PAYLOAD, "settled_at": NOW}
    async with database.write() as connection:
        await connection.execute(update(events).where(events.c.id == event_id).values(values))
    return event_id


async def confirm(relay: Relay, preview: str, **typed: str) -> httpx.Response:
    """Press the button on a preview's page."""
    page = await relay.client.get(preview)
    return await relay.client.post("/console/replay", data=hidden_fields(page) | typed)


async def carried_out(database: Database) -> None:
    """Let the leader do what was asked for."""
    while await replaying_over(database).step(Registrations(database)):
        pass


async def test_a_preview_tells_who_would_get_an_email_and_changes_nothing(signed_in: Relay, database: Database) -> None:
    one = await dead(database)
    before = await seen(database, one)
    page = await signed_in.client.get(f"/console/registrations/{one}")
    assert f"/console/replay?id={one}" in links_of(page)
    text = text_of(await signed_in.client.get(f"/console/replay?id={one}"))
    assert "Registrations mapped again 1" in text
    assert "Would get an e-mail 1 ada@example.com" in text
    assert "Calls to Marketo, at most 2" in text
    assert "Nothing has been done yet" in text
    assert await seen(database, one) == before
    assert await Replays(database).latest(1) == []


async def test_a_confirmed_replay_is_followed_to_its_end(signed_in: Relay, database: Database) -> None:
    one = await dead(database)
    answer = await confirm(signed_in, f"/console/replay?id={one}", by=" Grace ", why="title\tconfigured")
    assert answer.status_code == 303
    progress = answer.headers["location"]
    text = text_of(await signed_in.client.get(progress))
    assert "It is being done. 0 of 1." in text
    assert "By Grace Why title configured" in text
    await carried_out(database)
    page = await signed_in.client.get(progress)
    assert "It is done. 1 of 1. 1: registrations are on their way again" in text_of(page)
    assert f"{progress}/stop" not in page.text
    assert (await seen(database, one)).state is RegistrationState.NEW


async def test_the_timeline_says_in_words_who_replayed_it(signed_in: Relay, database: Database) -> None:
    """The replay's id is a link, not a word."""
    one = await dead(database)
    answer = await confirm(signed_in, f"/console/replay?id={one}", by="Grace", why="title configured")
    await carried_out(database)
    page = await signed_in.client.get(f"/console/registrations/{one}")
    assert "Replayed Replayed by Grace: title configured. The replay" in text_of(page)
    assert answer.headers["location"] in links_of(page)


async def test_all_of_a_cause_are_replayed_from_the_dead_letters(signed_in: Relay, database: Database) -> None:
    for name in ("ada", "grace"):
        await dead(database, f"{name}@example.com")
    await dead_event(database)
    preview = "/console/replay?cause=title_missing"
    assert preview in links_of(await signed_in.client.get("/console/dead-letters"))
    assert "Would get an e-mail 2" in text_of(await signed_in.client.get(preview))
    answer = await confirm(signed_in, preview)
    text = text_of(await signed_in.client.get(answer.headers["location"]))
    assert "Of all that could not be sent for this cause: title missing ." in text
    assert "By the console" in text


async def test_a_webinars_dead_are_replayed_from_the_list_of_webinars(signed_in: Relay, database: Database) -> None:
    """Its title was missing, and is configured now: those of other webinars are another matter."""
    await dead(database)
    other = draft(NOW, webinar="w-2", state=RegistrationState.DEAD, cause=Cause.TITLE_MISSING, tokens=TOKENS)
    await record(database, NOW, other)
    preview = "/console/replay?webinar=w-1&source=custom"
    assert preview in links_of(await signed_in.client.get("/console/webinars"))
    text = text_of(await signed_in.client.get(preview))
    assert "all that could not be sent from Own app of webinar w-1 ." in text
    assert "Would get an e-mail 1 ada@example.com" in text
    answer = await confirm(signed_in, preview)
    (asked,) = await Replays(database).latest(5)
    assert answer.headers["location"] == f"/console/replays/{asked.id}"
    assert asked.asked.selection == Selection([], source="custom", webinar_id="w-1")


async def test_those_of_one_source_or_webinar_are_chosen_at_the_dead_letters(
    signed_in: Relay, database: Database
) -> None:
    await dead(database)
    assert 'name="webinar"' in (await signed_in.client.get("/console/dead-letters")).text
    assert "Would get an e-mail 1" in text_of(await signed_in.client.get("/console/replay?source=custom&webinar="))
    assert "There is nothing to replay" in text_of(await signed_in.client.get("/console/replay?source=&webinar=w-9"))


async def test_a_wrong_link_is_corrected_for_a_whole_webinar(signed_in: Relay, database: Database) -> None:
    """All who got the reminder get another, and the preview says so first."""
    await ended(database, NOW, state="sent")
    again = "/console/replay?webinar=w-1&source=custom&sent=on"
    assert again in links_of(await signed_in.client.get("/console/webinars"))
    text = text_of(await signed_in.client.get(again))
    assert "everybody who was sent a reminder from Own app of webinar w-1 ." in text
    assert "Got one already, or may have: left out 1" in text
    await confirm(signed_in, f"{again}&resend=on")
    (asked,) = await Replays(database).latest(5)
    assert asked.asked.selection == Selection([], source="custom", webinar_id="w-1", sent=True)
    assert asked.asked.resend


async def test_latest_replays_stand_below_the_dead_letters(signed_in: Relay, database: Database) -> None:
    one = await dead(database)
    answer = await confirm(signed_in, f"/console/replay?id={one}")
    page = await signed_in.client.get("/console/dead-letters")
    assert answer.headers["location"] in links_of(page)
    assert "by the console : running, 0 of 1" in text_of(page)


async def test_a_dead_webhook_is_put_back(signed_in: Relay, database: Database) -> None:
    one = await dead_event(database)
    page = await signed_in.client.get(f"/console/events/{one}")
    assert f"/console/replay?id={one}" in links_of(page)
    assert "Webhooks read again 1" in text_of(await signed_in.client.get(f"/console/replay?id={one}"))
    answer = await confirm(signed_in, f"/console/replay?id={one}")
    await carried_out(database)
    assert "1: webhooks are read again" in text_of(await signed_in.client.get(answer.headers["location"]))
    page = await signed_in.client.get(f"/console/events/{one}")
    assert "Replayed by the console. It was dead: bad payload." in text_of(page)
    assert f"/console/replay?id={one}" not in links_of(page)


async def test_nobody_is_mailed_twice_unless_the_box_says_so(signed_in: Relay, database: Database) -> None:
    """And then the preview says it before the button does it."""
    one = await ended(database, NOW, state="sent")
    assert "Send again" in text_of(await signed_in.client.get(f"/console/registrations/{one}"))
    page = await signed_in.client.get(f"/console/replay?id={one}")
    text = text_of(page)
    assert "Got one already, or may have: left out 1 ada@example.com" in text
    assert "There is nothing to replay" in text
    assert 'type="checkbox"' in page.text
    assert "Replay now" not in text
    page = await signed_in.client.get(f"/console/replay?id={one}&resend=on")
    assert "Whoever got an e-mail already gets a second one." in text_of(page)
    assert 'type="hidden" name="resend"' in page.text
    answer = await confirm(signed_in, f"/console/replay?id={one}&resend=on")
    assert "Yes: who got one already gets another" in text_of(await signed_in.client.get(answer.headers["location"]))
    (asked,) = await Replays(database).latest(5)
    assert asked.asked.resend


async def test_a_replay_is_stopped(signed_in: Relay, database: Database) -> None:
    one = await dead(database)
    progress = (await confirm(signed_in, f"/console/replay?id={one}")).headers["location"]
    page = await signed_in.client.get(progress)
    assert (await signed_in.client.post(f"{progress}/stop", data={})).status_code == 403
    answer = await signed_in.client.post(f"{progress}/stop", data={"form_token": form_token(page)})
    assert (answer.status_code, answer.headers["location"]) == (303, progress)
    assert "It was stopped." in text_of(await signed_in.client.get(progress))
    await carried_out(database)
    assert (await seen(database, one)).state is RegistrationState.DEAD


async def test_only_a_form_of_the_console_replays(signed_in: Relay, database: Database) -> None:
    """Another site can neither know the form's token nor send the cookie."""
    one = await dead(database)
    assert (await signed_in.client.post("/console/replay", data={"id": one})).status_code == 403
    signed_in.client.cookies.clear()
    assert (await signed_in.client.post("/console/replay", data={"id": one})).status_code == 303
    assert await Replays(database).latest(1) == []


@pytest.mark.parametrize(
    "query",
    [
        "",
        "id=",
        "id=nonsense",
        "cause=nonsense",
        "id=reg_1&cause=title_missing",
        f"cause=expired&why={'x' * 600}",
        "sent=on",
        "webinar=%00",
    ],
)
async def test_a_replay_must_be_of_something(signed_in: Relay, query: str) -> None:
    answer = await signed_in.client.get(f"/console/replay?{query}")
    assert answer.status_code == 422
    assert "Begin on the page of a registration or webhook" in text_of(answer)


@pytest.mark.parametrize("wrong", ["rpl_0", "%00", "x" * 65])
async def test_an_unknown_replay_is_a_page_that_helps(signed_in: Relay, wrong: str) -> None:
    assert (await signed_in.client.get(f"/console/replays/{wrong}")).status_code == 404
    token = form_token(await signed_in.client.get("/console"))
    answer = await signed_in.client.post(f"/console/replays/{wrong}/stop", data={"form_token": token})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [("id=reg_0", 404, "Look whether the address is whole"), ("cause=x", 422, "That is nothing to replay")],
)
async def test_what_cannot_be_replayed_says_what_to_do(signed_in: Relay, asked: str, status: int, said: str) -> None:
    """A preview of nothing would read as if all were well."""
    answer = await signed_in.client.get(f"/console/replay?{asked}")
    assert (answer.status_code, said in text_of(answer)) == (status, True)


async def test_who_typed_markup_sees_it_as_text(signed_in: Relay, database: Database) -> None:
    one = await dead(database)
    answer = await confirm(signed_in, f"/console/replay?id={one}", by="<b>x</b>", why="<script>alert(1)</script>")
    await carried_out(database)
    for path in (answer.headers["location"], f"/console/registrations/{one}", "/console/dead-letters"):
        page = await signed_in.client.get(path)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<b>x" not in page.text


async def test_what_the_retention_took_of_a_person_is_said(signed_in: Relay, database: Database) -> None:
    """Empty fields would look like a defect, and nothing is left to send."""
    one = await ended(database, NOW, state="sent")
    while await Retention(database, keep=timedelta(days=30)).step(NOW + timedelta(days=31)):
        pass
    view = await Lookup(database).registration(one)
    assert view is not None
    assert view.email is None
    page = await signed_in.client.get(f"/console/registrations/{one}")
    text = text_of(page)
    assert "Somebody whose data was removed" in text
    assert "E-mail address removed after the retention time" in text
    assert "They were removed after the retention time." in text
    assert "What it was filled with was removed after the retention time." in text
    assert f"/console/replay?id={one}" not in links_of(page)
    assert "Left out 1: blanked after the retention time" in text_of(
        await signed_in.client.get(f"/console/replay?id={one}&resend=on")
    )
    assert "Somebody without" not in text_of(await signed_in.client.get("/console/registrations"))


@pytest.mark.parametrize(
    ("selection", "said", "place"),
    [
        (Selection(["reg_1"]), "one registration", "/console/registrations/reg_1"),
        (Selection(["evt_1"]), "one webhook", "/console/events/evt_1"),
        (Selection(["evt_1", "reg_1"]), "2 registrations and webhooks", "/console/dead-letters"),
        (Selection(), "all that could not be sent", "/console/dead-letters"),
        (
            Selection(source="pendo", webinar_id="w", sent=True),
            "everybody who was sent a reminder from Pendo of webinar w",
            "/console/webinars",
        ),
    ],
)
def test_a_replay_asked_for_elsewhere_is_told_in_words_too(selection: Selection, said: str, place: str) -> None:
    assert (subject(selection), back(selection)[0]) == (said, place)


def test_every_reason_has_words() -> None:
    assert {"underWay", "cancelled", "notDead", "purged"} == set(LEFT_OUT)
    assert {"webhooks", "again", "stillDead", "ignored", "notSentAgain", "alreadySent", "changed"} <= set(BECAME)
