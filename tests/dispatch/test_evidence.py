"""What the activity log proves: for any mix of requests and activities, nobody is mailed twice or forgotten."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.dispatch.evidence import CLOCKS_DIFFER, Asked, Ran, ran, runs_of
from app.domain import CampaignId, LeadId
from app.marketo.activities import Activity

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CLEARLY = timedelta(seconds=30)
ADA, BOB = LeadId(1), LeadId(2)
CAMPAIGN, OTHER = CampaignId(1234), CampaignId(1235)
TYPES = {147: "request campaign", 106: "send email", 107: "email delivered", 9: "visit webpage"}


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def one(type_id: int, seconds: float = 0, lead: LeadId = ADA, **where: object) -> Activity:
    return Activity(lead, type_id, at(seconds), **where)  # type: ignore[arg-type]  # the test names the fields


def test_no_activity_means_that_it_did_not_run() -> None:
    """After the full delay, that is; the caller waits for it."""
    assert ran(NOON, [], [], clearly=CLEARLY) is Ran.NO


@pytest.mark.parametrize("seconds", [-299, -2, 0, 3, 800])
def test_the_only_activity_is_the_lost_requests(seconds: float) -> None:
    """The clocks may differ, and Marketo may have been busy."""
    assert ran(NOON, [], [at(seconds)], clearly=CLEARLY) is Ran.YES


def test_an_activity_before_it_is_not_its_own() -> None:
    """Somebody else had requested the campaign."""
    assert ran(NOON, [], [NOON - CLOCKS_DIFFER - timedelta(seconds=1)], clearly=CLEARLY) is Ran.NO


@pytest.mark.parametrize("gap", [-1000, -31, -1, 0, 1, 31, 1000])
@pytest.mark.parametrize("skew", [-20, 0, 20])
def test_another_webinars_run_does_not_hide_that_the_lost_one_has_none(gap: float, skew: float) -> None:
    """Two runs are needed where two were asked for and one was taken."""
    other = Asked(at(gap), is_certain=True)
    assert ran(NOON, [other], [at(gap + skew)], clearly=CLEARLY) is Ran.NO
    assert ran(NOON, [other], [at(gap + skew), at(skew)], clearly=CLEARLY) is Ran.YES


def test_two_lost_at_the_same_moment_and_one_run_are_not_told_apart() -> None:
    """Whose e-mail it was the log does not say; a person decides."""
    both = [Asked(at(3))]
    assert ran(NOON, both, [at(1)], clearly=CLEARLY) is Ran.UNCLEAR
    assert ran(NOON, both, [at(1), at(4)], clearly=CLEARLY) is Ran.YES
    assert ran(NOON, both, [], clearly=CLEARLY) is Ran.NO


def test_two_lost_apart_are_told_apart() -> None:
    """By their times."""
    assert ran(NOON, [Asked(at(120))], [at(2)], clearly=CLEARLY) is Ran.YES
    assert ran(NOON, [Asked(at(120))], [at(121)], clearly=CLEARLY) is Ran.NO


_HISTORY = st.lists(
    st.tuples(
        st.integers(0, 3000),  # when
        st.sampled_from(["done", "young", "lost"]),
        st.booleans(),  # ran, where nobody knows
        st.floats(0, 5),  # how long Marketo took
    ),
    min_size=1,
    max_size=7,
    unique_by=lambda row: row[0],
)


@settings(max_examples=200, deadline=None)
@given(_HISTORY, st.floats(-10, 9))
def test_nobody_is_mailed_twice_or_forgotten(history: list[tuple[int, str, bool, float]], skew: float) -> None:
    """Marketo told the truth: each verdict that is not 'unclear' is the truth. Alone, or apart, it is never unclear."""
    calls = [
        (Asked(at(when), is_certain=kind == "done"), kind, did or kind == "done") for when, kind, did, _ in history
    ]
    runs = [at(when + skew + lag) for when, kind, did, lag in history if did or kind == "done"]
    for asked, kind, did in calls:
        if kind != "lost":
            continue
        others = [other for other, _, _ in calls if other is not asked]
        verdict = ran(asked.began_at, others, runs, clearly=CLEARLY)
        assert verdict in (Ran.UNCLEAR, Ran.YES if did else Ran.NO)
        if all(other.is_certain for other in others):
            assert verdict is not Ran.UNCLEAR
        if all(abs(other.began_at - asked.began_at) > 3 * CLEARLY for other in others):
            assert verdict is not Ran.UNCLEAR


@pytest.mark.parametrize(
    "activity",
    [
        one(147, campaign_id=CAMPAIGN),
        one(147, primary_id=int(CAMPAIGN)),
        one(147, named_campaigns=frozenset({CAMPAIGN})),
        one(106, campaign_id=CAMPAIGN, primary_id=5),
        one(107, named_campaigns=frozenset({CAMPAIGN}), primary_id=5),
    ],
)
def test_the_campaigns_id_may_stand_in_several_places(activity: Activity) -> None:
    """Instances differ, and Adobe's text does not say where."""
    assert runs_of([activity], CAMPAIGN, TYPES) == {ADA: [NOON]}
    assert runs_of([activity], OTHER, TYPES) == {}


@pytest.mark.parametrize("activity", [one(106, primary_id=int(CAMPAIGN)), one(9, campaign_id=CAMPAIGN), one(3)])
def test_what_is_no_run_of_the_campaign_counts_for_nothing(activity: Activity) -> None:
    """An e-mail's own id may equal a campaign's; visits and unknown types are no runs."""
    assert runs_of([activity], CAMPAIGN, TYPES) == {}


def test_one_run_is_counted_once_however_much_it_left_behind() -> None:
    """A flow of two e-mails leaves five activities; where 'Request Campaign' is missing, the e-mails speak."""
    run = [one(147, 1, campaign_id=CAMPAIGN)]
    run += [one(type_id, 2, campaign_id=CAMPAIGN, primary_id=mail) for type_id in (106, 107) for mail in (5, 6)]
    assert runs_of(run, CAMPAIGN, TYPES) == {ADA: [at(1)]}
    assert runs_of(run[1:], CAMPAIGN, TYPES) == {ADA: [at(2)]}


def test_each_person_has_runs_of_their_own() -> None:
    """In order of time, whatever order Marketo gives."""
    found = [one(147, seconds, lead, campaign_id=CAMPAIGN) for seconds, lead in ((9, ADA), (1, BOB), (4, ADA))]
    assert runs_of(found, CAMPAIGN, TYPES) == {ADA: [at(4), at(9)], BOB: [at(1)]}
