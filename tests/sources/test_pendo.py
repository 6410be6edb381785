"""Pendo: which of its many events is a registration, whose, and for what."""

import copy
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from app.domain import Cause, Dedupe, Event, Finding, Ignored, Json, Person, Registered, Unusable, Webinar
from app.errors import Invalid, Malformed, NotAuthentic, ResolveFailed
from app.sources.base import Accepted
from app.sources.pendo import PendoApi, PendoPaths, PendoSource
from app.sources.signing import sign_hmac_base64, sign_hmac_hex
from app.sources.webinars import Catalogue, ConfiguredWebinar
from tests.conftest import MovableClock
from tests.sources.deliveries import NOW, as_bytes, inbound, stored
from tests.sources.test_payload import documents

SECRET = "pendo-webhook-secret"
KEY = "integration-key"
SAMPLES = Path(__file__).parents[2] / "app" / "sources" / "pendo" / "samples"
CATALOGUE = Catalogue([ConfiguredWebinar("w-42", title="T", join_link="https://own.test")])


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())["body"]


TRACK = sample("track_event_received__inferred")
POLL = sample("poll_submitted__inferred")
GUIDE = sample("guide_displayed__documented")
PROPERTIES = TRACK["properties"]["trackEventProperties"]


def track(properties: Any = None, **changes: Any) -> dict[str, Any]:
    """Return the sample's track event; `properties` are laid over those of the event, or replace them."""
    item = {**copy.deepcopy(TRACK), **changes}
    inner = item["properties"]["trackEventProperties"]
    item["properties"]["trackEventProperties"] = {**inner, **properties} if isinstance(properties, dict) else properties
    return item


WHOLE = track({})


def source(api: PendoApi | None = None, *, clock: Callable[[], datetime] = lambda: NOW, **options: Any) -> PendoSource:
    given = {"catalogue": CATALOGUE, "track_event": "webinar_registered", **options}
    return PendoSource(secrets=["the-older-one", SECRET], api=api, clock=clock, **given)


def receive(body: Any, *, signature: str | None = None, by: PendoSource | None = None) -> Accepted | Ignored:
    given = sign_hmac_hex(SECRET, as_bytes(body)) if signature is None else signature
    return (by or source()).receive(inbound(body, headers={"x-pendo-signature": given}))


def mapped(body: Any, fetched: Json = None, *, by: PendoSource | None = None) -> Sequence[Finding]:
    return (by or source()).map(stored(body, source="pendo"), fetched)


def only(found: Sequence[Finding]) -> Finding:
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    "spell",
    [
        sign_hmac_hex,
        sign_hmac_base64,
        lambda secret, body: sign_hmac_hex(secret, body).upper(),
        lambda secret, body: "sha256=" + sign_hmac_hex(secret, body),
    ],
)
def test_the_signature_counts_in_each_of_its_spellings(spell: Callable[[str, bytes], str]) -> None:
    body = as_bytes(WHOLE)
    for secret in (SECRET, "the-older-one"):
        assert isinstance(receive(body, signature=spell(secret, body)), Accepted)
    with pytest.raises(NotAuthentic):
        receive(body, signature=spell("wrong", body))


@pytest.mark.parametrize("signature", ["", "x", "é", "\udcff", "0" * 64, "x" * 100_000])
def test_a_wrong_signature_is_refused_before_the_body_is_read(signature: str) -> None:
    with pytest.raises(NotAuthentic):
        receive(b"not JSON", signature=signature)


def test_a_missing_signature_is_refused() -> None:
    with pytest.raises(NotAuthentic):
        source().receive(inbound(WHOLE))


def test_a_blank_secret_stops_the_start() -> None:
    with pytest.raises(ValueError, match="PENDO_WEBHOOK_SECRET must not be empty"):
        PendoSource(secrets=[" "], api=None, clock=lambda: NOW, catalogue=CATALOGUE, track_event="x")


def test_pendos_own_id_makes_a_repeat_known_for_ever() -> None:
    assert receive(WHOLE) == Accepted(Dedupe(TRACK["uniqueId"], "forever"))
    assert receive([WHOLE]) == receive(WHOLE)


def test_several_events_are_known_by_all_their_ids() -> None:
    """Of the ids and not of the body: the same events told again may be written otherwise."""
    one, two = track({}), track({}, uniqueId="2")
    both = receive([one, two])
    assert isinstance(both, Accepted)
    assert both.dedupe is not None
    assert both.dedupe.key.startswith("sha256:")
    assert both == receive([{**one, "timestamp": 1}, two])
    assert both != receive([two, one])
    assert both != receive([one, track({}, uniqueId="3")])


@pytest.mark.parametrize("unique_id", [None, "", "a b", "é", "x" * 101, [], "a\0"])
def test_without_a_usable_id_nothing_is_taken_for_a_repeat(unique_id: object) -> None:
    """Two equal calls can both be meant."""
    for body in (track({}, uniqueId=unique_id), [WHOLE, track({}, uniqueId=unique_id)]):
        assert receive(body) == Accepted(None)


@pytest.mark.parametrize(
    "body",
    [
        GUIDE,
        sample("poll_displayed__partial"),
        POLL,
        {**TRACK, "event": "npsSubmitted"},
        {**TRACK, "properties": {"trackEventName": "logged_in"}},
        {**TRACK, "properties": None},
        {},
        [],
        [GUIDE, GUIDE],
        {"event": ["trackEventReceived"]},
    ],
)
def test_what_is_no_registration_is_ignored_with_a_reason(body: Any) -> None:
    """Pendo cannot filter: every event of a category arrives."""
    ignored = receive(body)
    assert isinstance(ignored, Ignored)
    assert ignored.cause == Cause.NOT_A_REGISTRATION
    assert only(mapped(body)) == ignored


@pytest.mark.parametrize("body", ["x", 1, None, [1, "x", None]])
def test_a_body_without_an_object_is_refused(body: object) -> None:
    with pytest.raises(Invalid, match="body"):
        receive(body)


def test_a_body_that_is_no_json_is_malformed() -> None:
    with pytest.raises(Malformed):
        receive(b"event=x")


EVERYTHING_REGISTERS = PendoPaths(event_name=("properties.kind",), track_name=("properties.name",), poll_id=("event",))


def test_that_a_guide_was_shown_never_registers_whatever_the_settings_say() -> None:
    lenient = source(paths=EVERYTHING_REGISTERS, track_event="Poll 1 - Test", polls=["guideDisplayed"])
    for kind in ("trackEventReceived", "pollSubmitted"):
        shown = {**GUIDE, "properties": {"kind": kind, "name": "Poll 1 - Test"}}
        ignored = receive(shown, by=lenient)
        assert isinstance(ignored, Ignored)
        assert "the track event Poll 1 - Test (PENDO_TRACK_EVENT) registers; this is guideDisplayed" in ignored.detail
        assert isinstance(receive({**shown, "event": "guideDisplayed2"}, by=lenient), Accepted) == (
            kind == "trackEventReceived"
        )


def test_a_poll_registers_only_when_it_is_configured() -> None:
    polls = source(
        polls=["poll-1"], paths=PendoPaths(email=("properties.pollResponse",), webinar_id=("properties.guideId",))
    )
    assert isinstance(receive(POLL, by=polls), Accepted)
    found = only(mapped(POLL, by=polls))
    assert isinstance(found, Registered)
    assert found.person == Person("ada@example.com")
    assert isinstance(receive(POLL, by=source(polls=["poll-2"])), Ignored)


def test_a_track_event_brings_everything() -> None:
    """Byte for byte."""
    found = only(mapped(track({"webinar_id": "w-1", "starts_at": 1796140800, "first_name": "Ada", "lastName": "L"})))
    starts = datetime(2026, 12, 1, 16, tzinfo=UTC)
    webinar = Webinar("w-1", "Scaling webhooks", "https://zoom.us/j/1", "https://cdn.example.com/w.png", starts)
    assert found == Registered(Person("ada@example.com", first_name="Ada", last_name="L"), webinar)


@pytest.mark.parametrize(
    ("properties", "webinar_id"),
    [
        ({"webinar_id": "w-1"}, "w-1"),
        ({"webinarId": 42}, "42"),
        ({}, "Scaling webhooks"),
        ({"webinar_title": None}, "https://zoom.us/j/1"),
        ({"webinar_id": "too large"}, "Scaling webhooks"),
        ({"webinar_id": "w-1", "starts_at": 1796140800}, "w-1"),
        ({"starts_at": 1796140800}, "Scaling webhooks, 2026-12-01 16:00 UTC"),
        ({"webinar_title": None, "starts_at": 1796140800}, "https://zoom.us/j/1, 2026-12-01 16:00 UTC"),
        ({"starts_at": "soon"}, "Scaling webhooks"),
    ],
)
def test_a_webinar_is_known_by_its_id_else_title_else_link(properties: dict[str, Any], webinar_id: str) -> None:
    found = only(mapped(track(properties)))
    assert isinstance(found, Registered)
    assert found.webinar.id == webinar_id


def test_the_address_in_the_event_comes_before_the_visitors_id() -> None:
    found = only(mapped(track({"email": "grace@example.com"})))
    assert isinstance(found, Registered)
    assert found.person.email == "grace@example.com"


def test_paths_can_be_set_one_by_one() -> None:
    own = PendoPaths.of({"title": ["properties.what"], "email": []})
    item = track({})
    item["properties"]["what"] = "Own title"
    found = only(mapped(item, by=source(paths=own)))
    assert isinstance(found, Registered)
    assert (found.webinar.title, found.webinar.join_link) == ("Own title", "https://zoom.us/j/1")


def test_every_field_has_a_built_in_path() -> None:
    assert all(getattr(PendoPaths(), one.name) for one in fields(PendoPaths))


@pytest.mark.parametrize(
    ("properties", "cause"),
    [
        ("too large", Cause.WEBINAR_MISSING),
        ({"webinar_title": "too large", "join_link": "too large"}, Cause.WEBINAR_MISSING),
        ({"webinar_title": "Too Large"}, Cause.TITLE_MISSING),
        ({"join_link": "too large"}, Cause.JOIN_LINK_MISSING),
        ({"webinar_id": "w-43", "join_link": "too large"}, Cause.JOIN_LINK_MISSING),
    ],
)
def test_what_pendo_left_out_is_explained(properties: Any, cause: Cause) -> None:
    """Of more than 512 bytes Pendo leaves 'too large', and the way out is a short id."""
    found = only(mapped(track(properties)))
    assert isinstance(found, Unusable)
    assert found.cause == cause
    assert "512 bytes; send a short webinar id" in found.detail


def test_what_pendo_left_out_does_not_matter_when_the_webinar_is_configured() -> None:
    found = only(mapped(track({"webinar_id": "w-42", "webinar_title": "too large", "join_link": "too large"})))
    assert isinstance(found, Registered)
    assert found.webinar == Webinar("w-42", image="https://cdn.example.com/w.png")


def test_an_event_that_names_no_webinar_is_unusable() -> None:
    found = only(mapped(track(None)))
    assert found == Unusable(Cause.WEBINAR_MISSING, "the event names no webinar")


def test_an_array_registers_each_of_its_people() -> None:
    found = mapped([WHOLE, GUIDE, track({}, visitorId="grace@example.com"), 7])
    assert [one.person.email for one in found if isinstance(one, Registered)] == [
        "ada@example.com",
        "grace@example.com",
    ]


@pytest.mark.parametrize("older", [1_700_000_000, None, "soon", [], -1, 10**30, True])
def test_the_last_event_of_an_array_by_its_time_has_the_last_word(older: Any) -> None:
    """The order in an array is not documented; Pendo's `timestamp` counts seconds."""
    late, early = track({"webinar_title": "New"}, timestamp=1_800_000_000), track({}, timestamp=older)
    for order in ([late, early], [early, late]):
        titles = [one.webinar.title for one in mapped(order) if isinstance(one, Registered)]
        assert titles == [PROPERTIES["webinar_title"], "New"]


VISITOR = sample("api/visitor__inferred")


class PendoServer:
    """A small Pendo with rules: visitors by id, the key in its header, everything else refused."""

    def __init__(self) -> None:
        self.visitors: dict[str, Any] = {"ada-123": copy.deepcopy(VISITOR)}
        self.faults: list[httpx.Response] = []
        self.calls: list[bytes] = []
        self.latency: Callable[[], None] = lambda: None

    def answer(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == "pendo.test", "a request left for a host that nobody configured"
        self.calls.append(request.url.raw_path)
        self.latency()
        if self.faults:
            return self.faults.pop(0)
        if request.headers.get("x-pendo-integration-key") != KEY:
            return httpx.Response(403)
        place, _, name = request.url.path.rpartition("/api/v1/visitor/")
        found = self.visitors.get(name) if place == "" and b"?" not in request.url.raw_path else None
        return httpx.Response(200, json=found) if found else httpx.Response(404)


@pytest.fixture
def server() -> PendoServer:
    return PendoServer()


@pytest.fixture
async def asking(server: PendoServer, clock: MovableClock) -> AsyncIterator[PendoSource]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(server.answer)) as client:
        key = SecretStr(KEY)
        api = PendoApi(client=client, integration_key=key, base_url="https://pendo.test", ticks=clock.ticks)
        yield source(api, clock=clock, ticks=clock.ticks)


def from_visitor(*visitor_ids: Any) -> Event:
    items = [track({}, visitorId=one) for one in visitor_ids]
    return stored(items if len(items) > 1 else items[0], source="pendo")


async def registered(asked: PendoSource, event: Event) -> list[Person]:
    found = asked.map(event, await asked.resolve(event))
    return [one.person for one in found if isinstance(one, Registered)]


async def failure_of(asked: PendoSource, event: Event) -> ResolveFailed:
    with pytest.raises(ResolveFailed) as caught:
        await asked.resolve(event)
    return caught.value


async def test_a_visitors_address_is_looked_up(asking: PendoSource, server: PendoServer) -> None:
    server.visitors["ada-123"]["metadata"]["agent"] |= {"firstName": "Ada", "last_name": "Example"}
    assert await registered(asking, from_visitor("ada-123")) == [
        Person("ada@example.com", first_name="Ada", last_name="Example")
    ]
    assert server.calls == [b"/api/v1/visitor/ada-123"]


async def test_only_what_a_reminder_needs_is_stored_of_a_visitor(asking: PendoSource) -> None:
    fetched = json.dumps(await asking.resolve(from_visitor("ada-123")))
    assert "ada@example.com" in fetched
    assert "admin" not in fetched


@pytest.mark.parametrize("visitor_id", ["ada@example.com", None, "", "_PENDO_T_abc", ".", "..", "...", "x" * 501])
async def test_what_needs_no_look_up_or_cannot_have_one_makes_no_call(
    asking: PendoSource, server: PendoServer, visitor_id: str | None
) -> None:
    """Dots alone would climb to another address of the API."""
    event = from_visitor(visitor_id)
    assert await asking.resolve(event) is None
    assert server.calls == []
    found = only(asking.map(event, None))
    assert isinstance(found, Registered if visitor_id == "ada@example.com" else Unusable)


@pytest.mark.parametrize(
    ("visitor_id", "asked"),
    [
        ("a/b", b"a%2Fb"),
        ("../../users", b"..%2F..%2Fusers"),
        ("a?x=1#y", b"a%3Fx%3D1%23y"),
        ("Webhook Visitor", b"Webhook%20Visitor"),
        ("%2e%2e", b"%252e%252e"),
        ("é\r\nHost: x", b"%C3%A9%0D%0AHost%3A%20x"),
        ("https://evil.test/", b"https%3A%2F%2Fevil.test%2F"),
    ],
)
async def test_a_visitors_id_is_quoted_whole(
    asking: PendoSource, server: PendoServer, visitor_id: str, asked: bytes
) -> None:
    await failure_of(asking, from_visitor(visitor_id))
    assert server.calls == [b"/api/v1/visitor/" + asked]


async def test_a_new_visitor_is_waited_for(asking: PendoSource, server: PendoServer, clock: MovableClock) -> None:
    """Pendo takes up to five minutes to know one."""
    event = from_visitor("grace-1")
    failure = await failure_of(asking, event)
    assert (failure.cause, failure.permanent) == (Cause.SOURCE_NOT_FOUND, False)
    assert failure.give_up_after == timedelta(minutes=5)
    clock.move(timedelta(minutes=6))
    found = only(asking.map(event, await asking.resolve(event)))
    assert isinstance(found, Unusable)
    assert found.cause == Cause.SOURCE_NOT_FOUND
    server.visitors["grace-1"] = {"metadata": {"auto": {"email": "grace@example.com"}}}
    assert await registered(asking, event) == [Person("grace@example.com")]


def again(event: Event, failure: ResolveFailed) -> Event:
    return replace(event, fetched=failure.fetched, attempts=event.attempts + 1)


async def test_one_unknown_visitor_does_not_hold_its_neighbours(
    asking: PendoSource, server: PendoServer, clock: MovableClock
) -> None:
    """They register at once; later attempts ask for the missing one only, and the end says what it lacked."""
    event = from_visitor("ada-123", "grace-1", "ada-123")
    failure = await failure_of(asking, event)
    assert (failure.cause, failure.give_up_after) == (Cause.SOURCE_NOT_FOUND, timedelta(minutes=5))
    found = asking.map(event, failure.fetched)
    assert [type(one) for one in found] == [Registered, Unusable, Registered]
    server.calls.clear()
    clock.move(timedelta(minutes=5))
    event = again(event, failure)
    found = asking.map(event, await asking.resolve(event))
    assert isinstance(found[1], Unusable)
    assert found[1].cause == Cause.SOURCE_NOT_FOUND
    assert server.calls == [b"/api/v1/visitor/grace-1"]


async def test_a_visitor_who_turns_up_later_joins_the_others(asking: PendoSource, server: PendoServer) -> None:
    event = from_visitor("ada-123", "grace-1")
    event = again(event, await failure_of(asking, event))
    server.visitors["grace-1"] = {"metadata": {"auto": {"email": "grace@example.com"}}}
    assert [one.email for one in await registered(asking, event)] == ["ada@example.com", "grace@example.com"]


async def test_one_visitor_whose_look_up_fails_does_not_stop_the_others(
    asking: PendoSource, server: PendoServer
) -> None:
    """The failure that lasts longest decides how long the event is kept."""
    server.faults = [httpx.Response(500), httpx.Response(404)]
    event = from_visitor("grace-1", "alan-1", "ada-123")
    failure = await failure_of(asking, event)
    assert failure.give_up_after is None
    causes = [one.cause for one in asking.map(event, failure.fetched) if isinstance(one, Unusable)]
    assert causes == [Cause.SOURCE_UNAVAILABLE, Cause.SOURCE_NOT_FOUND]
    assert isinstance(asking.map(event, failure.fetched)[2], Registered)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_not_tried_on_every_visitor(
    asking: PendoSource, server: PendoServer, status: int
) -> None:
    server.faults = [httpx.Response(status)] * 3
    event = from_visitor("ada-123", "grace-1", "alan-1", "eve@example.com")
    failure = await failure_of(asking, event)
    assert failure.cause == Cause.SOURCE_REFUSED
    assert len(server.calls) == 1
    assert [type(one) for one in asking.map(event, failure.fetched)] == [Unusable] * 3 + [Registered]


async def test_without_a_key_those_with_an_address_register(clock: MovableClock) -> None:
    asked = source(clock=clock)
    event = from_visitor("ada-123", "eve@example.com")
    failure = await failure_of(asked, event)
    assert [type(one) for one in asked.map(event, failure.fetched)] == [Unusable, Registered]


async def test_slow_look_ups_go_on_at_the_next_attempt(
    asking: PendoSource, server: PendoServer, clock: MovableClock
) -> None:
    """An event of hundreds of visitors must not sit among those that are being resolved until it is cut off."""
    server.latency = lambda: clock.move(timedelta(seconds=15))
    server.visitors |= {f"v-{n}": {"metadata": {"agent": {"email": f"p{n}@example.com"}}} for n in range(5)}
    event = from_visitor(*(f"v-{n}" for n in range(5)))
    failure = await failure_of(asking, event)
    assert (failure.cause, len(server.calls)) == (Cause.SOURCE_UNAVAILABLE, 2)
    event = again(event, failure)
    event = again(event, await failure_of(asking, event))
    assert len(await registered(asking, event)) == 5
    assert len(server.calls) == 5, "nobody is asked for twice"


async def test_a_visitor_without_an_address_is_unusable(asking: PendoSource, server: PendoServer) -> None:
    server.visitors["x"] = {"metadata": {"agent": {"mail": "ada@example.com"}}}
    event = from_visitor("x")
    found = only(asking.map(event, await asking.resolve(event)))
    assert isinstance(found, Unusable)
    assert found.cause == Cause.VISITOR_WITHOUT_EMAIL


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (401, Cause.SOURCE_REFUSED),
        (403, Cause.SOURCE_REFUSED),
        (429, Cause.SOURCE_UNAVAILABLE),
        (503, Cause.SOURCE_UNAVAILABLE),
    ],
)
async def test_what_goes_wrong_at_pendo_is_tried_again(
    asking: PendoSource, server: PendoServer, clock: MovableClock, status: int, cause: Cause
) -> None:
    server.faults = [httpx.Response(status)]
    event = from_visitor("ada-123")
    failure = await failure_of(asking, event)
    assert (failure.cause, failure.permanent, failure.give_up_after) == (cause, False, None)
    clock.move(timedelta(minutes=1))
    assert await registered(asking, event)


async def test_without_a_key_the_event_waits() -> None:
    failure = await failure_of(source(), from_visitor("ada-123"))
    assert (failure.cause, failure.permanent) == (Cause.SOURCE_CREDENTIALS_MISSING, False)
    assert "PENDO_INTEGRATION_KEY" in failure.detail


async def test_a_stored_body_that_is_no_json_is_unusable() -> None:
    event = stored(b"\xff", source="pendo")
    assert await source().resolve(event) is None
    assert isinstance(only(source().map(event, None)), Unusable)


ITEMS = st.fixed_dictionaries(
    {"event": st.just("trackEventReceived") | documents, "properties": st.just(TRACK["properties"]) | documents},
    optional={"visitorId": documents | st.sampled_from(["ada-123", "ada@example.com"]), "uniqueId": documents},
)


@given(
    ITEMS | st.lists(ITEMS | documents, max_size=3) | documents,
    documents
    | st.fixed_dictionaries(
        {
            "visitors": documents,
            "unresolved": documents | st.fixed_dictionaries({"ada-123": documents | st.just({"cause": "x"})}),
        }
    ),
)
def test_whatever_was_sent_and_fetched_is_mapped_without_an_error(body: Json, fetched: Json) -> None:
    assert mapped(body, fetched)
    try:
        receive(body)
    except Invalid:
        assert not isinstance(body, dict)
