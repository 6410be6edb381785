"""Searching in the console: find somebody in a moment, and hear what is wrong with a search that makes no sense."""

import csv
import io
from datetime import timedelta

import pytest

from app.domain import RegistrationState
from app.store.database import Database
from app.store.spelling import spelt
from tests.store.given import draft, record
from tests.web.console.reading import links_of, text_of
from tests.web.relay_server import NOW, Relay, Surroundings

TITLE = "Scaling Engagement"


async def some(database: Database, number: int) -> list[str]:
    """Record this many registrations, one a second, and return their ids."""
    drafts = [
        draft(
            NOW + timedelta(seconds=n),
            f"p{n:04}@example.com",
            tokens={"WebinarTitle": TITLE},
            webinar_key=spelt(TITLE),
        )
        for n in range(number)
    ]
    await record(database, NOW, *drafts)
    return [made.id for made in drafts]


async def test_somebody_is_found_by_the_beginning_of_the_address(signed_in: Relay, database: Database) -> None:
    (found,) = await some(database, 1)
    page = await signed_in.client.get("/console/registrations?q=P0000")
    assert "p0000@example.com" in text_of(page)
    assert f"/console/registrations/{found}" in links_of(page)
    assert "p0000" not in text_of(await signed_in.client.get("/console/registrations?q=q"))


@pytest.mark.parametrize("page", ["registrations", "registrations.csv"])
async def test_what_nothing_can_be_searched_by_finds_nobody(signed_in: Relay, database: Database, page: str) -> None:
    """Passed over, a misspelt filter would have everybody exported."""
    await some(database, 1)
    found = await signed_in.client.get(f"/console/{page}?person=ada")
    assert (found.status_code, "p0000" in found.text) == (400, False)


async def test_nobody_found_says_what_to_try(signed_in: Relay) -> None:
    assert "look at Dead letters , and at Sources whether each still delivers" in text_of(
        await signed_in.client.get("/console/registrations?q=nobody")
    )
    assert "No registration has come yet" in text_of(await signed_in.client.get("/console/registrations"))


async def test_people_of_a_source_that_was_turned_off_are_found(signed_in: Relay, database: Database) -> None:
    """The overview counts them, and links here."""
    await record(database, NOW, draft(NOW, source="pendo"))
    page = await signed_in.client.get("/console/registrations?source=pendo")
    assert (page.status_code, "ada@example.com" in page.text) == (200, True)


async def test_pages_go_to_the_end(signed_in: Relay, database: Database) -> None:
    await some(database, 120)
    address, seen = "/console/registrations?webinar=scal", 0
    for _ in range(3):
        page = await signed_in.client.get(address)
        seen += page.text.count('<tr>\n  <td><a class="row"')
        address = next((link for link in links_of(page) if "cursor=" in link), "")
    assert seen == 120
    assert not address


@pytest.mark.parametrize("what", ["reg", "evt", "call"])
async def test_an_id_leads_to_its_page(signed_in: Relay, what: str) -> None:
    """Whoever was given one pastes it."""
    answer = await signed_in.client.get(f"/console/registrations?q=%20{what}_0123abc%20")
    kind = {"reg": "registrations", "evt": "events", "call": "calls"}[what]
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/{kind}/{what}_0123abc")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("state=nonsense", "State is none of: cancelled, dead, ignored, sent, waiting."),
        ("source=nonsense", "Source is none of: custom, eventbrite, pendo."),
        ("cause=nonsense", "Cause is none of"),
        ("from=yesterday", "From is no day"),
        ("to=9999-12-31", "To is no day"),
        ("from=2026-11-25&to=2026-11-24", "To lies before the first day"),
        (f"q={'x' * 201}", "Person is longer than 200 characters"),
        ("cursor=nonsense", "The page belongs to another search"),
        ("cursor=%00%ff", "The page belongs to another search"),
    ],
)
async def test_nonsense_is_named(signed_in: Relay, database: Database, query: str, said: str) -> None:
    """And finds nobody: everybody would be taken for the answer."""
    await some(database, 1)
    page = await signed_in.client.get(f"/console/registrations?{query}")
    assert page.status_code == 400
    assert said in text_of(page)
    assert "p0000@" not in page.text


async def test_a_cursor_of_another_search_is_none(signed_in: Relay, database: Database) -> None:
    await some(database, 60)
    page = await signed_in.client.get("/console/registrations")
    (following,) = (link for link in links_of(page) if "cursor=" in link)
    assert (await signed_in.client.get(following)).status_code == 200
    assert (await signed_in.client.get(f"{following}&q=p")).status_code == 400


async def test_unprintable_characters_are_passed_over(signed_in: Relay, database: Database) -> None:
    """They come from copying out of spreadsheets, or from somebody who tries things."""
    await some(database, 1)
    page = await signed_in.client.get("/console/registrations?q=%00p0000%0d%0a")
    assert page.status_code == 200
    assert "p0000@example.com" in text_of(page)


async def test_days_are_whole(signed_in: Relay, database: Database) -> None:
    await some(database, 1)
    for query, found in (("from=2026-11-23&to=2026-11-23", True), ("from=2026-11-24", False), ("to=2026-11-22", False)):
        page = await signed_in.client.get(f"/console/registrations?{query}")
        assert ("p0000@" in page.text) is found


async def test_the_export_holds_all_that_was_found(signed_in: Relay, database: Database) -> None:
    """Also beyond one page and one batch."""
    await some(database, 1203)
    answer = await signed_in.client.get("/console/registrations.csv?q=p")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["e-mail"] for row in rows] == [f"p{n:04}@example.com" for n in range(1203)]
    assert {row["webinar"] for row in rows} == {TITLE}


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1", "@a", "\tx"])
async def test_the_export_holds_no_formulas(signed_in: Relay, database: Database, name: str) -> None:
    """A stranger chose that name; a spreadsheet would run it."""
    await record(database, NOW, draft(NOW, first_name=name))
    (row,) = csv.DictReader(io.StringIO((await signed_in.client.get("/console/registrations.csv")).text))
    assert row["first name"] == f"'{name}"


async def test_the_export_says_why(signed_in: Relay, database: Database) -> None:
    made = draft(
        NOW, state=RegistrationState.DEAD, cause="title_missing", detail="The webinar has no title.", tokens={}
    )
    await record(database, NOW, made)
    (row,) = csv.DictReader(io.StringIO((await signed_in.client.get("/console/registrations.csv")).text))
    assert (row["state"], row["reason"]) == ("Not sent", "The webinar has no title.")
    assert "DEFAULT_WEBINAR_TITLE" in row["what to do"]


async def test_an_export_of_nonsense_is_refused(signed_in: Relay) -> None:
    assert (await signed_in.client.get("/console/registrations.csv?state=x")).status_code == 400


async def test_a_store_that_fails_is_told(signed_in: Relay, database: Database) -> None:
    async with database.write() as connection:
        await connection.run_sync(lambda c: c.exec_driver_sql("DROP TABLE registrations"))
    for path in ("/console/registrations", "/console/registrations.csv", "/console/registrations/reg_1"):
        answer = await signed_in.client.get(path)
        assert answer.status_code == 503
        assert "Load the page again in a moment" in text_of(answer)


async def test_the_menu_shows_where_one_is(signed_in: Relay, around: Surroundings) -> None:
    page = await signed_in.client.get("/console/registrations")
    assert 'href="/console/registrations" aria-current="page"' in page.text
