"""The checks after a fault see what they are for: each promise is broken here on purpose, without a relay."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from app.domain import utc_now
from app.sandbox import seed
from app.store.database import Database, open_database
from app.store.tables import events
from tests.chaos.senders import Senders
from tests.chaos.stage import Stage
from tests.chaos.truth import check
from tests.e2e.harness import web
from tests.tables import make_tables

NOBODY = Senders([])
PAGE = 4096  # bytes


@dataclass
class Careless:
    """A client of the simulated Marketo that keeps none of its rules."""

    url: str
    _bearer: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        credentials = {"client_id": seed.CLIENT_ID, "client_secret": seed.CLIENT_SECRET}
        asked = {"grant_type": "client_credentials", **credentials}
        token = web.post(f"{self.url}/identity/oauth/token", data=asked).json()["access_token"]
        self._bearer = {"Authorization": f"Bearer {token}"}

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = web.post(f"{self.url}/rest/v1/{path}", json=body, headers=self._bearer).json()
        return answer

    def upsert(self) -> int:
        body = {"lookupField": "email", "input": [{"email": "ada@example.com"}]}
        return int(self.post("leads.json", body)["result"][0]["id"])

    def request(self, lead: int) -> None:
        self.post(f"campaigns/{seed.CAMPAIGN_ID}/trigger.json", {"input": {"leads": [{"id": lead}], "tokens": []}})

    def count(self) -> None:
        web.get(f"{self.url}/rest/v1/stats/usage.json", headers=self._bearer)


def test_nothing_broken_is_nothing_told(stage: Stage, database: Database) -> None:
    """As many calls as the relay's own budget allows are within it."""
    del database  # it has the tables
    careless = Careless(stage.sandbox.url)
    careless.request(careless.upsert())
    for _ in range(48):
        careless.count()
    assert check(stage, NOBODY) == []


def test_a_duplicate_person_is_seen(stage: Stage, database: Database) -> None:
    del database
    careless = Careless(stage.sandbox.url)
    careless.upsert()
    careless.upsert()
    assert check(stage, NOBODY) == ["1 people are there twice", "Marketo's rules were broken: {'concurrent_upsert': 1}"]


def test_a_person_who_was_mailed_twice_is_seen(stage: Stage, database: Database) -> None:
    del database
    careless = Careless(stage.sandbox.url)
    lead = careless.upsert()
    careless.request(lead)
    careless.request(lead)
    assert check(stage, NOBODY) == ["somebody got 2 e-mails"]


def test_a_call_more_than_the_relays_own_budget_is_seen(stage: Stage, database: Database) -> None:
    """Marketo itself would allow twice as many, so a budget that begins anew with each leader would pass there."""
    del database
    careless = Careless(stage.sandbox.url)
    for _ in range(51):
        careless.count()
    assert check(stage, NOBODY) == ["Marketo's rules were broken: {'rate': 1}"]


async def test_a_row_that_is_held_by_nobody_is_seen(stage: Stage, database: Database) -> None:
    """Its leader is gone, and no other has taken it."""
    now = utc_now()
    row = {"id": "evt_1", "source": "custom", "received_at": now, "headers": {}, "due_at": now, "attempts": 1}
    async with database.write() as connection:
        await connection.execute(insert(events).values(state="done", claimed_by=7, **row))
    assert check(stage, NOBODY) == ["1 rows are held by nobody"]


async def test_a_damaged_file_is_seen(tmp_path: Path) -> None:
    """Any of its pages may be; one that is read meanwhile, and one that only the integrity check looks at."""
    file = tmp_path / "relay.db"
    database = open_database(f"sqlite:///{file}")
    await make_tables(database)
    await database.close()
    whole = file.read_bytes()
    stage = Stage(tmp_path, f"sqlite:///{file}")
    try:
        assert check(stage, NOBODY) == []
        for page in range(1, len(whole) // PAGE):
            file.write_bytes(whole[: page * PAGE] + b"\x55" * PAGE + whole[(page + 1) * PAGE :])
            [told] = check(stage, NOBODY)
            assert told.startswith("the store is damaged: "), page
    finally:
        stage.close()
