"""How long it takes to take up again what died by the hundred thousand, with a stop in the middle, and what memory.

The dead letters are made as in earnest: webhooks without a title, which the relay maps; that time is the yardstick.
Then the title is configured, all are replayed, and the relay is stopped half-way and started again.
"""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from app.store.opening import prepare_store
from bench.filling import fill_untitled
from bench.inserting import into_sqlite
from bench.plan import Plan
from bench.processes import peak_resident_bytes, resident_bytes
from bench.results import Figure, Row
from bench.stage import ADMIN_TOKEN, Stage, staged

ROWS_A_SAMPLE = 5_000  # so that a full run has a hundred thousand
_MENDED = {"DEFAULT_WEBINAR_TITLE": "Told at last", "DEFAULT_JOIN_LINK": "https://meet.example.com/j/1"}
_PATIENCE = 1000.0  # seconds
_LOOKS = 0.1


Look = Callable[[int], bool]


class NotReplayed(Exception):
    """Somebody was left dead, or the replay told another number than there were."""


async def measure(plan: Plan) -> Figure:
    rows = plan.samples * ROWS_A_SAMPLE
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
        store = Path(folder) / "dead.db"
        settings = {"DATABASE_URL": f"sqlite:///{store}"}
        await prepare_store(settings["DATABASE_URL"])
        await asyncio.to_thread(fill_untitled, into_sqlite(store), rows, datetime.now(UTC))
        plan.tell(f"{rows:,} webhooks without a title die")
        dying = await _die(settings, store, by_tenths(plan.tell, "dead", rows))
        plan.tell("replaying, with a stop in the middle")
        seconds, growth, stopped_at = await _replay(settings | _MENDED, rows, by_tenths(plan.tell, "replayed", rows))
        if left := _dead(store):
            raise NotReplayed(f"{left} are dead still")
    return Figure(
        name="replay",
        title=f"Replaying {rows:,} dead letters",
        rows=[
            Row(
                what="replayed, with a stop in the middle",
                measured=f"{seconds:.1f} s, {rows / seconds:,.0f}/s",
                yardstick=f"{dying:.1f} s, mapping the same webhooks for the first time",
                ratio=seconds / dying,
            ),
            Row(what="memory that it took at most", measured=f"{growth / 1e6:.0f} MB"),
        ],
        notes=[
            (
                f"Stopped after {stopped_at:,} of them and started again; that start is not counted. At the end none "
                "was dead, and the replay told of each exactly once. Sending them went on meanwhile."
            ),
        ],
    )


def by_tenths(tell: Callable[[str], None], what: str, total: int) -> Look:
    """Return what is told how many there are by now: it says so once a tenth, and whether these are all."""
    told = 0

    def look(count: int) -> bool:
        nonlocal told
        if (tenths := 10 * count // total) > told:
            tell(f"{count:,} of {total:,} are {what}")
            told = tenths
        return count >= total

    return look


async def _die(settings: dict[str, str], store: Path, look: Look) -> float:
    async with staged(latency_ms=50, **settings):
        began = time.monotonic()
        await _until(lambda: look(_dead(store)))
        return time.monotonic() - began


async def _replay(settings: dict[str, str], rows: int, look: Look) -> tuple[float, int, int]:
    """Return the seconds of both halves, the bytes by which memory grew, and after how many it was stopped."""
    async with staged(latency_ms=50, **settings) as stage, _asking(stage) as client:
        at_first = resident_bytes(stage.pid)
        began = time.monotonic()
        answer = await client.post("/api/replay", json={"all": True, "confirm": True, "why": "a figure"})
        asked = answer.raise_for_status().json()["replay"]["id"]
        half = await _progress(client, asked, rows // 2, look)
        first, growth = time.monotonic() - began, peak_resident_bytes(stage.pid) - at_first
    async with staged(latency_ms=50, **settings) as stage, _asking(stage) as client:
        at_first = resident_bytes(stage.pid)
        began = time.monotonic()
        end = await _progress(client, asked, rows, look)
        second, grown = time.monotonic() - began, peak_resident_bytes(stage.pid) - at_first
    if (end["done"], end["total"], end["state"]) != (rows, rows, "done"):
        raise NotReplayed(f"the replay says {end}")
    return first + second, max(growth, grown), half["done"]


def _asking(stage: Stage) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=stage.relay, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}, timeout=60)


async def _progress(client: httpx.AsyncClient, asked: str, enough: int, look: Look) -> dict[str, Any]:
    """Return the replay once so many are done, and, where these are all, once it is at its end."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            seen: dict[str, Any] = (await client.get(f"/api/replays/{asked}")).raise_for_status().json()
            look(seen["done"])
            if seen["state"] == "done" or enough <= seen["done"] < seen["total"]:
                return seen
            await asyncio.sleep(_LOOKS)


async def _until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENCE):
        while not await asyncio.to_thread(fact):  # noqa: ASYNC110  # asks another process
            await asyncio.sleep(_LOOKS)


def _dead(store: Path) -> int:
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM registrations WHERE state = 'dead'").fetchone()
        return int(count)
