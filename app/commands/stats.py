"""`relay stats`: what came lately, what waits, and what needs a person."""

from typing import Annotated, Any

import typer

from app.commands.printing import at, console, facts, print_json, shown, table
from app.commands.running import JsonOption, RelayOption, asking_settings, run
from app.settings import Settings

_STATES = ("sent", "ignored", "cancelled", "dead")


def stats(
    hours: Annotated[float, typer.Option(min=0.01, max=8784, help="Of the last so many hours.")] = 24.0,
    relay: RelayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count what came and what became of it, by source; say what waits, what is paused and what is dead."""
    settings = asking_settings(relay, in_vain="Nothing is counted")
    told = run(_ask(settings, hours), settings)
    if as_json:
        print_json(told)
        return
    page = console()
    titles = ["source", "webhooks", "unusable", "registrations", *_STATES, "last webhook (UTC)"]
    page.print(table(titles, [_row(one) for one in told["sources"]]))
    page.print(facts(_standing(told)))
    for pause in told["paused"]:
        page.print(shown(f"paused: {pause['scope']} until {pause['until'][:19]}: {pause['reason']}"))
    rows = [(d["cause"], d["registrations"], d["webhooks"], at(d["lastAt"]), d["advice"]) for d in told["dead"]]
    if rows:
        page.print(table(["dead for", "registrations", "webhooks", "last (UTC)", "what to do"], rows))


async def _ask(settings: Settings, hours: float) -> Any:
    from app.commands.asking import open_admin  # noqa: PLC0415  # --help should not wait for every part's import

    async with open_admin(settings) as admin:
        return await admin.get("stats", hours=hours)


def _row(one: Any) -> tuple[object, ...]:
    counts = one["registrations"]
    states = (counts.get(state, 0) for state in _STATES)
    return (one["source"], one["received"], one["unread"], sum(counts.values()), *states, at(one["lastAt"]))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _retried(waiting: Any) -> str:
    if not waiting["retried"]:
        return ""
    webhooks = _counted(waiting["retried"], "webhook")
    return f"{webhooks}, the next try {at(waiting['nextTryAt'])}; `relay events --state waiting` says why"


def _standing(told: Any) -> dict[str, object]:
    waiting = told["waiting"]
    return {
        "calls of the relay to Marketo": told["calls"],
        "waiting": ", ".join(_counted(waiting[f"{what}s"], what) for what in ("registration", "webhook")),
        "tried in vain so far": _retried(waiting),
        "oldest since (UTC)": at(waiting["oldest"]) if waiting["oldest"] else None,
    }
