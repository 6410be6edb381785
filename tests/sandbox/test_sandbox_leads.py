"""The simulated people: what is saved, what is skipped, and how careless upserts make duplicates."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from app.sandbox import seed
from tests.sandbox.account import Account, Gate, code, opened, reason


async def found(account: Account, email: str) -> list[dict[str, Any]]:
    answer = await account.marketo("GET", "/v1/leads.json", params={"filterType": "email", "filterValues": email})
    records: list[dict[str, Any]] = answer["result"]
    return records


async def test_outcomes_come_in_the_order_of_the_input(account: Account) -> None:
    lead = await account.lead("b@example.com")
    answer = await account.sync({"email": "a@example.com"}, {"email": "B@example.com"}, {"email": "c@example.com"})
    assert [outcome["status"] for outcome in answer["result"]] == ["created", "updated", "created"]
    assert answer["result"][1]["id"] == lead, "addresses are compared without regard to case"


async def test_two_upserts_of_one_key_in_flight_make_two_people() -> None:
    """The reason why the relay has one leader. Afterwards an upsert of that address is refused (1007)."""
    gate = Gate()
    async with opened(sleep=gate) as account:
        world = account.simulation.world
        token = world.tokens.issue(seed.CLIENT_ID, seed.CLIENT_SECRET, world.now())
        assert token
        account.bearer = {"Authorization": f"Bearer {token.text}"}
        syncs = [asyncio.create_task(account.sync({"email": "ada@example.com"})) for _ in range(2)]
        await gate.until(2)
        gate.open()
        first, second = [answer["result"][0] for answer in await asyncio.gather(*syncs)]
        assert first["id"] != second["id"]
        assert await account.violations() == ["concurrent_upsert"]
        assert len(await found(account, "ada@example.com")) == 2
        account.clock.move(timedelta(seconds=60))
        assert reason(await account.sync({"email": "ada@example.com"})) == "1007"


async def test_a_slow_upsert_collides_with_one_that_ended_long_after_it_began(account: Account) -> None:
    """In flight is in flight, however long it takes."""
    people = account.simulation.world.people
    began = account.clock()
    assert not people.collides("email", "a@example.com", began, began + timedelta(seconds=1))
    assert people.collides("email", "a@example.com", began, began + timedelta(seconds=90))


async def test_two_upserts_closer_than_three_seconds_make_two_people(account: Account) -> None:
    await account.sync({"email": "ada@example.com"})
    account.clock.move(timedelta(seconds=2.9))
    await account.sync({"email": "ada@example.com"})
    assert await account.violations() == ["concurrent_upsert"]
    assert (await account.seen("stats"))["duplicatePeople"] == 1


async def test_an_upsert_three_seconds_later_updates(account: Account) -> None:
    first = await account.sync({"email": "ada@example.com"})
    account.clock.move(timedelta(seconds=3))
    second = await account.sync({"email": "ada@example.com", "firstName": "Ada"})
    assert second["result"] == [{"id": first["result"][0]["id"], "status": "updated"}]
    assert await account.violations() == []


async def test_one_key_twice_in_a_call_makes_two_people(account: Account) -> None:
    await account.sync({"email": "ada@example.com"}, {"email": "ADA@example.com"})
    assert await account.violations() == ["duplicate_key_in_call"]
    assert len(await found(account, "ada@example.com")) == 2


@pytest.mark.parametrize(
    "record",
    [
        {"email": "ü@example.com"},
        {"email": "ada@exämple.com"},
        {"email": "ada"},
        {"email": "a b@example.com"},
        {"email": "ada@example.com", "firstName": "x" * 256},
        {"firstName": "Nobody"},
        {"email": ""},
    ],
)
async def test_bad_data_skips_one_record_with_1003(account: Account, record: dict[str, str]) -> None:
    """Its neighbours in the same call are saved."""
    answer = await account.sync({"email": "first@example.com"}, record, {"email": "last@example.com"})
    assert reason(answer, 1) == "1003"
    assert [answer["result"][i]["status"] for i in (0, 2)] == ["created", "created"]


async def test_a_value_of_the_wrong_type_skips_one_record_with_1001(account: Account) -> None:
    assert reason(await account.sync({"email": "a@example.com", "firstName": 7})) == "1001"
    assert reason(await account.sync({"email": "b@example.com", "unsubscribed": "yes"})) == "1001"
    assert (await account.sync({"email": "c@example.com", "unsubscribed": True, "lastName": None}))["result"][0]["id"]


async def test_fields_that_are_unknown_or_not_ours_to_set_are_1006(account: Account) -> None:
    """Company fields cannot be set by Sync Leads, nor what Marketo itself writes."""
    for name in ("favouriteColour", "company", "createdAt", "id"):
        assert code(await account.sync({"email": "a@example.com", name: "x"})) == "1006"
    assert await found(account, "a@example.com") == [], "the whole call was refused"


async def test_a_call_takes_at_most_300_people(account: Account) -> None:
    records = [{"email": f"p{n}@example.com"} for n in range(301)]
    assert code(await account.sync(*records)) == "1003"
    assert len((await account.sync(*records[:300]))["result"]) == 300


async def test_a_call_without_people_is_1002(account: Account) -> None:
    assert code(await account.sync()) == "1002"
    assert code(await account.marketo("POST", "/v1/leads.json", json={})) == "1002"


async def test_actions_do_what_they_say(account: Account) -> None:
    lead = await account.lead("known@example.com")
    known, stranger = {"email": "known@example.com"}, {"email": "stranger@example.com"}
    assert reason(await account.sync(known, action="createOnly")) == "1005"
    assert reason(await account.sync(stranger, action="updateOnly")) == "1004"
    updated = await account.sync({"id": lead, "firstName": "K"}, action="updateOnly", lookupField="id")
    assert updated["result"] == [{"id": lead, "status": "updated"}]
    assert (await account.sync(known, action="createDuplicate"))["result"][0]["status"] == "created"
    assert code(await account.sync(known, action="destroy")) == "1003"


async def test_lookup_fields_and_partitions_must_exist(account: Account) -> None:
    own = await account.sync({"externalId": "x-1"}, lookupField="externalId")
    assert own["result"][0]["status"] == "created"
    assert code(await account.sync({"firstName": "x"}, lookupField="firstName")) == "1011"
    assert code(await account.sync({"email": "a@example.com"}, partitionName="Nowhere")) == "1009"
    assert (await account.sync({"email": "a@example.com"}, partitionName="Default"))["success"]


async def test_everyone_who_shares_an_address_is_found_newest_first(account: Account) -> None:
    """So that a client which takes the first, or leans on the order of its question, is wrong."""
    for _ in range(2):
        await account.http.post("/sandbox/marketo/people", json={"email": "twin@example.com"})
    await account.lead("ada@example.com")
    records = await found(account, "ada@example.com,twin@example.com,nobody@example.com")
    assert [record["email"] for record in records] == ["ada@example.com", "twin@example.com", "twin@example.com"]
    assert [record["id"] for record in records] == sorted((record["id"] for record in records), reverse=True)


async def test_fields_are_given_as_asked(account: Account) -> None:
    lead = await account.lead("ada@example.com", webinarJoinLink="https://x.example")
    query = {"filterType": "id", "filterValues": str(lead), "fields": f"email,{seed.JOIN_LINK_FIELD},updatedAt"}
    [record] = (await account.marketo("GET", "/v1/leads.json", params=query))["result"]
    assert record == {
        "id": lead,
        "email": "ada@example.com",
        "webinarJoinLink": "https://x.example",
        "updatedAt": "2026-11-23T12:00:00Z",
    }
    assert code(await account.marketo("GET", "/v1/leads.json", params={**query, "fields": "shoeSize"})) == "1006"


async def test_a_filter_takes_at_most_300_values(account: Account) -> None:
    many = ",".join(f"{n}@e.io" for n in range(301))
    query = {"filterType": "email", "filterValues": many}
    assert code(await account.marketo("GET", "/v1/leads.json", params=query)) == "1003"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"filterValues": "a@example.com"}, "1002"),
        ({"filterType": "email"}, "1002"),
        ({"filterType": "firstName", "filterValues": "Ada"}, "1003"),
        ({"filterType": "email", "filterValues": "a@example.com", "batchSize": "many"}, "1001"),
        ({"filterType": "email", "filterValues": "a@example.com", "nextPageToken": "made up"}, "1003"),
    ],
)
async def test_a_filter_that_cannot_be_is_refused(account: Account, query: dict[str, str], expected: str) -> None:
    assert code(await account.marketo("GET", "/v1/leads.json", params=query)) == expected


async def test_pages_are_followed_by_a_token(account: Account) -> None:
    """At most 300 people a page; over 1,000 matches are refused."""
    people, now = account.simulation.world.people, account.clock()
    for _ in range(700):
        people.create({"email": "crowd@example.com"}, now)
    query, seen, pages = {"filterType": "email", "filterValues": "crowd@example.com"}, set(), 0
    while True:
        answer = await account.marketo("GET", "/v1/leads.json", params=query)
        seen |= {record["id"] for record in answer["result"]}
        pages += 1
        if "nextPageToken" not in answer:
            break
        assert answer["moreResult"]
        query["nextPageToken"] = answer["nextPageToken"]
    assert (len(seen), pages) == (700, 3)
    for _ in range(301):
        people.create({"email": "crowd@example.com"}, now)
    del query["nextPageToken"]
    assert code(await account.marketo("GET", "/v1/leads.json", params=query)) == "1003"


async def test_a_person_who_changes_the_address_is_found_by_the_new_one(account: Account) -> None:
    lead = await account.lead("old@example.com")
    await account.sync({"id": lead, "email": "new@example.com"}, action="updateOnly", lookupField="id")
    assert await found(account, "old@example.com") == []
    assert [record["id"] for record in await found(account, "new@example.com")] == [lead]


async def test_of_two_people_who_share_an_address_one_can_be_taken_away(account: Account) -> None:
    one, two = [
        (await account.http.post("/sandbox/marketo/people", json={"email": "twin@example.com"})).json()["id"]
        for _ in range(2)
    ]
    await account.http.delete(f"/sandbox/marketo/people/{one}")
    assert [record["id"] for record in await found(account, "twin@example.com")] == [two]


async def test_people_can_be_put_there_and_taken_away(account: Account) -> None:
    made = await account.http.post("/sandbox/marketo/people", json={"email": "a@example.com", "firstName": "A"})
    assert made.status_code == 201
    lead = made.json()["id"]
    assert (await account.http.post("/sandbox/marketo/people", json={"shoeSize": 4})).status_code == 422
    assert (await account.http.delete(f"/sandbox/marketo/people/{lead}")).json() == {"deleted": True}
    assert (await account.http.delete(f"/sandbox/marketo/people/{lead}")).json() == {"deleted": False}
    assert await found(account, "a@example.com") == []
