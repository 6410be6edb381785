"""Searching as people do: whoever is there is found by how an address, a name or a title begins, once."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain import RegistrationState
from app.store.database import Database
from app.store.finding import Calls
from app.store.lookup import Lookup
from app.store.search import Search
from app.store.spelling import LONGEST, name_keys, spelt
from app.store.views import Wanted
from tests.conftest import MovableClock
from tests.store.given import batch, draft, ended, record
from tests.store.test_store_plans import plans, reads_all, written_down

ADA = ("ada.lovelace@example.com", "Ada", "Lovelace")
GRACE = ("grace@example.com", "Grace", "Hopper")
ADALBERT = ("a.z@example.com", "Adalbert", "Žižka")


async def some_people(database: Database, clock: MovableClock, *people: tuple[str, str | None, str | None]) -> None:
    for n, (email, first, last) in enumerate(people):
        title = ("Scaling Engagement", "Machines that Answer")[n % 2]
        made = draft(clock(), email, f"W-{n % 2}", first_name=first, last_name=last, webinar_key=spelt(title))
        await record(database, clock(), made)
        clock.move(timedelta(seconds=1))


async def found(database: Database, wanted: Wanted, *, limit: int = 10) -> list[str]:
    """Turn the pages to the end and return the addresses in their order."""
    emails: list[str] = []
    cursor = None
    while True:
        page = await Search(database).registrations(wanted, limit=limit, cursor=cursor)
        emails += [item.email or "" for item in page.items]
        if (cursor := page.next_cursor) is None:
            return emails


@pytest.mark.parametrize(
    ("text", "emails"),
    [
        ("ada.lovelace@example.com", [ADA[0]]),
        ("ADA.Love", [ADA[0]]),
        ("lovelace", [ADA[0]]),
        ("  ada   lovelace ", [ADA[0]]),
        ("ada", [ADA[0], ADALBERT[0]]),
        ("žiž", [ADALBERT[0]]),
        ("adalbert ž", [ADALBERT[0]]),
        ("ace@", []),
        ("%", []),
        ("nobody", []),
    ],
)
async def test_people_are_found_by_how_they_begin(
    database: Database, clock: MovableClock, text: str, emails: list[str]
) -> None:
    """An address, a full name or a surname; without regard to case, and no character is a pattern."""
    await some_people(database, clock, ADA, GRACE, ADALBERT)
    assert await found(database, Wanted(text=text)) == emails


async def test_a_person_has_the_newest_registration_first(database: Database, clock: MovableClock) -> None:
    """Somebody who asks means the last webinar."""
    await some_people(database, clock, ADA, GRACE, ADA, GRACE)
    page = await Search(database).registrations(Wanted(text="ada"), limit=10)
    assert [item.webinar_id for item in page.items] == ["W-0"]  # one webinar: the repeat is the same registration
    await record(database, clock(), draft(clock(), ADA[0], "W-9", first_name="Ada", last_name="Lovelace"))
    page = await Search(database).registrations(Wanted(text="ada"), limit=10)
    assert [item.webinar_id for item in page.items] == ["W-9", "W-0"]


@pytest.mark.parametrize(("webinar", "emails"), [("scaling", [ADA[0]]), ("w-1", [GRACE[0]]), ("w", [ADA[0], GRACE[0]])])
async def test_webinars_are_found_by_title_or_id(
    database: Database, clock: MovableClock, webinar: str, emails: list[str]
) -> None:
    await some_people(database, clock, ADA, GRACE)
    assert await found(database, Wanted(webinar=webinar)) == emails


async def test_text_and_webinar_narrow_each_other(database: Database, clock: MovableClock) -> None:
    await some_people(database, clock, ADA, GRACE)
    assert await found(database, Wanted(text="ada", webinar="scaling")) == [ADA[0]]
    assert await found(database, Wanted(text="ada", webinar="machines")) == []


async def test_everything_else_narrows_too(database: Database, clock: MovableClock) -> None:
    """Source, state, cause and time."""
    began = clock()
    await some_people(database, clock, ADA, GRACE)
    dead = draft(clock(), "dead@example.com", state=RegistrationState.DEAD, cause="title_missing")
    await record(database, clock(), dead)
    assert await found(database, Wanted(states=frozenset({RegistrationState.DEAD}))) == ["dead@example.com"]
    assert await found(database, Wanted(cause="title_missing")) == ["dead@example.com"]
    assert await found(database, Wanted(cause="expired")) == []
    assert await found(database, Wanted(source="pendo")) == []
    assert await found(database, Wanted(until=began + timedelta(milliseconds=500))) == [ADA[0]]
    assert await found(database, Wanted(since=began + timedelta(seconds=1))) == ["dead@example.com", GRACE[0]]
    both = frozenset({RegistrationState.DEAD, RegistrationState.NEW})
    assert await found(database, Wanted(states=both, source="custom")) == ["dead@example.com", GRACE[0], ADA[0]]


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted(text="p"),
        Wanted(webinar="w"),
        Wanted(text="ann"),
        Wanted(states=frozenset({RegistrationState.NEW, RegistrationState.DEAD})),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_have_no_gaps_and_no_repeats(
    database: Database, clock: MovableClock, wanted: Wanted, limit: int
) -> None:
    """Though they are put together from several ranges."""
    people = [(f"p{n}@example.com", ("Ann", "Pat")[n % 2], ("Ann", "Poe", None)[n % 3]) for n in range(7)]
    await some_people(database, clock, *people)
    everyone = await found(database, wanted, limit=1000)
    assert sorted(await found(database, wanted, limit=limit)) == sorted(everyone)
    assert await found(database, wanted, limit=limit) == everyone
    assert len(set(everyone)) == len(everyone) >= 5


async def test_among_few_the_newest_come_first(database: Database, clock: MovableClock) -> None:
    """Of the dead there are few; who looks for one among them wants the last."""
    for email in ("ada.2@example.com", "ada.1@example.com", "bob@example.com"):
        made = draft(clock(), email, state=RegistrationState.DEAD, cause="expired", first_name=None)
        await record(database, clock(), made)
        clock.move(timedelta(seconds=1))
    wanted = Wanted(text="ada", states=frozenset({RegistrationState.DEAD}))
    for limit in (1, 10):
        assert await found(database, wanted, limit=limit) == ["ada.1@example.com", "ada.2@example.com"]


async def test_an_export_holds_everything(database: Database, clock: MovableClock) -> None:
    await some_people(database, clock, ADA, GRACE, ADALBERT)
    assert [item.email async for item in Search(database).all(Wanted())] == [ADALBERT[0], GRACE[0], ADA[0]]


async def test_a_cursor_is_good_for_its_own_search_only(database: Database, clock: MovableClock) -> None:
    """Else a page would silently be another one."""
    await some_people(database, clock, ADA, GRACE, ADALBERT)
    search = Search(database)
    for wanted in (Wanted(), Wanted(text="a"), Wanted(webinar="w")):
        cursor = (await search.registrations(wanted, limit=1)).next_cursor
        assert cursor is not None
        for other in (Wanted(text="b"), Wanted(source="custom"), replace(wanted, cause="expired")):
            with pytest.raises(ValueError, match="cursor"):
                await search.registrations(other, limit=1, cursor=cursor)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    cursor=st.one_of(st.text(max_size=40), st.sampled_from(["", "W10", "bnVsbA", "WzEsMiwzXQ", "é", "\x00", "===="]))
)
async def test_no_nonsense_is_a_cursor(database: Database, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await Search(database).registrations(Wanted(), limit=1, cursor=cursor)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted(text="ada"),
        Wanted(text="ada@example.com"),
        Wanted(webinar="scaling"),
        Wanted(source="custom"),
        Wanted(states=frozenset({RegistrationState.DEAD, RegistrationState.IGNORED, RegistrationState.CANCELLED})),
        Wanted(text="ada", source="custom", states=frozenset({RegistrationState.SENT})),
        Wanted(text="ada", webinar="scal", states=frozenset({RegistrationState.DEAD})),
        Wanted(text="ada", webinar="scal"),
    ],
)
async def test_every_search_goes_along_an_index(database: Database, clock: MovableClock, wanted: Wanted) -> None:
    """A million rows stay quick: nothing is read through, and nothing is sorted that is not shown."""
    await some_people(database, clock, ADA, GRACE)
    with written_down() as statements:
        page = await Search(database).registrations(wanted, limit=1)
        if page.next_cursor:
            await Search(database).registrations(wanted, limit=1, cursor=page.next_cursor)
    for statement, plan in await plans(database, statements):
        assert "TEMP B-TREE" not in plan, statement
        assert "Sort" not in plan or "Presorted" in plan, plan
        everything = wanted == Wanted() or wanted.source is not None
        assert everything or not reads_all(plan, is_sqlite=database.is_sqlite), plan


async def test_a_call_is_shown_with_all_that_it_was_about(database: Database, clock: MovableClock) -> None:
    """'With 63 others' can be looked at, before the answer has come and afterwards."""
    known = [draft(clock(), f"p{n}@example.com", state=RegistrationState.KNOWN, lead_id=7 + n) for n in range(3)]
    await record(database, clock(), *known)
    call = await batch(database, clock())
    assert call is not None
    shown = await Calls(database).call(call.id)
    assert shown is not None
    assert {r.id for r in shown.registrations} == {made.id for made in known}
    sent = await ended(database, clock(), state="sent", email="z@example.com")
    (row,) = (await Search(database).registrations(Wanted(text="z@"), limit=1)).items
    assert (row.id, row.state) == (sent, "sent")
    assert await Calls(database).call("call_0") is None


async def test_a_settled_call_still_knows_its_people(database: Database, clock: MovableClock) -> None:
    sent = await ended(database, clock(), state="sent")
    view = await Lookup(database).registration(sent)
    assert view is not None
    shown = await Calls(database).call(view.calls[0].id)
    assert shown is not None
    assert [r.id for r in shown.registrations] == [sent]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("  Ada\t LOVELACE ", "ada lovelace"),
        ("STRASSE", "strasse"),
        ("straße", "strasse"),
        ("", None),
        (None, None),
        (" \n", None),
        ("x" * 999, "x" * LONGEST),
        ("\uff21\uff44\uff41", "ada"),
    ],
)
def test_spelling_forgives(text: str | None, key: str | None) -> None:
    """Case, width and spaces are what people type differently."""
    assert spelt(text) == key


def test_a_lone_surname_is_the_whole_name() -> None:
    """It would else be found twice."""
    assert name_keys(None, "Lovelace") == {"name_key": "lovelace", "surname_key": None}
    assert name_keys("Ada", None) == {"name_key": "ada", "surname_key": None}
    assert name_keys(None, None) == {"name_key": None, "surname_key": None}
