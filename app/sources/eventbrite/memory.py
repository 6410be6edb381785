"""What was fetched from Eventbrite a moment ago, so that several webhooks about one order are one fetch. No I/O."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from weakref import WeakValueDictionary

from app.domain import Clock, Ticks
from app.sources.payload import JsonObject, as_list, text_at, value_at

_A_JUMP = 1.0  # second by which the clock is not where it should be


class Asked(NamedTuple):
    """When asking for something began, by the clock and by the ticks."""

    at: datetime
    ticks: float


@dataclass(frozen=True, slots=True)
class _Fetched:
    asked: Asked
    order: JsonObject


class RecentOrders:
    """Orders by number, and which order an attendee belongs to: the latter never changes. Bounded in size.

    An order is told for as long as `keep`, unless the clock has jumped since: a refund that comes after the clock was
    put back seems to be older than what was fetched before it.
    """

    def __init__(self, *, clock: Clock, ticks: Ticks, keep: timedelta = timedelta(minutes=5), most: int = 500) -> None:
        self._clock = clock
        self._ticks = ticks
        self._keep = keep.total_seconds()
        self._most = most
        self._orders: OrderedDict[str, _Fetched] = OrderedDict()
        self._order_of: OrderedDict[str, str] = OrderedDict()

    def begin(self) -> Asked:
        """Return the moment: what is asked for now may be as old as that when it comes."""
        return Asked(self._clock(), self._ticks())

    def remember(self, order_id: str, order: JsonObject, *, asked: Asked) -> None:
        self._orders.pop(order_id, None)
        self._orders[order_id] = _Fetched(asked, order)
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
        return found.order if found and found.asked.at >= since and self._is_recent(found.asked) else None

    def _is_recent(self, asked: Asked) -> bool:
        age = self._ticks() - asked.ticks
        return age <= self._keep and abs((self._clock() - asked.at).total_seconds() - age) < _A_JUMP

    def owner(self, attendee_id: str) -> str | None:
        return self._order_of.get(attendee_id)


class ForAWhile:
    """Texts that hold for a time, by key. Bounded in size."""

    def __init__(self, *, ticks: Ticks, keep: timedelta, most: int = 1000) -> None:
        self._ticks = ticks
        self._keep = keep.total_seconds()
        self._most = most
        self._kept: OrderedDict[str, tuple[float, str | None]] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        kept = self._kept.get(key)
        return kept is not None and self._ticks() < kept[0] + self._keep

    def __getitem__(self, key: str) -> str | None:
        return self._kept[key][1]

    def __setitem__(self, key: str, value: str | None) -> None:
        self._kept.pop(key, None)
        self._kept[key] = (self._ticks(), value)
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
