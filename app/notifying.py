"""Post alerts to the address that the settings name, and to no other: redirects are not followed."""

import httpx
from pydantic import SecretStr

from app.dispatch.alarm import NotDelivered


class Notifier:
    """Posts Slack-compatible JSON. The address is a secret: whoever knows it can write there."""

    def __init__(self, client: httpx.AsyncClient, url: SecretStr) -> None:
        self._client = client
        self._url = url

    async def send(self, text: str) -> None:
        """Deliver one message.

        Raises:
            NotDelivered: nobody answered, or not with 2xx.
        """
        try:
            url = self._url.get_secret_value()
            answer = await self._client.post(url, json={"text": text}, follow_redirects=False)
        except httpx.HTTPError as problem:
            raise NotDelivered(f"ALERT_WEBHOOK_URL does not answer: {type(problem).__name__}") from None
        if not answer.is_success:
            raise NotDelivered(f"ALERT_WEBHOOK_URL answered {answer.status_code}")
