"""What needs a person, and what does not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.dispatch.troubles import Thresholds, setup_troubles, troubles
from app.doctor.report import Finding, Report, Verdict
from app.store.calls import Pause
from app.store.census import Census

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FINE = Census({}, {"pendo": NOW}, 0)


def pause(code: str, *, scope: str = "marketo", since: timedelta = timedelta(0)) -> Pause:
    return Pause(scope, NOW + timedelta(minutes=1), NOW - since, code, "ada@example.com is refused", 1)


def names(*pauses: Pause, day: str | None = None, census: Census = FINE) -> set[str]:
    return set(troubles(pauses, day, census, NOW, Thresholds(), campaigns={}))


@pytest.mark.parametrize(
    ("paused", "name"),
    [
        (pause("603"), "paused:marketo:603"),
        (pause("401"), "paused:marketo:401"),
        (pause("1003", scope="campaign:7"), "paused:campaign:7:1003"),
        (pause("1013", scope="campaign:7"), "paused:campaign:7:1013"),
        (pause("604", since=timedelta(minutes=11)), "paused:marketo:604"),
    ],
)
def test_what_a_person_must_mend_is_told_at_once(paused: Pause, name: str) -> None:
    """An outage only when it lasts."""
    assert names(paused) == {name}


@pytest.mark.parametrize("paused", [pause("606"), pause("607", since=timedelta(hours=9)), pause("615"), pause("604")])
def test_what_ends_by_itself_needs_nobody(paused: Pause) -> None:
    assert names(paused) == set()


def test_a_paused_campaign_is_told_by_its_name() -> None:
    """As the last check of the set-up saw it: nobody who reads the chat knows its number."""
    report: dict[str, Any] = {"findings": [], "campaigns": {"7": "Send Webinar Reminder"}}
    for names, called in ((setup_troubles(report).campaigns, "Send Webinar Reminder (7)"), ({}, "7")):
        (said,) = troubles([pause("1013", scope="campaign:7")], None, FINE, NOW, Thresholds(), campaigns=names).values()
        assert said.startswith(f"Nothing is sent for the campaign {called} since 23 Nov 12:00 UTC (1013). ")


def test_no_persons_data_is_told() -> None:
    """Marketo's own message may hold an address; ours says what to do."""
    (said,) = troubles([pause("603")], None, FINE, NOW, Thresholds(), campaigns={}).values()
    assert "ada@" not in said
    assert "603" in said


def test_day_silence_and_dead_letters_are_told_from_their_thresholds_on() -> None:
    assert names(day="47,000 of 50,000 are used.") == {"day"}
    assert names(census=Census({}, {"pendo": NOW - timedelta(days=3)}, 0)) == {"silent:pendo"}
    assert names(census=Census({}, {"pendo": NOW - timedelta(days=3) + timedelta(seconds=1)}, 0)) == set()
    assert names(census=Census({"expired": 4, "email_invalid": 6}, {}, 0)) == {"dead"}
    assert names(census=Census({"expired": 4, "of a newer relay": 5}, {}, 0)) == set()
    said = troubles([], None, Census({"expired": 4, "email_invalid": 6}, {}, 0), NOW, Thresholds(), campaigns={})[
        "dead"
    ]
    assert "10 dead letters" in said
    assert "Correct the address" in said


def finding(check: str, verdict: Verdict, subject: str = "") -> Finding:
    return Finding(
        "Smart campaign 7 (Send Webinar Reminder)", check, "Active", subject, verdict, "inactive", "Activate."
    )


def test_what_is_wrong_with_the_set_up_needs_a_person_and_what_was_not_seen_may() -> None:
    """Marketo takes each request of an inactive campaign, and sends nothing: no answer of its would ever tell."""
    findings = (
        finding("campaign_active", Verdict.FAIL, "7"),
        finding("campaign_limits", Verdict.WARN, "7"),
        finding("token_title", Verdict.UNKNOWN, "1001"),
        finding("email_title", Verdict.OK, "1001"),
    )
    found = setup_troubles(Report(findings).as_json())
    said = "Smart campaign 7 (Send Webinar Reminder), Active: inactive. Activate."
    assert found.wrong == {"setup:campaign_active:7": said}
    assert found.unseen == {"setup:token_title:1001"}


@pytest.mark.parametrize("check", ["marketo_network", "marketo_credentials", "marketo_allow_list", "daily_calls"])
def test_what_pauses_tell_is_not_told_twice(check: str) -> None:
    assert setup_troubles(Report((finding(check, Verdict.FAIL),)).as_json()).wrong == {}


def test_before_the_first_check_nothing_is_wrong() -> None:
    assert setup_troubles(None).wrong == {}
