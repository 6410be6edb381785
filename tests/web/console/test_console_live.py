"""Many people look at one page: what the script asks for is made once for all, and nobody gets what is another's."""

import pytest
from starlette.requests import Request
from starlette.responses import Response

from app.store.database import Database
from app.web.console.live import HEADER, Live
from app.web.console.session import Session
from tests.dispatch.stage import Ticks
from tests.store.given import draft, record
from tests.web.console.reading import form_token, text_of
from tests.web.relay_server import ADMIN_TOKEN, NOW, READ_TOKEN, Relay

ASKS = {HEADER: "1"}
PAGES = ["/console", "/console/registrations", "/console/events", "/console/webinars", "/console/dead-letters"]


def asked_for(query: str) -> Request:
    """What the script of a page sends, of whoever may act."""
    headers = [(HEADER.encode(), b"1")]
    request = Request({"type": "http", "path": "/console", "query_string": query.encode(), "headers": headers})
    request.state.session = Session(NOW, "token", may_act=True)
    return request


async def asks(relay: Relay, path: str) -> str:
    """Ask as the script of an open page does, and return the page's text."""
    answer = await relay.client.get(path, headers=ASKS)
    assert answer.status_code == 200
    return text_of(answer)


async def sign_in(relay: Relay, token: str = ADMIN_TOKEN) -> None:
    assert (await relay.client.post("/console/sign-in", data={"token": token})).status_code == 303


async def test_the_scripts_answer_is_shared_and_who_loads_the_page_gets_it_anew(
    signed_in: Relay, database: Database
) -> None:
    """Ten open consoles cost what one does; a search for who has just registered finds them."""
    page = "/console/registrations"
    assert "No registration has come yet" in await asks(signed_in, page)
    await record(database, NOW, draft(NOW))
    assert "No registration has come yet" in await asks(signed_in, page)
    assert "ada@example.com" in text_of(await signed_in.client.get(page))
    assert "ada@example.com" in await asks(signed_in, f"{page}?q=ada")


async def test_an_answer_is_made_anew_once_it_is_old_and_few_are_kept() -> None:
    """However many searches are open, and whatever they are for."""
    ticks, made = Ticks(), 0
    live = Live(lasts=8.0, most=2, ticks=ticks)

    @live.shared
    async def page(_request: Request) -> Response:
        nonlocal made
        made += 1
        return Response(f"{made}")

    for number in range(5):
        for passed in (0.0, 7.9, 0.2):
            ticks.move(passed)
            assert (await page(asked_for(f"q={number}"))).body == b"%d" % made
    assert made == 10


@pytest.mark.parametrize("page", PAGES)
async def test_no_sessions_form_token_is_in_a_shared_answer(signed_in: Relay, page: str) -> None:
    """Who has it could make forms that look like this session's own."""
    token = form_token(await signed_in.client.get(page))
    answer = await signed_in.client.get(page, headers=ASKS)
    assert token
    assert token not in answer.text
    assert "data-live" in answer.text or page == "/console/webinars"


async def test_who_only_looks_gets_no_answer_made_for_who_may_act(relay: Relay, database: Database) -> None:
    await record(database, NOW, draft(NOW))
    await sign_in(relay)
    await asks(relay, "/console/webinars")
    await sign_in(relay, READ_TOKEN)
    assert "token that only looks" in await asks(relay, "/console/webinars")


async def test_nobody_who_is_not_signed_in_gets_one(signed_in: Relay) -> None:
    await asks(signed_in, "/console")
    signed_in.client.cookies.clear()
    assert (await signed_in.client.get("/console", headers=ASKS)).status_code == 303


async def test_each_answer_has_its_own_headers(signed_in: Relay) -> None:
    first, second = [(await signed_in.client.get("/console", headers=ASKS)).headers for _ in range(2)]
    assert first["x-request-id"] != second["x-request-id"]
    assert first["content-security-policy"] == second["content-security-policy"]
    assert first["content-length"] == second["content-length"]
