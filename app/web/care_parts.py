"""Name what lists dead letters and takes them up again, for the admin API and the console alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.store.dead import DeadFilter, DeadPage
from app.store.replays import Asked, Replay


class DeadLetters(Protocol):
    """Lists dead letters. May raise StoreUnavailable."""

    async def page(self, which: DeadFilter, /, *, limit: int, cursor: str | None) -> DeadPage:
        """Return the causes, and a page.

        Raises:
            ValueError: the cursor is none that an earlier page gave.
        """
        ...


class Foreseen(Protocol):
    """What a replay would come to; `app.dispatch.replaying` says what each means."""

    @property
    def total(self) -> int: ...


class Replaying(Protocol):
    """Foresees and asks for replays. Every method may raise StoreUnavailable."""

    async def preview(self, asked: Asked, /) -> Foreseen: ...

    async def ask(self, asked: Asked, /) -> Replay: ...

    async def stop(self, replay_id: str, /) -> Replay | None: ...


class ReplayList(Protocol):
    """Looks replays up. Every method may raise StoreUnavailable."""

    async def replay(self, replay_id: str, /) -> Replay | None: ...

    async def latest(self, limit: int, /) -> list[Replay]: ...

    async def unknown(self, ids: Sequence[str], /) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class CareParts:
    """What both are given."""

    dead: DeadLetters
    replaying: Replaying
    replays: ReplayList
