"""Links of one's own in person fields, and people who are known: few calls, and everybody gets their own link."""

import asyncio
import tempfile
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.dispatch.judgement import Judge
from app.dispatch.verdicts import Policy
from app.domain import LeadId, Person, Registered, RegistrationState, Webinar
from app.marketo.answers import FoundPerson, Reason
from app.marketo.codes import Endpoint
from app.marketo.failures import failure
from app.store.database import Database, open_database
from app.store.links import fall_back_from_other_fields
from app.store.takeover import take_over
from tests.conftest import MovableClock
from tests.dispatch.simulated_marketo import SimulatedMarketo
from tests.dispatch.stage import JUDGE, Stage, Ticks, set_stage, until
from tests.tables import make_tables

SENT, NEW, DEAD = RegistrationState.SENT, RegistrationState.NEW, RegistrationState.DEAD
FIELDS = {"JoinLink": "webinarJoinLink"}
FIELD_MODE = replace(JUDGE, fields=FIELDS)


def link(person: str, webinar: str) -> str:
    return f"https://meet.example.com/{webinar}/{person}"


def own(person: str, webinar: str = "w-1", *, lead: int | None = None) -> Registered:
    """Let somebody register with a link that nobody else has."""
    key = Person(person, None if lead is None else LeadId(lead))
    return Registered(key, Webinar(webinar, f"Talk {webinar}", link(person, webinar)))


async def field_stage(database: Database, clock: MovableClock) -> Stage:
    return await set_stage(database, clock, judge=FIELD_MODE)


def shown(stage: Stage) -> Counter[tuple[str, str, str | None]]:
    """Return who got which link for which talk, how often."""
    addresses = {person.lead_id: key for key, people in stage.marketo.people.items() for person in people}
    return Counter((addresses[LeadId(mail.lead)], mail.title, mail.link) for mail in stage.marketo.mails)


def wanted(*pairs: tuple[str, str]) -> Counter[tuple[str, str, str | None]]:
    return Counter((person, f"Talk {webinar}", link(person, webinar)) for person, webinar in pairs)


async def test_links_of_ones_own_share_their_calls(database: Database, clock: MovableClock) -> None:
    """⌈N/300⌉ upserts and ⌈N/100⌉ requests, as if all had one link."""
    stage = await field_stage(database, clock)
    people = [f"p{n}@example.com" for n in range(320)]
    await stage.arrive(*map(own, people))
    await stage.work()
    assert shown(stage) == wanted(*((person, "w-1") for person in people))
    assert len(stage.marketo.asked(Endpoint.SYNC)) == 2
    assert len(stage.marketo.asked(Endpoint.TRIGGER)) == 4
    assert all("JoinLink" not in dict(request.tokens) for request in stage.marketo.asked(Endpoint.TRIGGER))
    assert stage.marketo.broken_rules == []


async def test_a_second_webinar_while_the_first_is_on_its_way_goes_by_token(
    sqlite: Database, clock: MovableClock
) -> None:
    """The first e-mail may not be made yet; when it surely is, the field is free again."""
    stage = await field_stage(sqlite, clock)
    await stage.arrive(own("ada@example.com"), own("ada@example.com", "w-2"))
    await stage.work()
    await stage.arrive(own("ada@example.com", "w-3"))
    await stage.work()
    stage.pass_time(601)
    await stage.arrive(own("ada@example.com", "w-4"))
    await stage.work()
    stage.pass_time(601)
    assert shown(stage) == wanted(*(("ada@example.com", f"w-{n}") for n in (1, 2, 3, 4)))
    assert [mail.is_passed for mail in sorted(stage.marketo.mails, key=lambda m: m.title)] == [False, True, True, False]
    assert stage.marketo.sizes(Endpoint.SYNC) == [1, 1]  # for the third, the lead is known
    details = [(await stage.registrations())[n].detail for n in range(4)]
    assert all(detail and "Marketo took it" in detail for detail in details)


async def test_who_comes_with_a_lead_id_passes_tokens(sqlite: Database, clock: MovableClock) -> None:
    """Nobody is upserted whose lead is given, so nothing is written to a field."""
    stage = await field_stage(sqlite, clock)
    await stage.arrive(own("ada@example.com", lead=42))
    await stage.work()
    [mail] = stage.marketo.mails
    assert (mail.link, mail.is_passed) == (link("ada@example.com", "w-1"), True)
    assert stage.marketo.asked(Endpoint.SYNC) == []


async def test_one_of_several_people_passes_tokens(sqlite: Database, clock: MovableClock) -> None:
    """1007: the upsert saved nothing, so the field of the one that is chosen holds who knows what."""
    stage = await field_stage(sqlite, clock)
    for lead in (5, 6):
        stage.marketo.add("ada@example.com", lead)
        stage.marketo.link_fields[lead] = "https://meet.example.com/somebody-else"
    await stage.arrive(own("ada@example.com"))
    await stage.work()
    assert shown(stage) == wanted(("ada@example.com", "w-1"))


async def test_values_that_marketo_refuses_are_passed_as_tokens(sqlite: Database, clock: MovableClock) -> None:
    """A link too long for its field costs calls, nobody's reminder; who is refused without it, too, is dead."""
    stage = await field_stage(sqlite, clock)
    stage.marketo.skipped = {"bob@example.com": Reason("1003", "Email Address is invalid")}
    stage.marketo.skip_once("ada@example.com", Reason("1003", "Value exceeds 255 characters"))
    await stage.arrive(own("ada@example.com"), own("bob@example.com"), own("cyd@example.com"))
    await stage.work()
    assert await stage.states() == {SENT: 2, DEAD: 1}
    assert shown(stage) == wanted(("ada@example.com", "w-1"), ("cyd@example.com", "w-1"))
    assert [mail.is_passed for mail in sorted(stage.marketo.mails, key=lambda m: m.lead)] == [False, True]
    assert stage.marketo.broken_rules == []


async def test_a_token_that_is_mapped_and_missing_is_passed_as_a_blank(sqlite: Database, clock: MovableClock) -> None:
    """Left out, it would show what another webinar has written to the field."""
    stage = await set_stage(sqlite, clock, judge=replace(JUDGE, fields={"Speaker": "webinarSpeaker"}))
    await stage.arrive(replace(own("ada@example.com"), tokens={"Speaker": "Grace"}), own("ada@example.com", "w-2"))
    await stage.work()
    passed = {
        dict(request.tokens)["WebinarTitle"]: dict(request.tokens) for request in stage.marketo.asked(Endpoint.TRIGGER)
    }
    assert "Speaker" not in passed["Talk w-1"]
    assert passed["Talk w-2"]["Speaker"] == " "


async def test_another_mapping_makes_what_waits_pass_its_tokens(sqlite: Database, clock: MovableClock) -> None:
    """Else a wrong field name would stop everything for ever: what is right now is written to no old registration."""
    stage = await field_stage(sqlite, clock)
    stage.marketo.faults = [failure(Endpoint.SYNC, "1006", "Field 'webinarJoinLink' not found")]
    await stage.arrive(own("ada@example.com"), own("bob@example.com"))
    await stage.work(at_most=timedelta(seconds=5))
    assert await stage.states() == {NEW: 2}
    assert await fall_back_from_other_fields(sqlite, FIELDS) == 0
    assert await fall_back_from_other_fields(sqlite, {"JoinLink": "another"}) == 2
    await stage.work()
    assert shown(stage) == wanted(("ada@example.com", "w-1"), ("bob@example.com", "w-1"))
    assert all(mail.is_passed for mail in stage.marketo.mails)


@pytest.mark.parametrize("fields", [FIELDS, {**FIELDS, "Speaker": "webinarSpeaker"}], ids=["same", "another"])
async def test_another_mapping_frees_no_field_that_a_lost_request_may_show(
    sqlite: Database, clock: MovableClock, fields: dict[str, str]
) -> None:
    """The first campaign ran and its answer was lost; its e-mail is made after the next leader has other settings."""
    policy = Policy(on_ambiguous="check")
    before = await set_stage(sqlite, clock, judge=FIELD_MODE, policy=policy)
    before.marketo.lost = [failure(Endpoint.TRIGGER, "502", "lost")]
    await before.arrive(own("ada@example.com"))
    await before.work(at_most=timedelta(seconds=5))
    await fall_back_from_other_fields(sqlite, fields)
    await before.lease.give_back()
    judge = replace(JUDGE, fields=fields)
    after = await set_stage(sqlite, clock, judge=judge, policy=policy, marketo=before.marketo, ticks=before.ticks)
    await after.arrive(own("ada@example.com", "w-2"))
    await after.work(at_most=timedelta(seconds=30))
    after.pass_time(700)
    assert shown(after) == wanted(("ada@example.com", "w-1"), ("ada@example.com", "w-2"))


async def test_a_link_that_changes_after_a_lost_request_keeps_the_field_for_its_email(
    sqlite: Database, clock: MovableClock
) -> None:
    """Under `retry` the first e-mail may still be made while a later webhook has changed the link."""
    stage = await set_stage(sqlite, clock, judge=FIELD_MODE, policy=Policy(on_ambiguous="retry"))
    stage.marketo.lost = [failure(Endpoint.TRIGGER, "502", "lost")]
    await stage.arrive(own("ada@example.com"))
    await stage.work(at_most=timedelta(seconds=0.5))
    later = own("ada@example.com")
    await stage.arrive(replace(later, webinar=replace(later.webinar, join_link=link("ada@example.com", "w-1/new"))))
    await stage.arrive(own("ada@example.com", "w-2"))
    await stage.work()
    stage.pass_time(700)
    assert all(f"/{title.split()[-1]}/" in str(url) for _, title, url in shown(stage)), shown(stage)


async def test_a_known_person_who_is_gone_is_looked_up_again_once(sqlite: Database, clock: MovableClock) -> None:
    """1004 splits the request; whoever is there gets the e-mail, and the new lead is remembered."""
    stage = await set_stage(sqlite, clock)
    names = [f"p{n}@example.com" for n in range(8)]
    talk = Webinar("w-1", "Talk w-1", "https://meet.example.com/1")
    await stage.arrive(*(Registered(Person(name), talk) for name in names))
    await stage.work()
    old = stage.marketo.people["p3@example.com"][0].lead_id
    stage.marketo.gone = {old}
    stage.marketo.people["p3@example.com"] = [FoundPerson(LeadId(77), "p3@example.com", None)]
    for number in (2, 3):
        again = replace(talk, id=f"w-{number}", title=f"Talk w-{number}")
        await stage.arrive(*(Registered(Person(name), again) for name in names))
        await stage.work()
    assert await stage.states() == {SENT: 24}
    assert stage.marketo.sizes(Endpoint.SYNC) == [8, 1]
    assert Counter(mail.lead for mail in stage.marketo.mails)[77] == 2
    assert stage.marketo.sizes(Endpoint.TRIGGER)[-1] == 8


async def test_halves_never_upsert_one_person_twice(sqlite: Database, clock: MovableClock) -> None:
    """Ada's two registrations stand together when a call is split for somebody else's sake."""
    ticks = Ticks()
    marketo = SimulatedMarketo(ticks, poisonous={"bob@example.com"})
    stage = await set_stage(sqlite, clock, marketo=marketo, ticks=ticks)
    await stage.arrive(*(own("ada@example.com", f"w-{n}") for n in range(3)), own("bob@example.com"))
    await stage.work()
    assert await stage.states() == {SENT: 3, DEAD: 1}
    assert marketo.broken_rules == []


async def test_a_second_process_waits_for_a_killed_ones_upsert(sqlite: Database, clock: MovableClock) -> None:
    """It may still run in Marketo; others are not held up by it."""
    first = await field_stage(sqlite, clock)
    first.marketo.gate = asyncio.Event()
    await first.arrive(own("ada@example.com"))
    await first.sender.step()
    await until(lambda: len(first.marketo.requests) == 1)
    for task in first.sender._running:
        task.cancel()  # as a kill: nothing is written any more
    first.pass_time(20)
    await first.lease.give_back()
    second = await set_stage(sqlite, clock, judge=FIELD_MODE, marketo=first.marketo, ticks=first.ticks)
    await take_over(sqlite, fence=second.lease.fence, on_ambiguous="retry", now=clock())
    first.marketo.gate = None
    first.marketo._upserting["ada@example.com"] = first.ticks() + 12  # unknown to the second: it ends then
    await second.arrive(own("ada@example.com", "w-2"), own("bob@example.com"))
    await second.work(at_most=timedelta(seconds=10))
    assert await second.states() == {NEW: 2, SENT: 1}
    await second.work()
    assert await second.states() == {SENT: 3}
    assert second.marketo.broken_rules == []
    assert shown(second) == wanted(("ada@example.com", "w-1"), ("ada@example.com", "w-2"), ("bob@example.com", "w-1"))


async def test_an_upsert_whose_answer_was_lost_is_given_time_to_end(sqlite: Database, clock: MovableClock) -> None:
    """Marketo may still be at it; it is repeated then, and the person is one."""
    stage = await field_stage(sqlite, clock)
    stage.marketo.faults = [failure(Endpoint.SYNC, "502", "lost")]
    await stage.arrive(own("ada@example.com"))
    await stage.work()
    assert shown(stage) == wanted(("ada@example.com", "w-1"))
    assert stage.marketo.broken_rules == []


@pytest.mark.parametrize("judge", [JUDGE, FIELD_MODE], ids=["tokens", "fields"])
@given(
    arrivals=st.lists(
        st.tuples(st.sampled_from("abcde"), st.sampled_from(["w-1", "w-2", "w-3"]), st.sampled_from([0, 0, 1, 7, 700])),
        max_size=12,
    ),
)
@settings(max_examples=10, deadline=None)
def test_everybody_gets_their_own_link_once(judge: Judge, arrivals: list[tuple[str, str, int]]) -> None:
    """One person in several webinars, or twice in one batch: all is right."""
    asyncio.run(_own_links(judge, arrivals))


async def _own_links(judge: Judge, arrivals: list[tuple[str, str, int]]) -> None:
    clock = MovableClock(datetime(2026, 11, 23, 12, 0, tzinfo=UTC))
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{Path(folder) / 'relay.db'}")
        await make_tables(database)
        stage = await set_stage(database, clock, judge=judge)
        for name, webinar, seconds in arrivals:
            await stage.arrive(own(f"{name}@example.com", webinar))
            if seconds:
                await stage.work(at_most=timedelta(seconds=20))
                stage.pass_time(seconds)
        await stage.work()
        stage.pass_time(301)
        assert stage.marketo.broken_rules == []
        assert shown(stage) == wanted(*{(f"{name}@example.com", webinar) for name, webinar, _ in arrivals})
        await database.close()
