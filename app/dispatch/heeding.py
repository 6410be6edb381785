"""Tell the leader's window what others call meanwhile, whenever the store tells it."""

from dataclasses import dataclass

from app.dispatch.guests import Guests
from app.dispatch.window import Window
from app.domain import Clock, Ticks
from app.marketo.limits import SPAN
from app.store.sharing import Others


@dataclass(frozen=True, slots=True)
class Heeding:
    """Judges each call before it is written down, when its place in the window is taken already."""

    window: Window
    clock: Clock
    ticks: Ticks

    def __call__(self, others: Others) -> bool:
        """Tell whether the call that was begun last has its place beside those of others."""
        if not (others.calls or others.is_waiting or self.window.guests.used(self.ticks())):
            return True
        now, ticks = self.clock(), self.ticks()
        ended = [one.ended for one in others.calls if one.ended]
        guests = Guests(
            seen_at=ticks,
            leaving=tuple(ticks - (now - at).total_seconds() + SPAN for at in ended),
            running=len(others.calls) - len(ended),
            is_waiting=others.is_waiting,
            began=max((ticks - (now - one.began).total_seconds() for one in others.calls), default=float("-inf")),
        )
        return self.window.heed(guests, ticks)
