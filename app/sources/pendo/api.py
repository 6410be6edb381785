"""Pendo's API as far as it turns a visitor id into a person."""

from datetime import timedelta

import httpx
from pydantic import SecretStr

from app.domain import Json, Ticks, steady_seconds
from app.sources.fetching import JsonApi, not_found, refused, segment, unavailable


class PendoApi:
    """Read visitors. The base URL's host is checked where the settings are read."""

    def __init__(
        self,
        *,
        client: httpx.AsyncClient,
        integration_key: SecretStr,
        base_url: str = "https://app.pendo.io",
        longest_wait: timedelta = timedelta(seconds=10),
        ticks: Ticks = steady_seconds,
    ) -> None:
        self._json = JsonApi(
            name="Pendo",
            client=client,
            base_url=base_url,
            credentials=lambda: {"x-pendo-integration-key": integration_key.get_secret_value()},
            longest_wait=longest_wait,
            ticks=ticks,
        )

    async def visitor(self, visitor_id: str) -> Json:
        """Return a visitor with its metadata. The id comes from outside and is quoted whole.

        Raises:
            ResolveFailed: unknown (a new visitor may be so for 5 minutes), refused, limited or out of order.
        """
        answer = await self._json.get(f"/api/v1/visitor/{segment(visitor_id)}")
        if answer.status < 300:
            return answer.document
        if answer.status == 404:
            raise not_found("Pendo answered 404: it does not know the visitor (yet)")
        if answer.status in (401, 403):
            raise refused(f"Pendo answered {answer.status}")
        raise unavailable(f"Pendo answered {answer.status}")
