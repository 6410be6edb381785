"""Say what becomes of each registration after a call to Marketo. No I/O: answers and failures in, fates out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain

from app.dispatch.backoff import Return, delay_after
from app.domain import Cause, LeadId, RegistrationState
from app.marketo.answers import FoundPerson, PersonOutcome, Reason, SyncAnswer, TriggerAnswer
from app.marketo.codes import Consequence, Trouble
from app.marketo.failures import CallFailed
from app.marketo.requests import PersonRecord
from app.store.claims import Call, CallResult, Claimed
from app.store.fates import Fate
from app.store.takeover import OnAmbiguous

_ONE_BY_ONE = frozenset({Consequence.SPLIT, Consequence.PERSON_GONE, Consequence.SEVERAL_PEOPLE, Consequence.RECORD})
_STOPPED = timedelta(minutes=10)  # after half of which a call comes back, or one half of it; the other after all of it
_TOO_LARGE = frozenset({"413", "414"})
_NOT_MARKETOS = frozenset(Trouble)  # codes of our own, which tell nobody anything
_FEW = 3
_SHARED = (
    "Several of the request were refused alone in the same words: the reason is what they share, as a token's value."
)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings decide: what to do after a lost answer, and whether people are ever created.

    `activity_delay` is after what time Marketo's activity log can tell whether a campaign ran.
    """

    on_ambiguous: OnAmbiguous = "retry"
    look_up_only: bool = False
    activity_delay: timedelta = timedelta(minutes=1)


def by_person(registrations: Sequence[Claimed]) -> Mapping[str, list[Claimed]]:
    """Group registrations by person, in their order; one person may register for several webinars."""
    groups: dict[str, list[Claimed]] = {}
    for registration in registrations:
        groups.setdefault(registration.person_key, []).append(registration)
    return groups


def records_of(call: Call) -> list[PersonRecord]:
    """Return one record a person: the names of the latest registration that has some, and the mapped fields' values.

    The store sees to it that no two registrations of a person want different values there.
    """
    return [_record(group) for group in by_person(call.registrations).values()]


def _record(group: Sequence[Claimed]) -> PersonRecord:
    named = next((r for r in reversed(group) if r.first_name or r.last_name), group[-1])
    values = next((r.written for r in group if r.by_field), {})
    return PersonRecord(group[-1].email or "", named.first_name, named.last_name, values)


def leads_of(call: Call) -> list[LeadId]:
    """Return the leads of a trigger call; who registered for the same thing at two sources is named once."""
    return list(dict.fromkeys(r.lead_id for r in call.registrations if r.lead_id is not None))


def _apart(call: Call) -> list[list[Claimed]]:
    """Group what must stay together: a person in two calls in a row would become two, a lead be mailed twice."""
    groups: dict[str | int | None, list[Claimed]] = {}
    for registration in call.registrations:
        key = registration.lead_id if call.kind == "trigger" else registration.person_key
        groups.setdefault(key, []).append(registration)
    return list(groups.values())


def halves(call: Call) -> tuple[Sequence[Claimed], Sequence[Claimed]]:
    """Return the registrations of a call in two parts, each person in one of them."""
    groups = _apart(call)
    return list(chain(*groups[1::2])), list(chain(*groups[::2]))  # those who came together are parted


def must_split(call: Call, failed: CallFailed) -> bool:
    """Tell whether a refusal of the whole call may be the fault of one of its records."""
    return failed.consequence in _ONE_BY_ONE and len(_apart(call)) > 1


@dataclass(slots=True)
class Halving:
    """What is learnt while a refused call is halved: who is to blame, or that nobody is.

    Where the first few who are asked for alone are refused in the words in which all were, and nobody has passed, the
    reason is what they share: a token's value, a rule for the whole request. The rest need not be asked for.
    """

    whole: CallFailed
    has_passed: bool = False
    lone: list[tuple[Call, CallResult]] = field(default_factory=list)
    rest: list[tuple[Call, CallResult]] = field(default_factory=list)

    def is_alike(self, failed: CallFailed) -> bool:
        """Tell whether one was refused as all were, for a reason that may be all's."""
        may_be_shared = failed.consequence in (Consequence.SPLIT, Consequence.RECORD) and failed.code not in _TOO_LARGE
        return may_be_shared and (failed.code, failed.message) == (self.whole.code, self.whole.message)

    @property
    def is_shared(self) -> bool:
        return len(self.lone) >= _FEW and not self.has_passed

    def fates(self, call: Call, *, policy: Policy, now: datetime) -> list[Fate]:
        """Say what becomes of somebody who was refused alone, or not asked for after the few."""
        fates = after_refusal(call, self.whole, policy=policy, now=now)
        return [replace(fate, detail=f"{fate.detail} {_SHARED}") for fate in fates] if self.is_shared else fates


def after_sync(call: Call, answer: SyncAnswer, *, now: datetime) -> list[Fate]:
    """Put each outcome, which come in the order of the records, on that person's registrations."""
    groups, back = by_person(call.registrations).values(), Return(now)
    return [
        fate
        for group, outcome in zip(groups, answer.people, strict=True)
        for fate in _without_fields(group, [_after_outcome(registration, outcome, back) for registration in group])
    ]


def _without_fields(group: Sequence[Claimed], fates: list[Fate]) -> list[Fate]:
    """Try a person once more who was refused with values in mapped fields: the values may be what was refused."""
    if not any(registration.by_field for registration in group):
        return fates
    return [_pass_tokens(fate) if fate.state is RegistrationState.DEAD else fate for fate in fates]


def _pass_tokens(fate: Fate) -> Fate:
    detail = f"{fate.detail} It is tried again with tokens of its own."
    return replace(fate, state=RegistrationState.NEW, what="waiting", detail=detail, cause=None, falls_back=True)


def _after_outcome(registration: Claimed, outcome: PersonOutcome, back: Return) -> Fate:
    if outcome.lead_id is not None and not outcome.reasons:
        return _person_found(registration, outcome.lead_id, f"Marketo has this person: {outcome.status}.")
    reason = outcome.reasons[0] if outcome.reasons else None
    if reason is None:
        return _bury(registration, Cause.PERSON_REFUSED, "Marketo skipped this person without a reason.")
    if reason.consequence is Consequence.SEVERAL_PEOPLE:
        detail = "Several people in Marketo have this address (1007); the one updated last is looked up."
        return Fate(registration, RegistrationState.NEW, "several people", detail, lookup=True)
    if reason.consequence in (Consequence.RETRY, Consequence.CONFIGURATION, Consequence.DEFECT):
        return _again(registration, RegistrationState.NEW, _words(reason), back.after(registration.attempts + 1))
    return _bury(registration, Cause.PERSON_REFUSED, _words(reason))


def after_find(call: Call, people: Sequence[FoundPerson], *, policy: Policy) -> list[Fate]:
    """Give each registration the person with its key who was updated last."""
    found: dict[str, list[FoundPerson]] = {}
    for person in people:
        found.setdefault(person.key.lower(), []).append(person)
    return [_after_search(r, found.get((r.email or "").lower(), []), policy) for r in call.registrations]


def _after_search(registration: Claimed, people: Sequence[FoundPerson], policy: Policy) -> Fate:
    if not people:
        if policy.look_up_only:
            return _bury(registration, Cause.UNKNOWN_PERSON, "Marketo has nobody with this address.")
        return _bury(registration, Cause.SEVERAL_PEOPLE, "Marketo said that several match, and then found nobody.")
    latest = max(people, key=lambda person: (person.updated_at is not None, person.updated_at, person.lead_id))
    choice = f"; {len(people)} have this address, this one was updated last" if len(people) > 1 else ""
    return _person_found(registration, latest.lead_id, f"Marketo has this person{choice}.")


def after_trigger(call: Call, answer: TriggerAnswer) -> list[Fate]:
    """Mark all as sent: Marketo names the campaign it took, never the leads."""
    others = len(leads_of(call)) - 1
    company = f", with {others} other{'s' if others > 1 else ''}" if others else ""
    detail = f"Marketo took it: campaign {call.campaign_id}, request {answer.request_id}{company}."
    return [Fate(r, RegistrationState.SENT, "sent", detail) for r in call.registrations]


def after_refusal(call: Call, failed: CallFailed, *, policy: Policy, now: datetime) -> list[Fate]:
    """Say what becomes of the registrations of a call that failed as a whole and is not split."""
    if failed.consequence is Consequence.DEFECT:
        fates = _stopped(call, failed, now)
    else:
        back = Return(now)
        fates = [_after_refusal(r, call, failed, policy, back) for r in call.registrations]
    return _without_fields(call.registrations, fates) if call.kind == "upsert" else fates


def _after_refusal(registration: Claimed, call: Call, failed: CallFailed, policy: Policy, back: Return) -> Fate:
    match failed.consequence:
        case Consequence.AMBIGUOUS:
            return _after_lost_answer(registration, failed, policy, back)
        case Consequence.SPLIT | Consequence.RECORD:
            cause = Cause.PERSON_REFUSED if call.kind != "trigger" else Cause.RECORD_REFUSED
            return _bury(registration, Cause.TOO_LARGE if failed.code in _TOO_LARGE else cause, _sentence(failed))
        case Consequence.PERSON_GONE:
            return _look_up_again(registration, failed, policy)
        case Consequence.SEVERAL_PEOPLE if call.kind == "upsert":
            return Fate(registration, RegistrationState.NEW, "several people", _sentence(failed), lookup=True)
        case Consequence.SEVERAL_PEOPLE:  # a look-up would bring it here again and again
            return _bury(registration, Cause.SEVERAL_PEOPLE, _sentence(failed))
    return _wait(registration, call, failed, back)


def _after_lost_answer(registration: Claimed, failed: CallFailed, policy: Policy, back: Return) -> Fate:
    lost = f"{_sentence(failed)} The campaign may have run."
    if policy.on_ambiguous == "check":
        look_at = back.now + policy.activity_delay
        detail = f"{lost} Marketo's activity log is asked whether it did (MARKETO_ON_AMBIGUOUS=check)."
        state = RegistrationState.SENDING
        return Fate(registration, state, "answer lost", detail, due_at=look_at, counts=True)
    if policy.on_ambiguous == "hold":
        detail = f"{lost} A person decides (MARKETO_ON_AMBIGUOUS=hold)."
        return _bury(registration, Cause.ANSWER_LOST, detail, what="answer lost")
    detail = f"{lost} It is requested again (MARKETO_ON_AMBIGUOUS=retry)."
    due_at = back.after(registration.attempts + 1, retry_after=failed.retry_after)
    return _again(registration, RegistrationState.KNOWN, detail, due_at, what="answer lost")


def _look_up_again(registration: Claimed, failed: CallFailed, policy: Policy) -> Fate:
    if registration.relooked or not registration.email:
        return replace(_bury(registration, Cause.LEAD_NOT_FOUND, _sentence(failed)), is_gone=True)
    detail = f"{_sentence(failed)} It is looked up again, once."
    lookup = policy.look_up_only
    return Fate(registration, RegistrationState.NEW, "person gone", detail, lookup=lookup, relooked=True, is_gone=True)


def put_back(call: Call, registrations: Sequence[Claimed]) -> list[Fate]:
    """Put back what was not asked after all: a pause, the day's budget or the end of the term came first."""
    state = _state_before(call)
    detail = "The relay had to stop before it asked Marketo for this. Nothing was sent."
    return [Fate(r, state, "waiting", detail, lookup=call.kind == "lookup") for r in registrations]


def _stopped(call: Call, failed: CallFailed, now: datetime) -> list[Fate]:
    """Put a batch back that Marketo did not understand: the second time in halves, so that others are soon through."""
    state, detail, lookup = _state_before(call), _sentence(failed), call.kind == "lookup"
    later = {r.id for r in halves(call)[0]}
    return [
        Fate(r, state, "waiting", detail, due_at=now + _stop(r, is_later=r.id in later), lookup=lookup, counts=True)
        for r in call.registrations
    ]


def _stop(registration: Claimed, *, is_later: bool) -> timedelta:
    return delay_after(registration.attempts + 1, first=_STOPPED, jitter=float(is_later and registration.attempts > 0))


def _wait(registration: Claimed, call: Call, failed: CallFailed, back: Return) -> Fate:
    """Put it back: the call was not its fault, or may work next time."""
    state, lookup = _state_before(call), call.kind == "lookup"
    if failed.counts_as_attempt or failed.consequence is Consequence.NO_DATA:  # which pauses nothing
        due_at = back.after(registration.attempts + 1, retry_after=failed.retry_after)
        return _again(registration, state, _sentence(failed), due_at, lookup=lookup)
    return Fate(registration, state, "waiting", _sentence(failed), lookup=lookup)


def _state_before(call: Call) -> RegistrationState:
    return RegistrationState.KNOWN if call.kind == "trigger" else RegistrationState.NEW


def _again(
    registration: Claimed,
    state: RegistrationState,
    detail: str,
    due_at: datetime,
    *,
    what: str = "waiting",
    lookup: bool = False,
) -> Fate:
    return Fate(registration, state, what, detail, due_at=due_at, lookup=lookup, counts=True)


def _person_found(registration: Claimed, lead_id: LeadId, detail: str) -> Fate:
    return Fate(registration, RegistrationState.KNOWN, "person found", detail, lead_id=lead_id)


def _bury(registration: Claimed, cause: Cause, detail: str, *, what: str = "dead") -> Fate:
    return Fate(registration, RegistrationState.DEAD, what, detail, cause=cause)


def _sentence(failed: CallFailed) -> str:
    said = (failed.message or "no message").removesuffix(".")
    if failed.code in _NOT_MARKETOS:
        return f"{failed.advice.removesuffix('.')} ({said})."
    return f"Marketo {failed.code}: {said}. {failed.advice}"


def _words(reason: Reason) -> str:
    return f"Marketo {reason.code}: {reason.message}. {reason.advice}"
