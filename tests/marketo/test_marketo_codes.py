"""The whole table of Marketo's codes, pinned: what each means at each endpoint."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.marketo.codes import TABLE, Consequence, Endpoint, Executed, Trouble, meaning_of_call, meaning_of_record

C = Consequence
NO, MAYBE = Executed.NO, Executed.MAYBE

# code: what it means to a sync, find and trigger call, whether it may have run, and what it means to one record
AT_CALLS: dict[str, tuple[Consequence, Consequence, Consequence, Executed, Consequence | None]] = {
    "302": (C.CONFIGURATION, C.CONFIGURATION, C.CONFIGURATION, NO, None),
    "400": (C.CONFIGURATION, C.CONFIGURATION, C.CONFIGURATION, NO, None),
    "401": (C.CREDENTIALS, C.CREDENTIALS, C.CREDENTIALS, NO, None),
    "403": (C.CREDENTIALS, C.CREDENTIALS, C.CREDENTIALS, NO, None),
    "404": (C.CONFIGURATION, C.CONFIGURATION, C.CONFIGURATION, NO, None),
    "408": (C.RETRY, C.RETRY, C.RETRY, NO, None),
    "413": (C.SPLIT, C.SPLIT, C.SPLIT, NO, None),
    "414": (C.SPLIT, C.SPLIT, C.SPLIT, NO, None),
    "429": (C.RATE, C.RATE, C.RATE, NO, None),
    "500": (C.RETRY, C.RETRY, C.AMBIGUOUS, MAYBE, None),
    "502": (C.RETRY, C.RETRY, C.AMBIGUOUS, MAYBE, None),
    "503": (C.RETRY, C.RETRY, C.AMBIGUOUS, MAYBE, None),
    "504": (C.RETRY, C.RETRY, C.AMBIGUOUS, MAYBE, None),
    "601": (C.CREDENTIALS, C.CREDENTIALS, C.CREDENTIALS, NO, None),
    "602": (C.CREDENTIALS, C.CREDENTIALS, C.CREDENTIALS, NO, None),
    "603": (C.CREDENTIALS, C.CREDENTIALS, C.CREDENTIALS, NO, None),
    "604": (C.RETRY, C.RETRY, C.RETRY, NO, None),
    "605": (C.DEFECT, C.DEFECT, C.DEFECT, NO, None),
    "606": (C.RATE, C.RATE, C.RATE, NO, None),
    "607": (C.QUOTA, C.QUOTA, C.QUOTA, NO, None),
    "608": (C.RETRY, C.RETRY, C.RETRY, NO, None),
    "609": (C.DEFECT, C.DEFECT, C.DEFECT, NO, None),
    "610": (C.DEFECT, C.DEFECT, C.DEFECT, NO, None),
    "611": (C.RETRY, C.RETRY, C.RETRY, NO, None),
    "612": (C.DEFECT, C.DEFECT, C.DEFECT, NO, None),
    "613": (C.DEFECT, C.DEFECT, C.DEFECT, NO, None),
    "614": (C.RETRY, C.RETRY, C.RETRY, NO, None),
    "615": (C.CONCURRENCY, C.CONCURRENCY, C.CONCURRENCY, NO, None),
    "616": (C.CONFIGURATION, C.CONFIGURATION, C.CONFIGURATION, NO, None),
    "699": (C.RETRY, C.RETRY, C.RETRY, NO, None),
    "701": (C.SPLIT, C.SPLIT, C.SPLIT, NO, C.RECORD),
    "702": (C.NO_DATA, C.NO_DATA, C.CAMPAIGN, NO, C.NO_DATA),
    "704": (C.SPLIT, C.SPLIT, C.SPLIT, NO, C.RECORD),
    "709": (C.SPLIT, C.SPLIT, C.SPLIT, NO, C.RECORD),
    "713": (C.RETRY, C.RETRY, C.RETRY, NO, C.RETRY),
    "719": (C.RETRY, C.RETRY, C.RETRY, NO, C.RETRY),
    "799": (C.SPLIT, C.SPLIT, C.SPLIT, NO, C.RECORD),
    "1001": (C.SPLIT, C.SPLIT, C.SPLIT, NO, C.RECORD),
    "1002": (C.SPLIT, C.SPLIT, C.SPLIT, NO, C.RECORD),
    "1003": (C.SPLIT, C.CONFIGURATION, C.CAMPAIGN, NO, C.RECORD),
    "1004": (C.PERSON_GONE, C.PERSON_GONE, C.PERSON_GONE, NO, C.PERSON_GONE),
    "1006": (C.CONFIGURATION, C.CONFIGURATION, C.CONFIGURATION, NO, C.CONFIGURATION),
    "1007": (C.SEVERAL_PEOPLE, C.SEVERAL_PEOPLE, C.SEVERAL_PEOPLE, NO, C.SEVERAL_PEOPLE),
    "1008": (C.CONFIGURATION, C.CONFIGURATION, C.CONFIGURATION, NO, C.CONFIGURATION),
    "1009": (C.CONFIGURATION, C.CONFIGURATION, C.CONFIGURATION, NO, C.CONFIGURATION),
    "1010": (C.CONFIGURATION, C.CONFIGURATION, C.CONFIGURATION, NO, C.CONFIGURATION),
    "1011": (C.CONFIGURATION, C.CONFIGURATION, C.CONFIGURATION, NO, C.CONFIGURATION),
    "1013": (C.CONFIGURATION, C.CONFIGURATION, C.CAMPAIGN, NO, C.CONFIGURATION),
    "1029": (C.SPLIT, C.SPLIT, C.SPLIT, NO, C.RECORD),
    "1035": (C.SPLIT, C.SPLIT, C.SPLIT, NO, C.RECORD),
    "2000": (C.RETRY, C.RETRY, C.AMBIGUOUS, MAYBE, C.RETRY),
    "99999": (C.RETRY, C.RETRY, C.AMBIGUOUS, MAYBE, C.RETRY),
    "sorry": (C.RETRY, C.RETRY, C.AMBIGUOUS, MAYBE, C.RETRY),
    "\u0666\u0660\u0661": (C.RETRY, C.RETRY, C.AMBIGUOUS, MAYBE, C.RETRY),
    Trouble.UNREACHABLE: (C.RETRY, C.RETRY, C.RETRY, NO, None),
    Trouble.TIMED_OUT: (C.RETRY, C.RETRY, C.AMBIGUOUS, MAYBE, None),
    Trouble.ANSWER_LOST: (C.RETRY, C.RETRY, C.AMBIGUOUS, MAYBE, None),
    Trouble.UNREADABLE: (C.RETRY, C.RETRY, C.AMBIGUOUS, MAYBE, None),
}
NO_TURN = {C.RATE, C.QUOTA, C.CONCURRENCY, C.SPLIT, C.CREDENTIALS, C.CAMPAIGN, C.CONFIGURATION, C.NO_DATA}


@pytest.mark.parametrize("code", AT_CALLS)
def test_a_code_means_what_is_documented(code: str) -> None:
    """One row of Adobe's list each; 6xx never ran, a lost answer to a trigger call may have."""
    sync, find, trigger, executed, record = AT_CALLS[code]
    places = {Endpoint.SYNC: sync, Endpoint.FIND: find, Endpoint.TRIGGER: trigger}
    for endpoint, consequence in places.items():
        meaning = meaning_of_call(endpoint, code)
        assert (meaning.consequence, meaning.executed) == (consequence, executed), endpoint
    if record is not None:
        assert meaning_of_record(code).consequence is record


def test_every_row_of_the_table_is_pinned() -> None:
    """A row that is added is a decision; it has its line above."""
    assert TABLE.keys() <= AT_CALLS.keys()


def test_only_what_had_its_turn_counts_as_an_attempt() -> None:
    """A rate limit or a pause must not use up the patience for the records in the batch."""
    for code in AT_CALLS:
        meaning = meaning_of_call(Endpoint.TRIGGER, code)
        assert meaning.counts_as_attempt is (meaning.consequence not in NO_TURN), code


@pytest.mark.parametrize("code", ["401", "603", "601", "607", "609", "614", "616", "1006", "1013"])
def test_what_needs_a_person_alerts(code: str) -> None:
    """Nothing else tells anybody that the relay stands still; 614 is retried, and told all the same."""
    assert meaning_of_call(Endpoint.TRIGGER, code).alert


@pytest.mark.parametrize("code", ["606", "615", "608", "500", "1004", "413"])
def test_what_heals_by_itself_does_not_alert(code: str) -> None:
    """An alarm for each busy minute would not be read."""
    assert not meaning_of_call(Endpoint.TRIGGER, code).alert


def test_waits_that_are_known_are_given() -> None:
    """A window is 20 s; a missing subscription is asked for slowly."""
    assert meaning_of_call(Endpoint.SYNC, "606").wait is None
    assert meaning_of_call(Endpoint.SYNC, "614").wait == timedelta(minutes=10)
    assert meaning_of_call(Endpoint.SYNC, "608").wait is None


@pytest.mark.parametrize(("endpoint", "code"), [(Endpoint.CAMPAIGN, "702"), (Endpoint.CAMPAIGN, "1013")])
def test_the_set_up_check_is_told_of_a_missing_campaign(endpoint: Endpoint, code: str) -> None:
    """It asks for one campaign, so 'not found' is about that one."""
    assert meaning_of_call(endpoint, code).consequence is Consequence.CAMPAIGN


@pytest.mark.parametrize("endpoint", [Endpoint.USAGE, Endpoint.CAMPAIGN, Endpoint.IDENTITY])
def test_a_call_without_records_is_never_halved_for_their_data(endpoint: Endpoint) -> None:
    """There is nothing to halve, and no batch to stop."""
    assert meaning_of_call(endpoint, "701").consequence is Consequence.CONFIGURATION
    assert meaning_of_call(endpoint, "610").consequence is Consequence.CONFIGURATION


@given(st.sampled_from(Endpoint), st.text(max_size=6) | st.integers(0, 12_000).map(str))
def test_any_code_has_a_meaning_that_fits_its_endpoint(endpoint: Endpoint, code: str) -> None:
    """Only a trigger call is ambiguous, always when it may have run; a whole call is never RECORD."""
    meaning = meaning_of_call(endpoint, code)
    may_have_run_twice = endpoint is Endpoint.TRIGGER and meaning.executed is Executed.MAYBE
    assert (meaning.consequence is Consequence.AMBIGUOUS) is may_have_run_twice
    assert meaning.consequence is not Consequence.RECORD
    assert meaning.advice.endswith(".")
    if endpoint is Endpoint.IDENTITY:
        assert meaning.executed is Executed.NO
