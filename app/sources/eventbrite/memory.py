"""What was fetched from Eventbrite a moment ago, so that several webhooks about one order are one fetch. No I/O."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

from app.domain import Clock
from app.sources.payload import JsonObject, as_list, text_at, value_at


@dataclass(frozen=True, slots=True)
class _Fetched:
    started_at: datetime
    order: JsonObject


class RecentOrders:
    """Orders by number, and which order an attendee belongs to: the latter never changes. Bounded in size."""

    def __init__(self, *, most: int = 500) -> None:
        self._most = most
        self._orders: OrderedDict[str, _Fetched] = OrderedDict()
        self._order_of: OrderedDict[str, str] = OrderedDict()

    def remember(self, order_id: str, order: JsonObject, *, started_at: datetime) -> None:
        """Keep an order. `started_at` is when asking began: what it says may be as old as that."""
        self._orders.pop(order_id, None)
        self._orders[order_id] = _Fetched(started_at, order)
        for attendee_id in attendee_ids(order):
            self.remember_owner(attendee_id, order_id)
        while len(self._orders) > self._most:
            self._orders.popitem(last=False)

    def remember_owner(self, attendee_id: str, order_id: str) -> None:
        self._order_of[attendee_id] = order_id
        while len(self._order_of) > 10 * self._most:
            self._order_of.popitem(last=False)

    def order(self, order_id: str, *, since: datetime) -> JsonObject | None:
        """Return the order if asking for it began at `since` or later, else None."""
        found = self._orders.get(order_id)
        return found.order if found and found.started_at >= since else None

    def owner(self, attendee_id: str) -> str | None:
        return self._order_of.get(attendee_id)


class ForAWhile:
    """Texts that hold for a time, by key. Bounded in size."""

    def __init__(self, *, clock: Clock, keep: timedelta, most: int = 1000) -> None:
        self._clock = clock
        self._keep = keep
        self._most = most
        self._kept: OrderedDict[str, tuple[datetime, str | None]] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        kept = self._kept.get(key)
        return kept is not None and self._clock() < kept[0] + self._keep

    def __getitem__(self, key: str) -> str | None:
        return self._kept[key][1]

    def __setitem__(self, key: str, value: str | None) -> None:
        self._kept.pop(key, None)
        self._kept[key] = (self._clock(), value)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)


class Turns:
    """One at a time per key. A key that nobody holds or waits for takes no room."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    def running(self) -> list[asyncio.Lock]:
        """Return the locks that somebody holds now."""
        return [lock for lock in list(self._locks.values()) if lock.locked()]


def attendee_ids(order: JsonObject) -> Iterable[str]:
    ids = (text_at(attendee, ["id"]) for attendee in as_list(value_at(order, "attendees")))
    return [one for one in ids if one]
