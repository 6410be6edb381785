"""The command `relay`: serve webhooks, try the whole way without accounts, look after the store."""

import json
import sys
from collections.abc import Coroutine, Mapping, Sequence
from datetime import timedelta
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer
import uvloop
from rich.console import Console

from app import __version__
from app.domain import is_email
from app.errors import RelayError, SettingsInvalid, StoreUnavailable
from app.listening import own_address
from app.settings import Checks, Settings, load_settings, render_problems

if TYPE_CHECKING:
    from app.care.at_hand import AtHand

app = typer.Typer(
    name="relay",
    help="Take webinar registrations as webhooks and request the Marketo campaign that e-mails the reminder.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they print local variables, and with them secrets
    context_settings={"help_option_names": ["-h", "--help"]},
)
Result = TypeVar("Result")
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file with settings and webinars.", show_default="relay.toml")
]


def main() -> None:
    """Run the command line; exit code 2 means that settings or arguments are wrong."""
    app(prog_name="relay")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (HOST).", show_default="all")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (PORT).", show_default="8080")] = None,
    config: ConfigOption = None,
) -> None:
    """Start the relay with the settings of the environment, .env and relay.toml."""
    from app.bootstrap import CHECKS  # noqa: PLC0415  # --help should not wait for every part's import
    from app.crew import serve_by_several  # noqa: PLC0415  # as above
    from app.log import configure_logging  # noqa: PLC0415  # as above
    from app.serve import serve as serve_alone  # noqa: PLC0415  # as above

    settings = _settings({"host": host, "port": port, "relay_config": config}, checks=CHECKS)
    configure_logging(level=settings.log_level, format=settings.log_format, secrets=settings.secrets())
    _run(serve_by_several(settings) if settings.workers > 1 else serve_alone(settings), settings)


@app.command()
def demo(
    stay: Annotated[
        bool | None, typer.Option("--stay/--no-stay", help="Go on until Ctrl-C.", show_default="stay in a terminal")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the e-mails are written as HTML.")] = Path("demo"),
    port: Annotated[int, typer.Option(help="The relay's port; another one if it is taken.")] = 8080,
    sandbox_port: Annotated[int, typer.Option(help="The simulation's port; another one if it is taken.")] = 8090,
) -> None:
    """See the whole way without an account: webhooks in, the reminder e-mail out, all on this machine."""
    from app.sandbox.demo import run_demo  # noqa: PLC0415  # as above

    raise typer.Exit(run_demo(stay=stay, folder=folder, port=port, sandbox_port=sandbox_port))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def sandbox(context: typer.Context) -> None:
    """Start the simulated Marketo, Eventbrite and Pendo; `relay sandbox --help` has its options."""
    from app.sandbox.__main__ import main as run_sandbox  # noqa: PLC0415  # as above

    run_sandbox(context.args)


@app.command()
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
    wait: Annotated[float, typer.Option(min=1, help="With --send: how many seconds to follow it.")] = 300,
    config: ConfigOption = None,
) -> None:
    """Check how Marketo and everything around the relay is set up; exit code 0 fine, 1 doubtful, 2 wrong."""
    from app.surgery import Surgery  # noqa: PLC0415  # as above

    def agrees(question: str) -> bool:
        return yes or (sys.stdin.isatty() and typer.confirm(question))

    surgery = Surgery(Console(), Console(stderr=as_json), {"relay_config": config}, agrees, timedelta(seconds=wait))
    if send is not None and not is_email(send):
        _fail(f"{send} is no e-mail address that Marketo takes.", code=2)
    raise typer.Exit(uvloop.run(surgery.visit(as_json=as_json, may_mend=fix, send_to=send)))


@app.command()
def migrate() -> None:
    """Bring the database's tables up to date, one process at a time; does nothing when they are."""
    from app.store.migrate import HEAD  # noqa: PLC0415  # as above
    from app.store.opening import prepare_store  # noqa: PLC0415  # as above

    settings = _settings({}, only=["database_url"])
    changed = _run(prepare_store(settings.database_url.get_secret_value()), settings)
    typer.echo(f"The database has schema {HEAD} now." if changed else f"Nothing to do: the database has schema {HEAD}.")


@app.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(help="Registrations (reg_…) or webhooks (evt_…).")] = None,
    *,
    cause: Annotated[str | None, typer.Option(help="All that are dead for this cause, e.g. title_missing.")] = None,
    source: Annotated[str | None, typer.Option(help="All dead ones of this source.")] = None,
    webinar: Annotated[str | None, typer.Option(help="All dead ones of this webinar, by the source's id.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are dead.")] = False,
    sent: Annotated[bool, typer.Option("--sent", help="With --webinar: those that were sent, not the dead.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, it only shows what it would come to.")] = False,
    resend: Annotated[bool, typer.Option("--resend", help="Mail those too who got an e-mail, or may have.")] = False,
    why: Annotated[str, typer.Option(help="It stands in each timeline.")] = "",
    by: Annotated[str, typer.Option(envvar="USER", help="Who asks; it stands there too.")] = "relay replay",
    follow: Annotated[str | None, typer.Option(metavar="ID", help="Follow a replay that runs.")] = None,
    stop: Annotated[str | None, typer.Option(metavar="ID", help="Go on with a replay no further.")] = None,
    url: Annotated[
        str | None, typer.Option(envvar="RELAY_URL", help="Ask a running relay with ADMIN_TOKEN; else the store.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: ConfigOption = None,
) -> None:
    """Take up again what died, after what was missing was mended. Shows first what it would come to."""
    from app.care import replay as caring  # noqa: PLC0415  # as above

    wanted = {"ids": ids or None, "cause": cause, "source": source, "webinar": webinar, "all": every, "sent": sent}
    body = {name: value for name, value in wanted.items() if value} | {"resend": resend, "why": why, "by": by}
    at_hand, settings = _at_hand(url, config)
    say, note = typer.echo, partial(typer.echo, err=True)
    if stop:
        ended = _run(at_hand.stop(stop), settings)
        say(json.dumps(ended, indent=2) if as_json else caring.replay_in_words(ended))
    elif follow:
        begun = _run(at_hand.progress(follow), settings)
        _run(caring.follow(at_hand, begun, as_json=as_json, say=say, note=note), settings)
    else:
        _run(caring.replay(at_hand, body, yes=yes, as_json=as_json, say=say, note=note), settings)


def _at_hand(url: str | None, config: Path | None) -> "tuple[AtHand, Settings]":
    """Return what replays are asked of: the relay at this address, or else the store of the settings."""
    from app.bootstrap import CHECKS  # noqa: PLC0415  # as above
    from app.care.at_hand import OwnStore, Refusal, RunningRelay  # noqa: PLC0415  # as above

    if not url:
        settings = _settings({"relay_config": config}, checks=CHECKS)
        return OwnStore(settings), settings
    settings = _settings({"relay_config": config}, only=["admin_token"])
    if not settings.admin_token:
        _fail("Set ADMIN_TOKEN to the relay's, to ask it at RELAY_URL.", code=2)
    try:
        return RunningRelay(url, settings.admin_token[-1].get_secret_value()), settings
    except Refusal as refusal:
        _fail(str(refusal), code=2)


@app.command()
def forget(
    person: Annotated[str, typer.Argument(help="An e-mail address, or lead:1002200 for Marketo's id.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without, it only shows what there is.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Remove all that the store holds of a person, and print a certificate. Shows first what that is."""
    from app.care import forget as caring  # noqa: PLC0415  # as above

    settings = _settings({}, only=["database_url"])
    url = settings.database_url.get_secret_value()
    if yes:
        typer.echo(caring.certified(_run(caring.forget(url, person), settings), as_json=as_json))
    else:
        typer.echo(caring.shown(_run(caring.traces_of(url, person), settings), as_json=as_json))


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="Where the copy goes; nothing is overwritten.")]) -> None:
    """Copy the SQLite store while the relay runs, and check the copy."""
    from app.store.backup import back_up  # noqa: PLC0415  # as above

    settings = _settings({}, only=["database_url"])
    try:
        made = back_up(settings.database_url.get_secret_value(), file)
    except StoreUnavailable as problem:
        _fail(str(problem), code=1)
    typer.echo(
        f"{made.file}: {made.size} bytes, {made.events} webhooks, {made.registrations} registrations; it is whole."
    )


@app.command()
def healthcheck(
    ready: Annotated[bool, typer.Option("--ready", help="Ask /readyz instead of /livez.")] = False,
) -> None:
    """Ask the relay on this machine whether it lives; exit code 0 or 1. For a container's HEALTHCHECK."""
    settings = _settings({}, only=["host", "port"])
    path = "/readyz" if ready else "/livez"
    connection = HTTPConnection(own_address(settings.host), settings.port, timeout=3)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, HTTPException) as problem:
        _fail(f"The relay does not answer on port {settings.port}: {problem}", code=1)
    if status != 200:
        _fail(f"{path} answered {status}.", code=1)


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


def _settings(
    overrides: Mapping[str, object], *, checks: Checks | None = None, only: Sequence[str] | None = None
) -> Settings:
    try:
        return load_settings(overrides, checks=checks or Checks(), only=only)
    except SettingsInvalid as invalid:
        _fail(render_problems(invalid.problems), code=2)


def _run(work: Coroutine[object, object, Result], settings: Settings) -> Result:
    from app.log import Masker  # noqa: PLC0415  # as above

    try:
        return uvloop.run(work)
    except RelayError as problem:
        _fail(Masker(settings.secrets()).mask(str(problem)), code=1)  # drivers repeat what they were given


def _fail(text: str, *, code: int) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(code)
