"""Marketo's memory: the activity log, which is behind by a moment, and the day's usage."""

import base64
from datetime import UTC, datetime
from typing import Any

from app.sandbox import seed
from app.sandbox.emails import Email
from app.sandbox.marketo_answers import Refusal, Result, stamp
from app.sandbox.marketo_bodies import listed, page_size, parameters, required, whole_number
from app.sandbox.programs import Campaign
from app.sandbox.world import Activity, Work, World

SEND_EMAIL, EMAIL_DELIVERED, EMAIL_BOUNCED, REQUEST_CAMPAIGN = 6, 7, 8, 47
_TYPES = {
    SEND_EMAIL: ("Send Email", "Mailing ID"),
    EMAIL_DELIVERED: ("Email Delivered", "Mailing ID"),
    EMAIL_BOUNCED: ("Email Bounced", "Mailing ID"),
    REQUEST_CAMPAIGN: ("Request Campaign", "Campaign ID"),
}


def note_request(world: World, campaign: Campaign, lead_id: int) -> None:
    """Write into the person's log that a campaign was requested for it."""
    _note(world, REQUEST_CAMPAIGN, lead_id, campaign, (campaign.name, campaign.id))


def note_delivery(world: World, campaign: Campaign, email: Email) -> None:
    """Write the activities of one message into the person's log."""
    about = (f"{campaign.program.name}.Reminder", email.email_id)
    bounces = email.to.lower().endswith(f"@{seed.BOUNCING_DOMAIN}")
    for type_id in (SEND_EMAIL, EMAIL_BOUNCED if bounces else EMAIL_DELIVERED):
        _note(world, type_id, email.lead_id, campaign, about)


def _note(world: World, type_id: int, lead_id: int, campaign: Campaign, about: tuple[str, int]) -> None:
    now = world.now()
    n = world.activities.next_number()
    world.activities.add(Activity(n, now, now + world.config.activity_delay, lead_id, type_id, campaign.id, *about))


def types(work: Work) -> Result:
    return Result(
        [
            {
                "id": number,
                "name": name,
                "description": name,
                "primaryAttribute": {"name": primary, "dataType": "integer"},
                "attributes": [{"name": "Campaign Run ID", "dataType": "integer"}],
            }
            for number, (name, primary) in _TYPES.items()
        ]
    )


def paging_token(work: Work) -> Result:
    since = required(parameters(work), "sinceDatetime")
    return Result(beside={"nextPageToken": _token(_moment(since), 0), "moreResult": False}, without_result=True)


def activities(work: Work) -> Result:
    """Return up to 300 activities after the token's moment, of some types and at most 30 people."""
    given = parameters(work)
    since, after = _read_token(required(given, "nextPageToken"))
    required(given, "activityTypeIds")
    type_ids = {whole_number(text, "activityTypeIds") for text in listed(given, "activityTypeIds", most=10)}
    lead_ids = {whole_number(text, "leadIds") for text in listed(given, "leadIds", most=30)}
    now, size = work.world.now(), page_size(given)
    found = [
        one
        for one in work.world.activities
        if one.n > after
        and one.at >= since
        and one.visible_from <= now
        and one.type_id in type_ids
        and (not lead_ids or one.lead_id in lead_ids)
    ]
    page = found[:size]
    token = _token(since, page[-1].n if page else after)
    return Result([_record(one) for one in page], beside={"nextPageToken": token, "moreResult": len(found) > size})


def usage(work: Work) -> Result:
    """Return today's calls (in US Central), this one included, in all and by API user."""
    quota = work.world.quota
    users = [{"userId": user, "count": calls} for user, calls in quota.by_user.items()]
    return Result([{"date": str(quota.day), "total": quota.used, "users": users}])


def _record(one: Activity) -> dict[str, Any]:
    return {
        "id": one.n,
        "marketoGUID": str(one.n),
        "leadId": one.lead_id,
        "activityDate": stamp(one.at),
        "activityTypeId": one.type_id,
        "campaignId": one.campaign_id,
        "primaryAttributeValueId": one.value_id,
        "primaryAttributeValue": one.value,
        "attributes": [],
    }


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise Refusal("1001", f"Invalid value '{text[:40]}'. Required of type 'Datetime'") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).replace(microsecond=0)


def _token(since: datetime, after: int) -> str:
    return base64.b32encode(f"{since.isoformat()},{after}".encode()).decode()


def _read_token(token: str) -> tuple[datetime, int]:
    try:
        since, _, after = base64.b32decode(token).decode().partition(",")
    except ValueError:
        raise Refusal("1003", "nextPageToken is not one of ours") from None
    return _moment(since), whole_number(after, "nextPageToken")
