"""A process that stands still ends, since nothing inside it can mend that, and says where it stood."""

import asyncio
import signal
import sys
import threading
import time

from app.standstill import watched_loop
from tests.e2e.harness import ROOT, Process, until
from tests.web.log_capture import captured_log


def stuck_adapter(until_ended: threading.Event) -> None:
    while not until_ended.is_set():
        time.sleep(0.01)


def test_a_loop_that_stands_still_is_told_and_ended() -> None:
    """With the line at which it stands, which is the defect's."""
    ended = threading.Event()

    async def blocked() -> None:
        with watched_loop(most=0.3, every=0.1, end=ended.set):
            stuck_adapter(ended)

    with captured_log() as lines:
        asyncio.run(blocked())
    [told] = lines.facts("the event loop stands still, so this process ends")
    assert "in stuck_adapter" in told["stack"]


def test_a_loop_that_turns_is_left_alone() -> None:
    """However little it does."""
    ended = threading.Event()

    async def idle() -> None:
        with watched_loop(most=2.0, every=0.02, end=ended.set):
            await asyncio.sleep(0.5)

    asyncio.run(idle())
    assert not ended.is_set()


_IDLE = """
import asyncio
from app.standstill import watched_loop

async def idle():
    with watched_loop(most=1.0, every=0.1):
        while True:
            print("turn", flush=True)
            await asyncio.sleep(0.05)

asyncio.run(idle())
"""


def test_a_process_that_was_frozen_has_not_stood_still() -> None:
    """A machine that slept, a container that was paused: it goes on where it was."""
    process = Process([sys.executable, "-c", _IDLE], {"PYTHONPATH": str(ROOT)}, ROOT)
    try:
        until(lambda: process.lines, what="its first turn")
        process.child.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        process.child.send_signal(signal.SIGCONT)
        seen = len(process.lines)
        until(lambda: len(process.lines) > seen + 20 or process.child.poll() is not None, what="more turns")
        assert process.child.poll() is None, process.output
    finally:
        process.kill()
