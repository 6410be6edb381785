"""Fates: whatever Marketo answers, each registration gets exactly one, its own."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dispatch import verdicts
from app.dispatch.verdicts import Policy
from app.domain import CallId, CampaignId, Cause, LeadId, RegistrationId, RegistrationState
from app.marketo.answers import FoundPerson, PersonOutcome, PersonStatus, Reason, SyncAnswer, TriggerAnswer
from app.marketo.codes import TABLE, Endpoint, Trouble
from app.marketo.failures import CallFailed, failure
from app.store.claims import Call, CallKind, Claimed
from app.store.fates import Fate

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
RETRY = Policy()
ENDPOINTS: dict[CallKind, Endpoint] = {
    "upsert": Endpoint.SYNC,
    "lookup": Endpoint.FIND,
    "trigger": Endpoint.TRIGGER,
}
KEPT_STATE = {
    "upsert": RegistrationState.NEW,
    "lookup": RegistrationState.NEW,
    "trigger": RegistrationState.KNOWN,
}


def registration(
    number: int, person: str | None = None, *, lead: int | None = None, relooked: bool = False, names: str | None = None
) -> Claimed:
    email = f"{person or number}@example.com"
    return Claimed(
        id=RegistrationId(f"reg_{number}"),
        source="custom",
        person_key=email,
        email=email if person != "" else None,
        lead_id=None if lead is None else LeadId(lead),
        first_name=names,
        last_name=None,
        campaign_id=CampaignId(7),
        tokens={},
        attempts=0,
        relooked=relooked,
        created_at=NOON,
        came_at=NOON,
        expires_at=NOON + timedelta(days=8),
    )


def call_with(*registrations: Claimed, kind: CallKind = "upsert") -> Call:
    return Call(CallId("call_1"), kind, CampaignId(7) if kind == "trigger" else None, registrations)


def refusal(call: Call, code: str, message: str = "no") -> CallFailed:
    return failure(ENDPOINTS[call.kind], code, message)


def fate_of(call: Call, code: str, *, policy: Policy = RETRY) -> Fate:
    [fate] = verdicts.after_refusal(call, refusal(call, code), policy=policy, now=NOON)
    return fate


def ids(fates: Sequence[Fate]) -> list[str]:
    return [fate.registration.id for fate in fates]


people = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=30)
outcomes = st.one_of(
    st.builds(
        PersonOutcome, st.integers(1, 99).map(LeadId), st.sampled_from([PersonStatus.CREATED, PersonStatus.UPDATED])
    ),
    st.builds(
        PersonOutcome,
        st.none() | st.integers(1, 99).map(LeadId),
        st.just(PersonStatus.SKIPPED),
        st.lists(st.builds(Reason, st.sampled_from([*sorted(TABLE), "1234", "x"]), st.just("because")), max_size=2).map(
            tuple
        ),
    ),
)


@given(people, st.data())
def test_each_registration_gets_its_own_persons_outcome(names: list[str], data: st.DataObject) -> None:
    """A shifted answer would send Ada's link to Grace."""
    call = call_with(*(registration(n, person) for n, person in enumerate(names)))
    records = verdicts.records_of(call)
    answered = {record.key: data.draw(outcomes) for record in records}
    fates = verdicts.after_sync(call, SyncAnswer("r", (), tuple(answered.values())), now=NOON)
    assert sorted(ids(fates)) == sorted(r.id for r in call.registrations)
    for fate in fates:
        outcome = answered[fate.registration.email or ""]
        found = outcome.lead_id is not None and not outcome.reasons
        assert (fate.state is RegistrationState.KNOWN) == found
        assert not found or fate.lead_id == outcome.lead_id
        assert fate.state in (RegistrationState.NEW, RegistrationState.KNOWN, RegistrationState.DEAD)
        assert (fate.state is RegistrationState.DEAD) == (fate.cause is not None)


@given(
    people, st.sampled_from(["upsert", "lookup", "trigger"]), st.sampled_from([*sorted(TABLE), "999", "1999", "750"])
)
def test_whatever_refusal_comes_each_registration_gets_one_fate(names: list[str], kind: CallKind, code: str) -> None:
    """Nothing vanishes, and what goes on says when or is paused."""
    call = call_with(*(registration(n, person, lead=n + 1) for n, person in enumerate(names)), kind=kind)
    failed = refusal(call, code)
    fates = verdicts.after_refusal(call, failed, policy=Policy(), now=NOON)
    assert ids(fates) == [r.id for r in call.registrations]
    for fate in fates:
        assert fate.state in (RegistrationState.NEW, RegistrationState.KNOWN, RegistrationState.DEAD)
        assert (failed.advice.removesuffix(".") if code in set(Trouble) else code) in fate.detail
        assert not fate.counts or (fate.due_at is not None and fate.due_at > NOON)


@pytest.mark.parametrize("code", ["502", "611"])
@pytest.mark.parametrize("kind", ["upsert", "lookup", "trigger"])
def test_who_waits_after_a_failed_call_comes_back_with_the_others(kind: CallKind, code: str) -> None:
    """Each who came alone would be a call of its own: a hundred for one that failed."""
    call = call_with(*(registration(n, lead=n + 1) for n in range(100)), kind=kind)
    fates = verdicts.after_refusal(call, refusal(call, code), policy=Policy(), now=NOON)
    assert len({fate.due_at for fate in fates}) == 1


@pytest.mark.parametrize("kind", ["upsert", "lookup", "trigger"])
def test_a_batch_that_is_not_understood_comes_back_whole_and_then_in_halves(kind: CallKind) -> None:
    """It may pass. If not, half of those whom it is not about are through with the next: two calls, not a hundred."""
    hundred = [registration(n, lead=n + 1) for n in range(100)]
    first = call_with(*hundred, kind=kind)
    fates = verdicts.after_refusal(first, refusal(first, "609"), policy=Policy(), now=NOON)
    assert {fate.due_at for fate in fates} == {NOON + timedelta(minutes=5)}
    second = call_with(*(replace(one, attempts=1) for one in hundred), kind=kind)
    fates = verdicts.after_refusal(second, refusal(second, "609"), policy=Policy(), now=NOON)
    times = Counter(fate.due_at for fate in fates)
    assert times == {NOON + timedelta(minutes=7.5): 50, NOON + timedelta(minutes=15): 50}


@given(st.lists(st.integers(0, 20), min_size=2, max_size=300), st.sampled_from(["upsert", "lookup", "trigger"]))
def test_halves_are_the_whole_and_smaller(people: list[int], kind: CallKind) -> None:
    """Splitting ends, loses nobody, and leaves a person in one part: in two, they would become two people."""
    whole = [registration(n, person=f"p{who}", lead=who) for n, who in enumerate(people)]
    call = call_with(*whole, kind=kind)
    if len(set(people)) == 1:
        assert not verdicts.must_split(call, failure(Endpoint.SYNC, "709", "no"))
        return
    first, second = verdicts.halves(call)
    assert sorted((*first, *second), key=lambda r: r.id) == sorted(whole, key=lambda r: r.id)
    assert 0 < len({r.person_key for r in first}) <= len({r.person_key for r in second})
    assert {r.person_key for r in first}.isdisjoint({r.person_key for r in second})


@given(st.lists(st.tuples(st.sampled_from("abcAB"), st.integers(1, 9), st.none() | st.datetimes()), max_size=8))
def test_the_one_updated_last_is_chosen(found: list[tuple[str, int, datetime | None]]) -> None:
    """Several people may share an address; Adobe's advice is the latest, an unknown time is the oldest."""
    answer = [
        FoundPerson(LeadId(lead), f"{key}@example.com", at.replace(tzinfo=UTC) if at else None)
        for key, lead, at in found
    ]
    call = call_with(registration(1, "a"), registration(2, "b"), registration(3, "a"), kind="lookup")
    fates = verdicts.after_find(call, answer, policy=Policy())
    assert ids(fates) == ["reg_1", "reg_2", "reg_3"]
    for fate in fates:
        mine = [person for person in answer if person.key.lower() == fate.registration.email]
        if not mine:
            assert fate.cause is Cause.SEVERAL_PEOPLE
            continue
        chosen = [person for person in mine if person.lead_id == fate.lead_id]
        latest = max((person.updated_at for person in mine if person.updated_at), default=None)
        assert latest in [person.updated_at for person in chosen]
        assert (f"{len(mine)} have this address" in fate.detail) == (len(mine) > 1)


def test_nobody_found_in_look_up_mode_is_an_unknown_person() -> None:
    """The setting says never to create people; the cause says which."""
    call = call_with(registration(1), kind="lookup")
    [fate] = verdicts.after_find(call, [], policy=Policy(look_up_only=True))
    assert (fate.state, fate.cause) == (RegistrationState.DEAD, Cause.UNKNOWN_PERSON)


def test_one_record_a_person_with_the_latest_names() -> None:
    """Two records of one key in a call make Marketo create duplicates."""
    call = call_with(
        registration(1, "a", names="Ada"),
        registration(2, "b"),
        registration(3, "a", names="Augusta"),
        registration(4, "a"),
    )
    records = verdicts.records_of(call)
    assert [(record.key, record.first_name) for record in records] == [
        ("a@example.com", "Augusta"),
        ("b@example.com", None),
    ]


def test_a_lead_is_named_once_a_call() -> None:
    """Who registered at two sources gets one e-mail from the call that serves both."""
    call = call_with(*(registration(n, lead=lead) for n, lead in enumerate([5, 6, 5])), kind="trigger")
    assert verdicts.leads_of(call) == [5, 6]


@pytest.mark.parametrize(("leads", "words"), [([5], None), ([5, 6], "with 1 other"), ([5, 6, 7], "with 2 others")])
def test_all_of_an_accepted_request_are_sent(leads: list[int], words: str | None) -> None:
    """Marketo names the campaign, never the leads; the timeline keeps the request's id."""
    call = call_with(*(registration(n, lead=lead) for n, lead in enumerate(leads)), kind="trigger")
    fates = verdicts.after_trigger(call, TriggerAnswer("abc#1", ()))
    assert {fate.state for fate in fates} == {RegistrationState.SENT}
    assert all("campaign 7, request abc#1" in fate.detail and (words or "") in fate.detail for fate in fates)
    assert ("other" in fates[0].detail) == (words is not None)


RELATIONS: list[tuple[CallKind, str, Cause]] = [
    ("upsert", "1003", Cause.PERSON_REFUSED),
    ("lookup", "1001", Cause.PERSON_REFUSED),
    ("trigger", "709", Cause.RECORD_REFUSED),
    ("trigger", "413", Cause.TOO_LARGE),
    ("upsert", "414", Cause.TOO_LARGE),
    ("lookup", "1007", Cause.SEVERAL_PEOPLE),
    ("trigger", "1007", Cause.SEVERAL_PEOPLE),
]


@pytest.mark.parametrize(("kind", "code", "cause"), RELATIONS)
def test_a_record_that_is_refused_alone_is_dead_with_marketos_words(kind: CallKind, code: str, cause: Cause) -> None:
    """Nothing is retried for ever; a person reads why."""
    fate = fate_of(call_with(registration(1, lead=1), kind=kind), code)
    assert (fate.state, fate.cause) == (RegistrationState.DEAD, cause)
    assert fate.detail.startswith(f"Marketo {code}: no.")


def test_what_marketo_did_not_say_is_told_in_words() -> None:
    """A connection that broke has no code of Marketo's; its name in the program comes last, for whoever mends it."""
    failed = failure(Endpoint.TRIGGER, Trouble.ANSWER_LOST, "ReadError at the trigger call: gone.")
    call = call_with(registration(1, lead=1), kind="trigger")
    [fate] = verdicts.after_refusal(call, failed, policy=Policy(on_ambiguous="hold"), now=NOON)
    assert fate.detail == (
        "The connection to Marketo broke before its answer came (ReadError at the trigger call: gone). The campaign "
        "may have run. A person decides (MARKETO_ON_AMBIGUOUS=hold)."
    )


@pytest.mark.parametrize("code", ["413", "1003", "1004", "709", "1007"])
def test_a_refusal_for_one_record_splits_a_batch_and_buries_nobody_else(code: str) -> None:
    """Its neighbours did nothing wrong."""
    call = call_with(registration(1), registration(2))
    assert verdicts.must_split(call, refusal(call, code))
    assert not verdicts.must_split(call_with(registration(1)), refusal(call, code))


@pytest.mark.parametrize("code", ["606", "607", "615", "603", "601", "1013", "500", Trouble.TIMED_OUT])
def test_what_is_nobodys_fault_splits_nothing(code: str) -> None:
    """Halving a call that met a limit would only meet it twice."""
    call = call_with(registration(1, lead=1), registration(2, lead=2), kind="trigger")
    assert not verdicts.must_split(call, refusal(call, code))


@pytest.mark.parametrize("kind", ["upsert", "lookup", "trigger"])
@pytest.mark.parametrize("code", ["606", "607", "615", "603", "601", "404"])
def test_limits_and_pauses_are_no_attempts(kind: CallKind, code: str) -> None:
    """The dispatcher waits, the registration keeps its place."""
    fate = fate_of(call_with(registration(1, lead=1), kind=kind), code)
    assert (fate.state, fate.counts, fate.due_at) == (KEPT_STATE[kind], False, None)
    assert fate.lookup == (kind == "lookup")


@pytest.mark.parametrize("kind", ["upsert", "lookup"])
@pytest.mark.parametrize("code", ["608", "500", "502", Trouble.TIMED_OUT, Trouble.UNREACHABLE, "702"])
def test_a_call_that_may_work_next_time_is_tried_again_later(kind: CallKind, code: str) -> None:
    """Looking people up twice, or saving them twice, is harmless. At once would be a hot loop."""
    fate = fate_of(call_with(registration(1), kind=kind), code)
    assert (fate.state, fate.counts) == (RegistrationState.NEW, True)
    assert fate.due_at is not None
    assert fate.due_at > NOON
    assert fate.lookup == (kind == "lookup")


def test_marketos_own_delay_is_kept() -> None:
    """614 asks for patience of minutes."""
    fate = fate_of(call_with(registration(1)), "614")
    assert fate.due_at is not None
    assert fate.due_at >= NOON + timedelta(minutes=10)


@pytest.mark.parametrize("code", ["500", "502", Trouble.TIMED_OUT, Trouble.ANSWER_LOST, Trouble.UNREADABLE])
def test_a_lost_answer_to_a_request_is_settled_by_policy(code: str) -> None:
    """The campaign may have run: a second e-mail or none, the settings decide."""
    call = call_with(registration(1, lead=1), kind="trigger")
    again, held = fate_of(call, code), fate_of(call, code, policy=Policy(on_ambiguous="hold"))
    assert (again.state, again.what, again.counts) == (RegistrationState.KNOWN, "answer lost", True)
    assert again.due_at is not None
    assert again.due_at > NOON
    assert (held.state, held.what, held.cause) == (RegistrationState.DEAD, "answer lost", Cause.ANSWER_LOST)


def test_what_surely_did_not_run_is_requested_again_under_each_policy() -> None:
    """6xx was not executed; nobody needs to decide."""
    call = call_with(registration(1, lead=1), kind="trigger")
    for policy in (Policy(), Policy(on_ambiguous="hold")):
        fate = fate_of(call, "608", policy=policy)
        assert (fate.state, fate.counts) == (RegistrationState.KNOWN, True)


@pytest.mark.parametrize("look_up_only", [False, True])
def test_a_person_who_is_gone_is_looked_up_again_once(look_up_only: bool) -> None:
    """Merged people have a new id; deleted ones have none, and that ends."""
    policy = Policy(look_up_only=look_up_only)
    first = fate_of(call_with(registration(1, lead=1), kind="trigger"), "1004", policy=policy)
    assert (first.state, first.relooked, first.lookup) == (RegistrationState.NEW, True, look_up_only)
    second = fate_of(call_with(registration(1, lead=1, relooked=True), kind="trigger"), "1004", policy=policy)
    assert (second.state, second.cause) == (RegistrationState.DEAD, Cause.LEAD_NOT_FOUND)


def test_a_lead_without_an_address_cannot_be_looked_up_again() -> None:
    """Only the id was known; nobody is told that it will be."""
    fate = fate_of(call_with(registration(1, "", lead=1), kind="trigger"), "1004")
    assert (fate.state, fate.cause) == (RegistrationState.DEAD, Cause.LEAD_NOT_FOUND)
    assert "looked up" not in fate.detail


def test_several_people_are_looked_up_to_choose_one() -> None:
    """1007, of one record or of the whole call."""
    call = call_with(registration(1))
    skipped = PersonOutcome(None, PersonStatus.SKIPPED, (Reason("1007", "several"),))
    [of_record] = verdicts.after_sync(call, SyncAnswer("r", (), (skipped,)), now=NOON)
    for fate in (of_record, fate_of(call, "1007")):
        assert (fate.state, fate.lookup, fate.what) == (RegistrationState.NEW, True, "several people")


def test_what_was_not_asked_after_all_keeps_its_place() -> None:
    """A pause in the middle of a split is no attempt."""
    call = call_with(registration(1, lead=1), registration(2, lead=2), kind="trigger")
    [fate] = verdicts.put_back(call, call.registrations[1:])
    assert (fate.registration.id, fate.state, fate.counts) == ("reg_2", RegistrationState.KNOWN, False)
    [person] = verdicts.put_back(call_with(registration(1), kind="lookup"), [registration(1)])
    assert (person.state, person.lookup) == (RegistrationState.NEW, True)
