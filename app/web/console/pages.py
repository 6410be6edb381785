"""Render the console's pages, with a policy that lets nothing in from elsewhere and no inline script or style."""

from datetime import UTC
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from app.domain import campaign_name
from app.web.console import shown, words
from app.web.console.assets import asset_address

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# An e-mail styles itself and shows a picture from anywhere, as in a mailbox; it may do nothing else.
EMAIL_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src https: http: data:; frame-ancestors 'self'"
)

MENU = (
    ("/console", "Overview"),
    ("/console/registrations", "Registrations"),
    ("/console/events", "Webhooks"),
    ("/console/webinars", "Webinars"),
    ("/console/dead-letters", "Dead letters"),
    ("/console/sources", "Sources"),
    ("/console/set-up", "Set-up"),
)


def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("app.web.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plain": shown.plain,
        "moment": words.moment,
        "iso": lambda at: at.astimezone(UTC).isoformat(),
        "source": words.source_name,
        "state": words.state_word,
        "end": words.end_word,
        "webhook_state": words.webhook_word,
        "tone": words.state_tone,
        "advice": words.advice,
        "cause": words.cause_name,
        "campaign": campaign_name,
        "count": lambda number: f"{number:,}",
        "query": urlencode,
    }
    environment.tests["unknown"] = words.is_unknown
    environment.globals |= {"asset": asset_address, "menu": MENU, "only_looks": words.ONLY_LOOKS}
    return environment


_pages = _templates()


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """Return a page. Whoever is signed in gets the frame with the menu."""
    session = getattr(request.state, "session", None)
    body = _pages.get_template(template).render(session=session, path=request.url.path, **values)
    return HTMLResponse(body, status, headers={"content-security-policy": POLICY, "referrer-policy": "same-origin"})


def email_page(html: str) -> Response:
    """Return an e-mail to be shown in a frame of our own, in which nothing runs."""
    return HTMLResponse(
        html.encode(errors="replace"),
        headers={"content-security-policy": EMAIL_POLICY, "x-frame-options": "SAMEORIGIN"},
    )


def problem_page(request: Request, status: int, headline: str, to_do: str) -> Response:
    return page(request, "problem.html", status=status, headline=headline, to_do=to_do)
