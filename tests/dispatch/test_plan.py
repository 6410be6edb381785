"""The next call: full batches first, then where most people have waited longest; urgent ones and other sources pass."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.dispatch.plan import Ago, Job, PeopleJob, TriggerJob, Turns, choose, sources_with_few
from app.dispatch.window import Pace
from app.domain import CampaignId
from app.store.heads import Backlog, People, Waiting

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def batch(
    seconds: int, *, size: int = 1, campaign: int = 1, source: str = "a", starts_in: timedelta | None = None
) -> Backlog:
    starts_at = None if starts_in is None else NOON + starts_in
    oldest = NOON - timedelta(seconds=seconds)
    return Backlog(f"key-{seconds}", CampaignId(campaign), size, oldest, source, starts_at)


def people(seconds: int, size: int = 1, *, lookup: bool = False, source: str = "a") -> People:
    return People(source, lookup, size, NOON - timedelta(seconds=seconds))


def waiting(*some: Backlog | People) -> Waiting:
    batches = [one for one in some if isinstance(one, Backlog)]
    return Waiting([one for one in some if isinstance(one, People)], batches, None)


def ago(**calls: int) -> dict[str, Ago]:
    """Return when sources had their turn, with nothing but calls of those that have many since."""
    return {source: Ago(count, count) for source, count in calls.items()}


def first(now: Waiting, **more: object) -> Job:
    return choose(now, now=NOON, **more)[0]  # type: ignore[arg-type]


def test_nothing_waits_nothing_is_chosen() -> None:
    """An idle relay makes no calls."""
    assert choose(waiting(), now=NOON) == []


def test_where_most_people_have_waited_longest_is_first() -> None:
    """Neither kind of call starves the other: both are weighed by people times seconds."""
    old, many, few = batch(10, size=20), batch(5, size=50), batch(9, size=3)
    assert first(waiting(few, old, many)) == TriggerJob(many, Pace.SPACED)
    assert first(waiting(few, old, people(9, 30))) == PeopleJob(False, Pace.SPACED, frozenset("a"))
    assert first(waiting(few, old, people(9, 20))) == TriggerJob(old, Pace.SPACED)


def test_full_batches_go_first_and_those_that_end_something_before_those_that_begin() -> None:
    """They gain nothing by waiting; a request ends 100 registrations' way."""
    full = batch(1, size=100)
    assert first(waiting(batch(500, size=99), full, people(500, 300))) == TriggerJob(full, Pace.FULL)
    assert first(waiting(batch(500, size=99), people(1, 300))) == PeopleJob(False, Pace.FULL, frozenset("a"))


def test_a_registration_with_nobody_beside_it_is_lone() -> None:
    """Nobody comes while it would wait: what is lone leaves at once while the window is not half used."""
    assert first(waiting(batch(1))) == TriggerJob(batch(1), Pace.LONE)
    assert first(waiting(people(1))) == PeopleJob(False, Pace.LONE, frozenset("a"))
    assert {job.pace for job in choose(waiting(batch(2), people(1)), now=NOON)} == {Pace.SPACED}
    assert first(waiting(batch(1, size=2))) == TriggerJob(batch(1, size=2), Pace.SPACED)


def test_people_of_all_sources_share_a_call() -> None:
    """A call of 300 does not care where they registered; look-ups are another call."""
    now = waiting(people(1, 200), people(1, 150, source="b"), people(1, 9, lookup=True))
    assert first(now, ago=ago(a=1, b=0)) == PeopleJob(False, Pace.FULL, frozenset("ab"))
    assert PeopleJob(True, Pace.SPACED, frozenset("a")) in choose(now, now=NOON, ago=ago(a=1, b=0))


def test_paused_campaigns_are_left() -> None:
    """A campaign that a person must mend holds up nobody else."""
    assert choose(waiting(batch(1, size=500)), now=NOON, paused={CampaignId(1)}) == []
    other = batch(2, size=2, campaign=2)
    assert choose(waiting(batch(1, size=500), other), now=NOON, paused={CampaignId(1)}) == [
        TriggerJob(other, Pace.SPACED)
    ]


def test_a_webinar_that_starts_soon_passes_others() -> None:
    """In ten minutes, or already: a reminder that comes after the end is none. Full ones of next week wait."""
    later = batch(900, size=100, starts_in=timedelta(days=7))
    for minutes in (-5, 10, 30):
        soon = batch(1, starts_in=timedelta(minutes=minutes))
        assert first(waiting(later, soon, people(60, 300))) == TriggerJob(soon, Pace.SPACED)
    assert first(waiting(later, batch(1, starts_in=timedelta(minutes=31)))) == TriggerJob(later, Pace.FULL)


def test_full_batches_yield_to_what_is_urgent() -> None:
    """They would empty the window while the urgent one waits for its place in it."""
    later, soon = batch(900, size=100, starts_in=timedelta(days=7)), batch(1, starts_in=timedelta(minutes=10))
    jobs = choose(waiting(later, soon), now=NOON)
    assert jobs == [TriggerJob(soon, Pace.SPACED), TriggerJob(later, Pace.YIELDING)]
    full = replace(soon, size=100)
    assert {job.pace for job in choose(waiting(full, soon), now=NOON)} == {Pace.FULL, Pace.SPACED}


def test_another_source_has_its_turn_after_two_calls() -> None:
    """At once, not spaced, and before what is urgent at the source that had the last two."""
    crowd = batch(900, size=100, starts_in=timedelta(minutes=5))
    lone = batch(1, source="b")
    now = waiting(crowd, lone)
    assert first(now, ago=ago(a=0, b=1)) == TriggerJob(crowd, Pace.FULL)
    assert first(now, ago=ago(a=0, b=2)) == TriggerJob(lone, Pace.AT_ONCE)
    assert first(now, ago=ago(a=0)) == TriggerJob(lone, Pace.AT_ONCE), "it never had one"
    assert first(waiting(lone), ago=ago(a=0)) == TriggerJob(lone, Pace.LONE), "nobody else waits"


def test_several_sources_in_turn_are_no_reason_to_hurry() -> None:
    """With four at work each waits for three calls of the others: were they all at once, nothing would be paced."""
    for size in (1, 50):
        now = waiting(*(batch(n + 1, source=name, size=size) for n, name in enumerate("abcd")))
        jobs = choose(now, now=NOON, ago={name: Ago(3 - n, 0) for n, name in enumerate("abcd")})
        assert {job.pace for job in jobs} == {Pace.SPACED}
        served = {"a": Ago(4, 0), "b": Ago(5, 0), "c": Ago(1, 0), "d": Ago(0, 0)}
        assert first(now, ago=served) == TriggerJob(now.batches[1], Pace.AT_ONCE)


def test_turns_are_counted_by_calls() -> None:
    """A call for people is the turn of all whose people it takes along; it is of many if one of them has many."""
    turns = Turns()
    turns.take(PeopleJob(False, Pace.FULL, frozenset("ab")), few={"b"})
    turns.take(TriggerJob(batch(1, source="a"), Pace.FULL))
    turns.take(TriggerJob(batch(1, source="c"), Pace.FULL), few={"b", "c"})
    assert turns.ago() == {"a": Ago(1, 0), "b": Ago(2, 1), "c": Ago(0, 0)}


def test_few_are_few_in_all_of_a_sources_lines() -> None:
    now = waiting(batch(1, size=6), people(1, 4), batch(2, size=6, source="b"), people(1, 5, source="b"))
    assert sources_with_few(now) == {"a"}
    assert sources_with_few(waiting(batch(1, size=99)), paused={CampaignId(1)}) == {"a"}, "it can make no call"


@dataclass
class Scene:
    """Sources with more waiting than they can send, and others that have one registration now and then."""

    crowds: Sequence[Backlog | People]
    turns: Turns = field(default_factory=Turns)

    def call(self, *lone: Backlog | People) -> frozenset[str]:
        """Make the next call, and return for whom it was."""
        now = waiting(*self.crowds, *lone)
        job = first(now, ago=self.turns.ago())
        self.turns.take(job, sources_with_few(now))
        return job.sources


def crowd_of(name: str, kind: int) -> Backlog | People:
    """Return one of five ways to have much to send."""
    soon = timedelta(minutes=5)
    full = batch(900, size=100, source=name, starts_in=soon if kind == 0 else None)
    return (
        full,
        full,
        batch(900, size=60, source=name),
        people(900, 300, source=name),
        batch(9, size=99, source=name),
    )[kind]


crowds_of_sources = st.lists(st.integers(0, 4), min_size=1, max_size=7).map(
    lambda kinds: [crowd_of(f"crowd-{n}", kind) for n, kind in enumerate(kinds)]
)
lone_ones = st.booleans().map(lambda is_new: people(0, source="lone") if is_new else batch(0, source="lone"))


@given(crowds_of_sources, st.lists(st.tuples(st.integers(0, 9), lone_ones), min_size=1, max_size=6))
def test_however_many_have_crowds_a_single_registration_of_another_source_waits_for_two_calls(
    crowds: list[Backlog | People], visits: list[tuple[int, Backlog | People]]
) -> None:
    """Also where the last one of its source was served just now."""
    scene = Scene(crowds)
    for calls_between, lone in visits:
        for _ in range(calls_between):
            scene.call()
        assert any("lone" in scene.call(lone) for _ in range(3))


@given(crowds_of_sources, st.integers(2, 6), st.integers(10, 60))
def test_of_several_sources_with_single_registrations_each_lets_those_with_crowds_go_first_twice(
    crowds: list[Backlog | People], count: int, calls: int
) -> None:
    """They have their turn one after another, and then those with crowds theirs."""
    scene, lone = Scene(crowds), [batch(n, source=f"lone-{n}") for n in range(count)]
    waits, most = dict.fromkeys((one.source for one in lone), 0), 0
    crowds_calls = 0
    for _ in range(calls):
        served = scene.call(*lone)
        is_crowds = not served <= waits.keys()
        crowds_calls += is_crowds
        waits = {source: 0 if source in served else wait + is_crowds for source, wait in waits.items()}
        most = max(most, *waits.values())
    assert most <= 2
    assert crowds_calls >= calls // (count + 2)


def test_the_soonest_go_first_when_the_day_ends_before_its_work() -> None:
    """Whatever their size: the last calls are for those whom tomorrow does not help."""
    soonest, later = batch(1, starts_in=timedelta(hours=2)), batch(900, size=100, starts_in=timedelta(hours=5))
    assert first(waiting(later, soonest)) == TriggerJob(later, Pace.FULL)
    assert first(waiting(later, soonest), soonest_first=True) == TriggerJob(soonest, Pace.SPACED)


batches = st.builds(
    batch,
    st.integers(0, 500),
    size=st.integers(1, 100),
    campaign=st.integers(1, 4),
    source=st.sampled_from("abc"),
    starts_in=st.none() | st.timedeltas(timedelta(hours=-1), timedelta(days=8)),
)
crowds = st.builds(
    people, st.integers(0, 500), st.integers(1, 300), lookup=st.booleans(), source=st.sampled_from("abc")
)
states = st.lists(batches | crowds, max_size=12).map(lambda some: waiting(*some))
turns = st.dictionaries(st.sampled_from("abc"), st.builds(Ago, st.integers(0, 9), st.integers(0, 9)))


@given(states, st.sets(st.integers(1, 4).map(CampaignId)), turns, st.booleans())
def test_all_that_may_go_is_offered_once_and_nothing_else(
    now: Waiting, paused: set[CampaignId], ago: dict[str, Ago], soonest_first: bool
) -> None:
    """Whatever waits: what is last in the order goes, too, when the others must wait."""
    jobs = choose(now, now=NOON, paused=paused, ago=ago, soonest_first=soonest_first)
    requests = [job.backlog for job in jobs if isinstance(job, TriggerJob)]
    assert sorted(map(id, requests)) == sorted(id(one) for one in now.batches if one.campaign_id not in paused)
    kinds = [job.lookup for job in jobs if isinstance(job, PeopleJob)]
    assert sorted(kinds) == sorted({some.lookup for some in now.people})
    for job in jobs:
        is_full = job.backlog.size >= 100 if isinstance(job, TriggerJob) else None
        assert is_full is None or job.pace is Pace.AT_ONCE or (job.pace in {Pace.FULL, Pace.YIELDING}) == is_full
