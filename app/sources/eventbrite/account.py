"""Read how an Eventbrite account is set up: whose token it is, which organizations and webhooks it has."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import httpx
from pydantic import SecretStr

from app.domain import Json, Ticks, steady_seconds
from app.sources.eventbrite.api import bearer_api
from app.sources.fetching import Answer, refused, segment, unavailable
from app.sources.payload import as_list, as_text, value_at

_MOST_PAGES = 20


@dataclass(frozen=True, slots=True)
class Organization:
    """One organization that the token's owner belongs to."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """One subscription. `event_id` is None when it is for all events; `endpoint` may end with a secret."""

    id: str
    endpoint: str
    actions: frozenset[str]
    event_id: str | None


class EventbriteAccount:
    """Each method may raise ResolveFailed: the token is refused, or no answer came."""

    def __init__(
        self,
        *,
        client: httpx.AsyncClient,
        token: SecretStr,
        base_url: str = "https://www.eventbriteapi.com/v3",
        longest_wait: timedelta = timedelta(seconds=10),
        ticks: Ticks = steady_seconds,
    ) -> None:
        self._api = bearer_api(client, token, base_url=base_url, longest_wait=longest_wait, ticks=ticks)

    async def owner(self) -> str:
        """Return whose token it is, by the account's id."""
        return as_text(value_at(_document(await self._api.get("/users/me/")), "id")) or ""

    async def organizations(self) -> tuple[Organization, ...]:
        found = [one async for one in self._paged("/users/me/organizations/", "organizations")]
        named = ((as_text(value_at(one, "id")), as_text(value_at(one, "name"))) for one in found)
        return tuple(Organization(number, name or number) for number, name in named if number)

    async def webhooks(self, organization_id: str) -> tuple[Webhook, ...]:
        path = f"/organizations/{segment(organization_id)}/webhooks/"
        return tuple([_webhook(one) async for one in self._paged(path, "webhooks")])

    async def subscribe(self, organization_id: str, endpoint: str, actions: Sequence[str]) -> Webhook:
        """Create a webhook for all events of an organization."""
        path = f"/organizations/{segment(organization_id)}/webhooks/"
        document = {"endpoint_url": endpoint, "actions": ",".join(actions)}
        return _webhook(_document(await self._api.post(path, document)))

    async def _paged(self, path: str, name: str) -> AsyncIterator[Json]:
        query: Mapping[str, str] = {}
        for _ in range(_MOST_PAGES):
            document = _document(await self._api.get(path, query))
            for one in as_list(value_at(document, name)):
                yield one
            following = as_text(value_at(document, "pagination.continuation"))
            if not following:
                return
            query = {"continuation": following}


def _webhook(record: Json) -> Webhook:
    """Read a subscription; its actions are a list, in some answers a text with commas."""
    actions = value_at(record, "actions")
    given = actions.split(",") if isinstance(actions, str) else as_list(actions)
    return Webhook(
        id=as_text(value_at(record, "id")) or "",
        endpoint=as_text(value_at(record, "endpoint_url")) or "",
        actions=frozenset(text.strip() for text in map(as_text, given) if text),
        event_id=as_text(value_at(record, "event_id")),
    )


def _document(answer: Answer) -> Json:
    if answer.status < 300:
        return answer.document
    said = f"Eventbrite answered {answer.status} {answer.code or ''}".rstrip()
    if answer.status in (401, 403) or answer.code == "INVALID_AUTH":  # an invalid token can be a 400
        raise refused(said)
    raise unavailable(said)
