"""The console as people use it, in a real Chromium."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.browser.conftest import DESK, PHONE, Visitor
from tests.browser.people import HOSTILE
from tests.e2e.harness import ADMIN_TOKEN, Relay, registration

PAGES = (
    "",
    "/registrations",
    "/registrations?q=nobody",
    "/registrations?state=x",
    "/events",
    "/events?state=waiting",
    "/events?state=x",
    "/webinars",
    "/dead-letters",
    "/sources",
    "/set-up",
    "/x",
)


def address_of(relay: Relay, email: str) -> str:
    return f"/registrations/{relay.registrations(email=email)[0]['id']}"


def pages_of(relay: Relay) -> list[str]:
    """Return the paths of one page of each kind."""
    found = relay.api(address_of(relay, "alan.turing@example.com").removeprefix("/"))
    call, event = found["calls"][-1]["id"], found["timeline"][0]["eventId"]
    one = [
        f"/registrations/{found['id']}",
        address_of(relay, "linus@example.com"),
        f"/calls/{call}",
        f"/events/{event}",
        f"/replay?id={found['id']}",
        f"/replay?id={found['id']}&resend=on",
        "/replay?cause=title_missing",
    ]
    return [*PAGES, *one, address_of(relay, "hostile4@example.com")]


def test_somebody_signs_in_finds_a_registrant_and_sees_why(signed_in: Visitor) -> None:
    """'No reminder came. Why?' in four steps, by somebody who has never seen a terminal."""
    page = signed_in.page
    page.get_by_role("link", name="Registrations").click()
    page.get_by_label("Person").fill("pauling")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Linus Pauling").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Linus Pauling")
    verdict = page.get_by_role("region", name="What became of it")
    expect(verdict).to_contain_text("No reminder was sent.")
    expect(verdict).to_contain_text("The webinar has no title.")
    expect(verdict).to_contain_text("DEFAULT_WEBINAR_TITLE")
    assert signed_in.complaints == []


def test_a_wrong_token_is_told(visitor: Visitor) -> None:
    visitor.go("/registrations")
    visitor.page.get_by_label("Admin token").fill("not-the-token-at-all")
    visitor.page.get_by_role("button", name="Sign in").click()
    expect(visitor.page.get_by_role("alert")).to_contain_text("not the admin token")


def test_the_email_is_shown_as_it_would_look(signed_in: Visitor, relay: Relay) -> None:
    signed_in.go(address_of(relay, "alan.turing@example.com"))
    frame = signed_in.page.frame_locator("iframe")
    expect(frame.get_by_text("Hi Alan,")).to_be_visible()
    expect(frame.get_by_role("link", name="Join the webinar")).to_have_attribute("href", re.compile("zoom.example.com"))
    assert signed_in.complaints == []


def test_the_timeline_leads_to_the_request_and_the_webhook(signed_in: Visitor, relay: Relay) -> None:
    signed_in.go(address_of(relay, "alan.turing@example.com"))
    signed_in.page.get_by_role("link", name="The request to Marketo").last.click()
    expect(signed_in.page.get_by_role("heading", level=1)).to_have_text("Request the campaign")
    signed_in.page.go_back()
    signed_in.page.get_by_role("link", name="The webhook", exact=True).click()
    expect(signed_in.page.get_by_role("heading", level=1)).to_have_text("Webhook from Own app")


def test_a_payload_is_tried_out(signed_in: Visitor, relay: Relay) -> None:
    """Nothing of it is stored."""
    before = len(relay.registrations())
    page = signed_in.page
    page.get_by_role("link", name="Sources").click()
    own = page.get_by_role("region", name="Own app")
    own.get_by_text("Try a payload").click()
    own.get_by_label("A webhook's body").fill('{"email": "tried@example.com", "webinar": {"id": "w", "titel": "T"}}')
    own.get_by_role("button", name="See what it would become").click()
    expect(own.get_by_text("webinar.titel")).to_be_visible()
    fixed = '{"email": "tried@example.com", "webinar": {"id": "w", "title": "T", "joinLink": "https://a.example/"}}'
    own.get_by_label("A webhook's body").fill(fixed)
    own.get_by_role("button", name="See what it would become").click()
    expect(own).to_contain_text("would get the reminder")
    assert len(relay.registrations()) == before
    assert not relay.registrations(email="tried@example.com")


def test_an_eventbrite_order_is_tried_out_with_what_must_be_fetched(signed_in: Visitor) -> None:
    page = signed_in.page
    signed_in.go("/sources")
    source = page.get_by_role("region", name="Eventbrite")
    source.get_by_text("Try a payload").click()
    order = '{"config": {"action": "order.placed"}, "api_url": "https://www.eventbriteapi.com/v3/orders/985359169/"}'
    source.get_by_label("A webhook's body").fill(order)
    source.get_by_role("button", name="See what it would become").click()
    expect(source).to_contain_text("ada.lovelace@example.com would get the reminder")


def test_a_test_is_sent_and_followed(signed_in: Visitor, relay: Relay) -> None:
    page = signed_in.page
    signed_in.go("/sources")
    own = page.get_by_role("region", name="Own app")
    own.get_by_label("E-mail address for the test").fill("desk@example.com")
    own.get_by_role("button", name="Send test").click()
    expect(own.get_by_role("status")).to_contain_text("The relay answered 202: accepted.")
    relay.in_state("desk@example.com", "sent")
    own.get_by_role("link", name="See what became of it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Webhook from Own app")
    expect(page.get_by_text("desk@example.com").first).to_be_visible()


def test_the_set_up_is_checked(signed_in: Visitor) -> None:
    """Against the simulated Marketo, whose campaign is as it should be."""
    page = signed_in.page
    page.get_by_role("link", name="Set-up").click()
    page.get_by_role("button", name="Check now").click()
    page.get_by_role("button", name="Check again").wait_for(timeout=60_000)
    expect(page.get_by_text("Qualification rule", exact=False).first).to_be_visible()
    expect(page.get_by_text("did not come to their end")).to_have_count(0)


def test_a_dead_registration_is_replayed(signed_in: Visitor, relay: Relay) -> None:
    """The page goes on by itself until it is done. Nothing was mended, so that the registration stays dead."""
    page = signed_in.page
    untitled = registration("rosalind@example.com") | {"webinar": {"id": "w-98", "joinLink": "https://a.example/98"}}
    relay.send(untitled)
    relay.in_state("rosalind@example.com", "dead")
    signed_in.go(address_of(relay, "rosalind@example.com"))
    page.get_by_role("link", name="Replay…").click()
    foreseen = page.get_by_role("region", name="What it would come to")
    expect(foreseen).to_contain_text("Title missing")
    assert serious(signed_in, "preview") == []
    page.get_by_label("Your name").fill("Grace")
    page.get_by_label("Why").fill("to see <b>why</b>")
    page.get_by_role("button", name="Replay now").click()
    expect(page.get_by_role("region", name="How far it is")).to_contain_text("It is done. 1 of 1.", timeout=20_000)
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    assert serious(signed_in, "progress") == []
    page.get_by_role("link", name="The registration").click()
    expect(page.get_by_text("Replayed by Grace: to see <b>why</b>.")).to_be_visible()
    page.get_by_role("link", name="The replay").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Replay")
    relay.in_state("rosalind@example.com", "dead")
    assert signed_in.complaints == []


def test_the_address_is_copied_with_its_secret(browser: Browser, relay: Relay) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    visitor = Visitor(context, relay)
    visitor.sign_in()
    visitor.go("/sources")
    source = visitor.page.get_by_role("region", name="Eventbrite")
    expect(source.locator("code").first).to_contain_text("/webhooks/eventbrite/•••")
    source.get_by_role("button", name="Copy").click()
    expect(source.get_by_role("button", name="Copied")).to_be_visible()
    copied = visitor.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"{relay.url}/webhooks/eventbrite/")
    assert "•" not in copied
    context.close()


def test_what_comes_shows_without_loading_the_page_again(signed_in: Visitor, relay: Relay) -> None:
    signed_in.go("/registrations?q=live.update")
    expect(signed_in.page.get_by_text("Nobody is found")).to_be_visible()
    relay.send(registration("live.update@example.com"))
    expect(signed_in.page.get_by_text("live.update@example.com")).to_be_visible(timeout=20_000)


def test_who_is_signed_out_meanwhile_is_asked_to_sign_in_again(visitor: Visitor) -> None:
    """An open page stood still after twelve hours, and went on saying that everything is fine."""
    visitor.page.clock.install()
    visitor.sign_in()
    visitor.go("/webinars")
    visitor.page.context.clear_cookies()
    visitor.page.clock.fast_forward(11_000)
    expect(visitor.page.get_by_label("Admin token")).to_be_visible()
    expect(visitor.page.get_by_role("status")).to_contain_text("a sign-in lasts 12 hours")


def test_a_page_that_stands_still_says_so(visitor: Visitor) -> None:
    """And no longer, as soon as the relay answers again."""
    visitor.page.clock.install()
    visitor.sign_in()
    stale = visitor.page.locator("[data-stale]")
    expect(stale).to_be_hidden()
    visitor.page.context.set_offline(True)
    visitor.page.clock.fast_forward(11_000)
    expect(stale).to_contain_text("The relay does not answer: this page stands still since")
    visitor.page.context.set_offline(False)
    visitor.page.clock.fast_forward(11_000)
    expect(stale).to_be_hidden()


def test_times_are_the_viewers_own(browser: Browser, relay: Relay) -> None:
    context = browser.new_context(timezone_id="Asia/Tokyo")
    visitor = Visitor(context, relay)
    visitor.sign_in()
    visitor.go(address_of(relay, "alan.turing@example.com"))
    expect(visitor.page.get_by_text("Asia/Tokyo")).to_be_visible()
    time = visitor.page.locator("time").first
    assert "UTC" in (time.get_attribute("title") or "")
    context.close()


def test_everything_works_without_javascript(browser: Browser, relay: Relay) -> None:
    context = browser.new_context(java_script_enabled=False)
    visitor = Visitor(context, relay)
    visitor.sign_in()
    page = visitor.page
    page.get_by_role("link", name="Registrations").click()
    page.get_by_label("State").select_option(label="Not sent")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Linus Pauling").click()
    expect(page.get_by_text("No reminder was sent.")).to_be_visible()
    page.get_by_role("link", name="Sources").click()
    source = page.get_by_role("region", name="Eventbrite")
    source.get_by_role("button", name="Show with its secret").click()
    expect(source.locator("code").first).not_to_contain_text("•••")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    context.close()


def test_the_keyboard_is_enough(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("")
    page.keyboard.type("x" * 5)  # the field has the focus
    page.keyboard.press("Control+A")
    page.keyboard.type(ADMIN_TOKEN)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Overview", level=1).wait_for()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", ["desk", "phone"])
def test_no_page_has_a_serious_barrier(browser: Browser, relay: Relay, scheme: str, window: str) -> None:
    """By axe: contrast in light and dark, names of fields and links, order of headings."""
    size = DESK if window == "desk" else PHONE
    context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]  # literals
    visitor = Visitor(context, relay)
    visitor.go("")
    barriers = serious(visitor, "sign-in")
    visitor.sign_in()
    for path in pages_of(relay):
        visitor.go(path)
        barriers += serious(visitor, path)
    context.close()
    assert barriers == []


def test_the_check_finds_a_barrier(visitor: Visitor) -> None:
    """Else the tests above would say nothing."""
    visitor.page.set_content(
        "<html lang=en><title>x</title><main><input><p style='color:#ccc;background:#fff'>pale</p>"
    )
    found = " ".join(serious(visitor, "made up"))
    assert "color-contrast" in found
    assert "label" in found


def serious(visitor: Visitor, path: str) -> list[str]:
    found = Axe().run(visitor.page).response["violations"]
    return [
        f"{path}: {one['id']}: {node['target']} {node.get('failureSummary', '')}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def test_a_phone_shows_every_page_without_scrolling_sideways(browser: Browser, relay: Relay) -> None:
    context = browser.new_context(viewport=PHONE)  # type: ignore[arg-type]  # a ViewportSize
    visitor = Visitor(context, relay)
    visitor.sign_in()
    for path in pages_of(relay):
        visitor.go(path)
        assert visitor.overflow <= 0, path
    context.close()


def test_dark_mode_is_dark(browser: Browser, relay: Relay) -> None:
    context = browser.new_context(color_scheme="dark")
    visitor = Visitor(context, relay)
    visitor.sign_in()
    colour = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in re.findall(r"\d+", colour)) < 64
    context.close()


@pytest.mark.parametrize("n", range(len(HOSTILE)))
def test_hostile_names_and_titles_do_no_harm(signed_in: Visitor, relay: Relay, n: int) -> None:
    """No script runs, nothing is loaded, and the page keeps its shape."""
    for path in (address_of(relay, f"hostile{n}@example.com"), f"/registrations?q=hostile{n}", "/webinars", ""):
        signed_in.go(path)
        assert signed_in.page.evaluate("window.wasHacked") is None
        assert signed_in.overflow <= 0, path
        expect(signed_in.page.get_by_role("button", name="Sign out")).to_be_visible()
        for frame in signed_in.page.frames:
            assert frame.evaluate("window.wasHacked") is None
    assert signed_in.complaints == []


def test_the_console_looks_like_this(browser: Browser, relay: Relay, gallery: Path) -> None:
    """The README's pictures: what people see first."""
    wanted = {
        "overview": "",
        "why": address_of(relay, "linus@example.com"),
    }
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport=DESK, color_scheme=scheme, device_scale_factor=1)  # type: ignore[arg-type]
        visitor = Visitor(context, relay)
        visitor.sign_in()
        for name, path in wanted.items():
            visitor.go(path)
            visitor.page.wait_for_load_state("networkidle")
            visitor.page.screenshot(path=gallery / f"console-{name}-{scheme}.png")
            assert (gallery / f"console-{name}-{scheme}.png").stat().st_size > 20_000
        context.close()
