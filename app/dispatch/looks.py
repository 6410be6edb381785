"""When to look for a lost campaign request, and what becomes of its people. No I/O."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from app.dispatch.evidence import Ran
from app.domain import Cause, LeadId, RegistrationState
from app.store.unsettled import Decision, LostRequest, Undecided

LOOKS = (1, 15)  # times the delay after which activities can be read; after the last, what is not there is not


def next_look(ended_at: datetime, now: datetime, delay: timedelta) -> datetime | None:
    """Return when to look next at a request that ended then; None when what is not there by now did not run.

    Later looks fall on the same moments for all: requests that were lost within one delay share their calls.
    """
    at = next((at for at in (ended_at + delay * times for times in LOOKS) if at > now), None)
    return at and at + timedelta(seconds=-at.timestamp() % delay.total_seconds())


def comes_too_late(registration: Undecided, look_at: datetime, now: datetime) -> bool:
    """Tell whether a decision at the next look would be too late for an e-mail before the webinar's start."""
    starts_at = registration.starts_at
    return registration.expires_at <= look_at or (starts_at is not None and now < starts_at <= look_at)


def spread(people: Sequence[LeadId], most: int) -> Sequence[LeadId]:
    """Return at most so many of them, from the first to the last at even distances."""
    if len(people) <= most:
        return people
    return [people[round(n * (len(people) - 1) / (most - 1))] for n in range(most)]


def taken_with_others(registration: Undecided, seen: Decision, *, of: int) -> Decision:
    """Return that a person's request was taken, since it ran for all those of it who were looked at.

    A request is taken whole or not at all, and its answer would have told no more; had Marketo stopped in the middle,
    it would not have run for some of those who are spread over it.
    """
    detail = f"Marketo had taken it: its activity log shows it for all {of} of the request who were looked at."
    return replace(seen, registration=registration, detail=detail)


def decide(
    registration: Undecided, lost: LostRequest, verdict: Ran, runs: Sequence[datetime], *, now: datetime
) -> Decision:
    """Return what becomes of one person for good."""
    asked = f"campaign {lost.campaign_id}, requested at {lost.began_at:%H:%M:%S} UTC"
    match verdict:
        case Ran.YES:
            at = min(runs, key=lambda run: abs(run - lost.began_at))
            detail = f"Marketo had taken it: its activity log shows {asked}, at {at:%H:%M:%S} for this person."
            ran_at = min(max(at, lost.began_at), now)
            return Decision(registration, RegistrationState.SENT, "sent", detail, sent_at=ran_at)
        case Ran.NO:
            detail = f"Marketo's activity log does not show {asked}, for this person. It is requested again."
            return again(registration, detail, now, "checked")
        case Ran.UNCLEAR:
            detail = f"Marketo's activity log does not tell whether {asked}, ran for this person. A person decides."
            return held(registration, detail)


def again(registration: Undecided, detail: str, due_at: datetime, what: str) -> Decision:
    """Return that the campaign is requested once more."""
    return Decision(registration, RegistrationState.KNOWN, what, detail, due_at=due_at)


def held(registration: Undecided, detail: str) -> Decision:
    """Return that a person decides, in the dead letters."""
    return Decision(registration, RegistrationState.DEAD, "answer lost", detail, Cause.ANSWER_LOST)
