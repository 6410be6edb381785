"""Keep count of the events that are being read: how many of each source, and since when. No I/O."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from app.domain import Event, EventId

MOST_OF_A_SOURCE = 100  # events, so that a source whose API hangs holds up no other


class _Place(NamedTuple):
    source: str
    since: datetime


@dataclass(slots=True)
class InHand:
    """The events that a leader has taken and not yet recorded."""

    _places: dict[EventId, _Place] = field(default_factory=dict)

    def take(self, events: Iterable[Event], now: datetime) -> None:
        for event in events:
            self._places[event.id] = _Place(event.source, now)

    def let_go(self, ids: Iterable[EventId]) -> None:
        for event_id in ids:
            self._places.pop(event_id, None)

    def ids(self) -> Collection[EventId]:
        return self._places.keys()

    def since(self, event_id: EventId) -> datetime:
        return self._places[event_id].since

    def has_one_from_after(self, moment: datetime) -> bool:
        return any(place.since > moment for place in self._places.values())

    def by_source(self) -> Mapping[str, int]:
        return Counter(place.source for place in self._places.values())

    def is_full(self) -> bool:
        """Tell whether some source has all the places that it may have."""
        return max(self.by_source().values(), default=0) >= MOST_OF_A_SOURCE
