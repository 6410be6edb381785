"""Say from people's activity logs whether a campaign request ran. No I/O: activities and calls in, a verdict out.

The activity log names person, campaign and time, never the request. So the requests of one campaign for one person are
laid beside that person's runs of it, in order of time:

- Each activity belongs to one request at most, and to none that began later. Clocks may differ by `CLOCKS_DIFFER`.
- A request that Marketo took has its run; else it would hide that the lost one has none. Where it is too young or too
  old for its activity to be surely in what was read, it may do without.
- A lost one ran, or did not. What explains all activities wins; between two that do, what lies clearly nearer in time.
  What does not lie clearly nearer is `UNCLEAR`, and nobody guesses.

That is exact where Marketo's log is, and the clocks differ by less than half of what 'clearly' means; and where no
request that Marketo took passed a person over in silence just before a lost one, which the log cannot show.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain import CampaignId, LeadId
from app.marketo.activities import Activity

CLOCKS_DIFFER = timedelta(minutes=5)
REQUESTED = "request campaign"
NAMES = (REQUESTED, "send email", "email delivered")  # as `ActivityTypes` has them, in lower case
_IMPOSSIBLE = (float("inf"), float("inf"), float("inf"))
_Cost = tuple[float, float, float]  # activities of no request, requests without their activity, seconds in between


class Ran(StrEnum):
    """Whether the campaign ran for one person by one request."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Asked:
    """One campaign request for one person. `is_certain`: it ran, and its activity must be among those read."""

    began_at: datetime
    is_certain: bool = False


def runs_of(
    activities: Iterable[Activity], campaign: CampaignId, types: Mapping[int, str]
) -> Mapping[LeadId, Sequence[datetime]]:
    """Return when each person ran through the campaign, oldest first.

    A run leaves 'Request Campaign', and 'Send Email' and 'Email Delivered' for each e-mail. Which of them are there
    depends on the instance and on the campaign's flow, so the kind that shows most runs is believed; one e-mail is
    counted apart from another, since a flow may send several. 'Request Campaign' alone counts too: who was passed over
    by the flow was passed over.
    """
    kinds: dict[LeadId, dict[object, list[datetime]]] = {}
    for one in activities:
        name = types.get(one.type_id, "")
        if name in NAMES and _is_of(one, campaign, name):
            kind = name if name == REQUESTED else (name, one.primary_id)
            kinds.setdefault(one.lead_id, {}).setdefault(kind, []).append(one.at)
    return {lead: _longest(found.values()) for lead, found in kinds.items()}


def _longest(kinds: Iterable[list[datetime]]) -> Sequence[datetime]:
    return max((sorted(runs) for runs in kinds), key=len)


def _is_of(activity: Activity, campaign: CampaignId, name: str) -> bool:
    """Look wherever instances write a campaign's id; only what 'Request Campaign' is about is a campaign."""
    is_about_it = name == REQUESTED and activity.primary_id == campaign
    return activity.campaign_id == campaign or campaign in activity.named_campaigns or is_about_it


def ran(lost: datetime, others: Sequence[Asked], runs: Sequence[datetime], *, clearly: timedelta) -> Ran:
    """Tell whether the request that began at `lost` ran, from this person's other requests and all its runs.

    `runs` reach back at least `CLOCKS_DIFFER` before `lost`.
    """
    it = Asked(lost)
    asked = sorted([it, *others], key=lambda one: one.began_at)
    place = next(i for i, one in enumerate(asked) if one is it)
    moments = sorted(runs)
    it_did, it_did_not = (_cost(asked, moments, place, did=did) for did in (True, False))
    if it_did[:2] != it_did_not[:2]:
        return Ran.YES if it_did[:2] < it_did_not[:2] else Ran.NO
    if abs(it_did[2] - it_did_not[2]) <= clearly.total_seconds():
        return Ran.UNCLEAR
    return Ran.YES if it_did[2] < it_did_not[2] else Ran.NO


def _cost(asked: Sequence[Asked], runs: Sequence[datetime], place: int, *, did: bool) -> _Cost:
    """Return the least cost of an explanation in which the request at `place` ran, or did not.

    `after[j]` is the cost of laying the requests from the present one on beside the runs from the j-th on.
    """
    after = [(float(len(runs) - j), 0.0, 0.0) for j in range(len(runs) + 1)]
    for i in reversed(range(len(asked))):
        one, is_it = asked[i], i == place
        here = [_IMPOSSIBLE] * (len(runs) + 1)
        for j in reversed(range(len(runs) + 1)):
            ways = [] if is_it and did else [_sum(after[j], (0.0, float(one.is_certain), 0.0))]
            if j < len(runs):
                ways.append(_sum(here[j + 1], (1.0, 0.0, 0.0)))
                if not (is_it and not did) and runs[j] >= one.began_at - CLOCKS_DIFFER:
                    apart = abs((runs[j] - one.began_at).total_seconds())
                    ways.append(_sum(after[j + 1], (0.0, 0.0, apart)))
            here[j] = min(ways, default=_IMPOSSIBLE)
        after = here
    return after[0]


def _sum(one: _Cost, other: _Cost) -> _Cost:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]
