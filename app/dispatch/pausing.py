"""Pauses that Marketo's answers ask for: of everything, or of one campaign. They outlive a change of leader."""

from collections.abc import Awaitable, Iterable, Mapping
from datetime import datetime, timedelta

import structlog

from app.dispatch.backoff import delay_after
from app.domain import MARKETO_WINDOW, CampaignId, Clock
from app.errors import NotNow, StoreUnavailable
from app.marketo.codes import Consequence
from app.marketo.failures import CallFailed
from app.quota_day import is_day_young, next_quota_day
from app.store.calls import QUOTA_USED_UP, CallLog, Pause
from app.store.claims import Call

EVERYTHING = "marketo"
_RATE = timedelta(seconds=5)  # the window has shrunk, too; if that was not enough, up to a whole one
_CONCURRENCY = timedelta(seconds=1)
_MENDING = timedelta(seconds=10)  # first wait for a person to mend something; then doubling
_LONGEST_MENDING = timedelta(minutes=10)
_AFTER_MIDNIGHT = timedelta(seconds=5)  # no two clocks run the same
_NEW_DAY = timedelta(seconds=15)  # a 607 soon after midnight may be yesterday's, by Marketo's clock
_LONGEST_NEW_DAY = timedelta(minutes=15)
_STUMBLE = timedelta(seconds=1)
_LONGEST_STUMBLE = timedelta(minutes=1)
_KEPT = frozenset({"606", QUOTA_USED_UP})  # others may have been mended by whoever restarted the relay
LIMIT_CODES = _KEPT | {"429", "615"}  # of the instance, by all together
_log = structlog.get_logger(__name__)


def scope_of(campaign: CampaignId | None) -> str:
    return f"campaign:{campaign}"


def pause_after(
    failed: CallFailed, call: Call, before: Pause | None, *, begun: datetime, now: datetime
) -> Pause | None:
    """Return the pause that a failure asks for, None where it concerns only its own records.

    `before` is the last pause of the same scope, if no call has worked since: pauses in a row grow. A call that had
    begun before the end of that pause is no further one: several calls in flight fail of one outage.
    """
    times = before.times + (begun >= before.until) if before else 1
    length = _length(failed, times, now)
    if length is None:
        return None
    scope = _scope(failed, call)
    since = before.since if before else now
    reason = f"{(failed.message or 'No message').removesuffix('.')}. {failed.advice}"
    return Pause(scope, now + length, since, failed.code, reason, times)


def _scope(failed: CallFailed, call: Call) -> str:
    return scope_of(call.campaign_id) if failed.consequence is Consequence.CAMPAIGN else EVERYTHING


def _length(failed: CallFailed, times: int, now: datetime) -> timedelta | None:
    asked = failed.retry_after
    match failed.consequence:
        case Consequence.RATE:
            return asked or delay_after(times, first=_RATE, longest=MARKETO_WINDOW, jitter=1)
        case Consequence.CONCURRENCY:
            return asked or _CONCURRENCY
        case Consequence.QUOTA:
            return _until_calls_are_left(times, now)
        case Consequence.CREDENTIALS | Consequence.CAMPAIGN | Consequence.CONFIGURATION:
            return delay_after(times, first=_MENDING, longest=_LONGEST_MENDING, jitter=1)
        case Consequence.RETRY | Consequence.AMBIGUOUS:
            return max(asked or timedelta(0), delay_after(times, first=_STUMBLE, longest=_LONGEST_STUMBLE))
    return None


def _until_calls_are_left(times: int, now: datetime) -> timedelta:
    if is_day_young(now):
        return delay_after(times, first=_NEW_DAY, longest=_LONGEST_NEW_DAY, jitter=1)
    return next_quota_day(now) - now + _AFTER_MIDNIGHT


def not_now(pause: Pause) -> NotNow:
    """Return why a call that can wait is not made during this pause."""
    return NotNow(f"Marketo is paused until {pause.until:%Y-%m-%d %H:%M:%S} UTC: {pause.code}, {pause.reason}")


class Pauses:
    """The pauses in force, in memory and in the store."""

    def __init__(self, log: CallLog, *, clock: Clock) -> None:
        self._store = log
        self._clock = clock
        self._known: dict[str, Pause] = {}

    async def load(self) -> None:
        """Take over an earlier leader's pauses, but for those that a person may have mended meanwhile."""
        self._known = {pause.scope: pause for pause in await self._store.pauses() if pause.code in _KEPT}

    def wait(self) -> float:
        """Return how many seconds everything has to wait; 0 when it may go on."""
        pause = self._known.get(EVERYTHING)
        return max(0.0, (pause.until - self._clock()).total_seconds()) if pause else 0.0

    def of_a_limit(self) -> Pause | None:
        """Return the pause of everything that a limit asks for, if one is in force: a further call makes it worse."""
        pause = self._known.get(EVERYTHING)
        return pause if pause and pause.code in LIMIT_CODES and pause.until > self._clock() else None

    def is_to_be_tried(self) -> bool:
        """Tell whether the time of a limit's pause is over, and no answer has shown yet that the limit is, too."""
        pause = self._known.get(EVERYTHING)
        return pause is not None and pause.code in LIMIT_CODES and pause.until <= self._clock()

    def is_by(self, code: str) -> bool:
        """Tell whether everything is paused, and for this code."""
        pause = self._known.get(EVERYTHING)
        return pause is not None and pause.code == code and self.wait() > 0

    def latest(self) -> datetime | None:
        """Return when the last of the pauses in force is over."""
        return max((self._known[scope].until for scope in self._in_force()), default=None)

    async def lift(self, code: str) -> None:
        """End the pause of everything for this code, which turned out to be over before its time."""
        if self.is_by(code):
            await self._forget(EVERYTHING)

    def paused_campaigns(self) -> frozenset[CampaignId]:
        return frozenset(CampaignId(int(scope.partition(":")[2])) for scope in self._in_force() if scope != EVERYTHING)

    def described(self) -> Mapping[str, str]:
        """Return each pause in force in words, by scope."""
        pauses = ((scope, self._known[scope]) for scope in self._in_force())
        return {scope: f"{p.code}: {p.reason} Until {p.until:%Y-%m-%d %H:%M:%S} UTC." for scope, p in pauses}

    async def failed(self, failed: CallFailed, call: Call, *, begun: datetime) -> None:
        """Pause what the failure concerns, and say so."""
        before = self._known.get(_scope(failed, call))
        pause = pause_after(failed, call, before, begun=begun, now=self._clock())
        if pause is None or (before and before.until >= pause.until):
            return
        self._known[pause.scope] = pause
        tell = _log.error if failed.alert else _log.warning
        tell("paused", scope=pause.scope, code=pause.code, until=pause.until.isoformat(), reason=pause.reason)
        await _written(self._store.pause(pause))

    async def worked(self, call: Call, *, begun: datetime) -> None:
        """Forget the pauses that a call shows to be over; one that began before their end shows nothing."""
        for scope in (EVERYTHING, scope_of(call.campaign_id)):
            pause = self._known.get(scope)
            if pause and begun >= pause.until:
                await self._forget(scope)

    async def _forget(self, scope: str) -> None:
        pause = self._known.pop(scope)
        _log.info("resumed", scope=scope, paused_since=pause.since.isoformat())
        await _written(self._store.resume(scope))

    def _in_force(self) -> Iterable[str]:
        now = self._clock()
        return [scope for scope, pause in self._known.items() if pause.until > now]


async def _written(pause: Awaitable[None]) -> None:
    """Write for the next leader; this one has its pauses in memory, and a call to settle."""
    try:
        await pause
    except StoreUnavailable as problem:
        _log.warning("pause not written", reason=str(problem))
