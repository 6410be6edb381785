"""The set-up in the console: what relay doctor finds, when somebody asks for it."""

import asyncio
import threading
from datetime import timedelta

import pytest

from app.checkup import Examined
from app.doctor.report import Finding, Report, Verdict
from app.setup_watch import SetupWatch
from app.store.database import Database
from app.store.lookup import Lookup
from app.web.console.set_up import headline
from tests.web.console.conftest import console_over, shared_over
from tests.web.console.reading import form_token, text_of
from tests.web.relay_server import ADMIN_TOKEN, NOW, Relay, Surroundings, serving


def line(verdict: str, section: str = "Campaign", advice: str = "Set it to every time.") -> Finding:
    return Finding(section, "rule", "Qualification rule", "", Verdict(verdict), "once <b>", advice)


async def test_nothing_is_asked_until_somebody_wants_it(signed_in: Relay) -> None:
    """Each check is a call of the day's budget."""
    assert "Not checked yet" in text_of(await signed_in.client.get("/console/set-up"))


async def test_findings_say_what_to_do(around: Surroundings, database: Database) -> None:
    asked = 0

    async def examine() -> Examined:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise ConnectionError("no way to Marketo")
        return Examined(Report((line("fail"), line("ok", section="Own", advice=""))), ())

    setup = SetupWatch(examine, shared=shared_over(database), clock=lambda: around.now)
    app = around.app(lookup=Lookup(database), console=console_over(database), setup=setup)
    async with serving(app) as relay:
        await relay.client.post("/console/sign-in", data={"token": ADMIN_TOKEN})
        token = form_token(await relay.client.get("/console/set-up"))
        assert (await relay.client.post("/console/set-up", data={})).status_code == 403
        page = await relay.client.post("/console/set-up", data={"form_token": token})
        assert page.status_code == 200
        assert "1 thing is wrong." in text_of(page)
        assert "Wrong Qualification rule once <b> What to do: Set it to every time." in text_of(page)
        await relay.client.post("/console/set-up", data={"form_token": token})
        assert asked == 1  # it was seconds ago
        assert "1 thing is wrong." in text_of(await relay.client.get("/console/set-up"))
        assert "1 thing is wrong with the set-up" in text_of(await relay.client.get("/console"))
        around.now = NOW + timedelta(minutes=1)
        page = await relay.client.post("/console/set-up", data={"form_token": token})
    assert "The checks did not come to their end" in text_of(page)
    assert "no way to Marketo" not in page.text


async def test_a_check_that_began_elsewhere_is_shown_and_not_repeated(around: Surroundings, database: Database) -> None:
    """Marketo is asked once for the start, the admin API and the console."""
    asked, may_end = 0, threading.Event()

    async def examine() -> Examined:
        nonlocal asked
        asked += 1
        await asyncio.to_thread(may_end.wait, 20)
        return Examined(Report((line("warn"),)), ())

    setup = SetupWatch(examine, shared=shared_over(database), clock=lambda: around.now)
    app = around.app(lookup=Lookup(database), console=console_over(database), setup=setup)
    async with serving(app) as relay:
        await relay.client.post("/console/sign-in", data={"token": ADMIN_TOKEN})
        setup.begin()
        page = await relay.client.get("/console/set-up")
        assert "It is being checked" in text_of(page)
        pressed = asyncio.create_task(relay.client.post("/console/set-up", data={"form_token": form_token(page)}))
        await relay.client.get("/console/set-up")
        may_end.set()
        assert "1 thing is worth a look." in text_of(await pressed)
    assert asked == 1


async def test_without_a_check_there_is_no_page(around: Surroundings, database: Database) -> None:
    async with serving(around.app(lookup=Lookup(database), console=console_over(database))) as relay:
        await relay.client.post("/console/sign-in", data={"token": ADMIN_TOKEN})
        assert (await relay.client.get("/console/set-up")).status_code == 404


@pytest.mark.parametrize(
    ("verdicts", "tone", "said"),
    [
        (["ok", "unknown"], "good", "Everything that was looked at is as it should be."),
        (["ok", "warn"], "busy", "1 thing is worth a look."),
        (["warn", "warn"], "busy", "2 things are worth a look."),
        (["warn", "fail"], "bad", "1 thing is wrong."),
        (["fail", "fail"], "bad", "2 things are wrong."),
    ],
)
def test_the_worst_is_said_first(verdicts: list[str], tone: str, said: str) -> None:
    assert headline([line(verdict) for verdict in verdicts]) == (tone, said)
