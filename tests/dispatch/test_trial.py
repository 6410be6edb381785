"""Trying a payload: it says what a real one would come to, by the same steps, and stores nothing."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from app.dispatch.judgement import Judge
from app.dispatch.trial import try_out
from app.domain import (
    CampaignId,
    Cancelled,
    Cause,
    Event,
    Finding,
    Ignored,
    Json,
    Person,
    Registered,
    Unusable,
    Webinar,
)
from app.errors import ResolveFailed
from app.making import example_of
from app.sources.base import Accepted, Inbound
from app.sources.custom import CustomSource
from app.sources.pendo import PendoSource
from app.sources.trying import (
    Sender,
    Tried,
    signs_by_digest,
    signs_by_key,
    signs_by_standard_webhooks,
)
from app.sources.webinars import Catalogue
from tests.conftest import MovableClock

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwq1Zb"
CAMPAIGN = CampaignId(1234)
JUDGE = Judge(
    catalogue=Catalogue(),
    campaigns={"custom": CAMPAIGN, "pendo": CAMPAIGN, "any": CAMPAIGN},
    allowed=frozenset({CAMPAIGN}),
)
CUSTOM = CustomSource(signing_secrets=[SECRET], api_keys=["key-0123456789"], allowed_campaigns=[CAMPAIGN])
SIGNED = Sender("custom", sign=signs_by_standard_webhooks(SECRET))


class Any:
    """A source that finds what a test says."""

    name = "any"

    def __init__(self, *findings: Finding, failure: BaseException | None = None) -> None:
        self._findings = findings
        self._failure = failure

    def receive(self, request: Inbound) -> Accepted:
        return Accepted()

    async def resolve(self, event: Event) -> Json:
        if self._failure:
            raise self._failure
        return None

    def map(self, event: Event, fetched: Json) -> Sequence[Finding]:
        return self._findings


async def tried(clock: MovableClock, body: object, sender: Sender = SIGNED) -> Tried:
    return await try_out(CUSTOM, JUDGE, sender.request(json.dumps(body).encode(), clock()))


def body(**webinar: object) -> dict[str, object]:
    return {
        "email": "Ada@example.com",
        "webinar": {"id": "w-1", "title": "T", "joinLink": "https://a.example/1", **webinar},
    }


@pytest.mark.parametrize("sender", [SIGNED, Sender("custom", sign=signs_by_key("key-0123456789"))])
async def test_a_good_payload_would_be_sent(clock: MovableClock, sender: Sender) -> None:
    """However the source wants it signed: nobody has to make a signature by hand."""
    (would,) = (await tried(clock, body(), sender)).registrations
    assert (would.email, would.webinar_id, would.campaign_id, would.cause) == ("Ada@example.com", "w-1", CAMPAIGN, None)
    assert would.tokens == {"WebinarTitle": "T", "JoinLink": "https://a.example/1"}


async def test_a_flaw_is_named(clock: MovableClock) -> None:
    (would,) = (await tried(clock, body(title=None))).registrations
    assert would.cause == Cause.TITLE_MISSING


async def test_a_misspelt_field_is_named(clock: MovableClock) -> None:
    found = await tried(clock, body(joinlink="https://a.example/2"))
    assert found.refused
    assert [problem.field for problem in found.fields] == ["webinar.joinlink"]


async def test_what_is_no_json_is_refused(clock: MovableClock) -> None:
    found = await try_out(CUSTOM, JUDGE, SIGNED.request(b"nonsense", clock()))
    assert found.refused
    assert not found.fields


async def test_pendos_events_are_tried_too(clock: MovableClock) -> None:
    """With the example that is shipped."""
    pendo = PendoSource(
        secrets=["pendo-secret-01"], track_event="webinar_registered", api=None, catalogue=Catalogue(), clock=clock
    )
    sender = Sender("pendo", sign=signs_by_digest("x-pendo-signature", "pendo-secret-01"))
    (would,) = (await try_out(pendo, JUDGE, sender.request(example_of("pendo").encode(), clock()))).registrations
    assert would.email == "ada@example.com"
    found = await try_out(pendo, JUDGE, sender.request(b'{"event": "guideDisplayed"}', clock()))
    assert "only the track event" in (found.ignored or "")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Any(Unusable(Cause.EMAIL_MISSING, "None.")), Tried(unusable=("email_missing", "None."))),
        (Any(Ignored(Cause.REFUNDED, "Gone.")), Tried(ignored="Gone.")),
        (Any(), Tried(ignored="Nobody registered.")),
        (Any(Cancelled("ada@example.com", "w-1", None)), Tried(cancelled=("ada@example.com",))),
        (Any(failure=ResolveFailed(Cause.SOURCE_REFUSED, "401")), Tried(unusable=("source_refused", "401"))),
        (Any(failure=TimeoutError()), Tried(unusable=("source_unavailable", "The source took too long."))),
        (
            Any(failure=KeyError("x")),
            Tried(unusable=("adapter_failed", "The relay could not read it; its log says why.")),
        ),
    ],
)
async def test_every_end_is_told(clock: MovableClock, source: Any, expected: Tried) -> None:
    """Also a defect: whoever tries a payload must not see a broken page."""
    assert await try_out(source, JUDGE, Inbound({}, b"{}", clock())) == expected


async def test_leaving_ends_the_trial(clock: MovableClock) -> None:
    with pytest.raises(asyncio.CancelledError):
        await try_out(Any(failure=asyncio.CancelledError()), JUDGE, Inbound({}, b"{}", clock()))


async def test_a_thousand_people_are_not_all_shown(clock: MovableClock) -> None:
    people = [Registered(Person(f"p{n}@example.com"), Webinar("w")) for n in range(1000)]
    assert len((await try_out(Any(*people), JUDGE, Inbound({}, b"{}", clock()))).registrations) == 100


@pytest.mark.parametrize("source", ["eventbrite", "pendo", "custom"])
def test_every_source_has_an_example(source: str) -> None:
    assert json.loads(example_of(source))
    assert example_of("unheard_of") == ""


def test_the_address_holds_the_secret() -> None:
    assert Sender("eventbrite", "s-1").path == "/webhooks/eventbrite/s-1"
    assert Sender("pendo").path == "/webhooks/pendo"
