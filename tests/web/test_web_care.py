"""What needs a person, and taking it up again, over HTTP: nothing is done before it was shown."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from app.dispatch.replaying import Preview
from app.domain import ADVICE, Cause
from app.errors import ReplayRefused, StoreUnavailable
from app.main import create_app
from app.store.dead import DeadCount, DeadFilter, DeadLetter, DeadPage
from app.store.replays import Asked, Replay, Selection
from app.web.care_parts import CareParts
from tests.web.relay_server import ADMIN_TOKEN, NOW, Relay, Surroundings, serving

PREVIEW = Preview(
    9, 1, 1, 8, 3, ["ada@example.com"], 4, ["bob@example.com"], {"title_missing": 1}, {"purged": 1}, 5, False
)
LETTER = DeadLetter("reg_1", "custom", "title_missing", "No title.", "w-1", "ada@example.com", None, NOW)
PAGE = DeadPage([DeadCount("title_missing", 3, 0), DeadCount("of a newer relay", 0, 1)], [LETTER], "reg_1")


@dataclass
class Caring:
    """Stands for all three parts: it remembers what was asked for."""

    asked: list[Asked] = field(default_factory=list)
    foreseen: list[Asked] = field(default_factory=list)
    filters: list[tuple[DeadFilter, int, str | None]] = field(default_factory=list)
    made: dict[str, Replay] = field(default_factory=dict)
    fails: Exception | None = None

    async def page(self, which: DeadFilter, *, limit: int, cursor: str | None) -> DeadPage:
        if cursor == "nonsense":
            raise ValueError(cursor)
        self.filters.append((which, limit, cursor))
        return PAGE

    async def preview(self, asked: Asked) -> Preview:
        self.foreseen.append(asked)
        return PREVIEW

    async def ask(self, asked: Asked) -> Replay:
        if self.fails:
            raise self.fails
        self.asked.append(asked)
        self.made["rpl_1"] = Replay("rpl_1", NOW, asked, "running", 9, counts={"again": 2})
        return self.made["rpl_1"]

    async def stop(self, replay_id: str) -> Replay | None:
        found = self.made.get(replay_id)
        return found and replace(found, state="stopped", ended_at=NOW)

    async def replay(self, replay_id: str) -> Replay | None:
        return self.made.get(replay_id)

    async def unknown(self, ids: Sequence[str]) -> list[str]:
        return [one for one in dict.fromkeys(ids) if one not in ("reg_1", "evt_2")]

    async def latest(self, limit: int) -> list[Replay]:
        return list(self.made.values())[:limit]


@pytest.fixture
def caring() -> Caring:
    return Caring()


@pytest.fixture
async def cared(around: Surroundings, caring: Caring) -> AsyncIterator[Relay]:
    async with serving(create_app(around.parts(), care=CareParts(caring, caring, caring))) as running:
        yield running


async def ask(relay: Relay, body: object, *, path: str = "/api/replay", token: str = ADMIN_TOKEN) -> Any:
    return await relay.post(path, body, {"authorization": f"Bearer {token}", "x-key": ""})


async def test_dead_letters_say_the_cause_what_to_do_and_the_fields_at_fault(cared: Relay) -> None:
    told = (await cared.get("/api/dead")).json()
    assert told["causes"][0] == {
        "cause": "title_missing",
        "registrations": 3,
        "events": 0,
        "advice": ADVICE[Cause.TITLE_MISSING],
        "fields": ["webinar.title"],
    }
    assert (told["causes"][1]["advice"], told["causes"][1]["fields"]) == (None, [])
    item = told["items"][0]
    assert (item["id"], item["fields"], item["detail"]) == ("reg_1", ["webinar.title"], "No title.")
    assert item["advice"].startswith("Send a title")
    assert told["nextCursor"].startswith("reg_1~")


async def test_dead_letters_are_filtered_and_paged(cared: Relay, caring: Caring) -> None:
    asked = "/api/dead?cause=title_missing&source=custom&webinar=w-1&limit=7"
    cursor = (await cared.get(asked)).json()["nextCursor"]
    await cared.get(f"{asked}&cursor={cursor}")
    assert caring.filters[1:] == [(DeadFilter("title_missing", "custom", "w-1"), 7, "reg_1")]
    assert (await cared.get("/api/dead?cursor=nonsense")).status_code == 400
    assert (await cared.get("/api/dead?cause=nonsense")).status_code == 422
    offered = (await cared.get("/api/dead?cause=test_ping")).json()["errors"][0]["problem"]
    assert ("title_missing" in offered, "test_ping" in offered) == (True, False)  # nobody dies of a test


async def test_a_replay_is_shown_before_it_is_done(cared: Relay, caring: Caring) -> None:
    """Whoever forgets `confirm` does no harm."""
    answer = await ask(cared, {"cause": "title_missing"})
    assert answer.status_code == 200
    assert caring.asked == []
    told = answer.json()["preview"]
    assert (told["wouldSend"], told["wouldSendTo"], told["alreadySent"], told["calls"]) == (
        3,
        ["ada@example.com"],
        4,
        5,
    )
    assert (told["stillDead"], told["leftOut"], told["toFetch"]) == ({"title_missing": 1}, {"purged": 1}, 1)
    assert "replay" not in answer.json()


async def test_ids_that_nothing_has_are_told_before_and_when_it_is_done(cared: Relay) -> None:
    """One that was pasted without its last letter would else look as if there were nothing to do."""
    body = {"ids": ["reg_1", "reg_x", "evt_y", "reg_x"]}
    told = (await ask(cared, body)).json()
    assert (told["preview"]["leftOut"], told["unknown"]) == ({"purged": 1, "unknown": 2}, ["reg_x", "evt_y"])
    assert (await ask(cared, {**body, "confirm": True})).json()["unknown"] == ["reg_x", "evt_y"]


@pytest.mark.parametrize("confirm", [False, True])
async def test_where_nothing_has_any_of_the_ids_nothing_is_replayed(
    cared: Relay, caring: Caring, confirm: bool
) -> None:
    answer = await ask(cared, {"ids": ["reg_x"], "confirm": confirm})
    assert (answer.status_code, answer.json()["errors"]) == (
        404,
        [{"field": "ids.0", "problem": "nothing here has this id"}],
    )
    assert (caring.asked, caring.foreseen) == ([], [])


async def test_a_confirmed_replay_begins_and_tells_how_far_it_is(cared: Relay, caring: Caring) -> None:
    """With who and why."""
    body = {"ids": ["reg_1", "evt_2"], "confirm": True, "resend": True, "by": " ada ", "why": "mended"}
    answer = await ask(cared, body)
    assert answer.status_code == 202
    assert caring.asked == [Asked(Selection(["reg_1", "evt_2"]), "ada", "mended", resend=True)]
    begun = answer.json()["replay"]
    assert (begun["id"], begun["state"], begun["done"], begun["total"], begun["by"]) == (
        "rpl_1",
        "running",
        2,
        9,
        "ada",
    )
    assert (await cared.get("/api/replays/rpl_1")).json()["counts"] == {"again": 2}
    assert [one["id"] for one in (await cared.get("/api/replays")).json()["items"]] == ["rpl_1"]
    assert (await ask(cared, {}, path="/api/replays/rpl_1/stop")).json()["state"] == "stopped"


async def test_the_key_of_an_asking_reaches_the_store(cared: Relay, caring: Caring) -> None:
    await ask(cared, {"all": True, "confirm": True, "key": "k-1"})
    assert [asked.key for asked in caring.asked] == ["k-1"]


async def test_what_stands_in_the_way_of_a_replay_is_said(cared: Relay, caring: Caring) -> None:
    caring.fails = ReplayRefused("rpl_1 mails the same people again and is under way.")
    answer = await ask(cared, {"all": True, "confirm": True, "resend": True})
    assert (answer.status_code, answer.json()["detail"]) == (409, str(caring.fails))


async def test_of_a_replay_whose_commit_is_unclear_nobody_is_told_to_begin_another(
    cared: Relay, caring: Caring
) -> None:
    """Sent again without a key, it would mail everybody twice."""
    caring.fails = StoreUnavailable("the server closed the connection")
    answer = await ask(cared, {"all": True, "confirm": True})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "not known whether it has begun. With the same key, send it again" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"all": False},
        {"all": True, "cause": "title_missing"},
        {"ids": ["reg_1"], "all": True},
        {"ids": ["nonsense"]},
        {"cause": "nonsense"},
        {"all": True, "sent": True},
        {"all": True, "confrim": True},
        {"all": True, "webinar": ""},
        {"all": True, "source": ""},
        {"all": True, "why": "a\u0000b"},
        {"ids": ["reg_1"], "confirm": "yes"},
        {"ids": ["reg_1"], "confirm": 1},
        {"ids": ["reg_1"], "resend": "true"},
        {"all": "true"},
        {"all": True, "key": ""},
        {"all": True, "key": "ada@example.com"},
        {"all": True, "key": "k" * 65},
    ],
)
async def test_a_replay_must_say_clearly_of_what(cared: Relay, caring: Caring, body: object) -> None:
    """A misspelt filter must not replay everything."""
    assert (await ask(cared, body)).status_code == 422
    assert (caring.asked, caring.foreseen) == ([], [])


@pytest.mark.parametrize(
    ("body", "field", "problem"),
    [
        ({"ids": ["reg_1"], "confirm": "yes"}, "confirm", "must be true or false, without quotation marks"),
        ({}, "body", "say which: ids alone; or one or several of cause, source and webinar; or all alone"),
        ([], "body", "must be an object"),
        ({"ids": "reg_1"}, "ids", "must be a list"),
        ({"ids": ["nonsense"]}, "ids.0", "must be an id that begins with reg_ or evt_, as lists and pages show it"),
        ({"all": True, "confrim": True}, "confrim", "is not known here"),
        ({"all": True, "by": "a" * 81}, "by", "must not be longer than 80 characters"),
        ({"all": True, "why": 7}, "why", "must be text"),
    ],
)
async def test_what_is_wrong_with_a_replay_is_said_with_its_field(
    cared: Relay, body: object, field: str, problem: str
) -> None:
    """In our words: those of a library name neither the field nor what to write."""
    told = (await ask(cared, body)).json()
    assert told["errors"] == [{"field": field, "problem": problem}]


@pytest.mark.parametrize("body", [b'{"all": true, "why": "\xfc"}', b"\xff"])
async def test_a_body_in_another_encoding_is_told(cared: Relay, body: bytes) -> None:
    answer = await ask(cared, body)
    assert (answer.status_code, answer.json()["detail"]) == (400, "The body cannot be read: send JSON in UTF-8.")


@pytest.mark.parametrize("path", ["/api/replays/rpl_9", "/api/replays/rpl_9/stop"])
async def test_an_unknown_replay_is_404(cared: Relay, path: str) -> None:
    answer = await (ask(cared, {}, path=path) if path.endswith("stop") else cared.get(path))
    assert answer.status_code == 404


async def test_nobody_replays_without_the_token(cared: Relay, caring: Caring) -> None:
    assert (await ask(cared, {"all": True, "confirm": True}, token="wrong")).status_code == 401
    assert (await cared.get("/api/dead", token="wrong")).status_code == 401
    assert (await cared.get("/api/replays", token=None)).status_code == 401
    assert caring.asked == []
