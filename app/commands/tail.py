"""`relay tail`: what happens, as it happens."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from app.commands.kinds import SourceName
from app.commands.printing import console, print_json, shown
from app.commands.running import RelayOption, asking_settings, fail, run
from app.domain import EventState, is_email
from app.settings import Settings

if TYPE_CHECKING:
    from app.commands.asking import Admin

_EVERY = 1.0  # seconds
_MOST = 200


def tail(
    *,
    source: Annotated[SourceName | None, typer.Option(help="Of one source only.")] = None,
    email: Annotated[str | None, typer.Option(help="Of one person only.")] = None,
    what: Annotated[list[str] | None, typer.Option(help="Only this (sent, dead, ignored …); may be repeated.")] = None,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, max=_MOST, help="How many of the past; with --what, of the last 200.")
    ] = 10,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on until Ctrl-C.")] = True,
    relay: RelayOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one line each.")] = False,
) -> None:
    """Watch webhooks come in and what becomes of people, filtered; Ctrl-C ends it."""
    settings = asking_settings(relay, in_vain="Nothing is watched")
    wanted = frozenset(what or ())
    _check(wanted)
    if email is not None and not is_email(email.strip()):
        fail(f"--email {email}: nobody can have this address.", code=2)
    page = console()

    async def watch() -> None:
        which = {"source": source, "email": email}
        async for one, names in _activity(settings, which, wanted, lines, follow=follow):
            if as_json:
                print_json(one, indent=None)
            else:
                _print(page, one, names)

    run(watch(), settings)


def _check(wanted: frozenset[str]) -> None:
    from app.web.console.words import HEADINGS  # noqa: PLC0415  # --help should not wait for every part's import

    known = {*HEADINGS, *EventState}
    if strange := sorted(wanted - known):
        fail(f"--what {strange[0]}: there is no such word; there are {', '.join(sorted(known))}.", code=2)


async def _activity(
    settings: Settings, which: dict[str, str | None], wanted: frozenset[str], lines: int, *, follow: bool
) -> AsyncIterator[tuple[Any, Any]]:
    """Yield what happens and is wanted, each with what the campaigns are called."""
    from app.commands.asking import open_admin  # noqa: PLC0415  # --help should not wait for every part's import

    async with open_admin(settings) as admin:
        names = (await admin.setup())["campaigns"]
        found = await admin.get("activity", limit=_MOST if wanted else lines, **which)
        for one in _wanted(found["items"], wanted)[-lines:]:
            yield one, names
        while follow:
            found = await _next(admin, found["nextCursor"], which)
            for one in _wanted(found["items"], wanted):
                yield one, names
            if not found["items"]:
                await asyncio.sleep(_EVERY)


def _wanted(items: list[Any], wanted: frozenset[str]) -> list[Any]:
    return [one for one in items if not wanted or one["what"] in wanted]


async def _next(admin: "Admin", cursor: str, which: dict[str, str | None]) -> Any:
    return await admin.get("activity", limit=_MOST, cursor=cursor, **which)


def _print(page: Console, one: Any, names: Any) -> None:
    from app.web.console.words import with_names  # noqa: PLC0415  # as above

    about = " ".join(filter(None, (one["email"], one["webinarId"] and f"({one['webinarId']})"))) or "webhook"
    line = Text(f"{one['at'][11:19]} ", style="dim")
    detail = shown(with_names(one["detail"], names))
    for cell in (shown(one["source"]), shown(one["what"]), shown(about), detail, Text(one["id"], "dim")):
        line.append_text(cell).append(" ")
    page.print(line)
