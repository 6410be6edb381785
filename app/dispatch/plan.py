"""Choose the next call to Marketo. No I/O."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from app.domain import CampaignId
from app.store.sending import Backlog, Waiting

MOST_PEOPLE = 300  # an upsert or look-up, Marketo's limit
MOST_LEADS = 100  # a trigger call, Marketo's limit


@dataclass(frozen=True, slots=True)
class PeopleJob:
    """Look up or upsert the people that have waited longest."""

    lookup: bool
    is_full: bool


@dataclass(frozen=True, slots=True)
class TriggerJob:
    """Request the campaign for one batch of equal tokens."""

    backlog: Backlog
    is_full: bool


Job = PeopleJob | TriggerJob


def choose(waiting: Waiting, *, paused: Collection[CampaignId]) -> Job | None:
    """Return the next call: a full batch before one that may still grow, then what has waited longest."""
    candidates = [*_people_jobs(waiting), *_trigger_jobs(waiting, paused)]
    if not candidates:
        return None
    return min(candidates, key=lambda candidate: (not candidate[1].is_full, candidate[0]))[1]


def _people_jobs(waiting: Waiting) -> list[tuple[datetime, Job]]:
    jobs: list[tuple[datetime, Job]] = []
    for lookup, count in ((False, waiting.upserts), (True, waiting.lookups)):
        if count and waiting.oldest_person:
            jobs.append((waiting.oldest_person, PeopleJob(lookup, count >= MOST_PEOPLE)))
    return jobs


def _trigger_jobs(waiting: Waiting, paused: Collection[CampaignId]) -> list[tuple[datetime, Job]]:
    batches = (batch for batch in waiting.batches if batch.campaign_id not in paused)
    return [(batch.oldest, TriggerJob(batch, batch.size >= MOST_LEADS)) for batch in batches]
