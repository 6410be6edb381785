"""`relay doctor`: check how Marketo and everything around the relay is set up."""

import sys
from datetime import timedelta
from typing import Annotated

import typer
import uvloop

from app.commands.running import ConfigOption, fail
from app.domain import is_email

_PATIENCE = 300  # seconds


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Offer to create missing My Tokens and Eventbrite's webhook; shown before.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --fix: do it without asking.")] = False,
    send: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Send one real reminder to this address and follow it until it is sent."),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(min=1, help="With --send: how many seconds to follow it.", show_default=str(_PATIENCE)),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Check how Marketo and everything around the relay is set up; exit code 0 fine, 1 doubtful, 2 wrong."""
    from rich.console import Console  # noqa: PLC0415  # --help should not wait for every part's import

    from app.surgery import Surgery  # noqa: PLC0415  # as above

    def agrees(question: str) -> bool:
        if yes or sys.stdin.isatty():
            return yes or typer.confirm(question)
        typer.echo("Nobody is there to ask: --yes does it.", err=True)
        return False

    if yes and not fix:
        fail("--yes agrees to what --fix shows: give both.", code=2)
    if wait is not None and send is None:
        fail("--wait says how long to follow what --send sends: give both.", code=2)
    limit = timedelta(seconds=_PATIENCE if wait is None else wait)
    surgery = Surgery(Console(), Console(stderr=as_json), {"relay_config": config}, agrees, limit)
    if send is not None and not is_email(send):
        fail(f"{send} is no e-mail address that Marketo takes.", code=2)
    raise typer.Exit(uvloop.run(surgery.visit(as_json=as_json, may_mend=fix, send_to=send)))
