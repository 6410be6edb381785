"""A relay tells at its start what is wrong with the set-up, and works all the same."""

import json

from app.sandbox import seed
from tests.e2e.conftest import StartRelay
from tests.e2e.harness import Sandbox, registration, until, web


def test_what_is_wrong_is_logged_at_the_start_and_stops_nothing(sandbox: Sandbox, start: StartRelay) -> None:
    """Setting up must fail loudly at the desk, not silently in production."""
    change = {"qualification": "once"}
    web.patch(f"{sandbox.url}/sandbox/marketo/campaigns/{seed.CAMPAIGN_ID}", json=change).raise_for_status()
    relay = start(CHECK_AT_START="true", MARKETO_ACTIVITY_DELAY_SECONDS="0.5")
    report = until(lambda: relay.api("setup")["report"], what="the first check")
    wrong = {one["check"] for one in report["findings"] if one["verdict"] == "fail"}
    assert wrong == {"campaign_rule", "eventbrite_webhook"}

    def told() -> list[dict[str, str]]:
        return [json.loads(line) for line in relay.process.lines if '"setup is wrong"' in line]

    said = until(lambda: found if len(found := told()) == len(wrong) else None, what="what is wrong to be logged")
    assert {line["check"] for line in said} == {f"campaign_rule:{seed.CAMPAIGN_ID}", "eventbrite_webhook"}
    assert all(line["advice"] for line in said)
    [doubt] = [json.loads(line) for line in relay.process.lines if '"doubtful setting"' in line]
    assert doubt["setting"] == "MARKETO_ACTIVITY_DELAY_SECONDS"
    status, checks = (answer := web.get(f"{relay.url}/readyz")).status_code, answer.json()["checks"]
    assert (status, checks["setup"]["status"]) == (200, "wrong")
    assert relay.send(registration("ada@example.com")).status_code == 202
    relay.in_state("ada@example.com", "sent")


def test_the_checks_calls_are_counted_like_any_other(sandbox: Sandbox, start: StartRelay) -> None:
    """Each has a place in the window, and is in the log of calls, from which a restart and the next leader count."""
    relay = start(CHECK_AT_START="true")
    until(lambda: relay.api("setup")["report"], what="the first check")
    seen = [one for one in sandbox.get("calls?limit=1000") if one["service"] == "marketo"]
    logged = relay.api("calls?limit=100")["items"]
    assert len(seen) == len(logged) == relay.api("forecast")["dayUsed"] > 10
    assert {one["kind"] for one in logged} >= {"setup"}
    assert all(one["finishedAt"] for one in logged)


def test_a_relay_whose_marketo_does_not_answer_starts_and_stops_in_time(sandbox: Sandbox, start: StartRelay) -> None:
    """The check hangs for as long as Marketo does; nobody waits for it."""
    sandbox.fault(match="identity", kind="hang")
    relay = start(CHECK_AT_START="true")
    assert relay.api("setup")["report"] is None
    assert relay.process.stop() == 0
    assert "defect" not in relay.process.output
