"""Eventbrite's three moments: judge the poke by its secret path, fetch the order, say who takes part.

One order with two tickets makes five deliveries in about a second. They become one fetch: the webhooks settle for a
moment, orders go before attendees, and whoever comes second finds in memory what the first has fetched.
"""

import asyncio
from collections.abc import Collection, Sequence
from datetime import timedelta

from app.domain import Cause, Clock, Dedupe, Event, Finding, Ignored, Json, Ticks, Unusable, steady_seconds
from app.errors import NotAuthentic, RequestRefused, ResolveFailed
from app.hiding import Hiding
from app.sources.base import Accepted, Inbound
from app.sources.eventbrite.api import EventbriteApi
from app.sources.eventbrite.links import digital_content_page, join_link_in
from app.sources.eventbrite.mapping import findings, is_unfinished
from app.sources.eventbrite.memory import ForAWhile, RecentOrders, Turns, attendee_ids
from app.sources.eventbrite.notice import REFUND, TEST_PING, AttendeeRef, OrderRef, Ref, action_of, ref_of
from app.sources.eventbrite.trimming import trimmed_attendee, trimmed_event, trimmed_order
from app.sources.fetching import LAGGED, MAY_LAG, credentials_missing, unavailable
from app.sources.payload import JsonObject, as_list, read_json, text_at
from app.sources.signing import matches_any, not_empty
from app.sources.webinars import Catalogue

_KEEP_HEADERS = ("x-eventbrite-event", "x-eventbrite-delivery")
_LINK_HOLDS = timedelta(minutes=5)
_LINK_IS_WORTH = timedelta(minutes=30)


class EventbriteSource:
    """Registrations from Eventbrite orders.

    `actions` are those that may register somebody (`order.placed`, …); `order.refunded` always counts, to cancel.
    """

    name = "eventbrite"

    def __init__(
        self,
        *,
        path_secrets: Sequence[str],
        actions: Collection[str],
        api: EventbriteApi | None,
        catalogue: Catalogue,
        clock: Clock,
        settle: timedelta = timedelta(seconds=2),
        ticks: Ticks = steady_seconds,
    ) -> None:
        self._path_secrets = not_empty(path_secrets, "a secret path segment")
        self._hiding = Hiding(path_secrets)
        self._actions = frozenset(actions) | {REFUND}
        self._api = api
        self._catalogue = catalogue
        self._clock = clock
        self._settle = settle
        self._orders = RecentOrders(clock=clock, ticks=ticks)
        self._join_links = ForAWhile(ticks=ticks, keep=_LINK_HOLDS)
        self._order_turns = Turns()
        self._event_turns = Turns()

    def receive(self, request: Inbound) -> Accepted | Ignored:
        if not matches_any(request.path_secret, self._path_secrets):
            raise NotAuthentic("the last segment of the address is not the secret one")
        document = read_json(request.body)
        action = action_of(document)
        if action == TEST_PING:
            return Ignored(Cause.TEST_PING, "Eventbrite's Test button: the connection works")
        if action not in self._actions:
            return Ignored(Cause.NOT_A_REGISTRATION, f"the action {action} is not one of EVENTBRITE_ACTIONS")
        kept = {name: request.headers[name][:200] for name in _KEEP_HEADERS if name in request.headers}
        # not the delivery header: Eventbrite repeats the webhook's own id there
        dedupe = Dedupe(_key(action, ref_of(document)), "pending")
        stored = self._hiding.body(request.body, document)  # config.endpoint_url is the secret address
        return Accepted(dedupe, keep_headers=kept, settle=self._settle, body=stored)

    async def resolve(self, event: Event) -> Json:
        if self._api is None:
            raise credentials_missing("EVENTBRITE_API_TOKEN")
        ref = _ref_in(event)
        order = await self._order_behind(ref, event, self._api)
        if is_unfinished(order) and self._clock() - event.received_at < MAY_LAG:
            raise unavailable("Eventbrite is still writing the order", retry_after=LAGGED)
        webinar = await self._webinar_of(order, self._api)
        join_link = await self._join_link(webinar, event, self._api)
        return {"order": {**order, "event": webinar}, "join_link": join_link}

    def map(self, event: Event, fetched: Json) -> Sequence[Finding]:
        try:
            is_refund = action_of(read_json(event.body)) == REFUND
        except RequestRefused as error:
            return [Unusable(Cause.BAD_PAYLOAD, str(error))]
        return findings(fetched, is_refund=is_refund)

    async def _order_behind(self, ref: Ref, event: Event, api: EventbriteApi) -> JsonObject:
        if isinstance(ref, OrderRef):
            return await self._order(ref.order_id, event, api)
        return await self._order_of_attendee(ref, event, api)

    async def _order(self, order_id: str, event: Event, api: EventbriteApi) -> JsonObject:
        async with self._order_turns.of(order_id):
            if known := self._orders.order(order_id, since=event.received_at):
                return known
            asked = self._orders.begin()
            order = trimmed_order(await api.order(order_id))
            if not is_unfinished(order):  # else the next attempt must ask again
                self._orders.remember(order_id, order, asked=asked)
            return order

    async def _order_of_attendee(self, ref: AttendeeRef, event: Event, api: EventbriteApi) -> JsonObject:
        """Return the order of one ticket, with that ticket in it; without a call when a sibling has just fetched it."""
        await asyncio.sleep(0)  # siblings that were started together with us get as far as holding their turn
        for turn in self._order_turns.running():
            async with turn:
                pass
        async with self._event_turns.of(ref.event_id):
            order_id = self._orders.owner(ref.attendee_id)
            if order_id:
                order = await self._order(order_id, event, api)
                if ref.attendee_id in attendee_ids(order):
                    return order
            attendee = await api.attendee(ref.event_id, ref.attendee_id)
            order_id = text_at(attendee, ["order_id"])
            if order_id is None:
                raise unavailable("Eventbrite's attendee names no order")
            self._orders.remember_owner(ref.attendee_id, order_id)
            return _with_attendee(await self._order(order_id, event, api), attendee)

    async def _webinar_of(self, order: JsonObject, api: EventbriteApi) -> Json:
        """Return the order's event: expanded in it, or fetched when the expansion failed."""
        event_id = text_at(order, ["event_id"])
        if order["event"] or event_id is None:
            return order["event"]
        return trimmed_event(await api.event(event_id))

    async def _join_link(self, webinar: Json, event: Event, api: EventbriteApi) -> str | None:
        """Return the best link that Eventbrite has; None when the event's public page must do, or a link is configured.

        An outage of this one endpoint delays a reminder, but not for ever.
        """
        event_id = text_at(webinar, ["id"])
        configured = self._catalogue.find(event_id) if event_id else None
        if event_id is None or (configured and configured.join_link):
            return None
        try:
            async with self._event_turns.of(f"link:{event_id}"):
                if event_id not in self._join_links:
                    self._join_links[event_id] = await _published_link(event_id, api)
                return self._join_links[event_id]
        except ResolveFailed as failure:
            if failure.cause != Cause.SOURCE_UNAVAILABLE or self._clock() - event.received_at < _LINK_IS_WORTH:
                raise
            return None


async def _published_link(event_id: str, api: EventbriteApi) -> str | None:
    return join_link_in(await api.digital_content(event_id)) or digital_content_page(
        await api.digital_content_flag(event_id)
    )


def _key(action: str, ref: Ref) -> str:
    """Return what a poke is known by: a refund says more than that its order changed, so it repeats only a refund."""
    return f"refund:{ref.subject}" if action == REFUND else ref.subject


def _ref_in(event: Event) -> Ref:
    try:
        return ref_of(read_json(event.body))
    except RequestRefused as error:
        raise ResolveFailed(Cause.BAD_PAYLOAD, str(error), permanent=True) from None


def _with_attendee(order: JsonObject, attendee: Json) -> JsonObject:
    """Return the order with this attendee as fetched alone: an order may lag, or list only its first tickets."""
    attendee_id = text_at(attendee, ["id"])
    others = [one for one in as_list(order.get("attendees")) if text_at(one, ["id"]) != attendee_id]
    return {**order, "attendees": [*others, trimmed_attendee(attendee)]}
