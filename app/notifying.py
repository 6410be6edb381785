"""Post alerts to the address that the settings name, and to no other: redirects are not followed."""

import asyncio
from datetime import timedelta
from html import escape

import httpx
from pydantic import SecretStr

from app.dispatch.alarm import NotDelivered

LONGEST_WAIT = timedelta(seconds=15)


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
            status = await self._status(text)
        except (httpx.HTTPError, TimeoutError) as problem:
            raise NotDelivered(f"ALERT_WEBHOOK_URL does not answer: {type(problem).__name__}") from None
        if not 200 <= status < 300:
            raise NotDelivered(f"ALERT_WEBHOOK_URL answered {status}")

    async def _status(self, text: str) -> int:
        """Return the answer's code. What else it says is not read, however long it is."""
        url, body = self._url.get_secret_value(), {"text": _escaped(text)}
        async with asyncio.timeout(LONGEST_WAIT.total_seconds()):
            async with self._client.stream("POST", url, json=body, follow_redirects=False) as answer:
                return answer.status_code


def _escaped(text: str) -> str:
    """Return a text as Slack wants it: else `<img …>` is a link there, and `<!channel>` in a name wakes everybody."""
    return escape(text, quote=False)
