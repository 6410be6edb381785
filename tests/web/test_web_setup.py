"""The last check of the set-up over HTTP, and in /readyz, which it never makes unready."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from app.doctor.report import Finding, Report, Verdict
from app.domain import Json
from tests.web.relay_server import ADMIN_TOKEN, Relay, Surroundings, serving

FINDING = Finding("Marketo", "campaign_active", "Active", "1234", Verdict.FAIL, "inactive", "Schedule > Activate.")


@dataclass
class Watch:
    """Stands for the watch: has a report from the first `begin` on."""

    begun: int = 0
    is_running: bool = False

    async def last(self) -> Mapping[str, Json] | None:
        report = Report((FINDING,)).as_json()
        return {"checkedAt": "2026-11-23T12:00:00+00:00", **report, "fixes": []} if self.begun else None

    def begin(self) -> bool:
        self.begun += 1
        return True


async def test_the_report_is_there_once_it_is_made(around: Surroundings) -> None:
    async with serving(around.app(setup=Watch())) as relay:
        assert (await relay.get("/api/setup")).json() == {"running": False, "report": None}
        again = await relay.client.post("/api/setup", headers={"authorization": f"Bearer {ADMIN_TOKEN}"})
        assert again.status_code == 202
        report = (await relay.get("/api/setup")).json()["report"]
    assert (report["exitCode"], report["counts"]["fail"]) == (2, 1)
    assert report["findings"][0]["advice"] == "Schedule > Activate."


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nobody_looks_without_the_token(around: Surroundings, method: str) -> None:
    watch = Watch()
    async with serving(around.app(setup=watch)) as relay:
        assert (await relay.client.request(method, "/api/setup")).status_code == 401
    assert watch.begun == 0


async def test_without_a_watch_there_is_nothing_here(relay: Relay) -> None:
    assert (await relay.get("/api/setup")).status_code == 404


async def test_a_wrong_set_up_is_told_by_readyz_and_does_not_make_it_unready(around: Surroundings) -> None:
    """It still accepts: what came in is sent once the campaign is mended."""
    watch = Watch()
    async with serving(around.app(setup=watch)) as relay:
        assert "setup" not in (await relay.client.get("/readyz")).json()["checks"]
        watch.begin()
        answer = await relay.client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["checks"]["setup"]["status"] == "wrong"
    assert "1 error" in answer.json()["checks"]["setup"]["detail"]


async def test_a_wrong_set_up_is_told_in_figures(around: Surroundings) -> None:
    """An alert can be made of it: Marketo takes every request of an inactive campaign, and all else looks well."""
    watch = Watch()
    async with serving(around.app(setup=watch)) as relay:
        assert "relay_setup_checks{" not in (await relay.client.get("/metrics")).text
        watch.begin()
        page = (await relay.client.get("/metrics")).text
    assert 'relay_setup_checks{verdict="fail"} 1.0' in page
    assert 'relay_setup_checks{verdict="ok"} 0.0' in page
