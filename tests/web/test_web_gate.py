"""Who may do what with which token, and what a guess costs."""

import asyncio
from datetime import timedelta

import pytest

from app.web.waiting import WaitingRoom
from tests.web.log_capture import Lines
from tests.web.relay_server import ADMIN_TOKEN, READ_TOKEN, Relay, Surroundings, serving
from tests.web.test_web_setup import Watch

PAGES = {"docs_need_token": ["/docs", "/openapi.json"], "metrics_need_token": ["/metrics"]}


async def test_the_reading_token_looks_and_changes_nothing(around: Surroundings) -> None:
    watch = Watch()
    async with serving(around.app(setup=watch)) as relay:
        assert (await relay.get("/api/setup", token=READ_TOKEN)).status_code == 200
        answer = await relay.client.post("/api/setup", headers={"authorization": f"Bearer {READ_TOKEN}"})
    assert (answer.status_code, watch.begun) == (403, 0)
    assert "ADMIN_TOKEN" in answer.json()["detail"]


async def test_the_reading_token_alone_turns_the_api_on(around: Surroundings) -> None:
    async with serving(around.app(admin_tokens=())) as relay:
        assert (await relay.get("/api/registrations", token=READ_TOKEN)).status_code == 200
        assert (await relay.get("/api/registrations", token=ADMIN_TOKEN)).status_code == 401


@pytest.mark.parametrize("setting", PAGES)
async def test_what_is_open_by_default_can_be_closed(around: Surroundings, setting: str) -> None:
    """What asks for liveness stays open: an orchestrator has no token."""
    async with serving(around.app()) as relay:
        assert {(await relay.get(path, token=None)).status_code for path in PAGES[setting]} == {200}
    async with serving(around.app(**{setting: True})) as relay:
        for path in PAGES[setting]:
            assert (await relay.get(path, token=None)).status_code == 401
            assert (await relay.get(path, token="wrong")).status_code == 401
            assert (await relay.get(path, token=READ_TOKEN)).status_code == 200
            assert (await relay.get(path)).status_code == 200
        assert (await relay.get("/livez", token=None)).status_code == 200


async def test_a_wrong_token_is_told_from_none(relay: Relay) -> None:
    """Who sends one need not be told how; and which of the settings it may be is said, as looking needs less."""
    missing, wrong = [
        (await relay.get("/api/registrations", token=token)).json()["detail"] for token in (None, "guess")
    ]
    assert "Authorization: Bearer" in missing
    assert "wrong" in wrong
    assert "ADMIN_READ_TOKEN" in missing
    assert "ADMIN_READ_TOKEN" in wrong


async def test_a_wrong_token_is_logged_without_the_token(relay: Relay, log: Lines) -> None:
    await relay.get("/api/registrations", token="guess-of-a-stranger")
    [line] = log.facts("admin_token_refused")
    assert line["client"] == "127.0.0.1"
    assert "guess-of-a-stranger" not in log.text


async def test_who_shows_no_token_is_told_at_once(around: Surroundings, log: Lines) -> None:
    """It guesses nothing; and a browser that is asked to sign in shows none."""
    async with serving(around.app(waiting=WaitingRoom(seats=0))) as relay:
        assert (await relay.get("/api/registrations", token=None)).status_code == 401
    assert not log.facts("admin_token_refused")


async def test_guesses_beyond_the_seats_are_sent_away_and_the_right_token_is_not(around: Surroundings) -> None:
    """Else whoever guesses much would lock everybody out."""
    async with serving(around.app(waiting=WaitingRoom(seats=0))) as relay:
        guess = await relay.get("/api/registrations", token="wrong")
        assert (guess.status_code, guess.headers["retry-after"]) == (429, "1")
        assert (await relay.get("/api/registrations")).status_code == 200


async def test_a_seat_is_free_again_after_the_wait() -> None:
    room = WaitingRoom(wait=timedelta(), seats=1)
    assert [await room.sit(), await room.sit()] == [True, True]


async def test_a_seat_is_free_again_when_the_guesser_is_gone() -> None:
    room = WaitingRoom(wait=timedelta(hours=1), seats=1)
    guess = asyncio.create_task(room.sit())
    await asyncio.sleep(0)
    assert await room.sit() is False
    guess.cancel()
    await asyncio.gather(guess, return_exceptions=True)
    again = asyncio.create_task(room.sit())
    await asyncio.sleep(0)
    assert not again.done()
    again.cancel()
