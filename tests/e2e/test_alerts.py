"""Somebody is told in a chat: the real relay, a real socket."""

import json
import threading
from collections.abc import Iterator
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from app.sandbox import seed
from tests.e2e.conftest import StartRelay
from tests.e2e.harness import registration, until

pytestmark = pytest.mark.no_cover  # under a tracer it takes three times as long, and each part has tests of its own


class Chat(ThreadingHTTPServer):
    """A chat's incoming webhook."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hook)
        self.messages: list[tuple[str, dict[str, str]]] = []
        self.elsewhere = 0


class Hook(BaseHTTPRequestHandler):
    """Answers as Slack does."""

    server: Chat

    def do_POST(self) -> None:  # the base class's name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/services/T0/B0/secret":
            self.server.elsewhere += 1
        self.server.messages.append((self.headers["Content-Type"], json.loads(body)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        pass


@pytest.fixture
def chat() -> Iterator[Chat]:
    with Chat() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_campaign_that_marketo_refuses_is_told_in_the_chat(start: StartRelay, chat: Chat) -> None:
    """With what to do, without the person, and without the chat's address in the log."""
    url = f"http://127.0.0.1:{chat.server_port}/services/T0/B0/secret"
    relay = start(ALERT_WEBHOOK_URL=url, MARKETO_CAMPAIGN_ID=str(seed.BATCH_CAMPAIGN_ID))
    assert relay.send(registration("ada@example.com")).status_code == 202
    (content_type, said) = until(lambda: chat.messages[0] if chat.messages else None, what="a message")
    assert content_type == "application/json"
    assert set(said) == {"text"}
    assert f"for the campaign {seed.BATCH_CAMPAIGN_ID} since" in said["text"]
    assert "MARKETO_CAMPAIGN_ID" in said["text"]
    assert "ada@" not in said["text"]
    until(lambda: "alert sent" in relay.process.output, what="the log's line")
    assert "/services/" not in relay.process.output
    assert (len(chat.messages), chat.elsewhere) == (1, 0)


def test_an_inactive_campaign_is_told_though_marketo_takes_each_request(start: StartRelay, chat: Chat) -> None:
    """Only a look at the set-up can tell; nobody reads its page when all seems well."""
    url = f"http://127.0.0.1:{chat.server_port}/services/T0/B0/secret"
    start(ALERT_WEBHOOK_URL=url, MARKETO_CAMPAIGN_ID=str(seed.INACTIVE_CAMPAIGN_ID), CHECK_AT_START="true")
    until(
        lambda: any("Schedule > Activate" in unescape(said["text"]) for _, said in chat.messages),
        within=90,
        what="a message",
    )
