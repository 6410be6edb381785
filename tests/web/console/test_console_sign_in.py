"""Who may look: whoever has the ADMIN_TOKEN, from our own pages, for half a day."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.store.database import Database, open_database
from app.web.console.guard import safe_next
from app.web.console.parts import ConsoleParts
from app.web.console.session import LASTS, Sessions
from app.web.waiting import WaitingRoom
from tests.store.given import ended
from tests.web.console.conftest import console_over
from tests.web.console.reading import form_token, links_of, text_of
from tests.web.log_capture import Lines
from tests.web.relay_server import ADMIN_TOKEN, NOW, READ_TOKEN, Relay, Surroundings, serving

TOKENS = ["adm-the-old-one-000000", ADMIN_TOKEN]
PAGES = [
    "/console",
    "/console/registrations",
    "/console/registrations.csv",
    "/console/registrations/reg_1",
    "/console/registrations/reg_1/email",
    "/console/events/evt_1",
    "/console/calls/call_1",
    "/console/nothing/here",
]


@pytest.mark.parametrize("path", PAGES)
async def test_strangers_are_asked_to_sign_in(relay: Relay, path: str) -> None:
    answer = await relay.client.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/console/sign-in?next=%2Fconsole")


async def test_signing_in_leads_to_where_one_wanted_to_go(relay: Relay) -> None:
    asked = await relay.client.get("/console/registrations?q=ada")
    form = await relay.client.get(asked.headers["location"])
    assert 'value="/console/registrations?q=ada"' in form.text
    answer = await relay.client.post(
        "/console/sign-in", data={"token": ADMIN_TOKEN, "next": "/console/registrations?q=ada"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/registrations?q=ada")
    assert (await relay.client.get("/console/registrations?q=ada")).status_code == 200


async def test_the_cookie_is_for_the_console_and_no_script(relay: Relay) -> None:
    """Nor does another site's request carry it."""
    answer = await relay.client.post("/console/sign-in", data={"token": ADMIN_TOKEN})
    cookie = answer.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Path=/console", f"Max-Age={int(LASTS.total_seconds())}"):
        assert part in cookie
    assert "Secure" not in cookie
    assert ADMIN_TOKEN not in cookie


async def test_over_https_the_cookie_never_goes_in_the_clear(around: Surroundings, tmp_path: Path) -> None:
    app = around.app(console=console_of_nothing(tmp_path))
    async with serving(app, proxy_headers=True, forwarded_allow_ips="*") as proxied:
        answer = await proxied.client.post(
            "/console/sign-in", data={"token": ADMIN_TOKEN}, headers={"x-forwarded-proto": "https"}
        )
    assert "Secure" in answer.headers["set-cookie"]


def console_of_nothing(tmp_path: Path) -> ConsoleParts:
    """Signing in asks the store for nothing."""
    return console_over(open_database(f"sqlite:///{tmp_path / 'none.db'}"))


@pytest.mark.parametrize("token", ["", "wrong", f"{ADMIN_TOKEN}x", "ädm", "\x00", "x" * 9000])
async def test_a_wrong_token_is_told_and_nothing_else(relay: Relay, log: Lines, token: str) -> None:
    answer = await relay.client.post("/console/sign-in", data={"token": token})
    assert answer.status_code == 401
    assert "not the admin token" in text_of(answer)
    assert "set-cookie" not in answer.headers
    assert log.facts("console sign-in refused")
    assert not token or token not in log.text


@pytest.mark.parametrize("token", TOKENS)
async def test_each_token_opens_while_rotating(relay: Relay, token: str) -> None:
    assert (await relay.client.post("/console/sign-in", data={"token": f" {token}\n"})).status_code == 303


async def test_a_session_ends_after_half_a_day(around: Surroundings, signed_in: Relay) -> None:
    around.now = NOW + LASTS - timedelta(seconds=1)
    assert (await signed_in.client.get("/console/registrations")).status_code == 200
    around.now = NOW + LASTS
    assert (await signed_in.client.get("/console/registrations")).status_code == 303


async def test_whose_session_has_ended_is_told_so_and_whether_anything_was_done(
    around: Surroundings, signed_in: Relay
) -> None:
    around.now = NOW + LASTS
    went = await signed_in.client.get("/console/webinars", follow_redirects=True)
    assert "a sign-in lasts 12 hours. After it, you go on where you were." in text_of(went)
    pressed = await signed_in.client.post("/console/replay", data={"id": "reg_1"}, follow_redirects=True)
    assert "What you pressed was not done" in text_of(pressed)
    assert "lasts 12 hours" not in text_of(await signed_in.client.get("/console", follow_redirects=True))


async def test_signing_out_takes_the_cookie_away(signed_in: Relay) -> None:
    page = await signed_in.client.get("/console/registrations")
    answer = await signed_in.client.post("/console/sign-out", data={"form_token": form_token(page)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in")
    assert (await signed_in.client.get("/console/registrations")).status_code == 303


@pytest.mark.parametrize("given", [{}, {"form_token": ""}, {"form_token": "0" * 64}, {"form_token": "é"}])
async def test_a_form_without_its_token_does_nothing(signed_in: Relay, given: dict[str, str]) -> None:
    """Another site could send it, with the browser's cookie."""
    answer = await signed_in.client.post("/console/sign-out", data=given)
    assert answer.status_code == 403
    assert "load the page again" in text_of(answer)
    assert (await signed_in.client.get("/console/registrations")).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_no_other_site_signs_anybody_in(relay: Relay, site: str) -> None:
    answer = await relay.client.post("/console/sign-in", data={"token": ADMIN_TOKEN}, headers={"sec-fetch-site": site})
    assert answer.status_code == 403


async def test_a_form_is_never_large(relay: Relay) -> None:
    answer = await relay.client.post("/console/sign-in", content=b"token=" + b"x" * 20_000)
    assert answer.status_code == 413
    many = await relay.client.post("/console/sign-in", content=b"&".join(b"a%d=" % n for n in range(999)))
    assert many.status_code == 413


async def test_without_an_admin_token_the_console_is_off(around: Surroundings, tmp_path: Path) -> None:
    async with serving(
        around.app(admin_tokens=(), admin_read_tokens=(), console=console_of_nothing(tmp_path))
    ) as relay:
        for answer in (
            await relay.client.get("/console"),
            await relay.client.get("/console/sign-in"),
            await relay.client.post("/console/sign-in", data={"token": ""}),
        ):
            assert answer.status_code == 404
            assert "ADMIN_TOKEN" in text_of(answer)


async def test_no_page_loads_anything_from_elsewhere(signed_in: Relay) -> None:
    """No CDN, no inline script or style, and no other site may frame it."""
    page = await signed_in.client.get("/console/registrations")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert "<style" not in page.text
    assert " style=" not in page.text
    assert all(link.startswith(("/console", "#")) for link in links_of(page))


async def test_assets_are_kept_for_a_year_and_only_these(relay: Relay) -> None:
    page = await relay.client.get("/console/sign-in")
    style = next(link for link in links_of(page) if link.endswith("console.css"))
    answer = await relay.client.get(style)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/css")
    for wrong in ("/console/assets/0/console.css", "/console/assets/0/..%2Fpages.py", "/console/assets/0/pages.py"):
        assert (await relay.client.get(wrong)).status_code in (303, 404)


def test_a_session_is_its_tokens_own() -> None:
    """Taking a token out of ADMIN_TOKEN signs out whom it let in."""
    cookie = Sessions(TOKENS).open(TOKENS[0], NOW)
    assert Sessions(TOKENS).read(cookie, NOW)
    assert Sessions(TOKENS[1:]).read(cookie, NOW) is None
    assert Sessions([]).open("", NOW) is None


def test_two_sessions_have_different_form_tokens() -> None:
    first, second = (Sessions(TOKENS).read(Sessions(TOKENS).open(ADMIN_TOKEN, NOW), NOW) for _ in range(2))
    assert first
    assert second
    assert first.form_token != second.form_token


def test_nothing_of_a_cookie_can_be_changed() -> None:
    cookie = Sessions(TOKENS).open(ADMIN_TOKEN, NOW) or ""
    for n, letter in enumerate(cookie):
        forged = cookie[:n] + ("1" if letter != "1" else "2") + cookie[n + 1 :]
        assert Sessions(TOKENS).read(forged, NOW) is None


@given(st.one_of(st.text(), st.from_regex(r"[0-9]{1,30}\.[a-z]*\.[0-9a-f]*")))
def test_no_nonsense_is_a_session(cookie: str) -> None:
    assert Sessions(TOKENS).read(cookie, NOW) is None


@pytest.mark.parametrize(
    "address",
    [
        "",
        "//evil.example",
        "https://evil.example",
        "/console\\evil",
        "/console/../../x:y",
        "/consoles",
        "/console?a b",
        "/console/" + "x" * 3000,
        "javascript:alert(1)",
        "/console/\r\nset-cookie: a=b",
    ],
)
def test_signing_in_never_leads_elsewhere(address: str) -> None:
    """A link that signs in and leads to a look-alike would be believed."""
    assert safe_next(address) == "/console"


async def test_who_signed_in_to_look_changes_nothing(relay: Relay) -> None:
    """Nor sees a source's secret address; but finds everybody, and the way out."""
    await relay.client.post("/console/sign-in", data={"token": READ_TOKEN})
    page = await relay.client.get("/console/sources")
    assert page.status_code == 200
    given = {"form_token": form_token(page)}
    for path in ("/console/set-up", *(f"/console/sources/eventbrite/{act}" for act in ("address", "try", "test"))):
        answer = await relay.client.post(path, data=given)
        assert (answer.status_code, "only looks" in text_of(answer)) == (403, True)
    assert (await relay.client.post("/console/sign-out", data=given)).status_code == 303


async def test_who_only_looks_is_shown_no_button_that_would_be_refused(relay: Relay, database: Database) -> None:
    """And is told why, and how to get them."""
    died = await ended(database, NOW, state="dead")
    shown = ("/console/dead-letters", "/console/webinars", f"/console/registrations/{died}", "/console/set-up")
    pages = (*shown, "/console/sources", f"/console/replay?id={died}")
    for token, may_act in ((ADMIN_TOKEN, True), (READ_TOKEN, False)):
        await relay.client.post("/console/sign-in", data={"token": token})
        for path in pages:
            page = await relay.client.get(path)
            posts = re.findall(r'<form method="post" action="(?!/console/sign-out)', page.text)
            asks = [link for link in links_of(page) if link.startswith("/console/replay?")]
            assert page.status_code == 200
            assert bool(posts or asks) is may_act, (path, may_act)
            assert ("token that only looks" in text_of(page)) is not may_act


async def test_guesses_beyond_the_seats_are_sent_away_and_the_right_token_is_not(
    around: Surroundings, tmp_path: Path
) -> None:
    app = around.app(waiting=WaitingRoom(seats=0), console=console_of_nothing(tmp_path))
    async with serving(app) as relay:
        assert (await relay.client.post("/console/sign-in", data={"token": "wrong"})).status_code == 429
        assert (await relay.client.post("/console/sign-in", data={"token": ADMIN_TOKEN})).status_code == 303


async def test_who_hangs_up_in_the_middle_of_a_form_is_no_defect(relay: Relay, log: Lines) -> None:
    """Anybody can do that, and nobody is left to be answered."""
    async with relay.connection() as (_, writer):
        head = b"POST /console/sign-in HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n"
        writer.write(head + b"content-length: 100\r\n\r\ntoken=a")
        await writer.drain()
        await asyncio.sleep(0.05)
    for _ in range(500):
        if log.facts("request_answered"):
            break
        await asyncio.sleep(0.01)
    assert [fact["status"] for fact in log.facts("request_answered")] == [0]
    assert log.facts("request_failed") == []
