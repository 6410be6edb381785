"""Links of one's own, with the real processes: few calls, and everybody gets their own, whatever happens meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import Any

import httpx
import pytest

from app.sandbox import seed
from tests.e2e.conftest import StartRelay
from tests.e2e.harness import Relay, Sandbox, until

pytestmark = pytest.mark.no_cover  # under a tracer it takes three times as long, and each part has tests of its own

FIELD_MODE = {"MARKETO_JOIN_LINK_FIELD": seed.JOIN_LINK_FIELD, "MARKETO_CAMPAIGN_ID": str(seed.LINK_FIELD_CAMPAIGN_ID)}
PEOPLE = 100
MOST_CALLS = 1.1 * (ceil(PEOPLE / 300) + ceil(PEOPLE / 100))


def link(person: str, webinar: str) -> str:
    return f"https://meet.example.com/{webinar}?tk={person}"


def body(person: str, webinar: str = "w-1") -> dict[str, object]:
    talk = {"id": webinar, "title": f"Talk {webinar}", "joinLink": link(person, webinar)}
    return {"email": person, "firstName": "Ada", "webinar": talk}


def send(relay: Relay, *bodies: dict[str, object]) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert {answer.status_code for answer in pool.map(relay.send, bodies)} == {202}


def emails(sandbox: Sandbox, count: int, *, within: float = 40) -> list[dict[str, Any]]:
    """Wait for this many e-mails, and return all."""
    until(lambda: len(sandbox.get("emails")) >= count, within=within, what=f"{count} e-mails")
    found: list[dict[str, Any]] = sandbox.get("emails")
    assert len(found) == count
    return found


def calls(sandbox: Sandbox, kind: str) -> int:
    """Return how many calls of this kind were carried out."""
    return int(sandbox.get("stats")["outcomes"].get(kind, {}).get("ok", 0))


def test_a_hundred_links_of_ones_own_cost_as_much_as_one(start: StartRelay, sandbox: Sandbox) -> None:
    """The link travels in the upsert, so the campaign request is one for all."""
    people = [f"p{n}@example.com" for n in range(PEOPLE)]
    sandbox.fault(match="sync", kind="slow:10", times=1)  # the others register while one is upserted
    relay = start(**FIELD_MODE, MARKETO_MAX_IN_FLIGHT="1")
    send(relay, body("first@example.com", "w-0"))
    until(lambda: sandbox.get("stats")["inFlight"]["now"] == 1, what="the first to be upserted")
    send(relay, *map(body, people))
    until(lambda: len(relay.registrations(webinar="w-1", state="new")) == PEOPLE, what="everybody to be registered")
    shown = {email["to"]: email["tokens"]["JoinLink"] for email in emails(sandbox, PEOPLE + 1)}
    assert shown == {person: link(person, "w-1") for person in people} | {
        "first@example.com": link("first@example.com", "w-0")
    }
    assert calls(sandbox, "sync") + calls(sandbox, "trigger") - 2 <= MOST_CALLS
    assert sandbox.get("violations") == []


def test_two_webinars_at_once_show_their_own_links(start: StartRelay, sandbox: Sandbox) -> None:
    """The field holds one link; who registers for a second webinar gets that one by token. Both are sent at once."""
    relay = start(**FIELD_MODE)
    send(relay, *(body(f"p{n}@example.com", webinar) for n in range(5) for webinar in ("w-1", "w-2", "w-3")))
    found = emails(sandbox, 15)
    for email in found:
        assert email["tokens"]["JoinLink"] == link(email["to"], email["tokens"]["WebinarTitle"].removeprefix("Talk "))
    assert len({(email["to"], email["tokens"]["JoinLink"]) for email in found}) == 15
    assert sum("JoinLink" not in email["passedTokens"] for email in found) == 5
    assert sandbox.get("violations") == []


def test_the_second_webinar_of_a_known_person_costs_one_call(start: StartRelay, sandbox: Sandbox) -> None:
    """Also after a restart: the lead is remembered, and looked up by nobody."""
    relay = start()
    send(relay, body("ada@example.com"))
    emails(sandbox, 1)
    relay.process.stop()
    send(start(), body("ada@example.com", "w-2"))
    emails(sandbox, 2)
    assert (calls(sandbox, "sync"), calls(sandbox, "trigger")) == (1, 2)


def test_a_person_who_is_gone_is_looked_up_again_once(start: StartRelay, sandbox: Sandbox) -> None:
    """1004 for one does not keep the others of that call."""
    relay = start()
    people = [f"p{n}@example.com" for n in range(8)]
    send(relay, *map(body, people))
    first = emails(sandbox, 8)
    httpx.delete(f"{sandbox.url}/sandbox/marketo/people/{first[0]['leadId']}", timeout=10).raise_for_status()
    one_link = {"joinLink": "https://meet.example.com/2", "id": "w-2", "title": "Talk w-2"}
    bodies: list[dict[str, object]] = [{"email": person, "webinar": one_link} for person in people]
    send(relay, *bodies)
    second = emails(sandbox, 16)[8:]
    assert sorted(email["to"] for email in second) == sorted(people)
    assert {email["leadId"] for email in second} - {email["leadId"] for email in first} != set()
    assert sandbox.get("violations") == []


def test_a_kill_during_an_upsert_makes_no_duplicate(start: StartRelay, sandbox: Sandbox) -> None:
    """The upsert may still run in Marketo: a second process waits for its end, and sends to others meanwhile."""
    sandbox.fault(match="sync", kind="slow:30", times=1)
    relay = start(**FIELD_MODE)
    send(relay, body("ada@example.com"))
    until(lambda: sandbox.get("stats")["inFlight"]["now"] == 1, what="the upsert to be under way")
    relay.process.kill()
    relay = start(**FIELD_MODE)
    until(lambda: "leading" in relay.process.output, within=40, what="the lease of the killed one to run out")
    send(relay, body("ada@example.com", "w-2"), body("bob@example.com"))
    assert relay.in_state("bob@example.com", "sent")
    until(lambda: sandbox.get("stats")["inFlight"]["now"] == 0, within=60, what="the first upsert to end")
    assert {one["state"] for one in relay.registrations(email="ada@example.com")} == {"new"}
    assert sandbox.get("violations") == []


def test_a_field_that_marketo_lacks_is_told_by_its_setting(start: StartRelay, sandbox: Sandbox) -> None:
    """1006 concerns everybody: nobody is dead, and a right setting lets all go on."""
    relay = start(**FIELD_MODE | {"MARKETO_JOIN_LINK_FIELD": "webinarLnk"})
    send(relay, body("ada@example.com"), body("bob@example.com"))
    until(lambda: "Correct MARKETO_JOIN_LINK_FIELD" in relay.process.output, what="the setting to be named")
    assert {one["state"] for one in relay.registrations()} == {"new"}
    relay.process.stop()
    start(**FIELD_MODE)
    found = emails(sandbox, 2)
    assert {email["to"]: email["tokens"]["JoinLink"] for email in found} == {
        person: link(person, "w-1") for person in ("ada@example.com", "bob@example.com")
    }
