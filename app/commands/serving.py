"""`relay serve`, `relay migrate`, `relay healthcheck`: what a container runs."""

from http.client import HTTPConnection, HTTPException
from typing import Annotated

import structlog
import typer

from app.commands.running import ConfigOption, fail, run, settings_for
from app.listening import own_address


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (HOST).", show_default="all")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (PORT).", show_default="8080")] = None,
    config: ConfigOption = None,
) -> None:
    """Start the relay with the settings of the environment, .env and relay.toml."""
    from app.crew import serve_by_several  # noqa: PLC0415  # as above
    from app.log import configure_logging  # noqa: PLC0415  # as above
    from app.making import CHECKS  # noqa: PLC0415  # --help should not wait for every part's import
    from app.serve import serve as serve_alone  # noqa: PLC0415  # as above
    from app.settings import doubts_of  # noqa: PLC0415  # as above

    options = {"host": host, "port": port, "relay_config": config}
    settings = settings_for(options, checks=CHECKS, in_vain="The relay does not start")
    configure_logging(level=settings.log_level, format=settings.log_format, secrets=settings.secrets())
    for doubt in doubts_of(settings):
        structlog.get_logger(__name__).warning("doubtful setting", setting=doubt.field, reason=doubt.problem)
    run(serve_by_several(settings) if settings.workers > 1 else serve_alone(settings), settings)


def migrate() -> None:
    """Bring the database's tables up to date, one process at a time; does nothing when they are."""
    from app.store.migrate import HEAD  # noqa: PLC0415  # as above
    from app.store.opening import prepare_store  # noqa: PLC0415  # as above

    settings = settings_for({}, only=["database_url"], in_vain="The database is not migrated")
    changed = run(prepare_store(settings.database_url.get_secret_value()), settings)
    typer.echo(f"The database has schema {HEAD} now." if changed else f"Nothing to do: the database has schema {HEAD}.")


def healthcheck(
    ready: Annotated[bool, typer.Option("--ready", help="Ask /readyz instead of /livez.")] = False,
) -> None:
    """Ask the relay on this machine whether it lives; exit code 0 or 1. For a container's HEALTHCHECK."""
    settings = settings_for({}, only=["host", "port"], in_vain="The relay is not asked")
    path = "/readyz" if ready else "/livez"
    connection = HTTPConnection(own_address(settings.host), settings.port, timeout=3)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, HTTPException) as problem:
        fail(f"The relay does not answer on port {settings.port}: {problem}", code=1)
    if status != 200:
        fail(f"{path} answered {status}.", code=1)
