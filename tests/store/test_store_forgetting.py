"""Whoever asks to be forgotten is, over every table; and others are not."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from app.domain import EventState, LeadId, RegistrationState, is_email
from app.store.claims import CallResult
from app.store.database import Database
from app.store.drafts import Draft
from app.store.events import EventFate
from app.store.forgetting import Forgetting, names
from app.store.hearsay import hear, marks
from app.store.lookup import Lookup
from app.store.people import People, remember
from app.store.registrations import Meaning, Registrations
from app.store.retention import Retention, blank_events
from app.store.sending import Sending
from app.store.spelling import spelt
from app.store.tables import calls, events, people
from tests.conftest import MovableClock
from tests.store.given import (
    DONE,
    FENCE,
    accept,
    batch,
    claimed_event,
    draft,
    ended,
    fate,
    new_event,
    record,
    seen,
    sending,
)
from tests.store.test_store_plans import plans, reads_all, written_down
from tests.store.test_store_retention import everything


async def registered_by(database: Database, clock: MovableClock, body: bytes, *drafts: Draft) -> str:
    """Let a webhook with this body mean these registrations; return its id."""
    event = await claimed_event(database, clock())
    async with database.write() as connection:
        await connection.execute(update(events).where(events.c.id == event.id).values(body=body))
    meant = EventFate(event, EventState.MAPPED, fetched={"order": body.decode()})
    await Registrations(database).record([Meaning(meant, drafts)], fence=FENCE, now=clock())
    return event.id


async def test_every_trace_of_a_person_is_removed(database: Database, clock: MovableClock) -> None:
    """Registrations, timelines, webhooks, the memory of the lead."""
    one = await ended(database, clock(), state="sent")
    await registered_by(database, clock, b'{"email": "Ada@Example.com"}', draft(clock(), webinar="w-2"))
    memory = People(database)
    await memory.prepare()
    async with database.write() as connection:
        await remember(database, connection, {memory.hashed("ada@example.com"): LeadId(7)}, clock())
    certificate = await Forgetting(database).forget("ADA@example.com", now=clock())
    assert (certificate.registrations, certificate.webhooks_blanked, certificate.remembered_people) == (2, 2, 1)
    assert (certificate.timeline_entries, certificate.left_under_way) == (3, [])
    assert "ada@" not in await everything(database)
    assert await Lookup(database).registration(one) is None
    assert not await Forgetting(database).traces("ada@example.com")
    async with database.read() as connection:
        assert (await connection.execute(select(people))).all() == []


async def test_others_keep_theirs(database: Database, clock: MovableClock) -> None:
    """Only the webhook that named both is blanked, since nobody can tell what of it is whose."""
    both = [draft(clock()), draft(clock(), "bob@example.com")]
    order = await registered_by(database, clock, b'["ada@example.com", "bob@example.com"]', *both)
    his = await registered_by(database, clock, b'"bob@example.com"', draft(clock(), "bob@example.com", "w-2"))
    await Forgetting(database).forget("ada@example.com", now=clock())
    bob = await Lookup(database).registration(both[1].id)
    assert bob is not None
    assert (bob.email, bob.timeline[0].detail) == ("bob@example.com", "A webhook registered this person.")
    bodies = [event.body for event in (await Lookup(database).event(order), await Lookup(database).event(his)) if event]
    assert bodies == [b"", b'"bob@example.com"']


async def test_looking_removes_nothing(database: Database, clock: MovableClock) -> None:
    await ended(database, clock(), state="sent")
    before = await everything(database)
    found = await Forgetting(database).traces("ada@example.com")
    assert (len(found.registrations), found.timeline_entries, len(found.webhooks)) == (1, 2, 1)
    assert await everything(database) == before


async def test_who_was_purged_is_found_by_the_hash_that_was_left(database: Database, clock: MovableClock) -> None:
    """Their address is gone, the outcome is still theirs."""
    one = await ended(database, clock(), state="sent")
    clock.move(timedelta(days=31))
    await Retention(database, keep=timedelta(days=30)).step(clock())
    assert (await Forgetting(database).forget("Ada@example.com", now=clock())).registrations == 1
    assert await Lookup(database).registration(one) is None


async def test_who_was_registered_by_number_too_is_found_by_the_address(
    database: Database, clock: MovableClock
) -> None:
    """The lead that the address was found to be."""
    await ended(database, clock(), state="sent")
    by_number = draft(clock(), "", person_key="lead:7", lead_id=7, webinar_id="w-3", state=RegistrationState.DEAD)
    await record(database, clock(), by_number)
    assert (await Forgetting(database).forget("ada@example.com", now=clock())).registrations == 2
    assert not await Forgetting(database).traces("lead:7")


async def copying(database: Database, clock: MovableClock, **changes: Any) -> tuple[str, str]:
    """Let a webhook that names Zoe register Bob, with her address in what he is sent; return both ids."""
    tokens = {"WebinarTitle": "Hi Zoe.Quux@example.com", "Friend": "Zoe Quuxington zoe.quux@example.com", "Hall": "7"}
    given = {"webinar_key": spelt(tokens["WebinarTitle"]), "tokens": tokens, "batch_key": "key of w-1", "lead_id": 7}
    bobs = draft(clock(), "bob@example.com", **given | changes)
    event = await registered_by(database, clock, json.dumps(tokens).encode(), bobs)
    return bobs.id, event


async def test_what_others_copied_from_the_webhook_is_blanked(database: Database, clock: MovableClock) -> None:
    """Bob keeps his registration, and what of it does not hold the address; he may share no request by what it held."""
    own = {
        "state": RegistrationState.DEAD,
        "webinar_id": "Hi zoe.quux@example.com",
        "last_name": "(zoe.quux@example.com)",
    }
    bob, event = await copying(database, clock, **own)
    async with database.write() as connection:
        await blank_events(connection, [event])  # its time may be over before that of the registration
    assert (await Forgetting(database).traces("zoe.quux@example.com")).copies == [bob]
    certificate = await Forgetting(database).forget("zoe.quux@example.com", now=clock())
    assert (certificate.copies_blanked, certificate.registrations, certificate.left_under_way) == (1, 0, [])
    left = await seen(database, bob)
    assert left.tokens == {"WebinarTitle": "", "Friend": "", "Hall": "7"}
    assert (left.email, left.first_name, left.last_name) == ("bob@example.com", "Ada", None)
    told = (await everything(database)).lower()
    assert "quux" not in told
    assert "key of w-1" not in told
    assert not await Forgetting(database).traces("zoe.quux@example.com")


async def test_a_webinar_that_names_the_person_is_blanked_after_the_purge_too(
    database: Database, clock: MovableClock
) -> None:
    """What became of a registration stays for good, and with it for which webinar it was."""
    await copying(database, clock, state=RegistrationState.DEAD, webinar_id="Hi zoe.quux@example.com")
    clock.move(timedelta(days=31))
    await Retention(database, keep=timedelta(days=30)).step(clock())
    assert "quux" in await everything(database)
    assert (await Forgetting(database).forget("zoe.quux@example.com", now=clock())).copies_blanked == 1
    assert "quux" not in await everything(database)


async def test_what_is_still_to_be_sent_to_others_is_left_and_told(database: Database, clock: MovableClock) -> None:
    """Its e-mail would lack its title. It is found again once it is sent, though its webhook is blank by then."""
    bob, _ = await copying(database, clock, state=RegistrationState.KNOWN)
    certificate = await Forgetting(database).forget("zoe.quux@example.com", now=clock())
    assert (certificate.left_under_way, certificate.copies_blanked, certificate.webhooks_blanked) == ([bob], 0, 1)
    call = await batch(database, clock())
    assert call is not None
    (registration,) = call.registrations
    assert registration.tokens["WebinarTitle"] == "Hi Zoe.Quux@example.com"
    end = fate(registration, RegistrationState.SENT)
    await Sending(database).settle(call, DONE, [end], fence=FENCE, now=clock())
    certificate = await Forgetting(database).forget("zoe.quux@example.com", now=clock())
    assert (certificate.left_under_way, certificate.copies_blanked) == ([], 1)
    assert "quux" not in (await everything(database)).lower()


async def test_what_holds_anothers_address_stays(database: Database, clock: MovableClock) -> None:
    """Of which hers is only the end."""
    bob, _ = await copying(database, clock, state=RegistrationState.DEAD)
    assert (await Forgetting(database).forget("quux@example.com", now=clock())).copies_blanked == 0
    assert (await seen(database, bob)).tokens["WebinarTitle"] == "Hi Zoe.Quux@example.com"


async def test_who_is_asked_for_by_lead_is_found_with_the_addresses(database: Database, clock: MovableClock) -> None:
    """`relay show` tells the lead's number of whoever registered by address; what was purged is found with it."""
    old = await ended(database, clock(), state="sent")
    clock.move(timedelta(days=31))
    await Retention(database, keep=timedelta(days=30)).step(clock())
    new = draft(clock(), webinar="w-2", lead_id=1002201)
    await registered_by(database, clock, b"{}", new)
    await registered_by(database, clock, b'"ADA@example.com"')
    assert (await seen(database, new.id)).lead_id == 1002201
    certificate = await Forgetting(database).forget("lead:1002201", now=clock())
    assert (certificate.registrations, certificate.webhooks_blanked) == (2, 2)
    assert "ada@" not in (await everything(database)).lower()
    assert await Lookup(database).registration(old) is None
    assert not await Forgetting(database).traces("ada@example.com")


async def test_a_lead_that_is_only_remembered_is_found(database: Database, clock: MovableClock) -> None:
    """Its registration may not be known to be the lead's: the hash of its address is."""
    memory = People(database)
    await memory.prepare()
    await record(database, clock(), draft(clock()), draft(clock(), "bob@example.com"))
    async with database.write() as connection:
        await remember(database, connection, {memory.hashed("ada@example.com"): LeadId(7)}, clock())
    certificate = await Forgetting(database).forget("lead:7", now=clock())
    assert (certificate.registrations, certificate.remembered_people) == (1, 1)
    assert "ada@" not in await everything(database)
    assert "bob@" in await everything(database)
    assert not await Forgetting(database).traces("lead:7")


async def test_what_is_under_way_is_left_and_told(database: Database, clock: MovableClock) -> None:
    """A campaign that is requested right now must be settled first."""
    call = await sending(database, clock())
    waiting = new_event(clock())
    await accept(database, waiting)
    async with database.write() as connection:
        await connection.execute(update(events).where(events.c.id == waiting.id).values(body=b'"ada@example.com"'))
    certificate = await Forgetting(database).forget("ada@example.com", now=clock())
    assert certificate.left_under_way == sorted([call.registrations[0].id, waiting.id])
    assert (certificate.registrations, (await Lookup(database).event(waiting.id) or waiting).body) == (
        0,
        b'"ada@example.com"',
    )


async def refused_together(database: Database, clock: MovableClock, said: str) -> tuple[str, list[str]]:
    """Let Marketo refuse a request for Ada and Bob with this message; return its call, and their registrations."""
    known = {"state": RegistrationState.KNOWN, "last_name": "Lovelace"}
    ada = draft(clock(), lead_id=1002207, **known)
    bob = draft(clock(), "bob@example.com", lead_id=1002208, **known | {"last_name": "Byron"})
    await record(database, clock(), ada, bob)
    call = await batch(database, clock())
    assert call is not None
    sentence = f"Marketo 1004: {said}."
    fates = [fate(one, RegistrationState.DEAD, detail=sentence) for one in call.registrations]
    result = CallResult("refused", code="1004", message=said)
    await Sending(database).settle(call, result, fates, fence=FENCE, now=clock())
    return call.id, [ada.id, bob.id]


@pytest.mark.parametrize("said", ["Lead #1002207 not found", "'LOVELACE' is no name", "<ada@example.com> is bad"])
async def test_what_marketo_said_of_a_person_goes_wherever_it_stands(
    database: Database, clock: MovableClock, said: str
) -> None:
    """Bob was in the same request, and was told the same."""
    _, (_, bob) = await refused_together(database, clock, said)
    found = await Forgetting(database).traces("ada@example.com")
    assert len(found.hearsay) == 2
    assert (await Forgetting(database).forget("ada@example.com", now=clock())).sentences_blanked == 2
    assert said.lower() not in await everything(database)
    left = await seen(database, bob)
    assert (left.email, left.state, left.detail) == ("bob@example.com", RegistrationState.DEAD, None)
    assert [(entry.what, bool(entry.detail)) for entry in left.timeline] == [("registered", True), ("to dead", False)]
    assert not await Forgetting(database).traces("ada@example.com")


async def test_what_names_nobody_stays_with_the_others(database: Database, clock: MovableClock) -> None:
    """Only the call itself, which the person's timeline named, is silent then."""
    _, (_, bob) = await refused_together(database, clock, "Lead 10022070 or Adalovelace not found")
    assert (await Forgetting(database).forget("ada@example.com", now=clock())).sentences_blanked == 1
    assert (await seen(database, bob)).detail == "Marketo 1004: Lead 10022070 or Adalovelace not found."
    async with database.read() as connection:
        assert set((await connection.execute(select(calls.c.message))).scalars()) == {None}


async def test_a_call_that_no_timeline_names_is_silenced_when_it_names_the_person(
    database: Database, clock: MovableClock
) -> None:
    """As one that was halved, long ago or just now, among many others."""
    await ended(database, clock(), state="sent")
    row = {"kind": "trigger", "size": 2, "fence": FENCE, "started_at": clock(), "message": "Max rate limit exceeded"}
    rows = [row | {"id": f"call_{number:04}"} for number in range(1001)]
    rows[0] |= {"message": "Lead 7 not found"}
    rows[500] |= {"message": "Lead 7 is gone", "started_at": clock() - timedelta(days=1)}
    rows[1000] |= {"message": "Lead [7] not found"}
    async with database.write() as connection:
        await connection.execute(insert(calls), rows)
    found = await Forgetting(database).traces("lead:7")
    assert found.hearsay.calls == ["call_0000", "call_0500", "call_1000"]
    assert (await Forgetting(database).forget("ada@example.com", now=clock())).sentences_blanked == 3
    async with database.read() as connection:
        said = await connection.execute(select(calls.c.message).where(calls.c.message.is_not(None)).distinct())
        assert list(said.scalars()) == ["Max rate limit exceeded"]


async def test_sentences_about_a_person_are_found_by_indexes(database: Database, clock: MovableClock) -> None:
    """Beside a million timelines; only what was said is read whole, and that for no longer than it is kept."""
    await refused_together(database, clock, "Lead 1002207 not found")
    with written_down() as statements:
        await hear(database, ["reg_1"], marks(["ada@example.com"], [1002207], []))
    for statement, plan in await plans(database, statements):
        assert not reads_all(plan, is_sqlite=database.is_sqlite), f"{statement}\n{plan}"


async def test_an_ignored_webhook_that_names_the_person_is_blanked(database: Database, clock: MovableClock) -> None:
    """Nobody was registered by it, yet the address stands there; many webhooks are looked through."""
    ids: Sequence[str] = await accept(database, *(new_event(clock()) for _ in range(1100)))
    async with database.write() as connection:
        settled = {"state": "ignored", "settled_at": clock()}
        await connection.execute(update(events).values(settled))
        body = b'{"email": "\\u0061da@example.com"}'
        await connection.execute(update(events).where(events.c.id == sorted(ids)[-1]).values(body=body))
    assert (await Forgetting(database).forget("ada@example.com", now=clock())).webhooks_blanked == 1


@pytest.mark.parametrize(
    ("body", "fetched", "is_named"),
    [
        (b'{"to": "ADA@example.com"}', None, True),
        (b'{"to": "nada@example.com"}', None, False),
        (b'{"to": "grace.ada@example.com"}', None, False),
        (b'{"to": "ada@example.com.au"}', None, False),
        (b'{"to": "ada@example.community"}', None, False),
        (b'{"to": "nada@example.com, ada@example.com"}', None, True),
        (b'{"text": "Write to ada@example.com."}', None, True),
        (b'{"text": "Hello,\\nada@example.com"}', None, True),
        (b"text=\\nada@example.com, which is no JSON", None, True),
        (b"to=%22ada%40example.com%22", None, True),
        (b"{'to': 'ada@example.com'}", None, True),
        (b"\\ no JSON", {"email": "ada@example.com"}, True),
        (b"{}", {"guests": [{"ada@example.com": 1}]}, True),
        (b"{}", {"email": "nada@example.com"}, False),
        (b'"\\u0061da@example.com"', None, True),
        (b"{}", {"attendees": [{"email": "Ada@Example.com"}]}, True),
        (b'"\\u0061 and no JSON', None, False),
        (b"\xff\xfe", None, False),
        (b'{"text": "Write to \'ada@example.com\'"}', None, True),
        (b'{"text": "\'ada@example.com\'"}', None, True),
        (b'{"text": "{ada@example.com}"}', None, True),
        (b'{"from": "Ada <ada@example.com>"}', None, True),
        (b'{"to": " ada@example.com "}', None, True),
        (b'{"link": "https://example.com/?email=ada@example.com"}', None, True),
        (b'{"link": "?email=ada@example.com"}', None, True),
        (b'{"link": "/people/ada@example.com"}', None, True),
        (b'{"form": "email=ada@example.com"}', None, True),
        (b'{"form": "a=%26&email=ada%40example.com"}', None, True),
        (b'{"form": "o%27ada%40example.com"}', None, False),
        (b'{"to": "ada@example.com", "to": "bob@example.com"}', None, True),
        (b'{"ada@example.com": 1}', None, True),
        (b"{}", {"email": "o'ada@example.com"}, False),
        (b'"bob@example.com"', {}, False),
    ],
)
def test_an_address_is_found_however_it_is_spelt(body: bytes, fetched: object, is_named: bool) -> None:
    assert names("ada@example.com", body, fetched) is is_named


@pytest.mark.parametrize("character", "!#$%&'*+?^_`{|}~.-")
def test_whose_address_ends_in_anothers_keeps_the_webhook(character: str) -> None:
    """Marketo takes all of these in an address, and so does the relay."""
    other = f"o{character}ada@example.com"
    assert is_email(other)
    assert not names("ada@example.com", json.dumps({"email": other}).encode(), None)
    assert names(other, json.dumps({"email": other}).encode(), None)


@pytest.mark.parametrize("character", "=/")
def test_what_may_be_a_field_or_a_path_is_blanked_as_well(character: str) -> None:
    """To blank too much is a nuisance, to leave an address a breach."""
    assert names("ada@example.com", json.dumps({"link": f"o{character}ada@example.com"}).encode(), None)
