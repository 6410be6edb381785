"""Read how an instance is set up, and mend what its API lets one mend. Each method is one call."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from app.domain import CampaignId
from app.marketo import activities, answers, assets, permissions, requests, schema
from app.marketo.answers import CampaignInfo
from app.marketo.assets import EmailAsset, Folder, MyToken, Place, SmartCampaign, SmartList
from app.marketo.envelope import Reply
from app.marketo.requests import Outgoing
from app.marketo.schema import PersonField

Send = Callable[[Outgoing], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Usage:
    """How many calls were made today, and Marketo's own clock, where it shows it."""

    calls: int
    clock: datetime | None


class MarketoSetup:
    """One instance's set-up. `send` makes the calls and may pace them. Every method may raise CallFailed."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def usage(self) -> Usage:
        """Return today's calls. It needs a token and no permission, so a 603 is about this machine's address."""
        reply = await self._send(requests.usage())
        return Usage(answers.read_usage(reply).calls, reply.date)

    async def may_request(self, campaign: CampaignId) -> bool:
        """Tell whether the API user may request campaigns, by requesting one for nobody."""
        return permissions.read_permission(await self._send(permissions.request_for_nobody(campaign)))

    async def may_save_people(self) -> bool:
        """Tell whether the API user may save people, by saving nobody."""
        return permissions.read_permission(await self._send(permissions.save_nobody()))

    async def may_read_activities(self) -> bool:
        """Tell whether the API user may read what became of people."""
        return permissions.read_permission(await self._send(activities.activity_types()))

    async def campaign(self, number: CampaignId) -> CampaignInfo:
        """Return what the permission Read-Only Campaign shows of a campaign."""
        return answers.read_campaign(await self._send(requests.campaign(number)))

    async def smart_campaign(self, number: CampaignId) -> SmartCampaign | None:
        return assets.read_smart_campaign(await self._send(assets.smart_campaign(number)))

    async def smart_list(self, number: CampaignId) -> SmartList | None:
        return assets.read_smart_list(await self._send(assets.smart_list(number)))

    async def folder(self, place: Place) -> Folder | None:
        return assets.read_folder(await self._send(assets.folder(place)), place)

    async def tokens(self, place: Place) -> tuple[MyToken, ...]:
        return assets.read_tokens(await self._send(assets.tokens(place)))

    async def create_token(self, place: Place, token: MyToken) -> None:
        """Create a My Token, or change the one of this name."""
        assets.read_tokens(await self._send(assets.create_token(place, token)))

    async def emails(self, place: Place) -> tuple[EmailAsset, ...]:
        return assets.read_emails(await self._send(assets.emails(place)))

    async def email_content(self, email_id: int) -> str | None:
        return assets.read_email_content(await self._send(assets.email_content(email_id)))

    async def person_fields(self) -> Mapping[str, PersonField]:
        """Return the fields of people by the names that the REST API knows."""
        return schema.read_person_fields(await self._send(schema.person_fields()))

    async def partitions(self) -> tuple[str, ...]:
        return schema.read_partitions(await self._send(schema.partitions()))
