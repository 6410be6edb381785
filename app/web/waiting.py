"""Make whoever shows a wrong admin token wait, a few at a time. Who shows a right one never waits."""

import asyncio
from datetime import timedelta


class WaitingRoom:
    """Holds refusals back. Bounded, so that a flood of guesses costs a few timers and nothing else."""

    def __init__(self, *, wait: timedelta = timedelta(seconds=1), seats: int = 32) -> None:
        self._wait = wait.total_seconds()
        self._free = seats

    async def sit(self) -> bool:
        """Return True after the wait; False at once when every seat is taken."""
        if not self._free:
            return False
        self._free -= 1
        try:
            await asyncio.sleep(self._wait)
        finally:
            self._free += 1
        return True
