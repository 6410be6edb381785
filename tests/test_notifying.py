"""Alerts go to the one address, whatever it answers."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from app.dispatch.alarm import NotDelivered
from app.notifying import Notifier
from app.settings.model import Settings

URL = SecretStr("https://chat.example.com/services/secret")


@pytest.mark.parametrize("answer", [httpx.Response(302, headers={"Location": "https://evil.example.com/"}), 404, 500])
async def test_a_refusal_or_redirect_is_not_followed_but_told(answer: httpx.Response | int) -> None:
    asked = []

    def chat(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return answer if isinstance(answer, httpx.Response) else httpx.Response(answer)

    async with httpx.AsyncClient(transport=httpx.MockTransport(chat), follow_redirects=True) as client:
        with pytest.raises(NotDelivered) as told:
            await Notifier(client, URL).send("x")
    assert asked == [URL.get_secret_value()]
    assert "secret" not in str(told.value)


async def test_silence_is_told_without_the_address() -> None:
    def chat(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to chat.example.com/services/secret")

    async with httpx.AsyncClient(transport=httpx.MockTransport(chat)) as client:
        with pytest.raises(NotDelivered) as told:
            await Notifier(client, URL).send("x")
    assert "services" not in str(told.value)


@pytest.mark.parametrize("url", ["http://chat.example.com/x-Zk3", "ftp://127.0.0.1/x-Zk3", "x-Zk3", "https://[x-Zk3"])
def test_only_https_or_this_machine_is_told(url: str) -> None:
    """What is said there is nobody else's business; the refusal does not repeat the address."""
    with pytest.raises(ValueError, match="address") as refused:
        Settings(alert_webhook_url=url)
    assert "x-Zk3" not in str(refused.value)
    Settings(alert_webhook_url="http://127.0.0.1:1/x")


async def test_nothing_in_a_text_is_a_command_of_the_chat() -> None:
    """Advice holds `<img …>`, and a campaign may be called as somebody likes."""
    heard: list[bytes] = []

    def chat(request: httpx.Request) -> httpx.Response:
        heard.append(request.content)
        return httpx.Response(200)

    async with httpx.AsyncClient(transport=httpx.MockTransport(chat)) as client:
        await Notifier(client, URL).send('"R&D" <!channel>')
    assert [json.loads(body) for body in heard] == [{"text": '"R&amp;D" &lt;!channel&gt;'}]


async def test_what_a_chat_says_besides_is_not_read() -> None:
    """However long it is: the answer's code tells all."""
    read: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            read.append(1)
            yield b"x" * 65_536

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=endless()))
    async with httpx.AsyncClient(transport=transport) as client:
        await Notifier(client, URL).send("x")
    assert read == []
