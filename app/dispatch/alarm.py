"""Tell people once what needs them, and once that it is over; no more than a message in so many minutes."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from app.domain import Clock
from app.store.alarms import Alarms

EVERY = timedelta(minutes=1)  # between two messages
_LOOKS = timedelta(seconds=2)  # between two looks without news
_OVER_AFTER = timedelta(minutes=5)  # what comes and goes is told once, not with each coming
_AFTER_FAILURE = timedelta(minutes=5)
_log = structlog.get_logger(__name__)


class NotDelivered(Exception):
    """The message did not arrive; it is tried again later."""


@dataclass(slots=True)
class Alarm:
    """Compares what needs a person with what was told. `send` may raise NotDelivered."""

    send: Callable[[str], Awaitable[None]]
    alarms: Alarms
    clock: Clock
    every: timedelta = EVERY
    over_after: timedelta = _OVER_AFTER
    _gone_since: dict[str, datetime] = field(default_factory=dict)

    async def step(self, found: Mapping[str, str], unseen: Collection[str] = ()) -> timedelta:
        """Send one message about all that is new or over; return how long to wait before the next look.

        What is `unseen` may be there still: it is neither.
        """
        told = await self.alarms.told()
        new = {name: said for name, said in found.items() if name not in told}
        over = self._over(told, {*found, *unseen})
        if not new and not over:
            return _LOOKS
        try:
            await self.send(message(new, {name: told[name] for name in over}))
        except NotDelivered as problem:
            _log.warning("alert not delivered", reason=str(problem), troubles=sorted(new), over=sorted(over))
            return _AFTER_FAILURE
        await self.alarms.tell(new, over)
        _log.info("alert sent", troubles=sorted(new), over=sorted(over))
        return self.every

    def _over(self, told: Mapping[str, str], there: set[str]) -> set[str]:
        now = self.clock()
        gone = told.keys() - there
        self._gone_since = {name: self._gone_since.get(name, now) for name in gone}
        return {name for name, since in self._gone_since.items() if now - since >= self.over_after}


def message(new: Mapping[str, str], over: Mapping[str, str]) -> str:
    """Return the text of one message."""
    lines = [f"Marketo webhook relay: {said}" for _, said in sorted(new.items())]
    lines += [f"Marketo webhook relay: over again: {said}" for _, said in sorted(over.items())]
    return "\n".join(lines)
