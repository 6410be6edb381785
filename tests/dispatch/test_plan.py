"""The next call: full batches first, then who has waited longest; paused campaigns never."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.dispatch.plan import Job, PeopleJob, TriggerJob, choose
from app.domain import CampaignId
from app.store.sending import Backlog, Waiting

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def batch(minutes: int, *, size: int = 1, campaign: int = 1) -> Backlog:
    return Backlog(f"key-{minutes}", CampaignId(campaign), size, NOON + timedelta(minutes=minutes))


def waiting(*batches: Backlog, upserts: int = 0, lookups: int = 0, person: int | None = None) -> Waiting:
    oldest = None if person is None else NOON + timedelta(minutes=person)
    return Waiting(upserts, lookups, oldest, batches, None)


def test_nothing_waits_nothing_is_chosen() -> None:
    """An idle relay makes no calls."""
    assert choose(waiting(), paused=()) is None


def test_who_has_waited_longest_is_first() -> None:
    """Neither stage starves the other."""
    old, new = batch(1), batch(9)
    assert choose(waiting(new, old, upserts=1, person=5), paused=()) == TriggerJob(old, is_full=False)
    assert choose(waiting(new, old, upserts=1, person=0), paused=()) == PeopleJob(lookup=False, is_full=False)


def test_a_full_batch_goes_before_older_ones_that_may_grow() -> None:
    """It is the best that a call can do; the older one takes more along meanwhile."""
    full = batch(9, size=100)
    assert choose(waiting(batch(1, size=99), full, upserts=299, person=0), paused=()) == TriggerJob(full, is_full=True)
    chosen = choose(waiting(batch(1), lookups=300, person=5), paused=())
    assert chosen == PeopleJob(lookup=True, is_full=True)


def test_paused_campaigns_are_left() -> None:
    """A campaign that a person must mend holds up nobody else."""
    assert choose(waiting(batch(1, size=500)), paused={CampaignId(1)}) is None
    other = batch(2, campaign=2)
    assert choose(waiting(batch(1, size=500), other), paused={CampaignId(1)}) == TriggerJob(other, is_full=False)
    assert isinstance(choose(waiting(batch(1), upserts=1, person=5), paused={CampaignId(1)}), PeopleJob)


batches = st.builds(batch, st.integers(0, 500), size=st.integers(1, 400), campaign=st.integers(1, 4))
states = st.builds(
    lambda some, upserts, lookups, person: waiting(*some, upserts=upserts, lookups=lookups, person=person),
    st.lists(batches, max_size=8),
    st.integers(0, 400),
    st.integers(0, 400),
    st.integers(0, 500),
)


@given(states, st.sets(st.integers(1, 4).map(CampaignId)))
def test_the_choice_is_allowed_and_nobody_before_it_is_fuller_or_older(now: Waiting, paused: set[CampaignId]) -> None:
    """Whatever waits, the rule is the same."""
    allowed = [one for one in now.batches if one.campaign_id not in paused]
    chosen: Job | None = choose(now, paused=paused)
    if chosen is None:
        assert not allowed
        assert not now.upserts
        assert not now.lookups
        return
    if isinstance(chosen, TriggerJob):
        assert chosen.backlog in allowed
        assert chosen.is_full == (chosen.backlog.size >= 100)
        assert chosen.is_full or all(one.oldest >= chosen.backlog.oldest for one in allowed)
    else:
        count = now.lookups if chosen.lookup else now.upserts
        assert count > 0
        assert chosen.is_full == (count >= 300)
    assert chosen.is_full or all(one.size < 100 for one in allowed)
