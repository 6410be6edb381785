"""Ask what people's activity logs hold, and read the answers. No I/O: values in, bytes out, and the other way round.

Three calls: the types of activities, whose ids differ by instance; a paging token that stands for a moment; and the
activities after it. An activity can be read some time after it happened.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from app.domain import CampaignId, Json, LeadId
from app.marketo.codes import Consequence, Endpoint
from app.marketo.envelope import Answer, Reply, explaining, open_envelope
from app.marketo.failures import CallFailed
from app.marketo.requests import Outgoing
from app.marketo.shapes import WrongShape, as_object, items, moment, number, text

MOST_LEADS = 30  # a Get Lead Activities call
MOST_TYPES = 10
_CAMPAIGN_ATTRIBUTES = frozenset({"campaignid", "smartcampaignid"})
_LARGEST = 2**63 - 1  # Adobe's Swagger gives campaign and attribute ids the format int64


@dataclass(frozen=True, slots=True)
class Activity:
    """One line of a person's activity log. `campaign_id` and `named_campaigns` are where a campaign's id may stand.

    `primary_id` is the id of what the activity is about: an e-mail, a campaign.
    """

    lead_id: LeadId
    type_id: int
    at: datetime
    campaign_id: CampaignId | None = None
    primary_id: int | None = None
    named_campaigns: frozenset[CampaignId] = frozenset()


@dataclass(frozen=True, slots=True)
class ActivityTypes(Answer):
    """The ids of activity types by their names, as the instance writes them. `date` is Marketo's own time."""

    ids: Mapping[str, int]
    date: datetime | None = None


@dataclass(frozen=True, slots=True)
class PagingToken(Answer):
    """Where reading activities begins. `date` is Marketo's own time."""

    token: str
    date: datetime | None = None


@dataclass(frozen=True, slots=True)
class ActivityPage(Answer):
    """Up to 300 activities in Marketo's order. `next_page_token` continues, None at the end; a page may be empty."""

    activities: tuple[Activity, ...]
    next_page_token: str | None


def activity_types() -> Outgoing:
    """Write a Get Activity Types call."""
    return Outgoing(Endpoint.ACTIVITIES, "GET", "/v1/activities/types.json")


def paging_token(since: datetime) -> Outgoing:
    """Write a Get Paging Token call; Marketo reckons in whole seconds."""
    query = urlencode({"sinceDatetime": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")})
    return Outgoing(Endpoint.ACTIVITIES, "GET", f"/v1/activities/pagingtoken.json?{query}")


def activities(token: str, *, type_ids: Collection[int], lead_ids: Sequence[LeadId]) -> Outgoing:
    """Write a Get Lead Activities call.

    Raises:
        ValueError: no or too many types or leads.
    """
    if not 1 <= len(type_ids) <= MOST_TYPES:
        raise ValueError(f"a call takes 1 to {MOST_TYPES} activity types, not {len(type_ids)}")
    if not 1 <= len(lead_ids) <= MOST_LEADS:
        raise ValueError(f"a call takes the activities of 1 to {MOST_LEADS} people, not {len(lead_ids)}")
    query = {
        "nextPageToken": token,
        "activityTypeIds": ",".join(str(one) for one in sorted(type_ids)),
        "leadIds": ",".join(str(one) for one in lead_ids),
    }
    return Outgoing(Endpoint.ACTIVITIES, "GET", f"/v1/activities.json?{urlencode(query, safe=',')}")


def read_activity_types(reply: Reply) -> ActivityTypes:
    """Read the answer to Get Activity Types; of two types with one name the first counts.

    Raises:
        CallFailed: it was refused or cannot be read; NOT_ALLOWED where the API user may not read activities.
    """
    with explaining(Endpoint.ACTIVITIES, reply):
        envelope = open_envelope(Endpoint.ACTIVITIES, reply)
        types = [as_object(entry) for entry in envelope.result]
        ids = {text(one, "name"): number(one, "id", smallest=0) for one in reversed(types)}
        return ActivityTypes(envelope.request_id, envelope.warnings, ids, reply.date)


def read_paging_token(reply: Reply) -> PagingToken:
    """Read the answer to Get Paging Token.

    Raises:
        CallFailed: it was refused or cannot be read.
    """
    with explaining(Endpoint.ACTIVITIES, reply):
        envelope = open_envelope(Endpoint.ACTIVITIES, reply)
        if envelope.next_page_token is None:
            raise WrongShape("nextPageToken is missing")
        return PagingToken(envelope.request_id, envelope.warnings, envelope.next_page_token, reply.date)


def read_activities(reply: Reply) -> ActivityPage:
    """Read the answer to Get Lead Activities. Marketo gives a token even at the end; `moreResult` says what it means.

    Raises:
        CallFailed: it was refused or cannot be read.
    """
    try:
        with explaining(Endpoint.ACTIVITIES, reply):
            envelope = open_envelope(Endpoint.ACTIVITIES, reply)
            found = tuple(_activity(as_object(entry)) for entry in envelope.result)
            if envelope.has_more and envelope.next_page_token is None:
                raise WrongShape("moreResult is true and nextPageToken is missing")
            after = envelope.next_page_token if envelope.has_more else None
            return ActivityPage(envelope.request_id, envelope.warnings, found, after)
    except CallFailed as refused:
        if refused.consequence is not Consequence.NO_DATA:
            raise
        return ActivityPage(refused.request_id, (), (), None)


def _activity(record: Mapping[str, Json]) -> Activity:
    at = moment(record.get("activityDate"))
    if at is None:
        raise WrongShape("activityDate is no date and time")
    campaign = _id(record.get("campaignId"))
    return Activity(
        lead_id=LeadId(number(record, "leadId")),
        type_id=number(record, "activityTypeId", smallest=0),
        at=at,
        campaign_id=None if campaign is None else CampaignId(campaign),
        primary_id=_id(record.get("primaryAttributeValueId")),
        named_campaigns=frozenset(_named_campaigns(record)),
    )


def _named_campaigns(record: Mapping[str, Json]) -> list[CampaignId]:
    """Find campaign ids among the attributes, whose names are written 'Campaign ID', 'campaignId' and the like."""
    attributes = [as_object(one) for one in items(record, "attributes")]
    named = [
        _id(one.get("value"))
        for one in attributes
        if str(one.get("name")).replace(" ", "").replace("_", "").lower() in _CAMPAIGN_ATTRIBUTES
    ]
    return [CampaignId(one) for one in named if one is not None]


def _id(value: Json) -> int | None:
    """Return an id that is written as a number or as its digits; None for anything else, which no vendor promised."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(_LARGEST)):
        value = int(value)
    is_id = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST
    return int(value) if is_id and isinstance(value, int) else None
