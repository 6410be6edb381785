"""Fetching what an Eventbrite webhook names: few calls, patient with lags, and never a strange address."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.domain import Cancelled, Cause, Event, Person, Registered
from app.errors import ResolveFailed
from app.sources.eventbrite import EventbriteApi, EventbriteSource
from app.sources.eventbrite.memory import ForAWhile, RecentOrders, Turns
from app.sources.webinars import Catalogue, ConfiguredWebinar
from tests.conftest import MovableClock
from tests.sources.deliveries import eventbrite_body, stored
from tests.sources.eventbrite_server import (
    BASE_URL,
    EVENT,
    FIRST,
    ORDER,
    SECOND,
    TOKEN,
    EventbriteServer,
    error,
    sample,
)

ORDER_PATH = f"/orders/{ORDER}/"
EVENT_PATH = f"/events/{EVENT}/"
CONTENT_PATH = f"/events/{EVENT}/structured_content/"
ATTENDEE_PATH = f"/events/{EVENT}/attendees/{FIRST}/"
ZOOM = "https://zoom.us/j/123456789"
HTML = "<html>Bad gateway</html>"

Build = Callable[..., EventbriteSource]


@pytest.fixture
def server() -> EventbriteServer:
    return EventbriteServer()


@pytest.fixture
async def build(server: EventbriteServer, clock: MovableClock) -> AsyncIterator[Build]:
    async with server.client() as client:

        def build_source(*, token: str = TOKEN, catalogue: Catalogue | None = None, **options: Any) -> EventbriteSource:
            options |= {"client": client, "base_url": BASE_URL + "/", "ticks": clock.ticks}
            api = EventbriteApi(token=SecretStr(token), **options)
            return EventbriteSource(
                path_secrets=["s"],
                actions=[],
                api=api,
                catalogue=catalogue or Catalogue(),
                clock=clock,
                ticks=clock.ticks,
            )

        yield build_source


@pytest.fixture
def source(build: Build) -> EventbriteSource:
    return build()


def poke(clock: MovableClock, path: str = ORDER_PATH, action: str = "order.placed") -> Event:
    """Return a webhook that has just come in."""
    return stored(eventbrite_body(action, path), received_at=clock())


async def failure_of(source: EventbriteSource, event: Event) -> ResolveFailed:
    with pytest.raises(ResolveFailed) as caught:
        await source.resolve(event)
    assert "ada@example.com" not in str(caught.value), "the vendor's own words do not go into a log"
    return caught.value


async def registered(source: EventbriteSource, event: Event) -> list[Registered]:
    found = source.map(event, await source.resolve(event))
    return [one for one in found if isinstance(one, Registered)]


async def test_one_call_brings_the_order_and_one_the_link(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    (found,) = await registered(source, poke(clock))
    assert found.person == Person("ada@example.com", first_name="Ada", last_name="Example")
    assert (found.webinar.id, found.webinar.join_link) == (EVENT, ZOOM)
    assert found.webinar.image == server.events[EVENT]["logo"]["original"]["url"]
    assert server.calls == [ORDER_PATH, CONTENT_PATH]


async def test_what_was_fetched_can_be_stored_and_holds_no_more_than_is_needed(
    source: EventbriteSource, clock: MovableClock
) -> None:
    fetched = str(await source.resolve(poke(clock)))
    assert "5550100" not in fetched
    assert "barcode" not in fetched


def deliveries(clock: MovableClock) -> list[Event]:
    """Return what is stored of the deliveries of one order with two tickets, attendees first."""
    attendees = [poke(clock, f"/events/{EVENT}/attendees/{id}/", "attendee.updated") for id in (FIRST, SECOND)]  # noqa: A001  # Eventbrite's word
    return [*attendees, poke(clock)]


async def test_the_deliveries_of_an_order_together_are_one_fetch(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    """They are resolved at the same time, in any sequence: the order is asked first, and for all of them."""
    events = deliveries(clock)
    clock.move(timedelta(seconds=2))
    found = await asyncio.gather(*(registered(source, event) for event in events))
    assert server.calls == [ORDER_PATH, CONTENT_PATH]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 1


async def test_the_deliveries_of_an_order_one_after_another_are_one_fetch_of_the_order(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    """An attendee that comes first must ask for its order's number; the others find it in memory."""
    events = deliveries(clock)
    for event in events:
        await source.resolve(event)
    assert server.calls == [ATTENDEE_PATH, ORDER_PATH, CONTENT_PATH]


async def test_attendees_without_their_order_ask_for_it_once(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    """When order.placed is not among the webhook's actions."""
    await asyncio.gather(*(source.resolve(event) for event in deliveries(clock)[:2]))
    assert server.calls == [ATTENDEE_PATH, ORDER_PATH, CONTENT_PATH]


async def test_two_orders_of_one_event_ask_for_its_link_once(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    server.orders["2"] = {**server.orders[ORDER], "id": "2"}
    server.attendees[SECOND] = {**server.attendees[SECOND], "order_id": "2"}
    await asyncio.gather(*(source.resolve(poke(clock, path)) for path in (ORDER_PATH, "/orders/2/")))
    assert server.calls == [ORDER_PATH, "/orders/2/", CONTENT_PATH]


async def test_attendees_of_two_orders_do_not_take_one_anothers_order(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    server.orders["2"] = {**server.orders[ORDER], "id": "2", "email": "grace@example.com"}
    server.attendees[SECOND] = {**server.attendees[SECOND], "order_id": "2", "profile": {}}
    found = await asyncio.gather(*(registered(source, event) for event in deliveries(clock)[:2]))
    assert [one.person.email for ones in found for one in ones] == ["ada@example.com", "grace@example.com"]


async def test_a_later_change_is_fetched_anew(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    """What was fetched before the webhook came cannot show what it tells of. Who owns a ticket stays known."""
    await source.resolve(poke(clock))
    clock.move(timedelta(seconds=1))
    server.attendees[FIRST]["profile"] = {"email": "grace@example.com"}
    found = await registered(source, poke(clock, ATTENDEE_PATH, "attendee.updated"))
    assert [one.person.email for one in found] == ["grace@example.com", "ada@example.com"]
    assert server.calls == [ORDER_PATH, CONTENT_PATH, ORDER_PATH]


async def test_an_attendee_that_the_order_does_not_list_is_added(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    """An order may lag behind, or list only its first tickets."""
    alone = {**server.attendees[SECOND], "id": "77", "profile": {"email": "grace@example.com"}}
    server.faults[f"/events/{EVENT}/attendees/77/"] = [httpx.Response(200, json=alone)] * 2
    event = poke(clock, f"/events/{EVENT}/attendees/77/", "attendee.updated")
    for _ in range(2):
        found = await registered(source, event)
        assert [one.person.email for one in found] == ["ada@example.com", "grace@example.com"]


async def test_an_attendee_without_an_order_is_tried_again(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    del server.attendees[FIRST]["order_id"]
    server.faults[ATTENDEE_PATH] = [httpx.Response(200, json={"id": FIRST})]
    failure = await failure_of(source, poke(clock, ATTENDEE_PATH))
    assert (failure.cause, failure.permanent) == (Cause.SOURCE_UNAVAILABLE, False)


async def test_a_refund_cancels(source: EventbriteSource, clock: MovableClock) -> None:
    event = poke(clock, action="order.refunded")
    found = source.map(event, await source.resolve(event))
    assert found == [Cancelled("ada@example.com", EVENT, f"order:{ORDER}")]


async def test_a_refund_that_its_order_does_not_show_yet_cancels_without_a_fetch_of_its_own(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    events = [poke(clock, action="order.updated"), poke(clock, action="order.refunded")]
    clock.move(timedelta(seconds=2))
    _, refund = await asyncio.gather(*(source.resolve(event) for event in events))
    assert server.calls == [ORDER_PATH, CONTENT_PATH]
    assert source.map(events[1], refund) == [Cancelled("ada@example.com", EVENT, f"order:{ORDER}")]


@pytest.mark.parametrize("change", [{"status": "pending"}, {"status": "started"}])
async def test_an_order_that_is_still_being_written_is_waited_for(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock, change: dict[str, str]
) -> None:
    """A read after the write may be stale, at most for five minutes."""
    server.orders[ORDER] |= change
    event = poke(clock)
    failure = await failure_of(source, event)
    assert (failure.permanent, failure.retry_after) == (False, timedelta(seconds=10))
    server.orders[ORDER]["status"] = "placed"
    assert len(await registered(source, event)) == 1, "the stale answer was not kept"


async def test_while_an_order_is_waited_for_its_number_stays_known(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    server.orders[ORDER]["status"] = "pending"
    event = poke(clock, ATTENDEE_PATH, "attendee.updated")
    await failure_of(source, event)
    server.orders[ORDER]["status"] = "placed"
    assert await registered(source, event)
    assert server.calls == [ATTENDEE_PATH, ORDER_PATH, ORDER_PATH, CONTENT_PATH]


async def test_an_order_that_stays_unfinished_is_ignored_in_the_end(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    server.orders[ORDER]["status"] = "pending"
    event = poke(clock)
    clock.move(timedelta(minutes=5))
    (found,) = source.map(event, await source.resolve(event))
    assert not isinstance(found, Registered)


async def test_an_order_that_names_no_event_is_still_answered(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    server.faults[ORDER_PATH] = [httpx.Response(200, json={"id": ORDER, "attendees": [{}]})]
    assert not await registered(source, poke(clock))
    assert server.calls == [ORDER_PATH]


@pytest.mark.parametrize(
    ("fails", "calls"),
    [
        ({"event"}, [ORDER_PATH, ORDER_PATH, EVENT_PATH, CONTENT_PATH]),
        ({"attendees"}, [ORDER_PATH, ORDER_PATH, ORDER_PATH, EVENT_PATH, CONTENT_PATH]),
        ({"event", "attendees", "logo"}, [ORDER_PATH] * 3 + [EVENT_PATH] * 2 + [CONTENT_PATH]),
    ],
)
async def test_a_failed_expansion_is_fetched_in_parts(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock, fails: set[str], calls: list[str]
) -> None:
    """Eventbrite: the request 'is likely to succeed without expansions'. The picture is lost at worst."""
    server.expansions_that_fail = fails
    event = poke(clock)
    clock.move(timedelta(minutes=5))  # without attendees the order reads as unfinished before
    (found,) = await registered(source, event)
    assert found.webinar.title == "Scaling webhooks: live webinar"
    assert (found.webinar.image is None) == ("logo" in fails)
    assert server.calls == calls


CONFIGURED = Catalogue([ConfiguredWebinar("w-42", join_link="https://own.test", aliases=(EVENT,))])
ONLY_A_TITLE = Catalogue([ConfiguredWebinar(EVENT, title="own")])


async def test_a_configured_link_saves_the_call(build: Build, server: EventbriteServer, clock: MovableClock) -> None:
    await build(catalogue=CONFIGURED).resolve(poke(clock))
    assert server.calls == [ORDER_PATH]


async def test_a_configured_title_alone_does_not(build: Build, clock: MovableClock) -> None:
    (found,) = await registered(build(catalogue=ONLY_A_TITLE), poke(clock))
    assert found.webinar.join_link == ZOOM


async def test_the_page_for_ticket_holders_comes_next(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    server.content = {EVENT: {"modules": []}}
    server.digital_pages[EVENT] = "https://www.eventbrite.com/x/1"
    (found,) = await registered(source, poke(clock))
    assert found.webinar.join_link == "https://www.eventbrite.com/x/1"


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_content_that_we_may_not_read_does_not_hold_a_reminder_up(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock, status: int
) -> None:
    server.faults[CONTENT_PATH] = [error(status, "NOPE")]
    server.faults[EVENT_PATH] = [error(status, "NOPE")]
    (found,) = await registered(source, poke(clock))
    assert found.webinar.join_link == server.events[EVENT]["url"]


async def test_the_link_of_an_event_is_kept_for_five_minutes(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    for minutes in (0, 4, 1):
        clock.move(timedelta(minutes=minutes))
        await source.resolve(poke(clock))
    assert len(server.calls_of(CONTENT_PATH)) == 2


async def test_an_outage_of_the_content_alone_delays_a_reminder_but_not_for_ever(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    """And the public page is not kept as the link: the next registration asks again."""
    server.faults[CONTENT_PATH] = [error(503, "X"), error(503, "X")]
    event = poke(clock)
    assert (await failure_of(source, event)).cause == Cause.SOURCE_UNAVAILABLE
    clock.move(timedelta(minutes=30))
    (found,) = await registered(source, event)
    assert found.webinar.join_link == server.events[EVENT]["url"]
    (found,) = await registered(source, event)
    assert found.webinar.join_link == ZOOM


async def test_a_refused_token_is_no_reason_for_a_worse_link(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    server.faults[CONTENT_PATH] = [error(400, "INVALID_AUTH")]
    event = poke(clock)
    clock.move(timedelta(hours=1))
    assert (await failure_of(source, event)).cause == Cause.SOURCE_REFUSED


async def test_an_order_that_is_not_there_yet_is_waited_for(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    server.faults[ORDER_PATH] = [error(404, "NOT_FOUND")]
    event = poke(clock)
    failure = await failure_of(source, event)
    assert (failure.cause, failure.permanent) == (Cause.SOURCE_NOT_FOUND, False)
    assert (failure.retry_after, failure.give_up_after) == (timedelta(seconds=10), timedelta(minutes=5))
    assert await registered(source, event)


@pytest.mark.parametrize("answer", [error(401, "NO_AUTH"), error(403, "NOT_AUTHORIZED"), error(400, "INVALID_AUTH")])
async def test_a_refused_token_waits_for_a_person(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock, answer: httpx.Response
) -> None:
    """An invalid token can be a 400. Somebody renews it; until then nothing is lost."""
    server.faults[ORDER_PATH] = [answer]
    failure = await failure_of(source, poke(clock))
    assert (failure.cause, failure.permanent) == (Cause.SOURCE_REFUSED, False)
    assert (failure.retry_after, failure.give_up_after) == (timedelta(minutes=5), None)


async def test_the_token_goes_into_a_header(build: Build, clock: MovableClock) -> None:
    """The server refuses every other one."""
    assert (await failure_of(build(token="wrong"), poke(clock))).cause == Cause.SOURCE_REFUSED


async def test_without_a_token_the_event_waits(clock: MovableClock) -> None:
    source = EventbriteSource(path_secrets=["s"], actions=[], api=None, catalogue=Catalogue(), clock=clock)
    failure = await failure_of(source, poke(clock))
    assert (failure.cause, failure.permanent) == (Cause.SOURCE_CREDENTIALS_MISSING, False)
    assert "EVENTBRITE_API_TOKEN" in failure.detail


async def test_an_expired_order_is_given_up(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    server.faults[ORDER_PATH] = [error(400, "ORDER_EXPIRED")]
    assert (await failure_of(source, poke(clock))).permanent


TRANSIENT: dict[str, httpx.Response | Exception] = {
    "500": error(500, "INTERNAL_ERROR"),
    "503 of a proxy": httpx.Response(503, html=HTML),
    "another 400": error(400, "ARGUMENTS_ERROR"),
    "a 400 that is no JSON": httpx.Response(400, html=HTML),
    "an error that is no code": httpx.Response(400, json={"error": "ada@example.com wrote\nthis"}),
    "success that is HTML": httpx.Response(200, html=HTML),
    "success that is a list": httpx.Response(200, json=[]),
    "success that is empty": httpx.Response(200),
    "success that is not UTF-8": httpx.Response(200, content=b'{"id": "\xff"}'),
    "a redirect": httpx.Response(302, headers={"location": "https://evil.test/"}),
    "no connection": httpx.ConnectError("refused"),
    "a time-out": httpx.ReadTimeout("slow"),
    "not HTTP": httpx.RemoteProtocolError("garbage"),
    "not gzip": httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"not gzip")),
    "3 MB": httpx.Response(200, json={**sample("api/order__composed"), "padding": "x" * 3_000_000}),
}


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT.keys())
async def test_whatever_goes_wrong_at_eventbrite_is_tried_again(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock, fault: httpx.Response | Exception
) -> None:
    server.faults[ORDER_PATH] = [fault]
    event = poke(clock)
    failure = await failure_of(source, event)
    assert (failure.cause, failure.permanent, failure.give_up_after) == (Cause.SOURCE_UNAVAILABLE, False, None)
    assert await registered(source, event)


async def test_an_answer_that_never_ends_is_given_up() -> None:
    """Every wait has a limit, however slowly the bytes trickle."""

    async def stall(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with httpx.AsyncClient(transport=httpx.MockTransport(stall)) as client:
        api = EventbriteApi(client=client, token=SecretStr("t"), longest_wait=timedelta(milliseconds=10))
        with pytest.raises(ResolveFailed, match="TimeoutError"):
            await api.order("1")


def limited(**headers: str) -> httpx.Response:
    return httpx.Response(429, headers=headers, json={"error": "HIT_RATE_LIMIT"})


async def test_while_eventbrite_limits_us_nothing_is_asked(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    """2,000 calls an hour: asking on would not help, and the wait doubles up to that hour."""
    server.faults[ORDER_PATH] = [limited() for _ in range(8)]
    waits = []
    for _ in range(8):
        failure = await failure_of(source, poke(clock))
        assert (failure.cause, failure.permanent) == (Cause.SOURCE_UNAVAILABLE, False)
        assert failure.retry_after is not None
        again = await failure_of(source, poke(clock))
        assert again.retry_after == failure.retry_after
        waits.append(failure.retry_after // timedelta(minutes=1))
        clock.move(failure.retry_after)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert len(server.calls) == 8
    assert await registered(source, poke(clock))


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("7", 7),
        ("0", 1),
        ("999999", 3600),
        ("soon", 60),
        ("-5", 60),
        ("Mon, 23 Nov 2026 14:02:00 GMT", 120),
        ("Mon, 23 Nov 2026 14:02:00 -0000", 120),  # which has no zone
        ("Mon, 23 Nov 2026 13:59:00 GMT", 60),
        ("Wed, 25 Nov 2026 14:00:00 GMT", 3600),
        ("Mon, 99 Nov 2026 14:02:00 GMT", 60),
    ],
)
async def test_the_servers_own_delay_wins(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock, asked: str, seconds: int
) -> None:
    """A date as the server's clock has it: ours is two hours slow here."""
    server.faults[ORDER_PATH] = [limited(**{"retry-after": asked, "date": "Mon, 23 Nov 2026 14:00:00 GMT"})]
    assert (await failure_of(source, poke(clock))).retry_after == timedelta(seconds=seconds)


@pytest.mark.parametrize("date", [{}, {"date": "today"}])
async def test_a_date_beside_no_other_says_nothing(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock, date: dict[str, str]
) -> None:
    server.faults[ORDER_PATH] = [limited(**{"retry-after": "Mon, 23 Nov 2026 12:30:00 GMT"} | date)]
    assert (await failure_of(source, poke(clock))).retry_after == timedelta(minutes=1)


@pytest.mark.parametrize("by", [timedelta(hours=1), timedelta(days=3)])
@pytest.mark.parametrize("direction", [1, -1])
async def test_a_clock_that_jumps_makes_nobody_wait_longer_or_ask_sooner(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock, by: timedelta, direction: int
) -> None:
    server.faults[ORDER_PATH] = [limited()]
    await failure_of(source, poke(clock))
    clock.move(timedelta(seconds=20))
    clock.jump(direction * by)
    assert (await failure_of(source, poke(clock))).retry_after == timedelta(seconds=40)
    clock.move(timedelta(seconds=40))
    assert await registered(source, poke(clock))


async def test_a_refund_after_the_clock_was_put_back_is_looked_at(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    """By the clock it came long before the order was fetched, and what was remembered knows of no refund."""
    await source.resolve(poke(clock))
    fetched = server.calls.count(ORDER_PATH)
    clock.move(timedelta(seconds=20))
    clock.jump(timedelta(hours=-1))
    await source.resolve(poke(clock, action="order.refunded"))
    assert server.calls.count(ORDER_PATH) == fetched + 1


async def test_after_a_good_answer_the_wait_begins_small_again(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    for _ in range(2):
        server.faults[ORDER_PATH] = [limited()]
        assert (await failure_of(source, poke(clock))).retry_after == timedelta(minutes=1)
        clock.move(timedelta(minutes=1))
        await source.resolve(poke(clock))
        clock.move(timedelta(seconds=1))


@pytest.mark.parametrize("body", [b"", b"[]", {"api_url": "https://evil.test/v3/orders/1/"}, {"config": {}}])
async def test_a_stored_body_that_names_nothing_is_given_up_without_a_call(
    source: EventbriteSource, server: EventbriteServer, body: object
) -> None:
    failure = await failure_of(source, stored(body))
    assert failure.permanent
    assert not server.calls
    assert source.map(stored(body), None)


@pytest.mark.parametrize("number", ["", "1/../users/me", "x", "1?", "٣"])
async def test_an_id_that_is_no_number_never_gets_into_a_path(server: EventbriteServer, number: str) -> None:
    async with server.client() as client:
        api = EventbriteApi(client=client, token=SecretStr(TOKEN), base_url=BASE_URL)
        for call in (api.order(number), api.event(number), api.attendee("1", number), api.attendee(number, "1")):
            with pytest.raises(ResolveFailed, match="is not a number"):
                await call
        for call in (api.digital_content(number), api.digital_content_flag(number)):
            with pytest.raises(ResolveFailed, match="is not a number"):
                await call
    assert not server.calls


async def test_a_cancelled_resolve_leaves_no_lock_behind(
    source: EventbriteSource, server: EventbriteServer, clock: MovableClock
) -> None:
    """A shutdown in the middle of a fetch; the next leader, or the same one, must be able to go on."""
    server.answering.clear()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(source.resolve(poke(clock)), timeout=0.01)
    assert server.calls == [ORDER_PATH]
    server.answering.set()
    assert await registered(source, poke(clock))


def test_the_memory_is_bounded(clock: MovableClock) -> None:
    memory = RecentOrders(clock=clock, ticks=clock.ticks, most=2)
    for number in range(40):
        memory.remember(str(number), {"attendees": [{"id": f"a{number}"}]}, asked=memory.begin())
    assert memory.order("39", since=clock())
    assert memory.order("0", since=clock()) is None
    assert (memory.owner("a39"), memory.owner("a0")) == ("39", None)
    links = ForAWhile(ticks=clock.ticks, keep=timedelta(minutes=1), most=2)
    for number in range(3):
        links[str(number)] = "x"
    assert "0" not in links
    assert links["2"] == "x"


async def test_a_turn_that_nobody_wants_takes_no_room() -> None:
    turns = Turns()
    async with turns.of("a"):
        assert turns.of("a").locked()
        assert len(turns.running()) == 1
    assert turns.running() == []
    assert len(turns._locks) == 0
