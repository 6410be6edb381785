"""Tell a closed activity log from a refused call: 603 says 'no permission' and 'this address is not allowed' alike.

No I/O. Only a refusal that comes again and again, while Marketo takes other calls, is of the permission.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

_SURE = 3  # refusals
_RESTS = 15  # times the delay: how long the log is left alone when it is closed, and the longest wait before


@dataclass(frozen=True, slots=True)
class Refusals:
    """The log's refusals in a row. `times` are those that count: the first, and each after which other calls worked.

    `reason` is what a person can do, `delay` the shortest time between two that count.
    """

    code: str
    reason: str
    since: datetime
    last: datetime
    delay: timedelta
    asked: int = 1
    times: int = 1

    @classmethod
    def for_sure(cls, code: str, reason: str, *, now: datetime, delay: timedelta) -> "Refusals":
        """Return what needs no second look, as the log itself has told it."""
        return cls(code, reason, now, now, delay, times=_SURE)

    def again(self, now: datetime, *, others_work: bool) -> "Refusals":
        """Count one more; one that came before its time, for somebody in a hurry, is none."""
        if now < self.again_at:
            return self
        return replace(self, last=now, asked=self.asked + 1, times=self.times + others_work)

    @property
    def is_closed(self) -> bool:
        return self.times >= _SURE

    @property
    def again_at(self) -> datetime:
        """Return when to ask again: for what was lost after that, if the log is closed."""
        times = _RESTS if self.is_closed else min(_RESTS, 2 ** min(self.asked - 1, 8))
        return self.last + self.delay * times

    def described(self) -> str:
        """Return in words how lost requests are settled meanwhile."""
        again = f"{self.again_at:%H:%M:%S} UTC"
        if self.is_closed:
            return f"retry, not check: {self.reason} An answer that is lost after {again} is looked up again."
        refused = f"refused ({self.code}) since {self.since:%H:%M:%S} UTC, and is asked again at {again}"
        return f"check, but the activity log is {refused}. If other calls go through meanwhile: {self.reason}"
