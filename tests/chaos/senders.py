"""Senders as they should be: each registration is sent again, with its key, until it is answered."""

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.chaos.line import Line, Unanswered, Unreached
from tests.e2e.harness import registration

_AGAIN = 0.05  # seconds between two tries of one registration


@dataclass
class Senders:
    """Threads that register one new person after the other, at these addresses in turn, until the block ends.

    `per_second` bounds all of them together. `unreached` counts requests that found nobody to take them, `unanswered`
    those that were taken and got no answer. `refusals` is what the others were told.
    """

    urls: Sequence[str]
    per_second: float = 60.0
    threads: int = 4
    prefix: str = "p"
    acknowledged: dict[str, str] = field(default_factory=dict)
    answers: Counter[int] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    unreached: int = 0
    unanswered: int = 0
    slowest: float = 0.0
    seconds: float = 0.0  # how long they worked

    def __post_init__(self) -> None:
        self._numbers = itertools.count()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self.threads)]

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._stopping.set()
        self.seconds = time.monotonic() - self._began
        for thread in self._threads:
            thread.join(30)

    @property
    def disappointed(self) -> int:
        """Return how many requests somebody took and did not accept."""
        return self.unanswered + sum(count for status, count in self.answers.items() if status >= 300)

    @property
    def told(self) -> str:
        """Return what those heard who were refused, and how often, as the end of a sentence."""
        return "".join(f"; {times} heard: {detail}" for detail, times in self.refusals.items())

    @property
    def failed(self) -> int:
        return self.unreached + self.disappointed

    def _work(self) -> None:
        pause = self.threads / self.per_second
        with ExitStack() as stack:
            lines = [stack.enter_context(Line(url)) for url in self.urls]
            due = time.monotonic()
            while not self._stopping.is_set():
                self._register(lines, next(self._numbers))
                due = max(due + pause, time.monotonic() - 1.0)
                self._stopping.wait(max(0.0, due - time.monotonic()))

    def _register(self, lines: Sequence[Line], number: int) -> None:
        address, key = f"{self.prefix}{number}@example.com", f"{self.prefix}-{number}"
        body = json.dumps(registration(address)).encode()
        for attempt in itertools.count(number):
            if found := self._asked(lines[attempt % len(lines)], body, key):
                self.acknowledged[address] = found
                return
            if self._stopping.wait(_AGAIN):
                return

    def _asked(self, line: Line, body: bytes, key: str) -> str | None:
        began = time.monotonic()
        try:
            answer = line.post("/webhooks/custom", body, key=key)
        except Unreached:
            self.unreached += 1
            return None
        except Unanswered:
            self.unanswered += 1
            return None
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.answers[answer.status] += 1
        if answer.status < 300:
            return str(json.loads(answer.body)["id"])
        self.refusals[_reason(answer.body)] += 1
        return None


def _reason(body: bytes) -> str:
    """Return the words of a refusal: of the relay's problem, or of a load balancer's page."""
    return str(json.loads(body)["detail"]) if body.startswith(b"{") else " ".join(body.decode().split())
