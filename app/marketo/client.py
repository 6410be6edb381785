"""Call Marketo: each method is one HTTP call and one typed answer, or a `CallFailed` that says what follows.

Pacing, retries and writing calls down are the caller's. Only a refused token is renewed here and the call sent again,
which Marketo does not count.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import httpx

from app.dates import read_http_date
from app.domain import CampaignId, Clock, LeadId, utc_now
from app.marketo import activities, answers, requests
from app.marketo.activities import ActivityPage, ActivityTypes, PagingToken
from app.marketo.address import MarketoAddress
from app.marketo.answers import CampaignInfo, FindAnswer, Reason, SyncAnswer, TriggerAnswer
from app.marketo.auth import MarketoAuth
from app.marketo.codes import Consequence, Endpoint, Trouble
from app.marketo.envelope import Reply, read_retry_after
from app.marketo.failures import CallFailed, failure
from app.marketo.requests import Outgoing, PersonRecord

# Marketo's own limits (Sync Leads 90 s, Get Leads by Filter 60 s, else 30 s) and 5 s more, so that it gives up first.
_ANSWER_WITHIN: Mapping[Endpoint, timedelta] = {
    Endpoint.SYNC: timedelta(seconds=95),
    Endpoint.FIND: timedelta(seconds=65),
    Endpoint.TRIGGER: timedelta(seconds=35),
    Endpoint.USAGE: timedelta(seconds=35),
    Endpoint.CAMPAIGN: timedelta(seconds=35),
    Endpoint.ACTIVITIES: timedelta(seconds=35),
    Endpoint.SETUP: timedelta(seconds=35),
}
_FIELD_CODES = frozenset({"1006", "1011"})
_FIELD_NAMES = "The REST API names of fields are in Admin > Field Management > Export Field Names."
_NOTHING_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class MarketoClient:
    """One Marketo instance. `http` comes from `open_http`, which sees to limits, TLS and the one host.

    `set_by` tells which setting each person field comes from, for the sentence that a wrong one is answered with.
    A call takes at most the sum of its time-outs (connect, write and pool 10 s each, the answer 35 to 95 s), and as
    much again where a token must be renewed on the way.
    """

    def __init__(
        self,
        *,
        http: httpx.AsyncClient,
        address: MarketoAddress,
        auth: MarketoAuth,
        lookup_field: str = "email",
        partition: str | None = None,
        set_by: Mapping[str, str] | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._http = http
        self._address = address
        self._auth = auth
        self._lookup_field = lookup_field
        self._partition = partition
        self._set_by = set_by or {}
        self._clock = clock

    async def sync_people(self, records: Sequence[PersonRecord]) -> SyncAnswer:
        """Create or update up to 300 people; outcomes come in the order of the records. Repeating it is harmless.

        Two calls with the same person in flight, or close together, create duplicates: the caller keeps them apart.

        Raises:
            ValueError: no, too many or repeated records.
            CallFailed: the call as a whole failed.
        """
        call = requests.sync_people(records, lookup_field=self._lookup_field, partition=self._partition)
        reply = await self.send(call)
        with self._named():
            answer = answers.read_sync(reply, expected=len(records))
            if reason := _fault_of_a_setting(answer):
                raise failure(Endpoint.SYNC, reason.code, reason.message, request_id=answer.request_id)
        return answer

    async def find_people(self, values: Sequence[str], *, next_page_token: str | None = None) -> FindAnswer:
        """Search for up to 300 values of the lookup field; several people may share one. One page a call.

        Raises:
            ValueError: no, too many or repeated values.
            CallFailed: the call failed.
        """
        call = requests.find_people(values, lookup_field=self._lookup_field, next_page_token=next_page_token)
        reply = await self.send(call)
        with self._named():
            return answers.read_find(reply, lookup_field=self._lookup_field)

    async def trigger(self, campaign: CampaignId, leads: Sequence[LeadId], tokens: Mapping[str, str]) -> TriggerAnswer:
        """Request a campaign for up to 100 leads with the same tokens (names without `{{my.}}`, values as they are).

        The same call twice runs the campaign twice. Success does not say that a lead passed its smart list.

        Raises:
            ValueError: no or too many leads or tokens.
            CallFailed: it failed; with the consequence AMBIGUOUS it may have run all the same.
        """
        return answers.read_trigger(await self.send(requests.trigger(campaign, leads, tokens)))

    async def usage(self) -> answers.DayUsage:
        """Return how many calls all integrations of the instance have made since midnight US Central.

        Raises:
            CallFailed: it could not be had.
        """
        return answers.read_usage(await self.send(requests.usage()))

    async def campaign(self, number: CampaignId) -> CampaignInfo:
        """Return what a set-up check wants to know of a campaign (permission Read-Only Campaign).

        Raises:
            CallFailed: it could not be had; with the consequence CAMPAIGN there is none.
        """
        return answers.read_campaign(await self.send(requests.campaign(number)))

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say by its name which setting a field that Marketo refuses comes from."""
        try:
            yield
        except CallFailed as failed:
            for name in sorted(self._set_by, key=len, reverse=True):
                if failed.code in _FIELD_CODES and name in failed.message:
                    failed.meaning = replace(failed.meaning, advice=f"Correct {self._set_by[name]}. {_FIELD_NAMES}")
                    break
            raise

    async def activity_types(self) -> ActivityTypes:
        """Return the instance's activity types (permission Read-Only Activity).

        Raises:
            CallFailed: it could not be had; with the consequence NOT_ALLOWED the permission is missing.
        """
        return activities.read_activity_types(await self.send(activities.activity_types()))

    async def paging_token(self, since: datetime) -> PagingToken:
        """Return where reading the activities since a moment begins.

        Raises:
            CallFailed: it could not be had.
        """
        return activities.read_paging_token(await self.send(activities.paging_token(since)))

    async def activities(self, token: str, *, type_ids: Collection[int], lead_ids: Sequence[LeadId]) -> ActivityPage:
        """Return one page of activities of up to 30 people. What happened within the last minute may be missing.

        Raises:
            ValueError: no or too many types or people.
            CallFailed: it could not be had.
        """
        call = activities.activities(token, type_ids=type_ids, lead_ids=lead_ids)
        return activities.read_activities(await self.send(call))

    async def send(self, call: Outgoing) -> Reply:
        """Send a call that another module of this package wrote, which then reads the answer.

        Raises:
            CallFailed: there is no whole answer.
        """
        try:
            response = await self._http.request(
                call.method,
                self._address.rest + call.path,
                content=call.body,
                headers={"Content-Type": call.content_type} if call.content_type else None,
                auth=self._auth,
                timeout=_timeout(call.endpoint),
                follow_redirects=False,
            )
        except (httpx.HTTPError, httpx.StreamError) as exc:
            raise self._lost(call.endpoint, exc) from exc
        date = read_http_date(response.headers.get("Date"))
        wait = read_retry_after(response.headers.get("Retry-After"), now=date or self._clock())
        return Reply(response.status_code, response.content, wait, date)

    def _lost(self, endpoint: Endpoint, exc: httpx.HTTPError | httpx.StreamError) -> CallFailed:
        """Say what an exception of httpx means; while the token was fetched, the call itself had not been sent."""
        if isinstance(exc, httpx.RequestError) and str(exc.request.url) == self._address.token_url:
            endpoint = Endpoint.IDENTITY
        return failure(endpoint, _trouble(exc), f"{type(exc).__name__} at the {endpoint} call: {exc}")


def _fault_of_a_setting(answer: SyncAnswer) -> Reason | None:
    """Return why every record was skipped, if that is nobody's data but a setting, such as a field's name."""
    reasons = [person.reasons[0] if person.reasons else None for person in answer.people]
    if all(reason and reason.consequence is Consequence.CONFIGURATION for reason in reasons):
        return reasons[0]
    return None


def _timeout(endpoint: Endpoint) -> httpx.Timeout:
    read = _ANSWER_WITHIN[endpoint].total_seconds()
    return httpx.Timeout(connect=10.0, read=read, write=10.0, pool=10.0)


def _trouble(exc: httpx.HTTPError | httpx.StreamError) -> Trouble:
    if isinstance(exc, _NOTHING_SENT):
        return Trouble.UNREACHABLE
    if isinstance(exc, httpx.TimeoutException):
        return Trouble.TIMED_OUT
    return Trouble.UNREADABLE if isinstance(exc, httpx.DecodingError) else Trouble.ANSWER_LOST
