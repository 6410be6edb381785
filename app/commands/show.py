"""`relay show`: all about one registration, webhook, request to Marketo, or person."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.printing import BODY_REMOVED, at, console, facts, is_blanked, print_json, shown, table, who
from app.commands.running import JsonOption, RelayOption, asking_settings, fail, run
from app.domain import WAITING_STATES, RegistrationState, campaign_name, is_id
from app.errors import AskedInVain
from app.settings import Settings
from app.store.tallies import Pausing
from app.web.console.words import Verdict, held_by, with_names

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from app.commands.asking import Admin

_KINDS = {"reg": "registrations", "evt": "events", "call": "calls"}


def show(
    what: Annotated[str, typer.Argument(metavar="ID|EMAIL", help="reg_…, evt_…, call_…, or an e-mail address.")],
    relay: RelayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what became of a registration, a webhook, a call to Marketo, or of everything about a person."""
    what = what.strip()
    if "@" not in what and not is_id(what, *_KINDS):
        fail(f"{what!r} is no e-mail address and no id; ids begin with reg_, evt_ or call_.", code=2)
    settings = asking_settings(relay, in_vain="Nothing is looked up")
    kind, found, around = run(_ask(settings, what), settings)
    if as_json:
        print_json(found)
        return
    page = console()
    for one in found["items"] if kind == "person" else [found]:
        _PAGES[_KINDS["reg"] if kind == "person" else kind](page, one, around)


async def _ask(settings: Settings, what: str) -> tuple[str, Any, Any]:
    from app.commands.asking import open_admin  # noqa: PLC0415  # --help should not wait for every part's import

    async with open_admin(settings) as admin:
        kind = "person" if "@" in what else _KINDS[what.partition("_")[0]]
        found = await (_person(admin, what) if kind == "person" else admin.get(f"{kind}/{what}"))
        return kind, found, await _around(admin, found)


async def _around(admin: "Admin", found: Any) -> Any:
    """Return the last check of the set-up and, where somebody waits, what is paused."""
    waits = any(one.get("state") in WAITING_STATES for one in found.get("items", [found]))
    paused = (await admin.get("stats", hours=0.01))["paused"] if waits else []
    return await admin.setup() | {"paused": paused}


async def _person(admin: "Admin", email: str) -> Any:
    page = await admin.get("registrations", email=email, limit=20)
    if not page["items"]:
        raise AskedInVain(
            "Nobody registered with this address. Look with `relay events` whether a webhook came at all, and whether "
            "the address is spelt as at the sender."
        )
    items = [await admin.get(f"registrations/{one['id']}") for one in page["items"]]
    return page | {"items": items}


def _registration(page: "Console", one: Any, around: Any) -> None:
    campaigns, held = around["campaigns"], _held(one, around["paused"])
    _heading(page, f"{who(one)}, webinar {one['webinarId']}: ", one["state"])
    page.print(
        facts(
            {
                "id": one["id"],
                "source": one["source"],
                "why": f"{held.headline} {held.reason}" if held else with_names(_why(one), campaigns),
                "what to do": held.to_do if held else one["advice"],
                "its campaign": _doubts(one, around),
                "its data": "removed after the retention time (RETENTION_DAYS)" if is_blanked(one) else None,
                "name": " ".join(filter(None, (one["firstName"], one["lastName"]))),
                "lead": one["leadId"],
                "campaign": campaign_name(one["campaignId"], campaigns),
                **{f"{{{{my.{name}}}}}": value for name, value in one["tokens"].items()},
                "starts (UTC)": at(one["startsAt"]) if one["startsAt"] else None,
                "sent (UTC)": at(one["sentAt"]) if one["sentAt"] else None,
            }
        )
    )
    rows = [
        (at(e["at"]), e["what"], with_names(e["detail"], campaigns), e["callId"] or e["eventId"])
        for e in one["timeline"]
    ]
    page.print(table(["at (UTC)", "what", "detail", "see"], rows))
    page.print()


def _event(page: "Console", one: Any, _around: Any) -> None:
    _heading(page, f"Webhook of {one['source']}: ", one["state"])
    said = {"id": one["id"], "received (UTC)": at(one["receivedAt"]), "why": _why(one), "what to do": one["advice"]}
    made = {"registrations": ", ".join(one["registrations"]), "body": None if one["body"] else BODY_REMOVED}
    page.print(facts(said | one["headers"] | made))
    if one["body"]:
        page.print(shown_body(one["body"]))


def _call(page: "Console", one: Any, around: Any) -> None:
    people = "1 person" if one["size"] == 1 else f"{one['size']} people"
    _heading(page, f"{one['kind']} with {people}: ", one["outcome"] or "no answer yet")
    said = {
        "id": one["id"],
        "began (UTC)": at(one["startedAt"]),
        "ended (UTC)": at(one["finishedAt"]),
        "campaign": campaign_name(one["campaignId"], around["campaigns"]) if one["campaignId"] else None,
        "Marketo's request id": one["requestId"],
        "code": one["code"],
        "message": one["message"],
    }
    page.print(facts(said))
    rows = [(r["id"], who(r), r["webinarId"], r["state"]) for r in one["registrations"]]
    page.print(table(["registration", "person", "webinar", "state"], rows))


_PAGES = {"registrations": _registration, "events": _event, "calls": _call}


def _heading(page: "Console", text: str, state: str) -> None:
    page.print(shown(text), shown(state), sep=" ")


def _held(one: Any, paused: Any) -> Verdict | None:
    """Return what keeps a registration waiting that knows of nothing yet; nothing where it waits for no pause."""
    if one["state"] not in WAITING_STATES:
        return None
    pauses = [Pausing(p["scope"], datetime.fromisoformat(p["until"]), p["reason"]) for p in paused]
    return held_by(pauses, one["campaignId"])


def _doubts(one: Any, around: Any) -> str:
    """Return what is wrong with the campaign that took the request: Marketo says yes to it and sends nothing."""
    if one["state"] != RegistrationState.SENT:
        return ""
    findings = (f for f in around["findings"] if f["subject"] == str(one["campaignId"]) and f["advice"])
    return " ".join(f"{f['title']}: {f['found']}. {f['advice']}" for f in findings)


def _why(one: Any) -> str:
    return ": ".join(filter(None, (one["cause"], one["detail"])))


def shown_body(body: str) -> "RenderableType":
    """Return a webhook's body, laid out when it is JSON."""
    try:
        lines = json.dumps(json.loads(body), indent=2, ensure_ascii=False).splitlines()
    except (ValueError, RecursionError):
        lines = body.splitlines()
    return table([""], [[_indented(line)] for line in lines])


def _indented(line: str) -> str:
    return line.replace(" ", "\u00a0")  # else runs of blanks become one
