"""A real Chromium before a real relay that has had some traffic.

Set SCREENSHOTS to a folder to keep the pictures of the README there.
"""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from app.sandbox import seed
from app.sandbox.traffic import load, sample_traffic
from tests.browser.people import HOSTILE, hostile_body
from tests.e2e.harness import (
    ADMIN_TOKEN,
    API_KEY,
    Relay,
    environment,
    registration,
    start_relay,
    start_sandbox,
    until,
    web,
)

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 375, "height": 740}


@pytest.fixture(scope="session")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """A relay to which the sample traffic came, some load, somebody without a title, and hostile names."""
    folder = tmp_path_factory.mktemp("console")
    sandbox = start_sandbox(folder)
    environ = environment(
        sandbox.url,
        f"sqlite:///{folder / 'relay.db'}",
        EVENTBRITE_WEBHOOK_TOKEN=seed.EVENTBRITE_WEBHOOK_TOKEN,
        PENDO_WEBHOOK_SECRET=seed.PENDO_WEBHOOK_SECRET,
        CUSTOM_WEBHOOK_SECRETS=seed.CUSTOM_WEBHOOK_SECRET,
        CUSTOM_API_KEYS=f"{API_KEY},{seed.CUSTOM_API_KEY}",
    )
    running = start_relay(environ, folder)
    now = datetime.now(UTC)
    for delivery in (
        *load(40, running.url, now=now, webinars=2),
        *sample_traffic(running.url, sandbox_url=sandbox.url, now=now),
    ):
        web.request(delivery.method, delivery.url, content=delivery.body, headers=dict(delivery.headers))
    untitled = registration("linus@example.com", firstName="Linus", lastName="Pauling")
    running.send(untitled | {"webinar": {"id": "w-99", "joinLink": "https://meet.example.com/j/99"}})
    for n, hostile in enumerate(HOSTILE):
        answer = running.send(hostile_body(n, hostile))
        assert answer.status_code == 202, answer.text
    running.in_state("linus@example.com", "dead")
    until(lambda: _are_all_at_their_end(running, 45 + len(HOSTILE)), what="everybody to reach an end")
    yield running
    running.process.stop()
    sandbox.process.stop()


def _are_all_at_their_end(relay: Relay, most: int) -> bool:
    found = relay.registrations()
    return len(found) == most and all(one["state"] in ("sent", "dead") for one in found)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "Chromium is missing: apt-get install chromium"
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=as_root)
        yield chromium
        chromium.close()


class Visitor:
    """Somebody in front of the console; what the browser complains of is kept."""

    def __init__(self, context: BrowserContext, relay: Relay) -> None:
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self._url = relay.url
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"a dialog: {dialog.message}"))

    def sign_in(self) -> None:
        self.go("")
        self.page.get_by_label("Admin token").fill(ADMIN_TOKEN)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("heading", name="Overview", level=1).wait_for()

    def go(self, path: str) -> None:
        self.page.goto(f"{self._url}/console{path}")

    @property
    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        wide: int = self.page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
        return wide


@pytest.fixture
def visitor(browser: Browser, relay: Relay) -> Iterator[Visitor]:
    context = browser.new_context(viewport=DESK)  # type: ignore[arg-type]  # a ViewportSize
    yield Visitor(context, relay)
    context.close()


@pytest.fixture
def signed_in(visitor: Visitor) -> Visitor:
    visitor.sign_in()
    return visitor


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """Where screenshots go: nowhere that is kept, unless SCREENSHOTS says."""
    return Path(os.environ.get("SCREENSHOTS") or tmp_path)
