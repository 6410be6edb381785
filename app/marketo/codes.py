"""What Marketo's error codes mean for the relay, as data. No I/O.

The rows follow Adobe's list of error codes (state of 2026-08-17). Marketo answers HTTP 200 and puts a code in the body;
HTTP statuses and the ways in which an answer gets lost are rows of the same table, so that the caller has one rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum


class Endpoint(StrEnum):
    """Which of Marketo's services is called; some codes mean different things in different places."""

    IDENTITY = "identity"
    SYNC = "sync"
    FIND = "find"
    TRIGGER = "trigger"
    USAGE = "usage"
    CAMPAIGN = "campaign"
    ACTIVITIES = "activities"
    SETUP = "setup"  # what a set-up check reads and mends


class Consequence(StrEnum):
    """What the caller does next."""

    RETRY = "retry"  # the same again, after a back-off
    RATE = "rate"  # wait until the 20-second window has room
    QUOTA = "quota"  # wait until midnight US Central
    CONCURRENCY = "concurrency"  # fewer calls in flight
    SPLIT = "split"  # too large, or refused whole for one record's data: halve; one record alone is dead
    CREDENTIALS = "credentials"  # pause everything until a person has mended the custom service
    CAMPAIGN = "campaign"  # pause this campaign until a person has mended it
    CONFIGURATION = "configuration"  # a wrong setting: pause, tell somebody
    DEFECT = "defect"  # this very request was not understood: stop its batch for minutes, tell somebody
    RECORD = "record"  # this record will never be taken
    PERSON_GONE = "person_gone"  # look the person up again, once
    SEVERAL_PEOPLE = "several_people"  # choose one of them by policy
    NO_DATA = "no_data"  # a search that found nobody
    NOT_ALLOWED = "not_allowed"  # this one service is closed to the API user: do without it
    AMBIGUOUS = "ambiguous"  # the campaign may have run: find out before requesting it again


class Executed(StrEnum):
    """Whether Marketo may have done what it was asked to do."""

    NO = "no"
    MAYBE = "maybe"


class Trouble(StrEnum):
    """What stands in a code's place when Marketo sent none."""

    UNREACHABLE = "unreachable"  # nothing was sent: DNS, TCP, TLS, or no free connection
    TIMED_OUT = "timed_out"
    ANSWER_LOST = "answer_lost"  # the connection broke after something had been sent
    UNREADABLE = "unreadable"  # an answer came, and it was none of Marketo's


_ATTEMPTS = frozenset(
    {
        Consequence.RETRY,
        Consequence.DEFECT,
        Consequence.AMBIGUOUS,
        Consequence.RECORD,
        Consequence.PERSON_GONE,
        Consequence.SEVERAL_PEOPLE,
    }
)
_ALERTING = frozenset(
    {
        Consequence.CREDENTIALS,
        Consequence.CAMPAIGN,
        Consequence.CONFIGURATION,
        Consequence.DEFECT,
        Consequence.QUOTA,
    }
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one code means: what to do, whether it may have run, the sentence for people, the least time to wait."""

    consequence: Consequence
    executed: Executed
    advice: str
    wait: timedelta | None = None
    urgent: bool = False

    @property
    def counts_as_attempt(self) -> bool:
        """Tell whether the records of the call had their turn; rates, pauses and halving are not their fault."""
        return self.consequence in _ATTEMPTS

    @property
    def alert(self) -> bool:
        """Tell whether nothing will go on before a person acts."""
        return self.urgent or self.consequence in _ALERTING


def _no(consequence: Consequence, advice: str, *, wait: timedelta | None = None, urgent: bool = False) -> Meaning:
    return Meaning(consequence, Executed.NO, advice, wait, urgent)


def _maybe(advice: str) -> Meaning:
    return Meaning(Consequence.RETRY, Executed.MAYBE, advice)


_TOO_LARGE = _no(Consequence.SPLIT, "The call was too large for Marketo; it is sent in smaller parts.")
_TOKEN = _no(
    Consequence.CREDENTIALS,
    "Marketo refused a token that it had just issued; look at the custom service in Admin > LaunchPoint.",
)
_UNAVAILABLE = _no(Consequence.RETRY, "Marketo was unavailable for a moment; nothing to do, it is tried again.")
_DEFECT = _no(
    Consequence.DEFECT,
    "Marketo did not understand this request; check MARKETO_BASE_URL (Admin > Web Services), else report a defect.",
)
_WRONG_ADDRESS = _no(
    Consequence.CONFIGURATION,
    "What answered is not Marketo's REST API; check MARKETO_BASE_URL (Admin > Web Services).",
)
_REFUSED_DATA = _no(Consequence.RECORD, "Marketo refused this record's data; its message says why.")
_FIELD = _no(
    Consequence.CONFIGURATION,
    "A field name is unknown to Marketo or not allowed here; check MARKETO_LOOKUP_FIELD, MARKETO_JOIN_LINK_FIELD and "
    "MARKETO_TOKEN_FIELDS.",
)
_PARTITION = _no(
    Consequence.CONFIGURATION,
    "The lead partition is wrong or closed to this API user; check MARKETO_PARTITION and the user's workspaces.",
)
_CAMPAIGN = _no(
    Consequence.CAMPAIGN,
    "Check MARKETO_CAMPAIGN_ID: an active trigger campaign with 'Campaign is Requested', source Web Service API.",
)
_UNKNOWN = _maybe("Marketo answered with a code that the relay does not know; it is tried again.")

TABLE: Mapping[str, Meaning] = {
    Trouble.UNREACHABLE: _no(
        Consequence.RETRY,
        "Marketo could not be reached; check the network, the proxy and MARKETO_BASE_URL if it lasts.",
    ),
    Trouble.TIMED_OUT: _maybe("Marketo did not answer in time."),
    Trouble.ANSWER_LOST: _maybe("The connection to Marketo broke before its answer came."),
    Trouble.UNREADABLE: _maybe("What came back is no answer of Marketo's; check MARKETO_BASE_URL if it lasts."),
    "401": _no(
        Consequence.CREDENTIALS,
        "Marketo refused the client id or secret; compare both with Admin > LaunchPoint > View Details.",
    ),
    "403": _no(Consequence.CREDENTIALS, "Access was refused; check the API role and the IP allow-list in Admin."),
    "408": _UNAVAILABLE,
    "413": _TOO_LARGE,
    "414": _TOO_LARGE,
    "429": _no(Consequence.RATE, "Too many calls in 20 seconds, all integrations together; the relay waits."),
    "500": _maybe("Marketo had an internal error."),
    "502": _maybe("A gateway of Marketo's lost the answer, most likely a time-out."),
    "503": _maybe("A gateway of Marketo's had no answer; it may have passed the request on before."),
    "601": _TOKEN,
    "602": _TOKEN,
    "603": _no(
        Consequence.CREDENTIALS,
        "The API user lacks a permission, or this machine's address is not on Marketo's IP allow-list.",
    ),
    "604": _no(Consequence.RETRY, "Marketo took too long and gave up; it is tried again."),
    "605": _DEFECT,
    "606": _no(
        Consequence.RATE,
        "Too many calls in 20 seconds, all integrations together; the relay waits, and allows itself fewer.",
    ),
    "607": _no(
        Consequence.QUOTA,
        "The instance's daily calls are used up, by all integrations together; it goes on at midnight US Central.",
    ),
    "608": _UNAVAILABLE,
    "609": _DEFECT,
    "610": _DEFECT,
    "611": _UNAVAILABLE,
    "612": _DEFECT,
    "613": _DEFECT,
    "614": _no(
        Consequence.RETRY,
        "Marketo did not find the subscription, which is usually temporary; ask Marketo's support if it lasts.",
        wait=timedelta(minutes=10),
        urgent=True,
    ),
    "615": _no(
        Consequence.CONCURRENCY, "Too many calls at the same time, all integrations together; the relay slows down."
    ),
    "616": _no(Consequence.CONFIGURATION, "This Marketo subscription does not include the API that the relay needs."),
    "702": _no(Consequence.NO_DATA, "Marketo found nothing."),
    "713": _UNAVAILABLE,
    "719": _no(Consequence.RETRY, "Marketo was busy with the same record; it is tried again."),
    "1003": _REFUSED_DATA,
    "1004": _no(
        Consequence.PERSON_GONE, "The person was deleted or merged in Marketo, or there never was one of this id."
    ),
    "1006": _FIELD,
    "1007": _no(Consequence.SEVERAL_PEOPLE, "Several people in Marketo match; merge the duplicates there."),
    "1008": _PARTITION,
    "1009": _PARTITION,
    "1010": _PARTITION,
    "1011": _FIELD,
    "1013": _no(Consequence.CONFIGURATION, "Marketo does not know an object that the settings name."),
}

_NO_ACTIVITIES = _no(
    Consequence.NOT_ALLOWED,
    "The API user may not read activities: give its role the permission Read-Only Activity; the relay notices it.",
)

_AT: Mapping[tuple[Endpoint, str], Meaning] = {
    (Endpoint.ACTIVITIES, "603"): _NO_ACTIVITIES,
    (Endpoint.ACTIVITIES, "616"): _NO_ACTIVITIES,
    (Endpoint.TRIGGER, "702"): _CAMPAIGN,
    (Endpoint.TRIGGER, "1003"): _CAMPAIGN,  # e.g. a batch campaign cannot be requested
    (Endpoint.TRIGGER, "1013"): _CAMPAIGN,
    (Endpoint.CAMPAIGN, "702"): _CAMPAIGN,
    (Endpoint.CAMPAIGN, "1013"): _CAMPAIGN,
    (Endpoint.FIND, "1003"): _no(
        Consequence.CONFIGURATION, "A search matched more than 1,000 people; is MARKETO_LOOKUP_FIELD unique enough?"
    ),
}
_OF_RECORDS = frozenset({Endpoint.SYNC, Endpoint.FIND, Endpoint.TRIGGER})
_OF_ITS_RECORDS = frozenset({Consequence.RECORD, Consequence.DEFECT})


def meaning_of_call(endpoint: Endpoint, code: str) -> Meaning:
    """Return what it means that a whole call was answered with this code."""
    meaning = _AT.get((endpoint, code)) or TABLE.get(code) or _by_family(code)
    if meaning.consequence in _OF_ITS_RECORDS and endpoint not in _OF_RECORDS:
        return replace(meaning, consequence=Consequence.CONFIGURATION)
    if meaning.consequence is Consequence.RECORD:
        return replace(meaning, consequence=Consequence.SPLIT)
    if meaning.executed is Executed.MAYBE and endpoint is Endpoint.IDENTITY:
        return replace(
            meaning, executed=Executed.NO
        )  # whatever became of it, the call that wanted the token was not sent
    if meaning.executed is Executed.MAYBE and endpoint is Endpoint.TRIGGER:
        return replace(meaning, consequence=Consequence.AMBIGUOUS)
    return meaning


def meaning_of_record(code: str) -> Meaning:
    """Return what it means that one record of a call was skipped for this reason; the others were taken."""
    return TABLE.get(code) or _by_family(code)


def _by_family(code: str) -> Meaning:
    """Judge a code without a row: 6xx never ran, 7xx and 1xxx are about data, 3xx and 4xx about the request."""
    if not (code.isascii() and code.isdigit()):
        return _UNKNOWN
    if len(code) == 4:
        return _REFUSED_DATA if code.startswith("1") else _UNKNOWN
    families = {"3": _WRONG_ADDRESS, "4": _WRONG_ADDRESS, "6": _UNAVAILABLE, "7": _REFUSED_DATA}
    return families.get(code[0], _UNKNOWN) if len(code) == 3 else _UNKNOWN
