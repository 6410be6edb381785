"""The day's budget of calls, which Marketo counts from midnight to midnight US Central. No I/O."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from app.quota_day import is_day_young, next_quota_day, quota_date, quota_day_began

_SAVED = 0.1  # the last share of the day's calls, kept for webinars that start before the next day


class DayState(StrEnum):
    """How the day stands."""

    OPEN = "open"
    SAVING = "saving"  # only webinars that start before midnight US Central, the soonest first
    SPENT = "spent"


@dataclass(slots=True)
class Day:
    """Counts the calls of the current quota day against its limit: the relay's own, and what Marketo tells of others.

    `own` is known from the store and each call begun since; `beside`, those that the relay's other processes made, from
    the store; `others`, of other integrations, from the last report of `stats/usage.json`.
    """

    limit: int
    ends_at: datetime
    own: int = 0
    beside: int = 0
    others: int = 0
    is_refused: bool = False  # Marketo said so itself (607), whatever is counted here

    @property
    def used(self) -> int:
        """Return how many calls of the day are used, by all integrations as far as is known."""
        return self.own + self.beside + self.others

    @property
    def began_at(self) -> datetime:
        """Return when the day began; days with a clock change are an hour longer or shorter."""
        return quota_day_began(self.ends_at)

    @property
    def date(self) -> date:
        """Return which of Marketo's days it is."""
        return quota_date(self.ends_at)

    @property
    def left(self) -> int:
        return 0 if self.is_refused else max(0, self.limit - self.used)

    @property
    def left_for_all(self) -> int:
        """Return how many calls are left before the rest is saved for the soonest webinars."""
        return 0 if self.is_refused else max(0, self.open_to_all - self.used)

    @property
    def open_to_all(self) -> int:
        return max(1, int(self.limit * (1 - _SAVED)))

    def begin_call(self, now: datetime) -> None:
        self._turn(now)
        self.own += 1

    def refuse(self, now: datetime) -> None:
        """Marketo refuses further calls of this day; soon after midnight it may still mean the day before."""
        self._turn(now)
        self.is_refused = not is_day_young(now)

    def seen_beside(self, count: int, since: datetime) -> None:
        """Take over how many calls the relay's other processes made, as the store has them since the day began."""
        if since == self.began_at:
            self.beside = count

    def report(self, total: int, *, asked_at: datetime, now: datetime) -> None:
        """Take over what Marketo counted, of all integrations, in a call that was begun at `asked_at`.

        The relay's own count is never lowered by it: some refusals are not counted there, and it may be behind. With
        calls left, an earlier refusal is over: somebody has bought more.
        """
        self._turn(now)
        if asked_at >= self.began_at:
            self.others = max(0, total - self.own - self.beside)
            self.is_refused &= total >= self.limit

    def state(self, now: datetime) -> DayState:
        self._turn(now)
        if self.is_refused or self.used >= self.limit:
            return DayState.SPENT
        return DayState.SAVING if self.used >= self.open_to_all else DayState.OPEN

    def wait(self, now: datetime) -> float:
        """Return how many seconds to wait for the next day; 0 while calls are left."""
        return (self.ends_at - now).total_seconds() if self.state(now) is DayState.SPENT else 0.0

    def described(self, now: datetime) -> str | None:
        """Return in words why not everything is sent; None while everything is."""
        until = f"Until {self.ends_at:%Y-%m-%d %H:%M:%S} UTC, midnight US Central"
        match self.state(now):
            case DayState.SPENT if self.is_refused and self.used < self.limit:
                return (
                    f"Marketo refuses further calls of today (607), though only {self.used} of {self.limit} are known "
                    "of: MARKETO_CALLS_PER_DAY is higher than what Admin > Integration > Web Services shows, or others "
                    f"have used it up. {until}, nothing is sent, unless calls are added: it is asked for every hour, "
                    "and when the relay starts."
                )
            case DayState.SPENT:
                return f"The day's {self.limit} calls are used up, {self.others} by others. {until}, nothing is sent."
            case DayState.SAVING:
                used = f"{self.used} of the day's {self.limit} calls are used, {self.others} by others."
                return f"{used} {until}, only webinars that start before are sent, the soonest first."
        return None

    def _turn(self, now: datetime) -> None:
        if now >= self.ends_at:
            self.ends_at, self.is_refused = next_quota_day(now), False
            self.own = self.beside = self.others = 0
