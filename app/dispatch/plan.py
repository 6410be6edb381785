"""Choose the next call to Marketo. No I/O.

What is as full as can be goes before what may still grow. Of the others goes what makes the end soonest: the one in
which most people have waited longest. People who are not looked up make small campaign requests later, and campaign
requests that wait take more along; so both kinds are weighed by the same measure, and neither starves the other.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from app.dispatch.window import Pace
from app.domain import CampaignId
from app.store.heads import MOST_LEADS, MOST_PEOPLE, Backlog, People, Waiting

URGENT = timedelta(minutes=30)  # a webinar that starts so soon passes later ones
_PATIENCE = 2  # calls that a source lets others go first
FEW = 10  # a source that has no more waiting goes before all that have
_NEVER = 1_000_000  # calls ago


@dataclass(frozen=True, slots=True)
class PeopleJob:
    """Look up or upsert the people that are next; `sources` have some among them."""

    lookup: bool
    pace: Pace
    sources: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TriggerJob:
    """Request the campaign for one batch of equal tokens."""

    backlog: Backlog
    pace: Pace

    @property
    def sources(self) -> frozenset[str]:
        return frozenset({self.backlog.source})


Job = PeopleJob | TriggerJob


@dataclass(frozen=True, slots=True)
class Ago:
    """How many calls were made since a source's own: all, and those for sources that had many waiting."""

    calls: int = _NEVER
    of_many: int = _NEVER


@dataclass(slots=True)
class Turns:
    """Counts calls, to know how long ago each source had its turn."""

    _calls: int = 0
    _of_many: int = 0
    _served: dict[str, tuple[int, int]] = field(default_factory=dict)

    def take(self, job: Job, few: Collection[str] = ()) -> None:
        """Note that a call was made; `few` are the sources that had only a few waiting."""
        self._calls += 1
        self._of_many += not job.sources <= set(few)
        self._served |= dict.fromkeys(job.sources, (self._calls, self._of_many))

    def ago(self) -> Mapping[str, Ago]:
        """Return by source how many calls of others were made since its own."""
        served = self._served.items()
        return {source: Ago(self._calls - calls, self._of_many - of_many) for source, (calls, of_many) in served}


@dataclass(frozen=True, slots=True)
class _Rank:
    """What decides about one candidate."""

    size: int
    most: int
    oldest: datetime
    starts_at: datetime | None


def choose(
    waiting: Waiting,
    *,
    now: datetime,
    paused: Collection[CampaignId] = (),
    ago: Mapping[str, Ago] = MappingProxyType({}),
    soonest_first: bool = False,
) -> list[Job]:
    """Return the calls that could be made, the best first; the first that its pace lets go is the next.

    `ago` tells how many calls were made since each source's own. A source with only a few waiting waits for no more
    than two calls of those with many; beyond that, each has one of as many calls as there are sources.
    `soonest_first` is for a day that ends before its work: then the webinars' starts decide.
    """
    few = sources_with_few(waiting, paused)
    candidates = [*_people_jobs(waiting.people), *_trigger_jobs(waiting.batches, paused)]
    sources = {source for job, _ in candidates for source in job.sources}
    is_lone = sum(rank.size for _, rank in candidates) == 1
    is_any_urgent = any(_is_urgent(rank, now) for _, rank in candidates)
    ranked = []
    for job, rank in candidates:
        behind, is_passed = _turn(job, few, ago)
        is_passed, is_turn = is_passed and len(sources) > 1, len(sources) > 1 and behind >= len(sources)
        pace = Pace.AT_ONCE if is_turn or is_passed else Pace.LONE if is_lone else job.pace
        if is_any_urgent and pace is Pace.FULL and not _is_urgent(rank, now):
            pace = Pace.YIELDING
        turn = (not is_passed, -behind if is_passed else 0, not is_turn)
        order = _order(job, rank, now, soonest_first=soonest_first)
        ranked.append(((*turn, *order[:2], -behind if is_turn else 0, *order[2:]), _paced(job, pace)))
    return [job for _, job in sorted(ranked, key=lambda one: one[0])]


def sources_with_few(waiting: Waiting, paused: Collection[CampaignId] = ()) -> frozenset[str]:
    """Return the sources of which only a few registrations wait for a call."""
    amounts: Counter[str] = Counter()
    for some in waiting.people:
        amounts[some.source] += some.size
    for batch in waiting.batches:
        amounts[batch.source] += batch.size * (batch.campaign_id not in paused)
    return frozenset(source for source, amount in amounts.items() if amount <= FEW)


def _turn(job: Job, few: Collection[str], ago: Mapping[str, Ago]) -> tuple[int, bool]:
    """Return for how many calls a job's sources wait, and whether those with many have passed one with few."""
    waits = {source: ago.get(source, Ago()) for source in job.sources}
    is_passed = any(wait.of_many >= _PATIENCE for source, wait in waits.items() if source in few)
    return max(wait.calls for wait in waits.values()), is_passed


def _order(job: Job, rank: _Rank, now: datetime, *, soonest_first: bool) -> tuple[float | bool, ...]:
    start = rank.starts_at.timestamp() if soonest_first and rank.starts_at else 0.0
    is_full = rank.size >= rank.most
    weight = rank.size * max(0.01, (now - rank.oldest).total_seconds())
    return not _is_urgent(rank, now), start, not is_full, is_full and isinstance(job, PeopleJob), -weight


def _is_urgent(rank: _Rank, now: datetime) -> bool:
    return rank.starts_at is not None and rank.starts_at <= now + URGENT


def _paced(job: Job, pace: Pace) -> Job:
    if isinstance(job, PeopleJob):
        return PeopleJob(job.lookup, pace, job.sources)
    return TriggerJob(job.backlog, pace)


def _people_jobs(people: Sequence[People]) -> list[tuple[Job, _Rank]]:
    jobs: list[tuple[Job, _Rank]] = []
    for lookup in (False, True):
        those = [some for some in people if some.lookup == lookup and some.size]
        if those:
            size = min(MOST_PEOPLE, sum(some.size for some in those))
            oldest = min(some.oldest for some in those)
            starts = min((some.starts_at for some in those if some.starts_at), default=None)
            job = PeopleJob(lookup, _pace(size, MOST_PEOPLE), frozenset(some.source for some in those))
            jobs.append((job, _Rank(size, MOST_PEOPLE, oldest, starts)))
    return jobs


def _trigger_jobs(batches: Sequence[Backlog], paused: Collection[CampaignId]) -> list[tuple[Job, _Rank]]:
    return [
        (TriggerJob(b, _pace(b.size, MOST_LEADS)), _Rank(min(b.size, MOST_LEADS), MOST_LEADS, b.oldest, b.starts_at))
        for b in batches
        if b.campaign_id not in paused
    ]


def _pace(size: int, most: int) -> Pace:
    return Pace.FULL if size >= most else Pace.SPACED
