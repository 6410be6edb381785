"""Ask a source's API for JSON: bounded in time and size, no redirects, and quiet while the API limits us.

Only the configured base URL is ever asked. What comes back is a status and a document; what a status means is the
source's own business, except 429, which concerns every event of that source alike.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

import httpx

from app import __version__
from app.dates import read_http_date
from app.domain import Cause, Json, Ticks, steady_seconds
from app.errors import Malformed, ResolveFailed
from app.sources.payload import as_text, read_json, value_at

PERSON_HELPS = timedelta(minutes=5)  # how often to look whether somebody has renewed a token
MAY_LAG = timedelta(minutes=5)  # Eventbrite and Pendo both document 5 minutes until a new object can be read
LAGGED = timedelta(seconds=10)  # when to look again; Eventbrite: "nearly always under 15 s"
_LONGEST_QUIET = timedelta(hours=1)  # Eventbrite counts its calls by the hour
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,40}")


def open_client() -> httpx.AsyncClient:
    """Return the HTTP client for sources' APIs and alerts; the caller closes it.

    Certificates are verified, redirects lead nowhere, and the environment chooses proxy and certificate authorities.
    """
    agent = f"marketo-webhook-relay/{__version__}"
    return httpx.AsyncClient(follow_redirects=False, timeout=10.0, headers={"User-Agent": agent})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said. `document` is None when the body is no JSON, as of proxies' error pages."""

    status: int
    document: Json
    headers: Mapping[str, str]

    @property
    def code(self) -> str | None:
        """Return the vendor's error code (Eventbrite's `error`), if it has the shape of one."""
        code = as_text(value_at(self.document, "error"))
        return code if code and _CODE.fullmatch(code) else None


class JsonApi:
    """One source's API behind one base URL. The client is handed in and closed by who made it."""

    def __init__(
        self,
        *,
        name: str,
        client: httpx.AsyncClient,
        base_url: str,
        credentials: Callable[[], Mapping[str, str]],
        longest_wait: timedelta = timedelta(seconds=10),
        largest_answer: int = 2 * 1024 * 1024,
        ticks: Ticks = steady_seconds,
    ) -> None:
        self._name = name
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._credentials = credentials
        self._longest_wait = longest_wait
        self._largest_answer = largest_answer
        self._ticks = ticks
        self._quiet_until = 0.0
        self._limited_in_a_row = 0

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """Return the answer to one GET. `path` starts with a slash, each segment quoted by the caller.

        Raises:
            ResolveFailed: no answer in time, too large, a redirect, success without JSON, or 429 (then nothing
                more is asked until its time is over). It can be tried again.
        """
        return await self._bounded("GET", path, params or {}, None)

    async def post(self, path: str, document: Mapping[str, str]) -> Answer:
        """Return the answer to one POST of a JSON object; otherwise like `get`. It is not repeated.

        Raises:
            ResolveFailed: as `get`; it may have been done all the same.
        """
        return await self._bounded("POST", path, {}, document)

    async def _bounded(
        self, method: str, path: str, params: Mapping[str, str], document: Mapping[str, str] | None
    ) -> Answer:
        self._keep_quiet()
        try:
            async with asyncio.timeout(self._longest_wait.total_seconds()):
                answer = await self._ask(method, path, params, document)
        except (httpx.HTTPError, TimeoutError) as error:
            raise unavailable(f"{self._name} did not answer: {type(error).__name__}") from None
        if answer.status == 429:
            raise self._limited(answer)
        self._limited_in_a_row = 0
        if 300 <= answer.status < 400:
            raise unavailable(f"{self._name} answered {answer.status}, a redirect, which is not followed")
        if answer.status < 300 and not isinstance(answer.document, dict):
            raise unavailable(f"{self._name} answered {answer.status} without a JSON object")
        return answer

    async def _ask(
        self, method: str, path: str, params: Mapping[str, str], document: Mapping[str, str] | None
    ) -> Answer:
        headers = {"Accept": "application/json", **self._credentials()}
        request = self._client.build_request(
            method, self._base_url + path, params=params, json=document, headers=headers
        )
        response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            body = await self._read(response)
        finally:
            await response.aclose()
        return Answer(response.status_code, body, response.headers)

    async def _read(self, response: httpx.Response) -> Json:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > self._largest_answer:
                raise unavailable(f"{self._name} answered more than {self._largest_answer} bytes")
        try:
            return read_json(bytes(body))
        except Malformed:
            return None

    def _keep_quiet(self) -> None:
        if (left := self._quiet_until - self._ticks()) > 0:
            wait = timedelta(seconds=left)
            raise unavailable(f"{self._name} limits the number of calls; waiting", retry_after=wait)

    def _limited(self, answer: Answer) -> ResolveFailed:
        """Note until when to keep quiet: as the server says, else a minute, doubled each time, at most an hour."""
        wait = min(timedelta(minutes=1) * 2 ** min(self._limited_in_a_row, 10), _LONGEST_QUIET)
        if asked := _asked_for(answer.headers):
            wait = min(asked, _LONGEST_QUIET)
        self._limited_in_a_row += 1
        self._quiet_until = self._ticks() + wait.total_seconds()
        return unavailable(f"{self._name} limits the number of calls (429)", retry_after=wait)


def _asked_for(headers: Mapping[str, str]) -> timedelta | None:
    """Read Retry-After, seconds (at least one) or a date that is yet to come; None when it is neither.

    A date is reckoned from the answer's own: our clock may be wrong, and would stretch the wait or end it at once.
    """
    header = headers.get("retry-after", "")
    if re.fullmatch(r"[0-9]{1,6}", header):
        return max(timedelta(seconds=int(header)), timedelta(seconds=1))
    until, said = read_http_date(header), read_http_date(headers.get("date"))
    return until - said if until and said and until > said else None


def segment(text: str) -> str:
    """Return a text from outside as one segment of a path.

    Raises:
        ResolveFailed: it would climb in the path, however it is quoted.
    """
    if text in ("", ".", ".."):
        raise not_found("an id of dots, or of nothing, is nobody's")
    return quote(text.encode("utf-8", "replace"), safe="")


def unavailable(detail: str, *, retry_after: timedelta | None = None) -> ResolveFailed:
    return ResolveFailed(Cause.SOURCE_UNAVAILABLE, detail, retry_after=retry_after)


def refused(detail: str) -> ResolveFailed:
    """Say that the API does not take our token. Not for good: a person renews it."""
    return ResolveFailed(Cause.SOURCE_REFUSED, detail, retry_after=PERSON_HELPS)


def credentials_missing(setting: str) -> ResolveFailed:
    return ResolveFailed(Cause.SOURCE_CREDENTIALS_MISSING, f"{setting} is not set", retry_after=PERSON_HELPS)


def not_found(detail: str) -> ResolveFailed:
    """Say that the API does not know the object, or not yet: a read shortly after the write may miss it."""
    return ResolveFailed(Cause.SOURCE_NOT_FOUND, detail, retry_after=LAGGED, give_up_after=MAY_LAG)
