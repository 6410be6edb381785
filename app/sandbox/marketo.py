"""Marketo's REST API: the checks that every call passes, in order, and where it goes from there."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from app.sandbox import (
    marketo_activities,
    marketo_assets,
    marketo_campaigns,
    marketo_leads,
    marketo_places,
    marketo_schema,
    seed,
)
from app.sandbox.config import Credential
from app.sandbox.marketo_answers import NOT_COUNTED, Refusal, Result, failure, success
from app.sandbox.wire import LONGEST_URI, Answer, Request, html_answer, json_answer
from app.sandbox.world import Work

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_LEADS = frozenset({seed.READ_LEAD, seed.WRITE_LEAD})
_CAMPAIGNS = frozenset({seed.READ_CAMPAIGN, seed.WRITE_CAMPAIGN})
_ASSETS = frozenset({seed.READ_ASSET, seed.WRITE_ASSET})
_ACTIVITIES = frozenset({seed.READ_ACTIVITY, seed.WRITE_ACTIVITY})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation: its name here, the permissions of which one is needed, the content type of its body."""

    name: str
    method: str
    path: re.Pattern[str]
    handler: Callable[[Work], Result]
    permissions: frozenset[str] = field(default_factory=frozenset)
    content_type: str | None = None


def _endpoint(
    name: str,
    method: str,
    path: str,
    handler: Callable[[Work], Result],
    permissions: frozenset[str] = frozenset(),
    *,
    content_type: str | None = None,
) -> Endpoint:
    pattern = re.compile(re.escape(path).replace(r"\{id\}", "(?P<id>[^/]+)"))
    return Endpoint(name, method, pattern, handler, permissions, content_type)


ENDPOINTS = (
    _endpoint("filter", "GET", "/v1/leads.json", marketo_leads.find, _LEADS),
    _endpoint("sync", "POST", "/v1/leads.json", marketo_leads.sync, frozenset({seed.WRITE_LEAD}), content_type=_JSON),
    _endpoint(
        "trigger",
        "POST",
        "/v1/campaigns/{id}/trigger.json",
        marketo_campaigns.trigger,
        frozenset({seed.EXECUTE_CAMPAIGN}),
        content_type=_JSON,
    ),
    _endpoint("campaigns", "GET", "/v1/campaigns.json", marketo_campaigns.campaigns, _CAMPAIGNS),
    _endpoint("campaign", "GET", "/v1/campaigns/{id}.json", marketo_campaigns.campaign, _CAMPAIGNS),
    _endpoint("smart_campaign", "GET", "/asset/v1/smartCampaign/{id}.json", marketo_assets.smart_campaign, _ASSETS),
    _endpoint("smart_list", "GET", "/asset/v1/smartCampaign/{id}/smartList.json", marketo_places.smart_list, _ASSETS),
    _endpoint("program", "GET", "/asset/v1/program/{id}.json", marketo_places.program, _ASSETS),
    _endpoint("folder", "GET", "/asset/v1/folder/{id}.json", marketo_places.folder, _ASSETS),
    _endpoint("describe", "GET", "/v1/leads/describe.json", marketo_schema.describe, _LEADS),
    _endpoint("partitions", "GET", "/v1/leads/partitions.json", marketo_schema.partitions, _LEADS),
    _endpoint("tokens", "GET", "/asset/v1/folder/{id}/tokens.json", marketo_assets.tokens, _ASSETS),
    _endpoint(
        "create_token",
        "POST",
        "/asset/v1/folder/{id}/tokens.json",
        marketo_assets.create_token,
        frozenset({seed.WRITE_ASSET}),
        content_type=_FORM,
    ),
    _endpoint("emails", "GET", "/asset/v1/emails.json", marketo_assets.emails, _ASSETS),
    _endpoint("email_content", "GET", "/asset/v1/email/{id}/fullContent.json", marketo_assets.email_content, _ASSETS),
    _endpoint("activity_types", "GET", "/v1/activities/types.json", marketo_activities.types, _ACTIVITIES),
    _endpoint("paging_token", "GET", "/v1/activities/pagingtoken.json", marketo_activities.paging_token, _ACTIVITIES),
    _endpoint("activities", "GET", "/v1/activities.json", marketo_activities.activities, _ACTIVITIES),
    _endpoint(
        "membership", "GET", "/v1/leads/{id}/smartCampaignMembership.json", marketo_campaigns.membership, _ASSETS
    ),
    _endpoint("usage", "GET", "/v1/stats/usage.json", marketo_activities.usage),
)
UNKNOWN = "unknown"


class TooLarge(Exception):  # an HTTP status, the only kind that Marketo itself uses for a refusal
    """The body or the address is larger than Marketo reads."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Marketo:
    """`/rest`. Answers with HTTP 200 and codes in the body, but for 413 and 414."""

    name = "marketo"

    def operation(self, request: Request) -> str:
        try:
            return _find(request)[0].name
        except Refusal:
            return UNKNOWN

    async def answer(self, work: Work) -> Answer:
        sparse = work.world.config.sparse
        try:
            result = await self._result(work)
        except Refusal as refusal:
            work.call.code, work.call.message = refusal.code, refusal.said
            return failure(work.call.request_id, refusal, sparse=sparse)
        except TooLarge as large:
            work.call.code = f"http {large.status}"
            work.violation("too_large", f"{work.call.kind}: HTTP {large.status}")
            return html_answer(large.status, f"<html><body><h1>{large.status}</h1></body></html>")
        return success(work.call.request_id, result, sparse=sparse)

    def error(self, work: Work, code: str) -> Answer:
        work.call.code = code
        if code.startswith("http "):
            return json_answer(int(code.removeprefix("http ")), {})
        return failure(work.call.request_id, Refusal(code), sparse=work.world.config.sparse)

    async def _result(self, work: Work) -> Result:
        _check_size(work.request)
        user = _authorised(work)
        try:
            endpoint, work.params = _find(work.request)
        except Refusal as refusal:
            if refusal.code not in NOT_COUNTED:
                _count(work, user)
            raise
        _count(work, user)
        _check_form(work, endpoint, user)
        await work.world.config.sleep(work.world.config.latency.total_seconds())
        return endpoint.handler(work)


def _check_size(request: Request) -> None:
    if len(request.target) > LONGEST_URI:
        raise TooLarge(414)
    if request.body is None:
        raise TooLarge(413)


def _authorised(work: Work) -> Credential:
    if "access_token" in work.request.query:
        work.violation("token_in_query", "the access_token query parameter was removed on 2026-08-31")
        raise Refusal("600", "Access token not specified: send it as a header")
    scheme, _, token = work.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refusal("600")
    return work.world.tokens.user_of(token.strip(), work.world.now())


def _find(request: Request) -> tuple[Endpoint, dict[str, str]]:
    """Return the operation and what its path names. A POST with `_method=GET` is a GET with its query in the body."""
    method = request.method
    if method == "POST" and request.query.get("_method", "").upper() == "GET":
        method = "GET"
    there = [(endpoint, found) for endpoint in ENDPOINTS if (found := endpoint.path.fullmatch(request.path))]
    for endpoint, found in there:
        if endpoint.method == method:
            return endpoint, found.groupdict()
    raise Refusal("605", f"HTTP Method '{request.method}' is not supported") if there else Refusal("610")


def _count(work: Work, user: Credential) -> None:
    """Count the call against the day, the window and the calls in flight.

    Raises:
        Refusal: 607, 606 or 615, each also kept as a violation: a careful integration stays below.
    """
    world, now = work.world, work.world.now()
    in_quota = world.quota.admits(now, user.user)
    in_window = world.window.admits(now)
    has_place = work.held.enter_context(world.in_flight.one())
    work.call.window, work.call.in_flight = world.window.used(now), world.in_flight.now
    if not in_quota:
        work.violation("quota", "more calls than the day's quota")
        raise Refusal("607")
    if not in_window:
        work.violation("rate", "more calls than the window admits")
        config = world.config
        raise Refusal(
            "606",
            f"Max rate limit '{config.calls_per_window}' exceeded with in '{config.window.total_seconds():g}' secs",
        )
    if not has_place:
        work.violation("concurrency", "more calls at a time than allowed")
        raise Refusal("615")


def _check_form(work: Work, endpoint: Endpoint, user: Credential) -> None:
    if endpoint.permissions and not endpoint.permissions & work.world.tokens.permissions_of(user.client_id):
        raise Refusal("603")
    request = work.request
    wanted = _FORM if endpoint.method == "GET" and request.method == "POST" else endpoint.content_type
    if wanted and request.content_type != wanted:
        raise Refusal("612", f"Invalid Content Type: expected {wanted}")
