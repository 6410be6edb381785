"""Ask a running relay for replays, by its admin API."""

from collections.abc import Mapping
from typing import Any

from app.commands.asking import open_relay

Json = Mapping[str, Any]
_PATIENCE = 120.0  # seconds; a preview reads everything again that it is about


class RunningRelay:
    """A relay that is asked over HTTP."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    async def replay(self, body: Json) -> Json:
        return await self._posted("replay", body)

    async def progress(self, replay_id: str) -> Json:
        async with open_relay(self._url, self._token, patience=_PATIENCE) as admin:
            told: Json = await admin.get(f"replays/{replay_id}")
            return told

    async def stop(self, replay_id: str) -> Json:
        return await self._posted(f"replays/{replay_id}/stop")

    async def has_leader(self) -> bool:
        return True  # which of several processes answers is chance; one of them leads

    async def _posted(self, path: str, body: Json | None = None) -> Json:
        async with open_relay(self._url, self._token, patience=_PATIENCE) as admin:
            told: Json = await admin.post(path, body)
            return told
