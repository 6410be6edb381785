"""The command `relay`: gathers the commands of `app.commands`, each imported by itself."""

from typing import Annotated

import typer

from app import __version__
from app.commands.caring import backup, forget, replay
from app.commands.config import config_commands
from app.commands.events import events
from app.commands.examining import doctor
from app.commands.send import send
from app.commands.serving import healthcheck, migrate, serve
from app.commands.show import show
from app.commands.simulating import demo, sandbox
from app.commands.stats import stats
from app.commands.tail import tail
from app.commands.trying import try_payloads
from app.commands.usage import Command, Group

app = typer.Typer(
    name="relay",
    cls=Group,
    help="Take webinar registrations as webhooks and request the Marketo campaign that e-mails the reminder.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they print local variables, and with them secrets
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (serve, demo, doctor, send, events, show, tail, stats, replay, forget, backup, migrate, healthcheck):
    app.command(cls=Command)(command)
app.command("try", cls=Command)(try_payloads)
app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)(sandbox)
app.add_typer(config_commands, name="config")


def main() -> None:
    """Run the command line; exit code 2 means that settings or arguments are wrong."""
    app(prog_name="relay")


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"relay {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Hold the options of every command."""
