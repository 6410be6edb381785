"""Eventbrite's API v3 as far as a reminder needs it, and what its errors mean for us."""

from collections.abc import Mapping
from datetime import timedelta

import httpx
from pydantic import SecretStr

from app.domain import Cause, Json, Ticks, steady_seconds
from app.errors import ResolveFailed
from app.sources.fetching import Answer, JsonApi, not_found, refused, unavailable

_FORBIDDEN = (403, 404)


class EventbriteApi:
    """Read orders, attendees and events. Ids are digits, as `notice` has checked; all else is refused here again."""

    def __init__(
        self,
        *,
        client: httpx.AsyncClient,
        token: SecretStr,
        base_url: str = "https://www.eventbriteapi.com/v3",
        longest_wait: timedelta = timedelta(seconds=10),
        ticks: Ticks = steady_seconds,
    ) -> None:
        self._json = bearer_api(client, token, base_url=base_url, longest_wait=longest_wait, ticks=ticks)

    async def order(self, order_id: str) -> Json:
        """Return an order with its attendees, and with its event unless Eventbrite fails to expand it.

        'EXPANSION_FAILED … is likely to succeed without expansions' (Eventbrite's documentation of errors).
        """
        return await self._expanded(f"/orders/{_digits(order_id)}/", "attendees,event,event.logo", "attendees", "")

    async def attendee(self, event_id: str, attendee_id: str) -> Json:
        return _document(await self._json.get(f"/events/{_digits(event_id)}/attendees/{_digits(attendee_id)}/"))

    async def event(self, event_id: str) -> Json:
        """Return an event, with its logo unless Eventbrite fails to expand it."""
        return await self._expanded(f"/events/{_digits(event_id)}/", "logo", "")

    async def digital_content(self, event_id: str) -> Json:
        """Return what ticket holders see of an online event; None when there is nothing that we may read."""
        params = {"purpose": "digital_content"}
        return _if_allowed(await self._json.get(f"/events/{_digits(event_id)}/structured_content/", params))

    async def digital_content_flag(self, event_id: str) -> Json:
        """Return an event with `has_digital_content`; None when it cannot be read that way."""
        return _if_allowed(await self._json.get(f"/events/{_digits(event_id)}/", {"expand": "has_digital_content"}))

    async def _expanded(self, path: str, *expansions: str) -> Json:
        """Return the document with the first of the expansions that works."""
        for expand in expansions[:-1]:
            answer = await self._json.get(path, _expand(expand))
            if answer.code != "EXPANSION_FAILED":
                return _document(answer)
        return _document(await self._json.get(path, _expand(expansions[-1])))


def bearer_api(
    client: httpx.AsyncClient, token: SecretStr, *, base_url: str, longest_wait: timedelta, ticks: Ticks
) -> JsonApi:
    """Return the way to ask Eventbrite with a private token."""
    return JsonApi(
        name="Eventbrite",
        client=client,
        base_url=base_url,
        credentials=lambda: {"Authorization": f"Bearer {token.get_secret_value()}"},
        longest_wait=longest_wait,
        ticks=ticks,
    )


def _expand(names: str) -> Mapping[str, str]:
    return {"expand": names} if names else {}


def _digits(text: str) -> str:
    if not (text.isascii() and text.isdigit()):
        raise ResolveFailed(Cause.BAD_PAYLOAD, "an Eventbrite id is not a number", permanent=True)
    return text


def _if_allowed(answer: Answer) -> Json:
    """Return None for what does not exist or is not for us; a refused token is another matter."""
    if answer.status in _FORBIDDEN or (answer.status == 400 and answer.code != "INVALID_AUTH"):
        return None
    return _document(answer)


def _document(answer: Answer) -> Json:
    """Return the document of a success, or raise what the status means."""
    if answer.status < 300:
        return answer.document
    said = f"Eventbrite answered {answer.status} {answer.code or ''}".rstrip()
    if answer.status in (404, 410):
        raise not_found(said)
    if answer.status in (401, 403) or answer.code == "INVALID_AUTH":  # an invalid token can be a 400
        raise refused(said)
    if answer.code == "ORDER_EXPIRED":
        raise ResolveFailed(Cause.SOURCE_NOT_FOUND, said, permanent=True)
    raise unavailable(said)
