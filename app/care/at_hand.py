"""Say what `relay replay` needs of a relay, and reach it in the store itself."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import ValidationError

from app.bootstrap import opened_replaying
from app.errors import AskedInVain, StoreUnavailable, Unclear
from app.settings import Settings
from app.store.database import Database
from app.store.leases import LEADER, Leases
from app.store.replays import Asked, Replay
from app.web.care import PreviewOut, ReplayBody, ReplayOut
from app.web.care_parts import Replaying
from app.wording import path_of, problem_in_words

Json = Mapping[str, Any]
_A_BEAT = 4  # seconds; a leader gives a sign of life every three


class AtHand(Protocol):
    """What replays are asked of. Answers are those of the admin API."""

    async def replay(self, body: Json) -> Json: ...

    async def progress(self, replay_id: str) -> Json: ...

    async def stop(self, replay_id: str) -> Json: ...

    async def has_leader(self) -> bool: ...


def wrong_with(body: Json) -> str:
    """Return what is wrong with what is asked for, in words; nothing when it is clear what to replay."""
    try:
        ReplayBody.model_validate(body)
    except ValidationError as wrong:
        return "; ".join(f"{path_of(e['loc'])}: {problem_in_words(e)}".removeprefix("body: ") for e in wrong.errors())
    return ""


class OwnStore:
    """The store of the settings, without a relay in between; a relay that leads does what is asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def replay(self, body: Json) -> Json:
        wanted = ReplayBody.model_validate(body)
        async with opened_replaying(self._settings) as (replaying, _):
            unknown = await replaying.store.unknown(wanted.ids)
            if wanted.names_nothing(unknown):
                raise AskedInVain(f"Nothing in this store has this id: {', '.join(unknown)}. Look whether it is whole.")
            if wanted.confirm:
                begun = ReplayOut.of(await asked_of(replaying, wanted.asked()))
                return {"replay": _plain(begun), "unknown": unknown}
            foreseen = PreviewOut.model_validate(await replaying.preview(wanted.asked()))
            return {"preview": _plain(foreseen.and_unknown(unknown)), "unknown": unknown}

    async def progress(self, replay_id: str) -> Json:
        async with opened_replaying(self._settings) as (replaying, _):
            return _found(await replaying.store.replay(replay_id))

    async def stop(self, replay_id: str) -> Json:
        async with opened_replaying(self._settings) as (replaying, _):
            return _found(await replaying.stop(replay_id))

    async def has_leader(self) -> bool:
        async with opened_replaying(self._settings) as (_, database):
            return await is_led(database)


async def asked_of(replaying: Replaying, asked: Asked) -> Replay:
    """Ask the store for a replay.

    Raises:
        Unclear: it may have begun.
    """
    try:
        return await replaying.ask(asked)
    except StoreUnavailable as problem:
        raise Unclear(str(problem), remedy=problem.remedy) from problem


async def is_led(database: Database) -> bool:
    """Tell whether a relay of this store leads at the moment."""
    leases = Leases(database)
    seen = await leases.look(LEADER)
    if seen.is_free:
        return False
    await asyncio.sleep(_A_BEAT)
    return await leases.look(LEADER) != seen


def _found(replay: Any) -> Json:
    if replay is None:
        raise AskedInVain("There is no such replay in this store: the console lists the latest at Dead letters.")
    return _plain(ReplayOut.of(replay))


def _plain(model: Any) -> Json:
    plain: Json = model.model_dump(mode="json", by_alias=True)
    return plain
