"""The set-up in the console: what relay doctor finds, when somebody asks for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest

from app.store.database import Database
from app.store.lookup import Lookup
from app.web.console.parts import Finding
from app.web.console.set_up import headline
from tests.web.console.conftest import console_over
from tests.web.console.reading import form_token, text_of
from tests.web.relay_server import ADMIN_TOKEN, NOW, Relay, Surroundings, serving


@dataclass(frozen=True)
class Line:
    verdict: str
    section: str = "Campaign"
    title: str = "Qualification rule"
    found: str = "once <b>"
    advice: str = "Set it to every time."


async def test_nothing_is_asked_until_somebody_wants_it(signed_in: Relay) -> None:
    """Each check is a call of the day's budget."""
    assert "Not checked yet" in text_of(await signed_in.client.get("/console/set-up"))


async def test_findings_say_what_to_do(around: Surroundings, database: Database) -> None:
    asked = 0

    async def checks() -> Sequence[Finding]:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise ConnectionError("no way to Marketo")
        return [Line("fail"), Line("ok", section="Own", advice="")]

    console = console_over(database, checks=checks)
    async with serving(around.app(lookup=Lookup(database), console=console)) as relay:
        await relay.client.post("/console/sign-in", data={"token": ADMIN_TOKEN})
        token = form_token(await relay.client.get("/console/set-up"))
        assert (await relay.client.post("/console/set-up", data={})).status_code == 403
        page = await relay.client.post("/console/set-up", data={"form_token": token})
        assert page.status_code == 200
        assert "1 thing is wrong." in text_of(page)
        assert "Wrong Qualification rule once <b> What to do: Set it to every time." in text_of(page)
        await relay.client.post("/console/set-up", data={"form_token": token})
        assert asked == 1  # it was seconds ago
        around.now = NOW + timedelta(minutes=1)
        page = await relay.client.post("/console/set-up", data={"form_token": token})
    assert "The checks did not come to their end (ConnectionError)" in text_of(page)
    assert "no way to Marketo" not in page.text


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
    assert headline([Line(verdict) for verdict in verdicts]) == (tone, said)
