"""Connect sources: the address to paste, how to sign, a payload tried out, a test sent."""

from collections.abc import Mapping

import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import Message

from app.domain import is_email
from app.sources.trying import Sender
from app.web.body import largest_form
from app.web.console import shown
from app.web.console.guard import NO_SUCH_THING, page_router, read_signed_form
from app.web.console.guides import GUIDES, Guide
from app.web.console.pages import page
from app.web.console.parts import ConsoleParts
from app.web.parts import WebParts
from app.web.problems import Refused
from app.web.setup import campaign_names
from app.web.webhooks import Answer, Webhooks

_log = structlog.get_logger(__name__)


def sources_router(parts: WebParts, console: ConsoleParts) -> APIRouter:
    router = page_router()
    desk = _Desk(parts, console)
    router.get("/sources")(desk.show)
    router.post("/sources/{name}/address")(desk.reveal)
    router.post("/sources/{name}/try")(desk.try_payload)
    router.post("/sources/{name}/test")(desk.send_test)
    return router


class _Desk:
    """The page and its three forms, each of which answers with the page again."""

    def __init__(self, parts: WebParts, console: ConsoleParts) -> None:
        self._parts = parts
        self._console = console
        self._webhooks = Webhooks(parts)

    async def show(self, request: Request) -> Response:
        return self._page(request)

    async def reveal(self, request: Request, name: str) -> Response:
        sender = self._known(name)
        await read_signed_form(request, request.state.session)
        return self._page(request, of=name, revealed=f"{self._base(request)}{sender.path}")

    async def try_payload(self, request: Request, name: str) -> Response:
        self._known(name)
        most = self._parts.max_body
        form = await read_signed_form(request, request.state.session, limit=largest_form(most))
        payload = form.get("payload", "").strip()
        body = payload.encode(errors="replace")
        if not 0 < len(body) <= most:
            problem = f"It is larger than {most:,} bytes." if body else "Paste a payload first."
            return self._page(request, 400, of=name, problem=problem)
        tried, campaigns = await self._console.try_out(name, body), await campaign_names(self._parts.setup)
        return self._page(request, of=name, payload=payload, tried=tried, campaigns=campaigns)

    async def send_test(self, request: Request, name: str) -> Response:
        sender, guide = self._known(name), GUIDES.get(name)
        form = await read_signed_form(request, request.state.session)
        email = form.get("email", "").strip()
        if guide is None or (guide.needs_email and not is_email(email)):
            return self._page(request, 400, of=name, problem="Give an e-mail address to which the reminder may go.")
        now = self._parts.clock()
        body = guide.test(email, now)
        result = await _deliver(self._webhooks, sender, body, sender.headers(body, now))
        _log.info("console sent a test", source=name, result=result.result, event_id=result.event_id)
        return self._page(request, of=name, sent=result)

    def _base(self, request: Request) -> str:
        """Return where senders reach the relay. Behind a proxy whose headers are not believed, the request is wrong."""
        return (self._console.public_url or f"{request.url.scheme}://{request.url.netloc}").rstrip("/")

    def _known(self, name: str) -> Sender:
        if (sender := self._console.senders.get(name)) is None:
            raise Refused(NO_SUCH_THING)
        return sender

    def _page(self, request: Request, status: int = 200, **values: object) -> Response:
        given = dict.fromkeys(("of", "revealed", "tried", "payload", "sent", "problem", "campaigns")) | values
        senders = self._console.senders
        return page(
            request,
            "sources.html",
            status=status,
            sources=[_shown(self._base(request), sender) for sender in senders.values()],
            off={name: guide for name, guide in GUIDES.items() if name not in senders},
            examples=self._console.examples,
            given=given,
        )


def _shown(base: str, sender: Sender) -> Mapping[str, object]:
    secret = f"/{shown.HIDDEN}" if sender.path_secret else ""
    masked = f"{base}/webhooks/{sender.source}{secret}"
    guide: Guide | None = GUIDES.get(sender.source)
    return {"name": sender.source, "address": masked, "has_secret": bool(sender.path_secret), "guide": guide}


async def _deliver(webhooks: Webhooks, sender: Sender, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Hand a webhook to where the real ones go."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": sender.path, "headers": raw}
    return await webhooks.answer(scope, receive, "console-test")
