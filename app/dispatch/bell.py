"""Wait for work: loops sleep until they are rung, told to stop, or a time has passed."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from app.errors import LeadershipLost, StoreUnavailable

_log = structlog.get_logger(__name__)
_AFTER_TROUBLE = 1.0  # seconds


class Bell:
    """Rung by whoever makes work; several rings before a wait are one."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self.is_stopping = False
        self.rings = 0  # so far, for who must know whether something came since

    def ring(self) -> None:
        self.rings += 1
        self._rung.set()

    def stop(self) -> None:
        """Wake the loop for the last time."""
        self.is_stopping = True
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Return when rung or stopped, at the latest after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            return
        self._rung.clear()


async def repeat(step: Callable[[], Awaitable[float]], *, bell: Bell, name: str) -> None:
    """Call `step` until the bell is stopped; it returns how many seconds to wait for the bell, 0 for none.

    The outermost loop: a store that does not answer is waited out, a defect is logged and tried again.

    Raises:
        LeadershipLost: from `step`; the term is over.
    """
    while not bell.is_stopping:
        try:
            pause = await step()
        except LeadershipLost:
            raise
        except StoreUnavailable as problem:
            _log.warning("store unavailable", loop=name, reason=str(problem))
            pause = _AFTER_TROUBLE
        except Exception:  # noqa: BLE001  # the outermost loop
            _log.exception("a step failed", loop=name)
            pause = _AFTER_TROUBLE
        if pause > 0:
            await bell.wait(pause)
        else:
            await asyncio.sleep(0)
