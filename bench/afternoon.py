"""The yardstick: a relay as a competent engineer writes it in an afternoon.

It does what Marketo's tutorial shows, and does it properly: the token is kept and renewed, no 20 s hold more calls than
Adobe advises, at most five are in flight, what failed is tried again with growing pauses. What it lacks is what takes
longer than an afternoon: it keeps registrations in memory, spends two calls on each, and sends once more whatever went
unanswered.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

import httpx

_CALLS, _SPAN, _IN_FLIGHT = 50, 20.0, 5  # Adobe's advice to one integration
_TRIES = 5
_AGAIN = frozenset({"601", "602", "604", "606", "608", "611", "615", "713", "719"})


class GaveUp(Exception):
    """Marketo refused, or did not answer, too often."""


class AfternoonRelay:
    """Takes registrations and requests the campaign for each. `lost` counts those that it gave up."""

    def __init__(self, http: httpx.AsyncClient, *, client_id: str, client_secret: str) -> None:
        self._http = http
        self._credentials = {"client_id": client_id, "client_secret": client_secret}
        self._token = ""
        self._renewing = asyncio.Lock()
        self._pacing = asyncio.Lock()
        self._recent: deque[float] = deque(maxlen=_CALLS)
        self._waiting: asyncio.Queue[tuple[Mapping[str, str], int, Mapping[str, str]]] = asyncio.Queue()
        self.lost = 0

    def accept(self, person: Mapping[str, str], campaign: int, tokens: Mapping[str, str]) -> None:
        """Take a registration; it is sent when it is its turn."""
        self._waiting.put_nowait((person, campaign, tokens))

    async def run(self) -> None:
        """Send what comes, until cancelled."""
        await asyncio.gather(*(self._work() for _ in range(_IN_FLIGHT)))

    async def through(self) -> None:
        """Return when all that was accepted is sent or given up."""
        await self._waiting.join()

    async def _work(self) -> None:
        while True:
            person, campaign, tokens = await self._waiting.get()
            try:
                await self._send(person, campaign, tokens)
            except GaveUp:
                self.lost += 1
            finally:
                self._waiting.task_done()

    async def _send(self, person: Mapping[str, str], campaign: int, tokens: Mapping[str, str]) -> None:
        upsert = {"action": "createOrUpdate", "lookupField": "email", "input": [person]}
        lead = (await self._call("/rest/v1/leads.json", upsert))["result"][0]
        if "id" not in lead:
            raise GaveUp(f"Marketo skipped this person: {lead['reasons']}")
        request = {
            "leads": [{"id": lead["id"]}],
            "tokens": [{"name": f"{{{{my.{name}}}}}", "value": value} for name, value in tokens.items()],
        }
        await self._call(f"/rest/v1/campaigns/{campaign}/trigger.json", {"input": request})

    async def _call(self, path: str, body: Any) -> Any:
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(2.0**attempt)
            try:
                answer = await self._ask(path, body)
            except (httpx.TransportError, ValueError):  # no answer, or none in JSON
                continue
            if answer.get("success"):
                return answer
            code = str(answer["errors"][0]["code"]) if answer.get("errors") else ""
            if code in ("601", "602"):
                self._token = ""
            if code not in _AGAIN:
                raise GaveUp(f"Marketo refused with {code}")
        raise GaveUp(f"Marketo did not take it in {_TRIES} tries")

    async def _ask(self, path: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {await self._valid_token()}"}
        await self._turn()
        return (await self._http.post(path, json=body, headers=headers, timeout=30)).json()

    async def _valid_token(self) -> str:
        async with self._renewing:
            if not self._token:
                grant = {"grant_type": "client_credentials", **self._credentials}
                self._token = (await self._http.post("/identity/oauth/token", data=grant)).json()["access_token"]
            return self._token

    async def _turn(self) -> None:
        """Wait until no 20 s hold too many calls."""
        now = asyncio.get_running_loop().time
        async with self._pacing:
            if len(self._recent) == _CALLS and (wait := self._recent[0] + _SPAN - now()) > 0:
                await asyncio.sleep(wait)
            self._recent.append(now())
