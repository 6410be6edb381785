"""`relay events`: which webhooks came, newest first."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from app.commands.kinds import SourceName
from app.commands.printing import at, console, print_json, table
from app.commands.running import JsonOption, RelayOption, asking_settings, run
from app.domain import EventState
from app.settings import Settings


def events(
    *,
    source: Annotated[SourceName | None, typer.Option(help="Of one source only.")] = None,
    state: Annotated[EventState | None, typer.Option(help="In one state only.")] = None,
    hours: Annotated[float | None, typer.Option(min=0, max=876_000, help="Of the last so many hours.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on where another list ended.")] = None,
    relay: RelayOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the webhooks that came, newest first; `relay show ID` has all of one."""
    settings = asking_settings(relay, in_vain="No webhooks are listed")
    since = datetime.now(UTC) - timedelta(hours=hours) if hours is not None else None
    asked = {"source": source, "state": state, "limit": limit, "cursor": cursor}
    page = run(_ask(settings, since=since.isoformat() if since else None, **asked), settings)
    if as_json:
        print_json(page)
        return
    rows = [(at(e["receivedAt"]), e["id"], e["source"], e["state"], e["cause"], e["detail"]) for e in page["items"]]
    console().print(table(["received (UTC)", "id", "source", "state", "cause", "detail"], rows) if rows else "None.")
    if page["nextCursor"]:
        typer.echo(f"There are more: --cursor {page['nextCursor']}", err=True)


async def _ask(settings: Settings, **asked: object) -> Any:
    from app.commands.asking import open_admin  # noqa: PLC0415  # --help should not wait for every part's import

    async with open_admin(settings) as admin:
        return await admin.get("events", **asked)
