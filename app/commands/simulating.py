"""`relay demo`, `relay sandbox`: the whole way without an account."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    stay: Annotated[
        bool | None, typer.Option("--stay/--no-stay", help="Go on until Ctrl-C.", show_default="stay in a terminal")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the e-mails are written as HTML.")] = Path("demo"),
    port: Annotated[int, typer.Option(help="The relay's port; another one if it is taken.")] = 8080,
    sandbox_port: Annotated[int, typer.Option(help="The simulation's port; another one if it is taken.")] = 8090,
) -> None:
    """See the whole way without an account: webhooks in, the reminder e-mail out, all on this machine."""
    from app.sandbox.demo import run_demo  # noqa: PLC0415  # --help should not wait for every part's import

    raise typer.Exit(run_demo(stay=stay, folder=folder, port=port, sandbox_port=sandbox_port))


def sandbox(context: typer.Context) -> None:
    """Start the simulated Marketo, Eventbrite and Pendo; `relay sandbox --help` has its options."""
    from app.sandbox.__main__ import main as run_sandbox  # noqa: PLC0415  # as above

    run_sandbox(context.args, prog="relay sandbox")
