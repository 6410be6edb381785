"""A simulation of the sending half in virtual time: the relay's own window and choice, a Marketo of steady calls.

What the store does is modelled by queues; nothing waits in real time, so hours of load take seconds.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from app.dispatch.plan import Job, PeopleJob, Turns, choose, sources_with_few
from app.dispatch.window import Window
from app.domain import CampaignId
from app.marketo.limits import SPAN
from app.store.heads import MOST_LEADS, MOST_PEOPLE, Backlog, People, Waiting, fair

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
_CALL = 0.05  # seconds
_SOON = 1e-9  # seconds; sums of odd seconds round


@dataclass(frozen=True, slots=True)
class Arrival:
    """A new person's registration. `webinar` stands for equal tokens; times are seconds."""

    at: float
    webinar: str = "w"
    source: str = "s"
    starts_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A call: when it began and ended, and who was in it."""

    kind: str
    begun: float
    ended: float
    registrations: Sequence[Arrival]


@dataclass
class Pacing:
    """Sends what arrives, call by call."""

    window: Window = field(default_factory=lambda: Window(50, 5))
    now: float = 0.0
    calls: list[Made] = field(default_factory=list)
    most_used: int = 0
    longest_queue: int = 0
    _turns: Turns = field(default_factory=Turns)
    _new: dict[str, deque[Arrival]] = field(default_factory=dict)
    _known: dict[tuple[str, str], deque[Arrival]] = field(default_factory=dict)
    _running: list[tuple[float, int, Made]] = field(default_factory=list)

    def run(self, arrivals: Iterable[Arrival]) -> "Pacing":
        """Let these arrive, in order of time, and send until all are sent."""
        coming = deque(arrivals)
        while coming or self._running or self._waits():
            self._arrive(coming)
            self._end_calls()
            self.longest_queue = max(self.longest_queue, self._waits())
            wake = self._begin_calls()
            soonest = [wake, coming[0].at if coming else math.inf, self._running[0][0] if self._running else math.inf]
            self.now = max(self.now, min(soonest)) if min(soonest) < math.inf else self.now
        return self

    def latencies(self, source: str | None = None) -> list[float]:
        """Return how long each registration took from its arrival to the answer of its campaign request, sorted."""
        sent = (call for call in self.calls if call.kind == "trigger")
        return sorted(call.ended - r.at for call in sent for r in call.registrations if source in (None, r.source))

    def called(self, kind: str) -> int:
        return sum(call.kind == kind for call in self.calls)

    def _waits(self) -> int:
        return sum(map(len, self._new.values())) + sum(map(len, self._known.values()))

    def _arrive(self, coming: deque[Arrival]) -> None:
        while coming and coming[0].at <= self.now + _SOON:
            arrival = coming.popleft()
            self._new.setdefault(arrival.source, deque()).append(arrival)

    def _end_calls(self) -> None:
        while self._running and self._running[0][0] <= self.now + _SOON:
            _, _, call = heapq.heappop(self._running)
            self.window.end(self.now)
            if call.kind == "people":
                for r in call.registrations:
                    self._known.setdefault((r.source, r.webinar), deque()).append(r)

    def _begin_calls(self) -> float:
        """Begin what may begin; return when to look again."""
        while True:
            jobs = choose(self._waiting(), now=_moment(self.now), ago=self._turns.ago())
            waits = [self.window.wait(self.now, job.pace) for job in jobs]
            ready = next((job for job, wait in zip(jobs, waits, strict=True) if wait == 0), None)
            if ready is None:
                return self.now + max(_SOON, min((wait for wait in waits if wait is not None), default=math.inf))
            self._begin(ready)

    def _begin(self, job: Job) -> None:
        self.window.begin(self.now, job.pace)
        self._turns.take(job, sources_with_few(self._waiting()))
        self.most_used = max(self.most_used, self.window.used(self.now))
        call = Made(_kind(job), self.now, self.now + _CALL, self._claim(job))
        self.calls.append(call)
        heapq.heappush(self._running, (call.ended, len(self.calls), call))

    def _claim(self, job: Job) -> list[Arrival]:
        if isinstance(job, PeopleJob):
            taken = fair({s: [(s, i) for i in range(min(300, len(q)))] for s, q in self._new.items()}, MOST_PEOPLE)
            return [self._new[source].popleft() for source, _ in taken]
        queue = self._known[job.backlog.source, job.backlog.batch_key]
        return [queue.popleft() for _ in range(min(MOST_LEADS, len(queue)))]

    def _waiting(self) -> Waiting:
        people = [
            People(source, False, min(MOST_PEOPLE, len(q)), _moment(q[0].at), q[0].starts_at)
            for source, q in self._new.items()
            if q
        ]
        batches = [
            Backlog(key, CampaignId(1), min(MOST_LEADS, len(q)), _moment(q[0].at), source, q[0].starts_at)
            for (source, key), q in self._known.items()
            if q
        ]
        return Waiting(people, batches, None)


def _kind(job: Job) -> str:
    return "people" if isinstance(job, PeopleJob) else "trigger"


def _moment(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def steady(rate: float, seconds: float, webinars: int, *, seed: int = 1) -> Iterator[Arrival]:
    """Let people register at random moments, `rate` a second, each for one of the webinars."""
    chance = random.Random(seed)
    at = chance.expovariate(rate)
    while at < seconds:
        yield Arrival(at, f"w-{chance.randrange(webinars)}")
        at += chance.expovariate(rate)


def dictated(calls: int, window: Window) -> float:
    """Return how many seconds a window dictates for so many calls: no 20 s may hold more than its limit."""
    return SPAN * (math.ceil(calls / window.limit) - 1)
