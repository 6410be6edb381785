"""Reach what `relay replay` needs: a running relay by its admin API, or the store itself."""

import asyncio
import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Protocol
from urllib.parse import urlsplit

from pydantic import ValidationError

from app.bootstrap import opened_replaying
from app.errors import RelayError
from app.settings import Settings
from app.store.database import Database
from app.store.leases import LEADER, Leases
from app.web.care import PreviewOut, ReplayBody, ReplayOut
from app.wording import path_of, problem_in_words

Json = Mapping[str, Any]
_A_BEAT = 4  # seconds; a leader gives a sign of life every three
_PATIENCE = 120  # seconds; a preview reads everything again that it is about


class AtHand(Protocol):
    """What replays are asked of. Answers are those of the admin API."""

    async def replay(self, body: Json) -> Json: ...

    async def progress(self, replay_id: str) -> Json: ...

    async def stop(self, replay_id: str) -> Json: ...

    async def has_leader(self) -> bool: ...


class Refusal(RelayError):
    """The relay answered with a problem; the message is its own."""


def wrong_with(body: Json) -> str:
    """Return what is wrong with what is asked for, in words; nothing when it is clear what to replay."""
    try:
        ReplayBody.model_validate(body)
    except ValidationError as wrong:
        return "; ".join(f"{path_of(e['loc'])}: {problem_in_words(e)}".removeprefix("body: ") for e in wrong.errors())
    return ""


class RunningRelay:
    """A relay that is asked over HTTP. Redirects are not followed: the token is for this host."""

    def __init__(self, url: str, token: str) -> None:
        self._parts = urlsplit(url)
        if self._parts.scheme not in ("http", "https") or not self._parts.hostname:
            raise Refusal("RELAY_URL (or --url) must be like https://relay.example.com")
        self._token = token

    async def replay(self, body: Json) -> Json:
        return await self._ask("POST", "replay", body)

    async def progress(self, replay_id: str) -> Json:
        return await self._ask("GET", f"replays/{replay_id}")

    async def stop(self, replay_id: str) -> Json:
        return await self._ask("POST", f"replays/{replay_id}/stop")

    async def has_leader(self) -> bool:
        return True  # which of several processes answers is chance; one of them leads

    async def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        return await asyncio.to_thread(self._asked, method, f"{self._parts.path.rstrip('/')}/api/{path}", body)

    def _asked(self, method: str, path: str, body: Json | None) -> Json:
        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        connection = kind(str(self._parts.hostname), self._parts.port, timeout=_PATIENCE)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, HTTPException) as problem:
            raise Refusal(f"The relay at {self._parts.netloc} does not answer: {problem}") from problem
        finally:
            connection.close()
        return _read(answer.status, text)


def _read(status: int, text: bytes) -> Json:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refusal(f"The relay answered {status} with something that is not its JSON; is RELAY_URL right?")
    if status >= 300:
        errors = "; ".join(f"{e['field']}: {e['problem']}" for e in found.get("errors", []))
        raise Refusal(" ".join(filter(None, (f"{status}: {found.get('detail')}", errors))))
    return found


class OwnStore:
    """The store of the settings, without a relay in between; a relay that leads does what is asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def replay(self, body: Json) -> Json:
        wanted = ReplayBody.model_validate(body)
        async with opened_replaying(self._settings) as (replaying, _):
            unknown = await replaying.store.unknown(wanted.ids)
            if wanted.names_nothing(unknown):
                raise Refusal(f"Nothing in this store has this id: {', '.join(unknown)}. Look whether it is whole.")
            if wanted.confirm:
                begun = ReplayOut.of(await replaying.ask(wanted.asked()))
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
        raise Refusal("There is no such replay in this store.")
    return _plain(ReplayOut.of(replay))


def _plain(model: Any) -> Json:
    plain: Json = model.model_dump(mode="json", by_alias=True)
    return plain
