"""Marketo at its worst, as far as the simulation can play it: everybody ends where they should, mailed once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.sandbox import seed
from tests.e2e.conftest import StartRelay
from tests.e2e.harness import Relay, Sandbox, environment, registration, start_relay, start_sandbox, until, web

pytestmark = pytest.mark.no_cover  # under a tracer it takes three times as long, and each part has tests of its own

PATIENCE = 60.0  # several relays and simulations share this machine
UNKNOWN_CAMPAIGN = 9999

# What passes by itself. None of it says that the request was carried out.
PASSING = ["code:601", "code:602", "code:604", "code:608", "code:611", "code:615", "code:713", "code:719"]
# After these nobody knows whether it was.
UNCERTAIN = ["http:500", "http:502", "http:502 html", "http:503", "cut"]
# And after these it was, though no answer says so.
DONE = ["lost", "half", "garbage"]


def a_registration(person: str) -> dict[str, object]:
    """Return a registration for a webinar of one's own, so that nobody shares a campaign request."""
    return registration(
        person, webinar={"id": person, "title": f"For {person}", "joinLink": "https://meet.example.com/1"}
    )


def ordered(sandbox: Sandbox, match: str, kind: str, person: str, *, times: int = 1) -> Callable[[], bool]:
    """Order a fault for the requests about one person; return what tells that it has happened."""
    sandbox.fault(match=match, kind=kind, times=times, contains=person)
    return lambda: any(f["contains"] == person and f["hits"] == times for f in sandbox.get("faults"))


def wait_for(relay: Relay, person: str, state: str = "sent") -> dict[str, Any]:
    return until(
        lambda: next((r for r in relay.registrations(email=person) if r["state"] == state), None),
        within=PATIENCE,
        what=f"{person} to be {state}",
    )


def timeline(relay: Relay, found: dict[str, Any]) -> list[str]:
    return [entry["what"] for entry in relay.api(f"registrations/{found['id']}")["timeline"]]


def emails(sandbox: Sandbox) -> list[str]:
    return sorted(email["to"] for email in sandbox.get("emails?html=false"))


# --- what passes by itself ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["sync", "trigger"])
def test_a_stumble_delays_one_person_and_harms_nobody(endpoint: str, start: StartRelay, sandbox: Sandbox) -> None:
    """One after another, each with a neighbour who comes before it is over. Everybody is mailed once.

    An upsert without an answer may run on for Marketo's 90 seconds: until then its person is left alone.
    """
    relay = start(MARKETO_ACTIVITY_DELAY_SECONDS="2")  # the simulation's
    kinds = [*PASSING, *UNCERTAIN, *DONE, "slow:1"]
    people = {f"person{n}@example.com": kind for n, kind in enumerate(kinds)}
    for person, kind in people.items():
        happened = ordered(sandbox, endpoint, kind, person)
        assert relay.send(a_registration(person)).status_code == 202
        until(happened, what=f"{kind} at {endpoint}")
        assert relay.send(a_registration(f"neighbour.of.{person}")).status_code == 202
        wait_for(relay, f"neighbour.of.{person}")
        if kind in PASSING:
            wait_for(relay, person)  # else it may share its next call with somebody whose answer is lost
    for person, kind in people.items():
        runs_on = endpoint == "sync" and kind in (*UNCERTAIN, *DONE)
        wait_for(relay, person, "new" if runs_on else "sent")
        assert len(sandbox.emails_to(person)) == (not runs_on), kind
        assert len(sandbox.emails_to(f"neighbour.of.{person}")) == 1, kind
    assert sandbox.get("stats")["duplicatePeople"] == 0
    assert sandbox.get("violations") == []


def test_a_refused_token_is_renewed_once_and_costs_no_time(relay: Relay, sandbox: Sandbox) -> None:
    """Somebody saved the custom service again (601), or the token ran out on the way (602)."""
    relay.send(a_registration("first@example.com"))
    wait_for(relay, "first@example.com")
    for number, way in enumerate(("revoke", "expire")):
        sandbox.post(f"marketo/tokens/{way}")
        relay.send(a_registration(f"after{number}@example.com"))
        found = wait_for(relay, f"after{number}@example.com")
        assert timeline(relay, found) == ["registered", "person found", "sent"]
    assert [call["code"] for call in sandbox.get("calls?kind=identity")] == ["ok"] * 3
    assert "paused" not in relay.process.output
    assert sandbox.get("violations") == []


def test_what_is_uncertain_is_left_to_a_person_where_one_wants_that(start: StartRelay, sandbox: Sandbox) -> None:
    """With `hold` nobody is ever mailed twice; what was certainly not carried out is sent all the same."""
    relay = start(MARKETO_ON_AMBIGUOUS="hold")
    held = {f"held{n}@example.com": kind for n, kind in enumerate(["http:502", "cut", "lost", "garbage"])}
    for person, kind in {"sure@example.com": "code:611", **held}.items():
        happened = ordered(sandbox, "trigger", kind, person)
        relay.send(a_registration(person))
        until(happened, what=kind)
        relay.send(a_registration(f"neighbour.of.{person}"))
        wait_for(relay, f"neighbour.of.{person}")
    wait_for(relay, "sure@example.com")
    for person, kind in held.items():
        found = wait_for(relay, person, "dead")
        assert (found["cause"], "activity log" in found["advice"]) == ("answer_lost", True)
        assert len(sandbox.emails_to(person)) == (kind in DONE), kind
    assert len(sandbox.emails_to("sure@example.com")) == 1
    assert sandbox.get("violations") == []


# --- what pauses the relay ---------------------------------------------------------------------------------------


@contextmanager
def stage(folder: Path, **more: str) -> Iterator[tuple[Relay, Sandbox]]:
    """A relay and a simulation of one's own, beside those of others."""
    folder.mkdir()
    sandbox = start_sandbox(folder)
    try:
        relay = start_relay(environment(sandbox.url, f"sqlite:///{folder / 'relay.db'}", **more), folder)
        try:
            yield relay, sandbox
        finally:
            relay.process.stop()
    finally:
        sandbox.process.stop()


def assert_paused(relay: Relay, code: str, *, scope: str = "marketo") -> None:
    """The relay says why nothing goes out, accepts all the same, and stays ready: a balancer must not turn away."""
    until(lambda: f"{scope}: {code}:" in relay.readiness()[1], within=PATIENCE, what=f"a pause for {code}")
    assert relay.readiness()[0] == 200
    assert relay.send(a_registration("meanwhile@example.com")).status_code == 202


def assert_all_sent(relay: Relay, sandbox: Sandbox, *people: str) -> None:
    for person in people:
        wait_for(relay, person)
    assert emails(sandbox) == sorted(people)
    assert sandbox.get("violations") == []


def revoked_credentials(folder: Path) -> None:
    """Everything, until somebody gives them back."""
    with stage(folder) as (relay, sandbox):
        relay.send(a_registration("first@example.com"))
        wait_for(relay, "first@example.com")
        sandbox.post("marketo/credentials/revoke")
        relay.send(a_registration("ada@example.com"))
        assert_paused(relay, "401")
        assert emails(sandbox) == ["first@example.com"]
        sandbox.post("marketo/credentials/restore")
        assert_all_sent(relay, sandbox, "first@example.com", "ada@example.com", "meanwhile@example.com")


def missing_permission(folder: Path) -> None:
    """The role lacks Execute Campaign: people are found, nobody is mailed, until somebody ticks the box."""
    with stage(folder) as (relay, sandbox):
        permit(sandbox, seed.ALL_PERMISSIONS - {seed.EXECUTE_CAMPAIGN})
        relay.send(a_registration("ada@example.com"))
        assert_paused(relay, "603")
        assert emails(sandbox) == []
        permit(sandbox, seed.ALL_PERMISSIONS)
        assert_all_sent(relay, sandbox, "ada@example.com", "meanwhile@example.com")


def permit(sandbox: Sandbox, permissions: frozenset[str]) -> None:
    body = {"permissions": sorted(permissions)}
    web.put(f"{sandbox.url}/sandbox/marketo/permissions", json=body).raise_for_status()


def refused_fresh_token(folder: Path) -> None:
    """601 for a token that has just been renewed is no accident: it counts as a refused credential."""
    with stage(folder) as (relay, sandbox):
        happened = ordered(sandbox, "sync", "code:601", "ada@example.com", times=2)
        relay.send(a_registration("ada@example.com"))
        until(happened, what="601 twice")
        assert_paused(relay, "601")
        assert_all_sent(relay, sandbox, "ada@example.com", "meanwhile@example.com")


def redirect(folder: Path) -> None:
    """Never followed, with the token least of all; the simulation would count it as a violation."""
    with stage(folder) as (relay, sandbox):
        ordered(sandbox, "trigger", "redirect", "ada@example.com")
        relay.send(a_registration("ada@example.com"))
        assert_paused(relay, "302")
        assert_all_sent(relay, sandbox, "ada@example.com", "meanwhile@example.com")


def exceeded_rate(folder: Path) -> None:
    """Another integration has used up the 20 seconds: ours waits them out, and it is nobody's fault."""
    with stage(folder) as (relay, sandbox):
        ordered(sandbox, "sync", "code:606", "ada@example.com")
        relay.send(a_registration("ada@example.com"))
        assert_paused(relay, "606")
        assert_all_sent(relay, sandbox, "ada@example.com", "meanwhile@example.com")


def refused_campaigns(folder: Path) -> None:
    """A batch campaign (1003) and one that is not there (1013) hold up nobody but their own registrations."""
    allowed = f"{seed.BATCH_CAMPAIGN_ID},{UNKNOWN_CAMPAIGN}"
    with stage(folder, MARKETO_ALLOWED_CAMPAIGN_IDS=allowed) as (relay, sandbox):
        relay.send(a_registration("batch@example.com") | {"campaignId": seed.BATCH_CAMPAIGN_ID})
        relay.send(a_registration("unknown@example.com") | {"campaignId": UNKNOWN_CAMPAIGN})
        assert_paused(relay, "1003", scope=f"campaign:{seed.BATCH_CAMPAIGN_ID}")
        assert_paused(relay, "1013", scope=f"campaign:{UNKNOWN_CAMPAIGN}")
        wait_for(relay, "meanwhile@example.com")
        mended = {"trigger": True, "requestable": True}
        address = f"{sandbox.url}/sandbox/marketo/campaigns/{seed.BATCH_CAMPAIGN_ID}"
        web.patch(address, json=mended).raise_for_status()
        assert_all_sent(relay, sandbox, "meanwhile@example.com", "batch@example.com")
        wait_for(relay, "unknown@example.com", "known")  # between two tries
        assert emails(sandbox) == ["batch@example.com", "meanwhile@example.com"]


PAUSES = [exceeded_rate, revoked_credentials, missing_permission, refused_fresh_token, redirect, refused_campaigns]


def test_what_a_person_or_the_clock_must_mend_is_waited_out_and_goes_on_by_itself(tmp_path: Path) -> None:
    """All at once, each with a relay of its own: they mostly wait."""
    with ThreadPoolExecutor(len(PAUSES)) as pool:
        played = [pool.submit(play, tmp_path / play.__name__) for play in PAUSES]
    if problems := [problem for future in played if isinstance(problem := future.exception(), Exception)]:
        raise ExceptionGroup("not everybody got an e-mail by itself", problems)


def test_a_used_up_day_is_waited_out_until_midnight_even_by_the_next_process(
    start: StartRelay, sandbox: Sandbox
) -> None:
    """Each further call would fail, too: none is made but the one that asks, at a start, whether that still holds."""
    relay = start()
    sandbox.fault(match="usage", kind="code:607")
    ordered(sandbox, "sync", "code:607", "ada@example.com")
    relay.send(a_registration("ada@example.com"))
    assert_paused(relay, "607")
    assert "midnight US Central" in relay.readiness()[1]
    relay.process.stop()
    asked = len(sandbox.get("calls?kind=usage"))
    relay = start()
    until(lambda: len(sandbox.get("calls?kind=usage")) == asked + 1, what="the usage to be asked once")
    assert_paused(relay, "607")
    assert relay.registrations(email="ada@example.com")[0]["state"] == "new"
    assert len(sandbox.get("calls?kind=usage")) == asked + 1
    assert emails(sandbox) == []


def test_a_day_that_was_enlarged_goes_on_after_a_restart(start: StartRelay, sandbox: Sandbox) -> None:
    """Who has bought more calls need not wait for midnight."""
    relay = start()
    ordered(sandbox, "sync", "code:607", "ada@example.com")
    relay.send(a_registration("ada@example.com"))
    assert_paused(relay, "607")
    relay.process.stop()
    assert_all_sent(start(), sandbox, "ada@example.com", "meanwhile@example.com")


# --- people ------------------------------------------------------------------------------------------------------


def test_a_deleted_person_is_made_anew_and_holds_up_nobody(relay: Relay, sandbox: Sandbox) -> None:
    """1004 refuses the whole request: it is halved, and the one who is gone is looked up again, once."""
    people = [f"p{n}@example.com" for n in range(7)]
    for person in people:
        relay.send(registration(person))
    for person in people:
        wait_for(relay, person)
    gone = relay.registrations(email=people[3])[0]["leadId"]
    web.delete(f"{sandbox.url}/sandbox/marketo/people/{gone}").raise_for_status()
    second = {"id": "w-2", "title": "The second", "joinLink": "https://meet.example.com/2"}
    until(lambda: relay.send(registration(people[0], webinar=second)).status_code == 202, what="the second webinar")
    for person in people[1:]:
        relay.send(registration(person, webinar=second))
    relay.send({"leadId": gone, "webinar": second})
    until(lambda: len(relay.registrations(webinar="w-2", state="sent")) == 7, within=PATIENCE, what="seven sent")
    [dead] = until(lambda: relay.registrations(webinar="w-2", state="dead"), what="the deleted lead id")
    assert (dead["leadId"], dead["cause"]) == (gone, "lead_not_found")
    assert "has no person with this lead id" in dead["advice"]
    assert "or there never was one" in dead["detail"]
    again = next(r for r in relay.registrations(email=people[3]) if r["webinarId"] == "w-2")
    assert "person gone" in timeline(relay, again)
    assert again["leadId"] != gone
    assert emails(sandbox) == sorted(people * 2)
    assert sandbox.get("violations") == []


def test_of_several_people_with_one_address_the_one_updated_last_is_mailed(relay: Relay, sandbox: Sandbox) -> None:
    """1007 is one record's answer; its neighbours in the same call are taken."""
    for name in ("Ada", "Augusta"):
        sandbox.post("marketo/people", {"email": "ada@example.com", "firstName": name})
    for person in ("ada@example.com", "grace@example.com", "mary@example.com"):
        relay.send(registration(person))
    assert_all_sent(relay, sandbox, "ada@example.com", "grace@example.com", "mary@example.com")
    found = relay.registrations(email="ada@example.com")[0]
    assert timeline(relay, found) == ["registered", "several people", "person found", "sent"]
    latest = max(sandbox.get("people?email=ada@example.com"), key=lambda person: int(person["id"]))
    assert found["leadId"] == latest["id"]
    assert len(sandbox.get("people?email=ada@example.com")) == 2
