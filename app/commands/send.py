"""`relay send`: a signed test webhook of any source, to any address."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.kinds import SourceName
from app.commands.printing import console, print_json, shown
from app.commands.running import fail, run, settings_for
from app.domain import utc_now
from app.errors import AskedInVain
from app.listening import own_address
from app.settings import Settings

if TYPE_CHECKING:
    import httpx

_NEEDED = (
    "relay_url",
    "host",
    "port",
    "eventbrite_webhook_token",
    "pendo_webhook_secret",
    "custom_webhook_secrets",
    "custom_api_keys",
)
_SECRETS = {
    SourceName.EVENTBRITE: "EVENTBRITE_WEBHOOK_TOKEN",
    SourceName.PENDO: "PENDO_WEBHOOK_SECRET",
    SourceName.CUSTOM: "CUSTOM_WEBHOOK_SECRETS or CUSTOM_API_KEYS",
}
_WEBINAR = {
    "id": "relay-test",
    "title": "A test of the relay",
    "joinLink": "https://example.com/join/relay-test",
}
_NAMES_A_PERSON = frozenset({"--email", "--webinar", "--title", "--join-link"})
_USED = {
    SourceName.EVENTBRITE: frozenset({"--order"}),
    SourceName.PENDO: _NAMES_A_PERSON,
    SourceName.CUSTOM: _NAMES_A_PERSON,
}
_TO_DO = {
    401: "The secret here is not the one that this relay has; compare the settings.",
    404: "There is no such source at this address: look whether it is turned on there, and whether the URL is right.",
    422: "The relay refuses these fields.",
    503: "The relay cannot store it; look at its /readyz and log.",
}


def send(
    source: Annotated[SourceName, typer.Argument(help="Whose webhook to send.")],
    *,
    url: Annotated[
        str | None, typer.Option("--url", help="Where the relay is.", show_default="RELAY_URL, else this machine")
    ] = None,
    email: Annotated[str | None, typer.Option(help="Who registers (custom, pendo). Marketo will e-mail them.")] = None,
    webinar: Annotated[str | None, typer.Option(help="The webinar's id.", show_default=_WEBINAR["id"])] = None,
    title: Annotated[str | None, typer.Option(help="The webinar's title.", show_default=_WEBINAR["title"])] = None,
    join_link: Annotated[
        str | None, typer.Option(help="The webinar's join link.", show_default=_WEBINAR["joinLink"])
    ] = None,
    order: Annotated[
        str | None, typer.Option(help="Eventbrite only: an order of yours; without, its Test ping is sent.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", exists=True, dir_okay=False, help="Send this body instead, as it is.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Send a signed test webhook; exit code 0 when the relay took it. It is real: Marketo will e-mail the person."""
    _refuse_what_is_dropped(
        source if file is None else None,
        {"--email": email, "--webinar": webinar, "--title": title, "--join-link": join_link, "--order": order},
    )
    settings = settings_for(
        {"relay_url": url}, only=_NEEDED, may_lack=True, in_vain="Nothing is sent", url_option="--url"
    )
    if file:
        body = file.read_bytes()
    elif source is not SourceName.EVENTBRITE and not email:
        fail("Say who registers: --email you@example.com (or send a captured body: --file).", code=2)
    else:
        body = json.dumps(_document(source, settings, email or "", order, _webinar(webinar, title, join_link))).encode()
    now = utc_now()
    answer = run(_post(settings, source, body, now), settings)
    taken = 200 <= answer.status_code < 300
    if as_json:
        print_json({"status": answer.status_code, "answer": _json_of(answer)})
    else:
        _tell(answer, taken=taken)
    raise typer.Exit(0 if taken else 1)


def _refuse_what_is_dropped(source: SourceName | None, given: Mapping[str, str | None]) -> None:
    """End with what to do where an option would be passed over in silence. `source` is None for a body from a file."""
    used = _USED[source] if source else frozenset[str]()
    dropped = " and ".join(name for name, value in given.items() if value is not None and name not in used)
    if not dropped:
        return
    if source is None:
        fail(f"The body in the file is sent as it is: leave {dropped} out, or write it there.", code=2)
    if source is SourceName.EVENTBRITE:
        fail(
            f"Eventbrite's webhook names an order, and nobody's address: leave {dropped} out, and give an order of "
            "yours with --order; without it, what Eventbrite's Test button sends is sent.",
            code=2,
        )
    fail(f"{dropped} is for eventbrite alone: {source.value} names the person itself, with --email.", code=2)


def _webinar(webinar_id: str | None, title: str | None, join_link: str | None) -> Mapping[str, str]:
    given = {"id": webinar_id, "title": title, "joinLink": join_link}
    return {name: value if (value := given[name]) is not None else usual for name, usual in _WEBINAR.items()}


def _document(
    source: SourceName, settings: Settings, email: str, order: str | None, webinar: Mapping[str, str]
) -> Mapping[str, object]:
    match source:
        case SourceName.EVENTBRITE:
            action, path = ("order.placed", f"v3/orders/{order}/") if order else ("test", "{api-endpoint-to-fetch}")
            config = {"action": action, "user_id": "0", "endpoint_url": "", "webhook_id": "0"}
            return {"config": config, "api_url": f"https://www.eventbriteapi.com/{path}"}
        case SourceName.PENDO:
            properties = {
                "webinar_id": webinar["id"],
                "webinar_title": webinar["title"],
                "join_link": webinar["joinLink"],
            }
            said = {"trackEventName": settings.pendo_track_event, "trackEventProperties": properties}
            return {"event": "trackEventReceived", "visitorId": email, "properties": said}
    return {"email": email, "webinar": webinar}


async def _post(settings: Settings, source: SourceName, body: bytes, now: datetime) -> "httpx.Response":
    import httpx  # noqa: PLC0415  # --help should not wait for every part's import

    from app.making import make_senders  # noqa: PLC0415  # as above

    sender = make_senders(settings).get(source)
    if sender is None:
        raise AskedInVain(f"Set {_SECRETS[source]} to what the relay that is to take this webhook has.")
    base = (settings.relay_url or f"http://{own_address(settings.host)}:{settings.port}").rstrip("/")
    headers = {"user-agent": "relay-send", **sender.headers(body, now)}
    try:
        async with httpx.AsyncClient(timeout=20) as client:
            return await client.post(f"{base}{sender.path}", content=body, headers=headers)
    except httpx.HTTPError as problem:
        said = str(problem) or type(problem).__name__
        raise AskedInVain(f"Nothing answers at {base}: {said}. Start the relay, or say where it is: --url.") from None


def _tell(answer: "httpx.Response", *, taken: bool) -> None:
    page, document = console(), _json_of(answer)
    said = document if isinstance(document, dict) else {}
    if taken:
        page.print(shown(f"{answer.status_code} {said.get('status')}: {said.get('id') or said.get('reason') or ''}"))
        if event_id := said.get("id"):
            page.print(shown(f"See what becomes of it: relay show {event_id}"))
        return
    page.print(shown(f"{answer.status_code} {said.get('detail') or answer.reason_phrase}"))
    for one in said.get("errors", ()):
        page.print(shown(f"  {one['field']}: {one['problem']}"))
    if advice := _TO_DO.get(answer.status_code):
        page.print(shown(advice))


def _json_of(answer: "httpx.Response") -> object:
    try:
        return answer.json()
    except ValueError:
        return None
